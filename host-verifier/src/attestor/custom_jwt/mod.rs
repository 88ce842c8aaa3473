#![doc = include_str!("../../../../docs/methods/custom_jwt.md")]

pub mod config;
pub mod verify;

use assay_common::policy::AttestorKind;

pub use config::Config;

use self::verify::TokenRules;
use super::issuer::{Keys, Rules, payload};
use super::{AttestError, Claims};
use crate::jwt::{self, Expectations};

/// Whether a proof by this method can have this attribute, whatever the settings: any claim can be configured.
pub(super) fn may_give(attribute: &str) -> bool {
    attribute
        .strip_prefix("custom_jwt.")
        .is_some_and(|name| !name.is_empty())
}

/// The attestor of a `custom_jwt` entry.
pub type CustomJwt = super::issuer::IssuedToken<TokenRules>;

impl Rules for TokenRules {
    fn kind(&self) -> AttestorKind {
        AttestorKind::CUSTOM_JWT
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn expectations(&self) -> Expectations<'_> {
        Expectations {
            issuer: &self.issuer,
            audiences: &self.audiences,
            subject: self.subject.as_deref(),
            typ: self.token_type.as_deref(),
            algorithms: self.algorithms.as_deref(),
            leeway: self.leeway,
            max_lifetime: self.max_lifetime,
        }
    }

    fn attributes(&self) -> Vec<String> {
        let named = self.attribute_claims.iter();
        named.map(|claim| format!("custom_jwt.{claim}")).collect()
    }

    /// The token itself, as other agents of the method send it, or `{"token": "…"}`. A token never begins with a brace.
    fn token<'p>(&self, payload: &'p [u8]) -> Result<&'p [u8], AttestError> {
        match payload.first() {
            Some(b'{') => payload::token(payload),
            _ => Ok(payload),
        }
    }

    fn claims(&self, token: jwt::Claims<'_>) -> Result<Claims, AttestError> {
        verify::claims(self, &token)
    }
}
