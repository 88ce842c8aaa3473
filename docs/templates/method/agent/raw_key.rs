//! `raw_key`: an Ed25519 key out of a file of 32 bytes.

use std::path::PathBuf;

use assay_common::policy::AttestorKind;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings};
use crate::finding::Finding;

/// What the signature begins with, as the verifier has it.
const LABEL: &[u8] = b"assay/raw-key/v1";

/// `config:` of a `raw_key` entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The file with the key's seed.
    key_path: PathBuf,
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let path = around.path(&self.key_path);
        Ok(Box::new(RawKey { path }))
    }
}

#[derive(Debug)]
struct RawKey {
    path: PathBuf,
}

impl RawKey {
    /// The key, read anew for every login: whoever replaces it need tell nobody.
    fn key(&self) -> Result<Ed25519KeyPair, MethodError> {
        let shown = self.path.display();
        let seed = Zeroizing::new(std::fs::read(&self.path).map_err(|error| {
            let hint = "name the file in `keyPath`, and let the agent's user read it";
            MethodError::new(format!("{shown}: {error}"), hint)
        })?);
        Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| {
            let hint = "head -c 32 /dev/urandom makes one";
            MethodError::new(format!("{shown}: not 32 bytes"), hint)
        })
    }
}

impl Method for RawKey {
    fn kind(&self) -> AttestorKind {
        AttestorKind::RAW_KEY
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let key = self.key()?;
        let signature = key.sign(&[LABEL, request.nonce].concat());
        let payload = serde_json::json!({
            "publicKey": STANDARD.encode(key.public_key().as_ref()),
            "signature": STANDARD.encode(signature.as_ref()),
        });
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        let key = self.key()?;
        let public = STANDARD.encode(key.public_key().as_ref());
        Ok(Offer::default().with("public key", public))
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::RAW_KEY.to_string();
        match self.key() {
            Ok(_) => vec![Finding::ok(
                subject,
                format!("{} holds a key", self.path.display()),
            )],
            Err(error) => vec![Finding::fail(subject, error.what, error.hint)],
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::path::Path;

    use assay_common::login::Transcript;
    use assay_common::policy::AttestorKind;
    use serde_json::{Value, json};

    use crate::method::{Method, ProofRequest, Surroundings, registry};

    /// Through the registry, as a configuration reads it.
    fn method(base: &Path) -> Box<dyn Method> {
        let config = json!({"keyPath": "node.key"});
        let config = registry::deserialize_config(AttestorKind::RAW_KEY, config).unwrap();
        let around = Surroundings {
            kind: AttestorKind::RAW_KEY,
            base,
            cluster: "lab",
            trust_domain: "example.org",
        };
        config.build(&around).unwrap()
    }

    #[test]
    fn signs_the_logins_nonce_with_the_key_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("node.key"), [7; 32]).unwrap();
        let request = ProofRequest {
            round: 0,
            payload: &[],
            transcript: &Transcript::new(),
            nonce: &[0; 32],
        };
        let mut method = method(folder.path());
        let proof = method.prove(&request).unwrap();
        let proof: Value = serde_json::from_slice(&proof.payload).unwrap();
        let other = ProofRequest {
            nonce: &[1; 32],
            ..request
        };
        let second = method.prove(&other).unwrap();
        let second: Value = serde_json::from_slice(&second.payload).unwrap();
        assert_eq!(proof["publicKey"], second["publicKey"]);
        assert_ne!(proof["signature"], second["signature"]);
        assert_eq!(method.doctor().len(), 1);
    }

    #[test]
    fn says_what_is_wrong_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let method = method(folder.path());
        let error = method.show().unwrap_err();
        assert!(error.what.contains("node.key"), "{}", error.what);
        std::fs::write(folder.path().join("node.key"), [7; 31]).unwrap();
        assert!(method.show().unwrap_err().what.contains("not 32 bytes"));
    }
}
