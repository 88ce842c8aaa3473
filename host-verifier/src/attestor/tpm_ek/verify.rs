//! Every check on an EK, its certificate and the AK beside it. Pure: bytes, settings and time come in.

use std::collections::BTreeSet;

use assay_common::tpm::{
    attributes::ObjectAttributes,
    public::{Public, PublicError},
};

use super::{
    certificate::{self, Dangers, EkCertificateError, VerifiedEkCertificate},
    config::Require,
    payload::Untrusted,
};
use crate::{
    attestor::{AttestError, Fault},
    blobs::BlobError,
    crypto::{PublicKey, has_roca_fingerprint},
    tpm::{
        AkError, AttestationKey, CredentialKey, CredentialKeyError,
        key::{PublicKeyError, public_key},
        make_credential::MakeCredentialError,
    },
    x509::{TrustStore, UnixTime, decode::DecodeError},
};

/// The attributes of every EK template: a restricted decryption key that never leaves its TPM and
/// that the TPM made ([TCG EK Credential Profile 2.6] annex B). adminWithPolicy keeps its policy in
/// force; userWithAuth differs between the low and the high templates.
pub const EK_ATTRIBUTES: ObjectAttributes = ObjectAttributes::FIXED_TPM
    .union(ObjectAttributes::FIXED_PARENT)
    .union(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
    .union(ObjectAttributes::ADMIN_WITH_POLICY)
    .union(ObjectAttributes::RESTRICTED)
    .union(ObjectAttributes::DECRYPT);

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EkError {
    /// The payload is not one whole message.
    #[error("payload cannot be read")]
    Payload,
    /// The response is not one whole message.
    #[error("response cannot be read")]
    Response,
    /// A long field that the payload names did not come, or is another.
    #[error("certificate: {0}")]
    Blob(BlobError),
    /// The EK's public area is not well-formed.
    #[error("ek: {0}")]
    EkPublic(PublicError),
    /// The AK's public area is not well-formed.
    #[error("ak: {0}")]
    AkPublic(PublicError),
    /// The EK is not a key.
    #[error("ek: {0}")]
    EkKey(PublicKeyError),
    /// The EK's modulus was made by the generator of CVE-2017-15361.
    #[error(
        "ek: rsa modulus has the fingerprint of CVE-2017-15361: the private key can be computed"
    )]
    Roca,
    /// A certificate is needed and none came.
    #[error("a manufacturer's certificate is required and the TPM sent none")]
    CertificateMissing,
    /// The certificate cannot be read.
    #[error("ek certificate: {0}")]
    CertificateUnreadable(DecodeError),
    /// The certificate is for another key than the EK that is challenged.
    #[error("ek certificate is for another key ({certificate}) than the ek ({ek})")]
    KeyMismatch {
        /// SHA-256 of the certificate's key.
        certificate: String,
        /// SHA-256 of the EK.
        ek: String,
    },
    /// A check of the certificate or its chain.
    #[error("ek certificate: {0}")]
    Certificate(EkCertificateError),
    /// The EK is not on the list.
    #[error("ek {hash} is not in allowedHashes")]
    HashNotAllowed {
        /// SHA-256 of its SubjectPublicKeyInfo.
        hash: String,
    },
    /// Attribute bits that the specification reserves: no TPM has such a key.
    #[error("ek attributes {got}: {} is reserved", got.reserved())]
    EkReserved {
        /// What they are.
        got: ObjectAttributes,
    },
    /// The attributes are not those of an EK.
    #[error("ek attributes {got}, wanted {EK_ATTRIBUTES} and not sign")]
    EkAttributes {
        /// What they are.
        got: ObjectAttributes,
    },
    /// No credential can be made for the EK.
    #[error("ek: {0}")]
    EkUnusable(CredentialKeyError),
    /// The AK is not an attestation key.
    #[error(transparent)]
    Ak(#[from] AkError),
    /// The AK's modulus was made by the generator of CVE-2017-15361.
    #[error(
        "attestation key: rsa modulus has the fingerprint of CVE-2017-15361: the private key can be computed"
    )]
    AkRoca,
    /// Making the credential failed here.
    #[error("credential: {0}")]
    MakeCredential(MakeCredentialError),
    /// The response does not show the secret.
    #[error("the credential was not opened by this TPM in this login")]
    Activation,
}

