//! What `custom_jwt` asks of a token beyond the engine's checks, and what it makes of it.

use core::time::Duration;
use std::collections::BTreeMap;

use assay_common::policy::AttestorKind;

use crate::attestor::issuer::Keys;
use crate::attestor::{AttestError, Attribute, Claims, Facts, Fault};
use crate::jwt::json::{Json, Object};
use crate::jwt::{self, Algorithm};

/// Longest value of an attribute, bytes.
pub const MAX_VALUE: usize = 512;
/// Most values of one attribute.
pub const MAX_VALUES: usize = 32;

/// The rules of one entry, checked.
#[derive(Debug)]
pub struct TokenRules {
    pub(super) issuer: String,
    pub(super) audiences: Vec<String>,
    pub(super) subject: Option<String>,
    pub(super) keys: Keys,
    pub(super) attribute_claims: Vec<String>,
    pub(super) required_claims: BTreeMap<String, Vec<String>>,
    pub(super) token_type: Option<String>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) leeway: Duration,
    pub(super) max_lifetime: Option<Duration>,
}

/// The required claims, and then the attributes.
///
/// # Errors
///
/// [`Fault::Refused`]: a required claim is absent or says something else; a claim that becomes an attribute is an object,
/// or too long.
pub fn claims(rules: &TokenRules, token: &jwt::Claims<'_>) -> Result<Claims, AttestError> {
    let refused = |check, detail: String| AttestError::new(Fault::Refused, check, detail);
    for (name, accepted) in &rules.required_claims {
        let found = values(&token.all, name)
            .map_err(|why| refused("token-required-claim", format!("claim {name:?} {why}")))?;
        if !found.iter().any(|value| accepted.contains(value)) {
            let detail = format!("claim {name:?} has none of the values that are required");
            return Err(refused("token-required-claim", detail));
        }
    }
    let kind = AttestorKind::CUSTOM_JWT;
    let mut attributes = Vec::new();
    for name in &rules.attribute_claims {
        if !token.all.contains_key(name) {
            continue;
        }
        let found = values(&token.all, name)
            .map_err(|why| refused("token-attribute-claim", format!("claim {name:?} {why}")))?;
        attributes.extend(found.into_iter().map(|value| Attribute {
            origin: kind,
            name: format!("custom_jwt.{name}").into(),
            value,
        }));
    }
    // The issuer's names are unique within the issuer only.
    let subject = token.subject.as_deref().filter(|sub| !sub.is_empty());
    Ok(Claims {
        kind,
        attributes,
        facts: Facts {
            identity: subject.map(|sub| format!("{}#{sub}", rules.issuer)),
            ..Facts::default()
        },
    })
}

/// A claim's values as texts: one of a text, a number or a boolean, several of a list of these.
fn values(claims: &Object<'_>, name: &str) -> Result<Vec<String>, &'static str> {
    let list = match claims.get(name) {
        None => return Err("is absent"),
        Some(Json::List(list)) => list.as_slice(),
        Some(one) => core::slice::from_ref(one),
    };
    if list.len() > MAX_VALUES {
        return Err("has too many values");
    }
    let text = |value: &Json| match value {
        Json::Text(text) if text.len() > MAX_VALUE => Err("has a value that is too long"),
        Json::Text(text) => Ok(text.to_string()),
        Json::Number(number) => Ok(number.to_string()),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => {
            Err("is neither a text nor a list of texts")
        }
    };
    list.iter().map(text).collect()
}
