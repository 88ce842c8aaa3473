//! Signed tokens of other issuers: JSON Web Tokens (RFC 7519) in the compact form of RFC 7515.
//!
//! Three steps, each with a type of its own that the next one needs:
//!
//! 1. [`parse`]: the bytes become an [`Unverified`] token. Size, three parts, strict base64url, a header with one reading.
//!    Its claims cannot be reached; [`parse_and_read`] reads them all the same, for those who have to ask for a key by
//!    [`untrusted_texts`].
//! 2. [`verify`]: with a [`VerifyingKey`], which fits the algorithm, it becomes [`Verified`].
//! 3. [`decide`]: with [`Expectations`] and the time it becomes [`Claims`].
//!
//! [`judge`] does all three. Everything here is a pure function of bytes, keys, expectations and the time; where keys come
//! from is not its matter: `cache` and `source` fetch those of issuers.
//!
//! # Why not a library for all of it
//!
//! Signatures, JSON and base64 are libraries'. What is between them is here, because the
//! common library (`jsonwebtoken`, which the tests use as a second opinion) leaves open just what an attestor must close: it takes the last of two equal
//! members, ignores `crit`, lets a token without `aud` pass unless it is told twice, checks `typ` and `iat` not at all, sets
//! no limits to size and nesting, and parses the key for every token. Each of these would have to be checked around it, on a
//! second reading of the same bytes; and two readings are what such attacks live on.

mod algorithm;
#[cfg(feature = "service")]
pub mod cache;
mod decide;
mod error;
pub mod json;
mod key;
mod peek;
mod set;
#[cfg(feature = "service")]
pub mod source;
mod token;
mod verify;

use jiff::Timestamp;

pub use algorithm::Algorithm;
pub use decide::{Claims, Expectations, LONGEST_LEEWAY, MAX_LEEWAY, decide, decide_endless};

pub(crate) use error::shown;
pub use error::{JwtError, Part};
pub use key::{Jwk, JwkError, MAX_JWK, MAX_RSA_BITS};
pub use peek::untrusted_texts;
pub use set::{JwkSet, MAX_KEYS, MAX_SET, NoKey, SetError};
pub use token::{Header, Unverified, Waiting, parse, parse_and_read};
pub use verify::{JwkProblem, Prepared, Verified, VerifyingKey, verify};

/// Longest token, bytes. Tokens of Kubernetes have about 1200, those of large directories some thousands.
pub const MAX_TOKEN: usize = 16 * 1024;

/// A token judged with one key: the JWK in JSON. Its claims are copied, since the token that they stand in is not kept.
///
/// # Errors
///
/// [`JwkProblem`]: the token's fault, or the key's.
pub fn judge(
    token: &[u8],
    jwk: &[u8],
    prepared: &Prepared,
    expected: &Expectations<'_>,
    now: Timestamp,
) -> Result<Claims<'static>, JwkProblem> {
    let token = parse(token).map_err(JwkProblem::Token)?;
    judge_parsed(&token, jwk, prepared, expected, now).map(Claims::into_owned)
}

/// As [`judge`], for a token that was taken apart before.
///
/// # Errors
///
/// [`JwkProblem`].
pub fn judge_parsed<'t>(
    token: &'t Unverified<'_>,
    jwk: &[u8],
    prepared: &Prepared,
    expected: &Expectations<'_>,
    now: Timestamp,
) -> Result<Claims<'t>, JwkProblem> {
    check_allowed(token, expected)?;
    let key = prepared.key(jwk, token.header().algorithm)?;
    judge_prepared(token, &key, expected, now)
}

/// As [`judge_parsed`], with a key that was read before.
///
/// # Errors
///
/// [`JwkProblem`].
pub fn judge_by<'t>(
    token: &'t Unverified<'_>,
    key: &Jwk,
    prepared: &Prepared,
    expected: &Expectations<'_>,
    now: Timestamp,
) -> Result<Claims<'t>, JwkProblem> {
    check_allowed(token, expected)?;
    let key = prepared.known(key, token.header().algorithm)?;
    judge_prepared(token, &key, expected, now)
}

/// Whether the token's algorithm is one that counts: before any key is looked at.
///
/// # Errors
///
/// [`JwkProblem`].
pub fn check_allowed(
    token: &Unverified<'_>,
    expected: &Expectations<'_>,
) -> Result<(), JwkProblem> {
    let algorithm = token.header().algorithm;
    let allowed = expected.algorithms;
    match allowed.is_none_or(|allowed| allowed.contains(&algorithm)) {
        true => Ok(()),
        false => Err(JwkProblem::Token(JwtError::AlgorithmNotAllowed(algorithm))),
    }
}

/// As [`judge_by`], with a key that was prepared for the token's algorithm.
///
/// # Errors
///
/// [`JwkProblem`].
pub fn judge_prepared<'t>(
    token: &'t Unverified<'_>,
    key: &VerifyingKey,
    expected: &Expectations<'_>,
    now: Timestamp,
) -> Result<Claims<'t>, JwkProblem> {
    check_allowed(token, expected)?;
    let verified = verify(token, key).map_err(JwkProblem::Token)?;
    decide(verified, expected, now).map_err(JwkProblem::Token)
}
