#![doc = include_str!("../../../../docs/methods/gcp_iit.md")]

pub mod config;
pub mod token;
pub mod verify;

use std::borrow::Cow;
use std::sync::Arc;

use assay_common::policy::AttestorKind;
use serde::{Deserialize, Serialize};

pub use config::Config;

use self::verify::{FIXED, Rules, TAGGED};
use super::issuer::{self, payload};
use super::nonce_audience;
use super::{
    AttestError, Attestor, Claims, Errand, ErrandContext, Fault, Judged, LoginContext, Running,
};
use crate::attestor::source::SourceRule;
use crate::cloud::gcp::{Found, InstanceQuestion, Place};
use crate::jwt::{self, Prepared, Waiting, shown};
use crate::outside::{KeySource, Outside};

/// Google's names for itself as an issuer. Tokens of the metadata server have the first.
const ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let tagged = |prefix: &&str| {
        attribute
            .strip_prefix(*prefix)
            .is_some_and(|key| !key.is_empty())
    };
    FIXED.contains(&attribute) || TAGGED.iter().any(tagged)
}

/// The attestor of a `gcp_iit` entry.
#[derive(Debug)]
pub struct GcpIit(Arc<Judge>);

#[derive(Debug)]
struct Judge {
    rules: Rules,
    keys: KeySource,
    prepared: Prepared,
}

impl GcpIit {
    /// Where Google's keys are.
    #[must_use]
    pub fn keys(&self) -> &KeySource {
        &self.0.keys
    }
}

impl Attestor for GcpIit {
    fn kind(&self) -> AttestorKind {
        AttestorKind::GCP_IIT
    }

    fn is_fresh(&self) -> bool {
        self.0.rules.nonce_in_audience
    }

    fn source_rule(&self) -> SourceRule {
        self.0.rules.source
    }

    fn binds_first_use(&self) -> bool {
        self.0.rules.tofu
    }

    fn attributes(&self) -> Vec<String> {
        self.0.rules.attributes()
    }

    fn request(&self, so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        let wanted = self.0.rules.nonce_in_audience;
        Ok(nonce_audience::request(wanted, so_far))
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let token = payload::token(payload)?;
        let token = jwt::parse_and_read(token).map_err(issuer::failed)?;
        let [named] = jwt::untrusted_texts(&token, ["iss"]).map_err(issuer::failed)?;
        let refused = |check, why: String| {
            let detail = format!("JWT verification failed: {why}");
            AttestError::new(Fault::Refused, check, detail)
        };
        let named = named
            .ok_or_else(|| refused("token-claims", "the token has no issuer (iss)".to_owned()))?;
        let found = ISSUERS.into_iter().find(|known| **known == named);
        let issuer = found.ok_or_else(|| {
            let why = format!("issuer (iss) {} is not Google", shown(&named));
            refused("token-issuer", why)
        })?;
        if token.header().kid.is_none() {
            let why = "the token names no key (kid)".to_owned();
            return Err(refused("token-key-unknown", why));
        }
        let rules = &self.0.rules;
        Ok(Judged::Errand(Box::new(AskGoogle {
            expected: Expected {
                issuer,
                audiences: rules.audiences_in(cx)?,
                now: cx.now,
            },
            judge: self.0.clone(),
            token: token.wait(),
        })))
    }
}

/// What the token must say that depends on the login.
#[derive(Debug)]
struct Expected {
    issuer: &'static str,
    /// Those of this login; `None`: those of the settings.
    audiences: Option<Vec<String>>,
    now: jiff::Timestamp,
}

/// A token that waits for Google's key, and perhaps for what Compute Engine says of the instance.
struct AskGoogle {
    judge: Arc<Judge>,
    expected: Expected,
    token: Waiting,
}

/// Without the token.
impl core::fmt::Debug for AskGoogle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AskGoogle")
            .field("token", &self.token)
            .field("keys", &self.judge.keys)
            .finish_non_exhaustive()
    }
}

/// The answers as they are kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer<'a> {
    /// Who was asked for the key.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// The JWK, JSON in a text.
    #[serde(borrow)]
    pub jwk: Cow<'a, str>,
    /// What Compute Engine said, where it was asked.
    pub instance: Option<Asked>,
}

impl<'a> Answer<'a> {
    /// An answer with a key of this source.
    fn read(answer: &'a [u8], keys: &KeySource) -> Result<Self, AttestError> {
        let answer: Self = serde_json::from_slice(answer).map_err(|error| unreadable(&error))?;
        match answer.source == keys.location.url() {
            true => Ok(answer),
            false => Err(other()),
        }
    }

