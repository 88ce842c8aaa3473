//! Tokens of an issuer, for the methods whose proof is one: `custom_jwt`, `k8s_token`, and those of clouds. What they share is where the
//! issuer's keys are ([`Keys`]) and the way from a token to claims ([`IssuedToken`]); what a token must say is each method's
//! own ([`Rules`]).
//!
//! Keys that are configured need nobody: the token is judged at once. Keys that are the issuer's to publish are an errand;
//! its answer is the one JWK that the token means, with the name of the place that was asked.

pub mod config;
pub mod payload;
pub(in crate::attestor) mod question;

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use self::question::KeyAnswer;
use super::{
    AttestError, Attestor, Claims, Errand, ErrandContext, Fault, Judged, LoginContext, Running,
};
use crate::jwt::{
    self, Expectations, Jwk, JwkProblem, JwkSet, JwtError, NoKey, Prepared, Unverified, Waiting,
};
use crate::outside::{ErrorKind, KeySource, Outside};

/// Where the keys of an issuer are.
#[derive(Debug)]
pub enum Keys {
    /// The issuer publishes them.
    Published(KeySource),
    /// In the configuration, as a JWK set.
    Inline(JwkSet),
    /// In the configuration, as PEM texts. They have no names, so a token may be of any of them.
    Pem(Vec<Jwk>),
}

/// What a method expects of a token and makes of one.
pub trait Rules: Send + Sync + core::fmt::Debug {
    /// Which method.
    fn kind(&self) -> AttestorKind;

    /// The issuer's keys.
    fn keys(&self) -> &Keys;

    /// What every token must say.
    fn expectations(&self) -> Expectations<'_>;

    /// See [`Attestor::attributes`].
    fn attributes(&self) -> Vec<String>;

    /// The token in the agent's payload.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`].
    fn token<'p>(&self, payload: &'p [u8]) -> Result<&'p [u8], AttestError>;

    /// What a token must say of the login that it is shown in: nothing, unless the method says otherwise.
    ///
    /// # Errors
    ///
    /// Any failed check.
    fn check_login(
        &self,
        cx: &LoginContext<'_>,
        token: &jwt::Claims<'_>,
    ) -> Result<(), AttestError> {
        let _ = (cx, token);
        Ok(())
    }

    /// The method's own checks of a token that is as expected, and what it says.
    ///
    /// # Errors
    ///
    /// Any failed check.
    fn claims(&self, token: jwt::Claims<'_>) -> Result<Claims, AttestError>;
}

/// An attestor over tokens of an issuer.
#[derive(Debug)]
pub struct IssuedToken<R>(Arc<Judge<R>>);

#[derive(Debug)]
struct Judge<R> {
    rules: R,
    prepared: Prepared,
}

impl<R: Rules> IssuedToken<R> {
    /// An attestor with these rules.
    #[must_use]
    pub fn new(rules: R) -> Self {
        Self(Arc::new(Judge {
            rules,
            prepared: Prepared::default(),
        }))
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &R {
        &self.0.rules
    }
}

impl<R: Rules + 'static> Attestor for IssuedToken<R> {
    fn kind(&self) -> AttestorKind {
        self.0.rules.kind()
    }

    fn attributes(&self) -> Vec<String> {
        self.0.rules.attributes()
    }

    /// Nothing to say: the agent's configuration says which token it has.
    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let token = self.0.rules.token(payload)?;
        self.judge_token(cx, jwt::parse(token).map_err(failed)?)
    }
}

impl<R: Rules + 'static> IssuedToken<R> {
    /// Judges a token that was taken apart before.
    ///
    /// # Errors
    ///
    /// As [`Attestor::judge`].
    pub(super) fn judge_token(
        &self,
        cx: &LoginContext<'_>,
        token: Unverified<'_>,
    ) -> Result<Judged, AttestError> {
        let judge = &self.0;
        let key = match judge.rules.keys() {
            Keys::Published(_) => {
                let errand = AskForKey {
                    judge: judge.clone(),
                    token: token.wait(),
                };
                return Ok(Judged::Errand(Box::new(errand)));
            }
            Keys::Inline(set) => set.select(token.header().kid.as_deref()),
            Keys::Pem(keys) => {
                let claims = judge.by_any(keys, &token, cx)?;
                return Ok(Judged::Proven(Box::new(claims)));
            }
        };
        let key = key.map_err(|error| {
            let detail = match &error {
                NoKey::Unknown(kid) => format!("key {} not found in inline JWKS", jwt::shown(kid)),
                NoKey::Ambiguous(_) => error.to_string(),
            };
            AttestError::new(Fault::Refused, "token-key-unknown", detail)
        })?;
        let expected = judge.rules.expectations();
        let judged = jwt::judge_by(&token, key, &judge.prepared, &expected, cx.now);
        let claims = judge.claims(judged.map_err(problem)?, cx)?;
        Ok(Judged::Proven(Box::new(claims)))
    }
}

impl<R: Rules> Judge<R> {
    /// Judged by the one key of an answer of `source`.
    fn by(
        &self,
        answer: &[u8],
        source: &KeySource,
        token: &Unverified<'_>,
        cx: &LoginContext<'_>,
    ) -> Result<Claims, AttestError> {
        let expected = self.rules.expectations();
        jwt::check_allowed(token, &expected).map_err(problem)?;
        let read = |answer| jwk(answer, source);
        let algorithm = token.header().algorithm;
        let key = self
            .prepared
            .answered(source, answer, algorithm, read, problem)?;
        let judged = jwt::judge_prepared(token, &key, &expected, cx.now);
        self.claims(judged.map_err(problem)?, cx)
    }

