//! `x509pop`: a certificate, and a signature by its key over this login's nonces.

use std::path::PathBuf;

use assay_common::{
    method::possession::{NONCE_LEN, digest, nonces},
    policy::AttestorKind,
};
use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Method, MethodConfig, MethodError, Offer, PUBLIC_HASH, Proof, ProofRequest, Surroundings,
};
use crate::{
    finding::Finding,
    key::{Leaf, PrivateKey, certificates},
};

/// `config:` of an `x509pop` entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    private_key_path: PathBuf,
    certificate_path: PathBuf,
    intermediates_path: Option<PathBuf>,
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let intermediates = self.intermediates_path.as_deref();
        Ok(Box::new(X509Pop {
            key: around.path(&self.private_key_path),
            certificate: around.path(&self.certificate_path),
            intermediates: intermediates.map(|path| around.path(path)),
        }))
    }
}

#[derive(Debug)]
struct X509Pop {
    key: PathBuf,
    certificate: PathBuf,
    intermediates: Option<PathBuf>,
}

impl X509Pop {
    /// The key and the certificates, leaf first, as they are in the files now.
    fn read(&self) -> Result<(PrivateKey, Vec<Vec<u8>>), MethodError> {
        let key = PrivateKey::read(&self.key)?;
        let mut chain = certificates(&self.certificate)?;
        if let Some(path) = &self.intermediates {
            chain.extend(certificates(path)?);
        }
        let fits = chain.first().is_some_and(|leaf| key.is_in(leaf));
        if !fits {
            let (key, certificate) = (self.key.display(), self.certificate.display());
            return Err(MethodError::new(
                format!("the first certificate of {certificate} is not for the key in {key}"),
                "name a pair; the leaf comes first in the file",
            ));
        }
        Ok((key, chain))
    }
}

impl Method for X509Pop {
    fn kind(&self) -> AttestorKind {
        AttestorKind::X509POP
    }

    fn begin(&mut self) -> Result<(), MethodError> {
        self.read().map(drop)
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let (key, chain) = self.read()?;
        let agent: [u8; NONCE_LEN] = super::fresh_nonce()?;
        let certificates: Vec<String> = chain.iter().map(|der| STANDARD.encode(der)).collect();
        let response = respond(&key, request.nonce, &agent).map_err(|error| {
            MethodError::new(
                format!("{}: {error}", self.key.display()),
                error.hint(&self.key.display().to_string()),
            )
        })?;
        let payload = json!({"certificates": certificates, "response": response});
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let (key, chain) = self.read()?;
        let offer = Offer::default()
            .with("key", key.kind())
            .with("certificate", self.certificate.display().to_string())
            .with("intermediates", chain.len().saturating_sub(1).to_string());
        Ok(match leaf(&chain) {
            Some(leaf) => offer
                .until(&leaf.term)
                .with(PUBLIC_HASH, hex::encode(leaf.key_sha256)),
            None => offer,
        })
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::X509POP.to_string();
        match self.read() {
            Err(error) => vec![Finding::fail(subject, error.what, error.hint)],
            Ok((key, chain)) => {
                let certificate = self.certificate.display().to_string();
                let seen = format!("{certificate} is for the {} key", key.kind());
                let term = leaf(&chain).map(|leaf| leaf.term);
                let late =
                    term.and_then(|term| term.doctor(&subject, &certificate, Timestamp::now()));
                vec![late.unwrap_or_else(|| Finding::ok(subject, seen))]
            }
        }
    }
}

/// What the first certificate says of itself. What cannot be read is the verifier's to refuse.
fn leaf(chain: &[Vec<u8>]) -> Option<Leaf> {
    chain.first().and_then(|der| Leaf::read(der))
}

fn respond(
    key: &PrivateKey,
    verifier: &[u8; NONCE_LEN],
    agent: &[u8; NONCE_LEN],
) -> Result<Value, crate::key::KeyError> {
    let both = nonces(verifier, agent);
    let nonce = STANDARD.encode(agent);
    Ok(match key {
        PrivateKey::Rsa(_) => {
            let signature = key.rsa(&RSA_PSS_SHA256, &both)?;
            json!({"rsa_signature": {"nonce": nonce, "signature": STANDARD.encode(signature)}})
        }
        PrivateKey::Ec(..) => {
            let (r, s) = key.ecdsa_sha256(&both)?;
            json!({"ecdsa_signature": {"nonce": nonce, "r": minimal(&r), "s": minimal(&s)}})
        }
        PrivateKey::Ed25519(pair) => {
            let signature = pair.sign(&digest(verifier, agent));
            json!({"ed25519_signature": {
                "nonce": nonce, "signature": STANDARD.encode(signature.as_ref())
            }})
        }
    })
}

/// Without leading zeros, in base64.
fn minimal(number: &[u8]) -> String {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    STANDARD.encode(number.get(zeros..).unwrap_or_default())
}
