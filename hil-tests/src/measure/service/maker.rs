//! The vendor of the software TPMs: a root, one intermediate below it, and certificates for EKs.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};

/// tcg-kp-EKCertificate.
const EK_CERTIFICATE: [u64; 5] = [2, 23, 133, 8, 1];

/// A CA of two levels.
pub struct Maker {
    root: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Maker {
    /// Makes it; its keys are P-256.
    ///
    /// # Errors
    ///
    /// When the library makes no certificate.
    pub fn new() -> Result<Self> {
        let root = CertifiedIssuer::self_signed(authority("Bench root"), KeyPair::generate()?)?;
        let issuer =
            CertifiedIssuer::signed_by(authority("Bench issuer"), KeyPair::generate()?, &root)?;
        Ok(Self {
            root: root.pem(),
            issuer,
        })
    }

    /// Writes both certificates; returns what `manufacturerCAs` names.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<[String; 2]> {
        let write = |name: &str, pem: &str| {
            let path = folder.join(name);
            std::fs::write(&path, pem).with_context(|| path.display().to_string())?;
            anyhow::Ok(path.display().to_string())
        };
        Ok([
            write("ek-root.crt", &self.root)?,
            write("ek-issuer.crt", &self.issuer.pem())?,
        ])
    }

    /// An EK's certificate, DER.
    ///
    /// # Errors
    ///
    /// When the library makes no certificate.
    pub fn certify(&self, ek: &impl PublicKeyData) -> Result<Vec<u8>> {
        let mut params = named("EK");
        params.is_ca = IsCa::ExplicitNoCa;
        let usage = if ek.algorithm() == &rcgen::PKCS_RSA_SHA256 {
            KeyUsagePurpose::KeyEncipherment
        } else {
            KeyUsagePurpose::KeyAgreement
        };
        params.key_usages = vec![usage];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(EK_CERTIFICATE.to_vec())];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(ek, &self.issuer)?.der().to_vec())
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