impl EkError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Payload | Self::Response => "payload-malformed",
            Self::Blob(_) => "blob-missing",
            Self::EkPublic(_) => "ek-public-malformed",
            Self::AkPublic(_) => "ak-public-malformed",
            Self::EkKey(_) => "ek-key",
            Self::Roca => "roca",
            Self::CertificateMissing => "ek-certificate-missing",
            Self::CertificateUnreadable(_) => "ek-certificate-unreadable",
            Self::KeyMismatch { .. } => "key-mismatch",
            Self::Certificate(error) => error.check(),
            Self::HashNotAllowed { .. } => "ek-not-allowed",
            Self::EkReserved { .. } => "ek-reserved-attributes",
            Self::EkAttributes { .. } => "ek-attributes",
            Self::EkUnusable(CredentialKeyError::Symmetric { .. }) => "ek-symmetric",
            Self::EkUnusable(CredentialKeyError::NameAlg(_)) => "ek-name-alg",
            Self::EkUnusable(CredentialKeyError::WeakKey(_)) => "weak-key",
            Self::EkUnusable(CredentialKeyError::Key(_)) => "ek-key",
            Self::Ak(error) => error.check(),
            Self::AkRoca => "ak-roca",
            Self::MakeCredential(_) => "make-credential",
            Self::Activation => "credential-activation",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Payload
            | Self::Response
            | Self::Blob(_)
            | Self::EkPublic(_)
            | Self::AkPublic(_) => Fault::Malformed,
            Self::MakeCredential(_) => Fault::Internal,
            _ => Fault::Refused,
        }
    }
}

impl From<EkError> for AttestError {
    fn from(error: EkError) -> Self {
        Self::new(error.fault(), error.check(), error.to_string())
    }
}

/// What an EK is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Which proofs are needed.
    pub require: Require,
    /// The allow-list; `None` when there is none, which lets nothing in.
    pub allowed_hashes: Option<&'a BTreeSet<[u8; 32]>>,
    /// The manufacturers; `None` when there are none, which lets nothing in.
    pub manufacturers: Option<&'a TrustStore>,
    /// Switches.
    pub dangers: Dangers,
}

/// An EK that is let in and an AK that is fit, with everything needed to challenge them: only
/// [`verify`] makes one. That they live in one TPM is not proven yet.
#[derive(Debug)]
pub struct Acceptable {
    ek: CredentialKey,
    ek_hash: [u8; 32],
    certificate: Option<VerifiedEkCertificate>,
    refused_certificate: Option<EkError>,
    ak: AttestationKey,
    ak_public: Vec<u8>,
}

impl Acceptable {
    /// The EK to make the credential for: the very key that was judged.
    #[must_use]
    pub fn ek(&self) -> &CredentialKey {
        &self.ek
    }

    /// SHA-256 of the EK's SubjectPublicKeyInfo.
    #[must_use]
    pub fn ek_hash(&self) -> [u8; 32] {
        self.ek_hash
    }

    /// The certificate, if one was verified.
    #[must_use]
    pub fn certificate(&self) -> Option<&VerifiedEkCertificate> {
        self.certificate.as_ref()
    }

    /// Why the certificate that came does not count, where the hash alone let the EK in.
    #[must_use]
    pub fn refused_certificate(&self) -> Option<&EkError> {
        self.refused_certificate.as_ref()
    }

    /// The AK.
    #[must_use]
    pub fn ak(&self) -> &AttestationKey {
        &self.ak
    }

    /// The AK's public area as received.
    #[must_use]
    pub fn ak_public(&self) -> &[u8] {
        &self.ak_public
    }
}

