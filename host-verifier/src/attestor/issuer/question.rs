//! The question for a key and its answer apart from the errand, for methods that ask more in one.

use serde::{Deserialize, Serialize};

use super::{internal, key};
use crate::attestor::AttestError;
use crate::outside::{KeySource, Outside};

/// Which key is asked for, and whom.
#[derive(Debug)]
pub(in crate::attestor) struct KeyQuestion {
    pub(in crate::attestor) kid: Option<String>,
    pub(in crate::attestor) source: KeySource,
}

/// The answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::attestor) struct KeyAnswer {
    /// Who was asked.
    source: String,
    /// The JWK, JSON in a text.
    jwk: String,
}

impl KeyQuestion {
    /// Asks the issuer.
    ///
    /// # Errors
    ///
    /// [`AttestError`]: there is no such key, or no answer.
    pub(in crate::attestor) async fn ask(
        &self,
        outside: &dyn Outside,
    ) -> Result<KeyAnswer, AttestError> {
        let jwk = key(outside, &self.source, self.kid.as_deref()).await?;
        Ok(KeyAnswer {
            source: self.source.location.url().to_owned(),
            jwk: String::from_utf8_lossy(&jwk).into_owned(),
        })
    }

    /// The JWK of an answer, if it is one to this question.
    ///
    /// # Errors
    ///
    /// [`Fault::Internal`](crate::attestor::Fault::Internal): it is another source's.
    pub(in crate::attestor) fn jwk<'a>(
        &self,
        answer: &'a KeyAnswer,
    ) -> Result<&'a [u8], AttestError> {
        match answer.source == self.source.location.url() {
            true => Ok(answer.jwk.as_bytes()),
            false => Err(internal("it is the answer of another source".to_owned())),
        }
    }
}
