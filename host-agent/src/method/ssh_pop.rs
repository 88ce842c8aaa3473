//! `ssh_pop`: the host's SSH certificate, and a signature by the host key over this login's nonces.

use std::path::{Path, PathBuf};

use assay_common::{
    method::possession::{NONCE_LEN, digest},
    policy::AttestorKind,
};
use aws_lc_rs::signature::RSA_PKCS1_SHA512;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Method, MethodConfig, MethodError, Offer, PUBLIC_HASH, Proof, ProofRequest, Surroundings,
};
use crate::{
    finding::Finding,
    key::{Curve, HostCertificate, KeyError, PrivateKey},
};

/// Where OpenSSH has the host's key.
const DEFAULT_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";
/// Longest certificate file, bytes.
const MAX_CERTIFICATE: u64 = 32 * 1024;

/// `config:` of an `ssh_pop` entry.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    host_key_path: Option<PathBuf>,
    host_cert_path: Option<PathBuf>,
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let key = self.host_key_path.as_deref();
        let key = around.path(key.unwrap_or(Path::new(DEFAULT_KEY)));
        let certificate = match &self.host_cert_path {
            Some(path) => around.path(path),
            None => {
                let mut name = key.clone().into_os_string();
                name.push("-cert.pub");
                name.into()
            }
        };
        Ok(Box::new(SshPop { key, certificate }))
    }
}

#[derive(Debug)]
struct SshPop {
    key: PathBuf,
    certificate: PathBuf,
}

impl SshPop {
    /// The key and the certificate's blob, as they are in the files now.
    fn read(&self) -> Result<(PrivateKey, Vec<u8>), MethodError> {
        let key = PrivateKey::read(&self.key)?;
        let blob = blob(&self.certificate)?;
        if !key.is_in(&blob) {
            let (key, certificate) = (self.key.display(), self.certificate.display());
            return Err(MethodError::new(
                format!("{certificate} is not for the key in {key}"),
                "name a pair, or have the key's .pub certified: ssh-keygen -s CA -h -I ID -n NAME KEY.pub",
            ));
        }
        Ok((key, blob))
    }
}

/// What stands in a `-cert.pub` file, decoded.
fn blob(path: &Path) -> Result<Vec<u8>, MethodError> {
    use std::io::Read as _;
    let fail = |why: &dyn core::fmt::Display| {
        MethodError::new(
            format!("{}: {why}", path.display()),
            "have the host key certified: ssh-keygen -s CA -h -I ID -n NAME KEY.pub",
        )
    };
    let mut text = String::new();
    crate::secret::open(path)
        .and_then(|file| file.take(MAX_CERTIFICATE).read_to_string(&mut text))
        .map_err(|error| fail(&error))?;
    let mut words = text.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default();
    if !kind.ends_with("-cert-v01@openssh.com") {
        return Err(fail(&"not an OpenSSH certificate"));
    }
    let blob = words.next().and_then(|text| STANDARD.decode(text).ok());
    blob.ok_or_else(|| fail(&"not base64"))
}

impl Method for SshPop {
    fn kind(&self) -> AttestorKind {
        AttestorKind::SSH_POP
    }

    fn begin(&mut self) -> Result<(), MethodError> {
        self.read().map(drop)
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let (key, blob) = self.read()?;
        let agent: [u8; NONCE_LEN] = super::fresh_nonce()?;
        let (format, signature) = sign(&key, &digest(request.nonce, &agent)).map_err(|error| {
            MethodError::new(
                format!("{}: {error}", self.key.display()),
                error.hint(&self.key.display().to_string()),
            )
        })?;
        let payload = json!({
            "Certificate": STANDARD.encode(blob),
            "Response": {
                "Nonce": STANDARD.encode(agent),
                "Signature": {"Format": format, "Blob": STANDARD.encode(signature), "Rest": null}
            }
        });
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let (key, blob) = self.read()?;
        let offer = Offer::default()
            .with("key", key.kind())
            .with("certificate", self.certificate.display().to_string());
        Ok(match HostCertificate::read(&blob) {
            Some(certificate) => offer
                .with("names", certificate.principals.join(" "))
                .until(&certificate.term)
                .with(PUBLIC_HASH, hex::encode(certificate.key_sha256)),
            None => offer,
        })
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::SSH_POP.to_string();
        match self.read() {
            Err(error) => vec![Finding::fail(subject, error.what, error.hint)],
            Ok((key, blob)) => {
                let name = self.certificate.display().to_string();
                let seen = format!("{name} is for the {} key", key.kind());
                let wrong = HostCertificate::read(&blob)
                    .and_then(|certificate| wrong(&subject, &name, &certificate));
                vec![wrong.unwrap_or_else(|| Finding::ok(subject, seen))]
            }
        }
    }
}

/// What every verifier refuses in a certificate.
fn wrong(subject: &str, name: &str, certificate: &HostCertificate) -> Option<Finding> {
    if !certificate.is_hosts {
        return Some(Finding::fail(
            subject,
            format!("{name}: a user's certificate"),
            "have it made with `-h`: ssh-keygen -s CA -h -I ID -n NAME KEY.pub",
        ));
    }
    if certificate.principals.is_empty() {
        return Some(Finding::fail(
            subject,
            format!("{name}: it names no host"),
            "have it made with `-n`: ssh-keygen -s CA -h -I ID -n NAME KEY.pub",
        ));
    }
    certificate.term.doctor(subject, name, Timestamp::now())
}

/// The algorithm's name and the signature as SSH writes it. RSA never with SHA-1.
fn sign(key: &PrivateKey, message: &[u8]) -> Result<(&'static str, Vec<u8>), KeyError> {
    match key {
        PrivateKey::Rsa(_) => Ok(("rsa-sha2-512", key.rsa(&RSA_PKCS1_SHA512, message)?)),
        PrivateKey::Ed25519(pair) => Ok(("ssh-ed25519", pair.sign(message).as_ref().to_vec())),
        PrivateKey::Ec(..) => {
            let (curve, (r, s)) = key.ecdsa_own_hash(message)?;
            let name = match curve {
                Curve::P256 => "ecdsa-sha2-nistp256",
                Curve::P384 => "ecdsa-sha2-nistp384",
                Curve::P521 => "ecdsa-sha2-nistp521",
            };
            Ok((name, [mpint(&r), mpint(&s)].concat()))
        }
    }
}

/// A positive number as RFC 4251 section 5 writes it.
fn mpint(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    let sign = digits.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut out = ((digits.len() + usize::from(sign)) as u32)
        .to_be_bytes()
        .to_vec();
    out.extend(sign.then_some(0));
    out.extend_from_slice(digits);
    out
}
