//! The EK certificate: a vendor's word that a key lives in one of its TPMs.

use crate::{
    crypto::{Legacy, PublicKey, has_roca_fingerprint},
    x509::{
        self, Certificate, Oid, PathError, TrustStore, UnixTime, VerifiedChain,
        extensions::GeneralName, policy::Policy,
    },
};

/// Switches that admit what is broken. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dangers {
    /// SHA-1 signatures and small RSA keys in the chain.
    pub legacy: Legacy,
    /// Moduli of EKs and AKs with the fingerprint of CVE-2017-15361.
    pub danger_allow_roca: bool,
}

/// What is demanded of an EK certificate and its issuers. That the certificate says at all that it is for an EK is
/// [`verify`]'s to see.
#[must_use]
pub fn policy(legacy: Legacy) -> Policy {
    Policy::ek(legacy)
}

/// Why an EK certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EkCertificateError {
    /// A check of the certificate or of its chain.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The subject alternative name is critical and does not name a TPM.
    #[error("critical subject alternative name does not name a TPM (2.23.133.2.1 to .3)")]
    SubjectAltName,
    /// Nothing in it says that the key is an EK.
    #[error(
        "nothing says that this is an ek's: neither extended key usage 2.23.133.8.1 nor a TPM manufacturer (2.23.133.2.1) in the subject alternative name"
    )]
    EkMark,
    /// The modulus was made by the generator of CVE-2017-15361.
    #[error("rsa modulus has the fingerprint of CVE-2017-15361: the private key can be computed")]
    Roca,
}

impl EkCertificateError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Path(error) => error.check(),
            Self::SubjectAltName => "subject-alt-name",
            Self::EkMark => "ek-mark",
            Self::Roca => "roca",
        }
    }
}

/// What a certificate says about its TPM, as text of the certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TpmIdentity {
    /// tcg-at-tpmManufacturer: `id:` and the four bytes of TPM_PT_MANUFACTURER in hex.
    pub manufacturer: Option<String>,
    /// tcg-at-tpmModel.
    pub model: Option<String>,
    /// tcg-at-tpmVersion: `id:` and the firmware version in hex.
    pub firmware_version: Option<String>,
}

impl TpmIdentity {
    /// Reads the directory names of the subject alternative name. The three attributes may stand in
    /// one multi-valued SET, in three, or in several names.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        let mut identity = Self::default();
        let names = certificate.extensions().subject_alt_name.iter().flatten();
        for name in names {
            let GeneralName::Directory(name) = name else {
                continue;
            };
            for (oid, slot) in [
                (Oid::TCG_AT_MANUFACTURER, &mut identity.manufacturer),
                (Oid::TCG_AT_MODEL, &mut identity.model),
                (Oid::TCG_AT_VERSION, &mut identity.firmware_version),
            ] {
                if slot.is_none() {
                    *slot = name.text(oid).map(str::to_owned);
                }
            }
        }
        identity
    }
}

/// Proof that a vendor vouches for an EK: only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedEkCertificate {
    chain: VerifiedChain,
    key: PublicKey,
    identity: TpmIdentity,
}

impl VerifiedEkCertificate {
    /// The chain, leaf included.
    #[must_use]
    pub fn chain(&self) -> &VerifiedChain {
        &self.chain
    }

    /// The key that the certificate is for. Whoever challenges an EK must challenge this key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What it says about the TPM.
    #[must_use]
    pub fn identity(&self) -> &TpmIdentity {
        &self.identity
    }

    /// The serial number in lower-case hex.
    #[must_use]
    pub fn serial_number(&self) -> String {
        hex::encode(self.chain.leaf().serial())
    }
}

/// Judges an EK certificate at the time `at`.
///
/// Proves: a configured manufacturer says that the certified key is the EK of one of its TPMs.
/// Does not prove: that anybody holds that key, or which AK lives beside it; revocation is not
/// looked at.
///
/// # Errors
/// The failed check; see [`EkCertificateError`].
pub fn verify(
    certificate: &Certificate,
    untrusted_chain: &[Certificate],
    manufacturers: &TrustStore,
    dangers: Dangers,
    at: UnixTime,
) -> Result<VerifiedEkCertificate, EkCertificateError> {
    let chain = x509::validate(
        certificate,
        untrusted_chain,
        manufacturers,
        &policy(dangers.legacy),
        at,
    )?;
    let key = certificate
        .key()
        .map_err(|source| PathError::UnsupportedKey {
            subject: certificate.subject().to_string(),
            source,
        })?
        .clone();
    let identity = TpmIdentity::of(certificate);
    // A critical extension counts as understood only when it says what this code reads.
    if certificate.extensions().subject_alt_name_critical && identity.manufacturer.is_none() {
        return Err(EkCertificateError::SubjectAltName);
    }
    // A CA that issues EK certificates may issue others below the same root: for web servers, for its
    // own staff. Silence about the purpose must not make one of those an EK's.
    let is_marked = identity.manufacturer.is_some()
        || certificate
            .extensions()
            .extended_key_usage
            .as_ref()
            .is_some_and(|usages| usages.contains(&Oid::TCG_KP_EK_CERTIFICATE));
    if !is_marked {
        return Err(EkCertificateError::EkMark);
    }
    if let PublicKey::Rsa(rsa) = &key
        && !dangers.danger_allow_roca
        && has_roca_fingerprint(rsa)
    {
        return Err(EkCertificateError::Roca);
    }
    Ok(VerifiedEkCertificate {
        chain,
        key,
        identity,
    })
}
