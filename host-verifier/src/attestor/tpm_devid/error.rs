//! The checks by name.

use assay_common::tpm::{
    attest::{AttestError as StructureError, AttestType},
    attributes::ObjectAttributes,
    name::NameError,
    public::PublicError,
    signature::SignatureError,
};

use super::verify::DEVID_ATTRIBUTES;
use crate::{
    attestor::{AttestError, Fault, tpm_ek::verify::EkError},
    blobs::BlobError,
    tpm::{key::PublicKeyError, signature::SignatureCheckError},
    x509::{ParseError, PathError, spki::SpkiError},
};

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevidError {
    /// The payload is not one whole message.
    #[error("payload cannot be read")]
    Payload,
    /// The certificates that the payload names did not come, or are others.
    #[error("devid certificates: {0}")]
    Blob(BlobError),
    /// None came.
    #[error("no devid certificate came")]
    NoCertificate,
    /// More than a chain has.
    #[error(
        "more than {} devid certificates",
        assay_common::method::tpm_devid::MAX_CERTIFICATES
    )]
    TooManyCertificates,
    /// They are not DER one after the other.
    #[error("devid certificates: not DER, one after the other")]
    NotCertificates,
    /// One of them cannot be read.
    #[error("devid {0}")]
    Certificate(ParseError),
    /// The key of the certificate cannot be used.
    #[error("devid certificate: {0}")]
    CertificateKey(SpkiError),
    /// The chain leads to no authority, or a check on it failed.
    #[error("devid certificate: {error}")]
    Path {
        /// The check's own name.
        check: &'static str,
        /// What is wrong.
        error: PathError,
    },
    /// The key's public area is not well-formed.
    #[error("devid key: {0}")]
    Public(PublicError),
    /// It holds no key that can be used.
    #[error("devid key: {0}")]
    Key(PublicKeyError),
    /// The certificate is for another key than the one in the TPM.
    #[error("devid certificate is for another key ({certificate}) than the tpm's ({key})")]
    KeyMismatch {
        /// SHA-256 of the certificate's key.
        certificate: String,
        /// SHA-256 of the TPM's key.
        key: String,
    },
    /// Attribute bits that the specification reserves: no TPM has such a key.
    #[error("devid key attributes {got}: {} is reserved", got.reserved())]
    Reserved {
        /// What they are.
        got: ObjectAttributes,
    },
    /// The key could be elsewhere, too, or signs nothing.
    #[error("devid key attributes {got}, wanted {DEVID_ATTRIBUTES} and not decrypt")]
    Attributes {
        /// What they are.
        got: ObjectAttributes,
    },
    /// The modulus was made by the generator of CVE-2017-15361.
    #[error(
        "devid key: rsa modulus has the fingerprint of CVE-2017-15361: the private key can be computed"
    )]
    Roca,
    /// A check on the EK, its certificate, or the AK.
    #[error(transparent)]
    Endorsement(#[from] EkError),
    /// The certification is not well-formed.
    #[error("attest: {0}")]
    Attest(StructureError),
    /// It does not begin with TPM_GENERATED: no TPM made it.
    #[error("attest begins with {got:#010x} and not with TPM_GENERATED: no TPM made it")]
    Magic {
        /// What it begins with.
        got: u32,
    },
    /// A TPM made it, and it certifies no object.
    #[error("attest is a {got}, not a certification")]
    AttestType {
        /// What it is.
        got: AttestType,
    },
    /// `extraData` is not exactly the nonce.
    #[error("extraData is {got}, the nonce is {expected}")]
    Nonce {
        /// What it is, in hex.
        got: String,
        /// What it should be, in hex.
        expected: String,
    },
    /// The Name cannot be computed.
    #[error("devid key: {0}")]
    Name(NameError),
    /// It certifies another object.
    #[error("the object that was certified is {got}, the devid key is {expected}")]
    OtherObject {
        /// The certified Name, in hex.
        got: String,
        /// The key's Name, in hex.
        expected: String,
    },
    /// The AK's signature is not well-formed.
    #[error("attest: {0}")]
    AttestSignatureMalformed(SignatureError),
    /// The AK did not sign it.
    #[error("attest: {0}")]
    AttestSignature(SignatureCheckError),
    /// The DevID key's signature is not well-formed.
    #[error("possession: {0}")]
    PossessionMalformed(SignatureError),
    /// The certified key did not sign for this login.
    #[error("possession: {0}")]
    Possession(SignatureCheckError),
}

