#![doc = include_str!("../../../../docs/methods/x509pop.md")]

pub mod config;
pub mod error;
pub mod payload;
pub mod verify;

use assay_common::{login::proof_nonce, policy::AttestorKind};

pub use config::Config;
pub use error::X509PopError;

use self::verify::{Proven, Rules};
use super::{AttestError, Attestor, Attribute, Claims, Facts, Judged, LoginContext};
use crate::x509::UnixTime;

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let name = attribute.strip_prefix("x509_pop.");
    name.is_some_and(|name| {
        matches!(name, "subject.common_name" | "serial_number")
            || ["ca.", "san."].iter().any(|start| {
                name.strip_prefix(start)
                    .is_some_and(|rest| !rest.is_empty())
            })
    })
}

/// One `x509pop` entry of a policy.
#[derive(Debug)]
pub struct X509Pop(Rules);

impl X509Pop {
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
    ) -> Result<Claims, X509PopError> {
        let rules = &self.0;
        let untrusted = payload::parse(payload, rules.policy.max_intermediates, &rules.known)?;
        let proven = verify::verify(&untrusted, rules, nonce, at)?;
        payload::keep(&untrusted, proven.chain(), &rules.known);
        Ok(claims(&proven))
    }
}

impl Attestor for X509Pop {
    fn kind(&self) -> AttestorKind {
        AttestorKind::X509POP
    }

    /// Names of certificates are attributes only where a trust domain says whose they are.
    fn attributes(&self) -> Vec<String> {
        let mut names = vec!["subject.common_name", "serial_number", "ca.*"];
        names.extend(self.0.trust_domain.as_ref().map(|_| "san.*"));
        names
            .iter()
            .map(|name| format!("x509_pop.{name}"))
            .collect()
    }

    /// Nothing to say: the agent knows which certificate it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let nonce = proof_nonce(AttestorKind::X509POP, cx.transcript);
        let claims = self.prove(payload, &nonce, UnixTime::from(cx.now))?;
        Ok(Judged::Proven(Box::new(claims)))
    }
}

fn claims(proven: &Proven) -> Claims {
    let kind = AttestorKind::X509POP;
    let chain = proven.chain();
    let leaf = chain.leaf();
    let mut attributes = Vec::new();
    let mut emit = |name: String, value: String| {
        attributes.push(Attribute {
            origin: kind,
            name: format!("x509_pop.{name}").into(),
            value,
        });
    };
    if let Some(name) = verify::common_name(leaf) {
        emit("subject.common_name".into(), name.to_owned());
    }
    emit("serial_number".into(), hex::encode(leaf.serial()));
    for issuer in chain.issuers() {
        emit(
            format!("ca.{}", hex::encode(issuer.serial())),
            hex::encode(issuer.sha1()),
        );
    }
    for (kind, value) in proven.names() {
        emit(format!("san.{kind}"), value.clone());
    }
    // A SPIFFE ID stays while its keys change by the hour.
    let identity = match proven.spiffe_id() {
        Some(id) => id.to_owned(),
        None => hex::encode(proven.key_sha256()),
    };
    Claims {
        kind,
        attributes,
        facts: Facts {
            identity: Some(identity),
            ..Facts::default()
        },
    }
}
