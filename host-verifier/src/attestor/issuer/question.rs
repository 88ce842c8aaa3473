//! The answer to the question for a key, as it is kept: for the errand of a token, and for methods that ask more in one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{internal, key};
use crate::attestor::AttestError;
use crate::outside::{KeySource, Outside};

/// The answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::attestor) struct KeyAnswer<'a> {
    /// Who was asked.
    #[serde(borrow)]
    source: Cow<'a, str>,
    /// The JWK, JSON in a text.
    #[serde(borrow)]
    pub(in crate::attestor) jwk: Cow<'a, str>,
}

/// Asks an issuer for the key of this name.
///
/// # Errors
///
/// [`AttestError`]: there is no such key, or no answer.
pub(in crate::attestor) async fn ask<'a>(
    outside: &dyn Outside,
    source: &'a KeySource,
    kid: Option<&str>,
) -> Result<KeyAnswer<'a>, AttestError> {
    let jwk = key(outside, source, kid).await?;
    Ok(KeyAnswer {
        source: source.location.url().into(),
        jwk: String::from_utf8_lossy(&jwk).into_owned().into(),
    })
}

impl KeyAnswer<'_> {
    /// Whether it is one of this source.
    ///
    /// # Errors
    ///
    /// [`Fault::Internal`](crate::attestor::Fault::Internal): it is another source's.
    pub(in crate::attestor) fn check(&self, source: &KeySource) -> Result<(), AttestError> {
        match self.source == source.location.url() {
            true => Ok(()),
            false => Err(internal("it is the answer of another source".to_owned())),
        }
    }
}