/// Judges what [`super::payload::parse`] read, at the time `at`.
///
/// Proves: the rules let this EK in, and the AK's public area is one whose signatures can count.
/// Does not prove: possession of either key; the challenge does.
///
/// # Errors
/// The failed check, see [`EkError`].
pub fn verify(
    untrusted: &Untrusted<'_>,
    rules: &Rules<'_>,
    at: UnixTime,
) -> Result<Acceptable, EkError> {
    let key = public_key(&untrusted.ek).map_err(EkError::EkKey)?;
    let ek_hash = key.spki_sha256();
    // Before any proof of identity: whoever computed the private key has the listed and the certified EK alike.
    if is_roca(&key, rules.dangers) {
        return Err(EkError::Roca);
    }

    let by_certificate = vouched(untrusted, rules, &key, at);
    let by_hash = listed(rules, ek_hash);
    let by_certificate = match rules.require {
        Require::Hash => by_hash.map(|()| by_certificate),
        Require::Certificate => by_certificate.map(Ok),
        Require::Both => by_certificate.and_then(|c| by_hash.map(|()| Ok(c))),
        Require::Either => match (by_certificate, by_hash) {
            (Err(certificate), Err(hash)) => Err(either(certificate, hash, untrusted, rules)),
            (by_certificate, _) => Ok(by_certificate),
        },
    }?;
    let (certificate, refused_certificate) = match by_certificate {
        Ok(certificate) => (Some(certificate), None),
        // A certificate that did not come, or that nobody asked about, was not refused.
        Err(error) => (
            None,
            Some(error).filter(|_| certificate_counts(untrusted, rules)),
        ),
    };

    check_ek_attributes(&untrusted.ek)?;
    let ek = CredentialKey::from_public(&untrusted.ek).map_err(EkError::EkUnusable)?;
    let ak = AttestationKey::from_public(&untrusted.ak)?;
    if is_roca(ak.key(), rules.dangers) {
        return Err(EkError::AkRoca);
    }
    Ok(Acceptable {
        ek,
        ek_hash,
        certificate,
        refused_certificate,
        ak,
        ak_public: untrusted.ak.raw().to_vec(),
    })
}

pub(in crate::attestor) fn is_roca(key: &PublicKey, dangers: Dangers) -> bool {
    let PublicKey::Rsa(rsa) = key else {
        return false;
    };
    !dangers.danger_allow_roca && has_roca_fingerprint(rsa)
}

/// Does a manufacturer vouch for exactly this key?
fn vouched(
    untrusted: &Untrusted<'_>,
    rules: &Rules<'_>,
    key: &PublicKey,
    at: UnixTime,
) -> Result<VerifiedEkCertificate, EkError> {
    let manufacturers = rules.manufacturers.ok_or(EkError::CertificateMissing)?;
    let certificate = match &untrusted.certificate {
        None => return Err(EkError::CertificateMissing),
        Some(Err(error)) => return Err(EkError::CertificateUnreadable(error.clone())),
        Some(Ok(certificate)) => certificate,
    };
    // First of all: anyone's published certificate beside a key made in software must not help.
    if let Ok(certified) = certificate.key()
        && certified != key
    {
        return Err(EkError::KeyMismatch {
            certificate: hex::encode(certified.spki_sha256()),
            ek: hex::encode(key.spki_sha256()),
        });
    }
    let verified = certificate::verify(
        certificate,
        &untrusted.chain,
        manufacturers,
        rules.dangers,
        at,
    )
    .map_err(EkError::Certificate)?;
    // The comparison above was over what could be read; this one is over what was verified.
    if verified.key() != key {
        return Err(EkError::KeyMismatch {
            certificate: hex::encode(verified.key().spki_sha256()),
            ek: hex::encode(key.spki_sha256()),
        });
    }
    Ok(verified)
}

fn listed(rules: &Rules<'_>, hash: [u8; 32]) -> Result<(), EkError> {
    match rules.allowed_hashes {
        Some(allowed) if allowed.contains(&hash) => Ok(()),
        _ => Err(EkError::HashNotAllowed {
            hash: hex::encode(hash),
        }),
    }
}

/// Which of two failures tells the operator more.
fn either(
    certificate: EkError,
    hash: EkError,
    untrusted: &Untrusted<'_>,
    rules: &Rules<'_>,
) -> EkError {
    if certificate_counts(untrusted, rules) || rules.allowed_hashes.is_none() {
        certificate
    } else {
        hash
    }
}

fn certificate_counts(untrusted: &Untrusted<'_>, rules: &Rules<'_>) -> bool {
    rules.manufacturers.is_some() && untrusted.certificate.is_some()
}

fn check_ek_attributes(ek: &Public<'_>) -> Result<(), EkError> {
    let got = ek.attributes;
    if got.reserved().0 != 0 {
        return Err(EkError::EkReserved { got });
    }
    if got.contains(EK_ATTRIBUTES) && !got.intersects(ObjectAttributes::SIGN) {
        Ok(())
    } else {
        Err(EkError::EkAttributes { got })
    }
}