    /// The key of an answer in which there is nothing else.
    fn key_alone(self) -> Result<Cow<'a, str>, AttestError> {
        match self.instance {
            None => Ok(self.jwk),
            Some(_) => Err(other()),
        }
    }
}

/// Where the key is that a token is judged by.
enum Key<'a> {
    Jwk(&'a [u8]),
    /// Alone in a whole answer.
    Answer(&'a [u8]),
}

/// What Compute Engine said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Who was asked.
    pub endpoint: String,
    /// For what.
    pub place: Place,
    /// The answer.
    pub found: Found,
}

impl AskGoogle {
    /// What the token says, by this key.
    fn token(&self, key: Key<'_>) -> Result<token::Identity, AttestError> {
        let Judge {
            rules,
            prepared,
            keys,
        } = &*self.judge;
        let Expected {
            issuer,
            audiences,
            now,
        } = &self.expected;
        let token = self.token.unverified();
        let audiences = audiences.as_ref().unwrap_or(&rules.audiences);
        let expectations = rules.expectations(issuer, audiences);
        jwt::check_allowed(&token, &expectations).map_err(issuer::problem)?;
        let algorithm = token.header().algorithm;
        let key = match key {
            Key::Jwk(jwk) => prepared.key(jwk, algorithm).map_err(issuer::problem)?,
            Key::Answer(answer) => {
                let read = |answer| Answer::read(answer, keys)?.key_alone();
                prepared.answered(keys, answer, algorithm, read, issuer::problem)?
            }
        };
        let judged = jwt::judge_prepared(&token, &key, &expectations, *now);
        let claims = judged.map_err(issuer::problem)?;
        rules.check_age(&claims, *now)?;
        let identity = token::Identity::read(&claims)?;
        rules.check_token(&identity)?;
        Ok(identity)
    }

    /// Asks on only as long as nothing refuses the login: what an answer lacks then is never looked at.
    async fn ask(&self, outside: &dyn Outside) -> Result<Vec<u8>, AttestError> {
        let rules = &self.judge.rules;
        let kid = self.token.header().kid.as_deref();
        let jwk = issuer::key(outside, &self.judge.keys, kid).await?;
        let instance = match (&rules.compute, self.token(Key::Jwk(&jwk))) {
            (Some(compute), Ok(identity)) => {
                let place = identity.place()?;
                let question = InstanceQuestion {
                    settings: compute.settings.clone(),
                    place: place.clone(),
                    metadata: compute.metadata_keys(),
                };
                let known = outside.answer(Arc::new(question)).await;
                let known = known.map_err(|error| {
                    let told = error.failed("instance");
                    let detail = format!("failed to fetch instance metadata: {}", told.detail);
                    AttestError { detail, ..told }
                })?;
                let found = serde_json::from_slice(&known).map_err(|error| unreadable(&error))?;
                Some(Asked {
                    endpoint: compute.settings.compute.clone(),
                    place,
                    found: compute.pick(found),
                })
            }
            _ => None,
        };
        let answer = Answer {
            source: self.judge.keys.location.url().into(),
            jwk: String::from_utf8_lossy(&jwk),
            instance,
        };
        serde_json::to_vec(&answer).map_err(|error| unreadable(&error))
    }
}

fn other() -> AttestError {
    kept("it is the answer of another source".to_owned())
}

fn kept(why: String) -> AttestError {
    AttestError::new(Fault::Internal, "answer", why)
}

/// An answer that is none of this method's.
fn unreadable(error: &serde_json::Error) -> AttestError {
    AttestError::new(Fault::Internal, "answer", error.to_string())
}

impl Errand for AskGoogle {
    fn run<'a>(&'a self, outside: &'a dyn Outside, _: &'a ErrandContext) -> Running<'a> {
        Box::pin(self.ask(outside))
    }

    fn judge(self: Box<Self>, _: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let rules = &self.judge.rules;
        let Some(compute) = &rules.compute else {
            let identity = self.token(Key::Answer(answer))?;
            return verify::claims(rules, identity, None);
        };
        let answer = Answer::read(answer, &self.judge.keys)?;
        let identity = self.token(Key::Jwk(answer.jwk.as_bytes()))?;
        let place = identity.place()?;
        let whom = &compute.settings.compute;
        let Some(asked) = answer.instance else {
            return Err(kept(format!("{whom} was not asked for {place}")));
        };
        if asked.endpoint != *whom || asked.place != place {
            return Err(kept(format!(
                "it is the answer of {} about {}, and the question is {whom}'s for {place}",
                shown(&asked.endpoint),
                asked.place
            )));
        }
        let instance = verify::same(&identity, asked.found)?;
        verify::claims(rules, identity, Some(&instance))
    }
}