impl DevidError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Payload => "payload-malformed",
            Self::Blob(_) => "blob-missing",
            Self::NoCertificate => "devid-certificate-missing",
            Self::TooManyCertificates => "devid-certificate-count",
            Self::NotCertificates | Self::Certificate(_) => "devid-certificate-unreadable",
            Self::CertificateKey(_) => "devid-unsupported-key",
            Self::Path { check, .. } => check,
            Self::Public(_) => "devid-public-malformed",
            Self::Key(_) => "devid-key",
            Self::KeyMismatch { .. } => "devid-key-mismatch",
            Self::Reserved { .. } => "devid-reserved-attributes",
            Self::Attributes { .. } => "devid-attributes",
            Self::Roca => "devid-roca",
            Self::Endorsement(error) => error.check(),
            Self::Attest(_) => "attest-malformed",
            Self::Magic { .. } => "magic",
            Self::AttestType { .. } => "attest-type",
            Self::Nonce { .. } => "nonce",
            Self::Name(_) | Self::OtherObject { .. } => "devid-name",
            Self::AttestSignatureMalformed(_) => "signature-malformed",
            Self::AttestSignature(error) => error.check(),
            Self::PossessionMalformed(_) => "possession-malformed",
            Self::Possession(SignatureCheckError::WeakKey(_)) => "devid-weak-key",
            Self::Possession(SignatureCheckError::Hash(_)) => "possession-hash",
            Self::Possession(
                SignatureCheckError::KeyType { .. } | SignatureCheckError::NotTheKeysScheme { .. },
            ) => "possession-scheme",
            Self::Possession(_) => "possession",
        }
    }

    fn fault(&self) -> Option<Fault> {
        Some(match self {
            Self::Payload
            | Self::Blob(_)
            | Self::NoCertificate
            | Self::TooManyCertificates
            | Self::NotCertificates
            | Self::Certificate(_)
            | Self::Public(_)
            | Self::Attest(_)
            | Self::AttestSignatureMalformed(_)
            | Self::PossessionMalformed(_) => Fault::Malformed,
            Self::Endorsement(_) => return None,
            _ => Fault::Refused,
        })
    }
}

impl From<DevidError> for AttestError {
    fn from(error: DevidError) -> Self {
        match (error.fault(), error) {
            (Some(fault), error) => Self::new(fault, error.check(), error.to_string()),
            (None, DevidError::Endorsement(error)) => error.into(),
            (None, error) => Self::new(Fault::Internal, error.check(), error.to_string()),
        }
    }
}

/// A failed check on the DevID's chain, by a name that tells it from the same check on the EK's.
pub(super) fn of_path(error: PathError) -> DevidError {
    let check = match error.check() {
        "unknown-issuer" => "devid-unknown-issuer",
        "bad-signature" => "devid-bad-signature",
        "leaf-is-ca" => "devid-leaf-is-ca",
        "issuer-not-ca" => "devid-issuer-not-ca",
        "expired" => "devid-expired",
        "not-yet-valid" => "devid-not-yet-valid",
        "key-usage" => "devid-key-usage",
        "critical-extension" => "devid-critical-extension",
        "path-length" => "devid-path-length",
        "name-constraints" => "devid-name-constraints",
        "weak-key" => "devid-weak-key",
        "weak-hash" => "devid-weak-hash",
        "unsupported-signature" => "devid-unsupported-signature",
        "unsupported-key" => "devid-unsupported-key",
        "chain-too-long" => "devid-chain-too-long",
        "key-too-large" => "devid-key-too-large",
        "certificate-profile" => "devid-certificate-profile",
        "revoked" => "devid-revoked",
        "crl-missing" => "devid-crl-missing",
        "crl-stale" => "devid-crl-stale",
        "crl-issuer" => "devid-crl-issuer",
        _ => "devid-certificate",
    };
    DevidError::Path { check, error }
}