    /// The method's own checks.
    fn claims(&self, token: jwt::Claims<'_>, cx: &LoginContext<'_>) -> Result<Claims, AttestError> {
        self.rules.check_login(cx, &token)?;
        self.rules.claims(token)
    }

    /// Judged by the first key that its signature is of. Another failure than the signature's is the token's own.
    fn by_any(
        &self,
        keys: &[Jwk],
        token: &Unverified<'_>,
        cx: &LoginContext<'_>,
    ) -> Result<Claims, AttestError> {
        let expected = self.rules.expectations();
        let mut last = None;
        for key in keys {
            match jwt::judge_by(token, key, &self.prepared, &expected, cx.now) {
                Ok(claims) => return self.claims(claims, cx),
                // A signature that fails says more than a key of another type.
                Err(JwkProblem::Token(error @ JwtError::KeyType { .. })) => {
                    last.get_or_insert(error);
                }
                Err(JwkProblem::Token(error @ JwtError::Signature)) => last = Some(error),
                Err(other) => return Err(problem(other)),
            }
        }
        Err(failed(last.unwrap_or(JwtError::Signature)))
    }
}

/// The token waits for the key that it names.
struct AskForKey<R> {
    judge: Arc<Judge<R>>,
    token: Waiting,
}

impl<R: Rules> AskForKey<R> {
    /// Who publishes the keys: no errand is made for others.
    fn source(&self) -> Result<&KeySource, AttestError> {
        match self.judge.rules.keys() {
            Keys::Published(source) => Ok(source),
            _ => Err(internal("the keys are configured".to_owned())),
        }
    }
}

/// Without the token.
impl<R: Rules> core::fmt::Debug for AskForKey<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AskForKey")
            .field("token", &self.token)
            .field("keys", self.judge.rules.keys())
            .finish_non_exhaustive()
    }
}

impl<R: Rules> Errand for AskForKey<R> {
    fn run<'a>(&'a self, outside: &'a dyn Outside, _: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let kid = self.token.header().kid.as_deref();
            let answer = question::ask(outside, self.source()?, kid).await?;
            serde_json::to_vec(&answer).map_err(|error| internal(error.to_string()))
        })
    }

    fn judge(self: Box<Self>, cx: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let token = self.token.unverified();
        self.judge.by(answer, self.source()?, &token, cx)
    }
}

/// The JWK in an answer, which is of `source`.
fn jwk<'a>(answer: &'a [u8], source: &KeySource) -> Result<Cow<'a, str>, AttestError> {
    let answer: KeyAnswer<'_> =
        serde_json::from_slice(answer).map_err(|error| internal(error.to_string()))?;
    answer.check(source)?;
    Ok(answer.jwk)
}

/// The key of a source that a token means, as JSON.
///
/// # Errors
///
/// Nobody answered, or the source has no such key.
pub(super) async fn key(
    outside: &dyn Outside,
    source: &KeySource,
    kid: Option<&str>,
) -> Result<Vec<u8>, AttestError> {
    let jwk = outside.jwk(source, kid).await;
    jwk.map_err(|error| {
        let what = match (error.kind, kid) {
            (ErrorKind::NoKey, Some(kid)) => {
                format!("key {} not found at {}", jwt::shown(kid), error.to)
            }
            (ErrorKind::NoKey, None) => {
                format!("the token names no key (kid), and {} has several", error.to)
            }
            _ => format!("failed to fetch signing key: {error}"),
        };
        let check = match error.kind {
            ErrorKind::NoKey => "token-key-unknown",
            _ => "token-keys",
        };
        AttestError::new(error.kind.fault(), check, what)
    })
}

pub(super) fn internal(why: String) -> AttestError {
    AttestError::new(Fault::Internal, "token-answer", why)
}

/// That a token was issued no longer ago than `most`, give or take the clocks' leeway. `None`: it may be as old as it lives.
///
/// # Errors
///
/// [`Fault::Refused`].
pub(super) fn check_age(
    token: &jwt::Claims<'_>,
    now: Timestamp,
    most: Option<Duration>,
    leeway: Duration,
) -> Result<(), AttestError> {
    let Some(most) = most.map(|most| most.as_secs()) else {
        return Ok(());
    };
    let refused = |check, why: String| {
        let detail = format!("JWT verification failed: {why}");
        AttestError::new(Fault::Refused, check, detail)
    };
    let issued = token.issued.ok_or_else(|| {
        refused(
            "token-claims",
            "the token has no issue time (iat)".to_owned(),
        )
    })?;
    let age = now.as_second().saturating_sub(issued.as_second());
    match u64::try_from(age).is_ok_and(|age| age > most.saturating_add(leeway.as_secs())) {
        true => Err(refused(
            "token-age",
            format!("the token was issued (iat) {age} s ago, more than {most} s"),
        )),
        false => Ok(()),
    }
}

/// A token's failed check as operators know it (seed 003).
pub(super) fn failed(error: JwtError) -> AttestError {
    let detail = format!("JWT verification failed: {error}");
    AttestError::new(error.fault(), error.check(), detail)
}

/// As [`failed`], or the key's fault.
pub(super) fn problem(problem: JwkProblem) -> AttestError {
    match problem {
        JwkProblem::Token(error) => failed(error),
        JwkProblem::Jwk(error) => AttestError::new(
            Fault::Unavailable,
            "token-keys",
            format!("failed to fetch signing key: it cannot be used: {error}"),
        ),
    }
}
