#![doc = include_str!("../../../../docs/methods/ssh_pop.md")]

pub mod config;
pub mod error;
pub mod payload;
pub mod verify;

use assay_common::{login::proof_nonce, policy::AttestorKind};

pub use config::Config;
pub use error::SshPopError;

use self::verify::{Proven, Rules};
use super::{AttestError, Attestor, Attribute, Claims, Facts, Judged, LoginContext};
use crate::{ssh::key::KeyType, x509::UnixTime};

/// The attributes, without the method's name.
const ATTRIBUTES: &[&str] = &[
    "type",
    "key.type",
    "key.id",
    "serial",
    "principal",
    "valid.after",
    "valid.before",
];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let name = attribute.strip_prefix("ssh_pop.");
    name.is_some_and(|name| ATTRIBUTES.contains(&name))
}

/// One `ssh_pop` entry of a policy.
#[derive(Debug)]
pub struct SshPop(Rules);

impl SshPop {
    /// The settings as [`verify::verify`] takes them.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.0
    }

    /// Judges a payload for a login with this nonce.
    ///
    /// # Errors
    /// See [`verify::verify`].
    pub fn prove(
        &self,
        payload: &[u8],
        nonce: &[u8; 32],
        at: UnixTime,
    ) -> Result<Claims, SshPopError> {
        let rules = &self.0;
        let untrusted = payload::parse(payload, &rules.known)?;
        let anew = untrusted.anew;
        let proven = verify::verify(untrusted, rules, nonce, at)?;
        if anew {
            payload::keep(proven.certificate(), &rules.known);
        }
        Ok(claims(&proven))
    }
}

impl Attestor for SshPop {
    fn kind(&self) -> AttestorKind {
        AttestorKind::SSH_POP
    }

    fn attributes(&self) -> Vec<String> {
        let names = ATTRIBUTES.iter();
        names.map(|name| format!("ssh_pop.{name}")).collect()
    }

    /// Nothing to say: the agent knows which certificate it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let nonce = proof_nonce(AttestorKind::SSH_POP, cx.transcript);
        let claims = self.prove(payload, &nonce, UnixTime::from(cx.now))?;
        Ok(Judged::Proven(Box::new(claims)))
    }
}

fn claims(proven: &Proven) -> Claims {
    let kind = AttestorKind::SSH_POP;
    let certificate = proven.certificate();
    let key_type = match certificate.key().kind() {
        KeyType::Ed25519 => "ed25519",
        KeyType::Rsa => "rsa",
        ecdsa => ecdsa.name(),
    };
    let mut attributes = Vec::new();
    let mut emit = |name: &str, value: String| {
        attributes.push(Attribute {
            origin: kind,
            name: format!("ssh_pop.{name}").into(),
            value,
        });
    };
    emit("type", "host_cert".to_owned());
    emit("key.type", key_type.to_owned());
    emit("key.id", certificate.key_id().to_owned());
    emit("serial", certificate.serial().to_string());
    for principal in certificate.principals() {
        emit("principal", principal.clone());
    }
    emit("valid.after", certificate.valid_after().to_string());
    emit("valid.before", certificate.valid_before().to_string());
    Claims {
        kind,
        attributes,
        facts: Facts {
            // The key stays when the certificate is renewed.
            identity: Some(hex::encode(certificate.key().sha256())),
            ..Facts::default()
        },
    }
}
