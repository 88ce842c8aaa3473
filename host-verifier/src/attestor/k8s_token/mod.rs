#![doc = include_str!("../../../../docs/methods/k8s_token.md")]

pub mod config;
pub mod verify;

use assay_common::policy::AttestorKind;

pub use config::Config;

use self::verify::ClusterRules;
use super::issuer::{Keys, Rules, payload};
use super::{AttestError, Claims};
use crate::jwt::{self, Expectations, MAX_LEEWAY};

/// Whether a proof by this method can have this attribute: it has none.
pub(super) fn may_give(_attribute: &str) -> bool {
    false
}

/// The attestor of a `k8s_token` entry.
pub type K8sToken = super::issuer::IssuedToken<ClusterRules>;

impl Rules for ClusterRules {
    fn kind(&self) -> AttestorKind {
        AttestorKind::K8S_TOKEN
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn expectations(&self) -> Expectations<'_> {
        Expectations {
            issuer: &self.issuer,
            audiences: &self.audiences,
            subject: Some(&self.subject),
            typ: None,
            algorithms: None,
            leeway: MAX_LEEWAY,
            max_lifetime: self.max_lifetime,
        }
    }

    fn attributes(&self) -> Vec<String> {
        Vec::new()
    }

    fn token<'p>(&self, payload: &'p [u8]) -> Result<&'p [u8], AttestError> {
        payload::token(payload)
    }

    fn claims(&self, token: jwt::Claims<'_>) -> Result<Claims, AttestError> {
        verify::claims(self, &token)
    }
}
