//! Why a token does not count.

use super::algorithm::Algorithm;
use crate::attestor::Fault;

/// Most characters of a token's own text that an error repeats.
const SHOWN: usize = 96;

/// A text out of a token, for messages: bounded, quoted, on one line.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?} and more", text.get(..end).unwrap_or_default()),
    }
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first: how it is signed.
    Header,
    /// The second: what it says.
    Claims,
    /// The third.
    Signature,
}

impl core::fmt::Display for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims",
            Self::Signature => "signature",
        })
    }
}

/// A token that does not count, by the check that it fails. Never holds the token or its signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// Longer than [`super::MAX_TOKEN`].
    #[error("the token has {0} bytes, more than {max}", max = super::MAX_TOKEN)]
    TooLong(usize),
    /// Not three parts.
    #[error("the token has {0} parts, a signed one has 3")]
    Parts(usize),
    /// Not base64url, or with padding, or with bits that stand for nothing.
    #[error("the {0} is no base64url without padding")]
    Base64(Part),
    /// Not one JSON object.
    #[error("the {part} is no object: {why}")]
    Json {
        /// Which part.
        part: Part,
        /// The parser's message.
        why: String,
    },
    /// A member is absent or of another type.
    #[error("{name} in the {part} is {found}, not {expected}")]
    Member {
        /// Which part.
        part: Part,
        /// The member.
        name: &'static str,
        /// What is there.
        found: &'static str,
        /// What should be.
        expected: &'static str,
    },
    /// `none`, a MAC, or a name that nobody knows.
    #[error("algorithm {} is not accepted", shown(.0))]
    Algorithm(String),
    /// The configuration names others.
    #[error("algorithm {0} is not among those configured")]
    AlgorithmNotAllowed(Algorithm),
    /// `crit` is there: extensions that must be understood.
    #[error("the header has critical extensions (crit), of which none is understood")]
    Critical,
    /// Another type than the one expected.
    #[error("the token is of type {}, not {expected}", shown(.found))]
    Type {
        /// What the header says.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// The key's type or curve is not that of the algorithm.
    #[error("algorithm {algorithm} does not fit the key, which is {key}")]
    KeyType {
        /// The token's.
        algorithm: Algorithm,
        /// The key's type.
        key: &'static str,
    },
    /// The key says which algorithm it is for.
    #[error("algorithm {algorithm} is not the key's own, {}", shown(.key))]
    KeyAlgorithm {
        /// The token's.
        algorithm: Algorithm,
        /// The key's `alg`.
        key: String,
    },
    /// The library refuses the key.
    #[error("the key cannot be used with {0}")]
    Key(Algorithm),
    /// The signature is wrong or has the wrong length.
    #[error("the signature does not verify")]
    Signature,
    /// No claim of that name.
    #[error("the token has no {0}")]
    Missing(&'static str),
    /// Another issuer.
    #[error("issuer (iss) is {}, not {expected:?}", shown(.found))]
    Issuer {
        /// The token's.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// For somebody else.
    #[error("audience (aud) is {found}, with none of {expected}")]
    Audience {
        /// The token's, quoted.
        found: String,
        /// The configured ones, quoted.
        expected: String,
    },
    /// About somebody else.
    #[error("subject (sub) is {}, not {expected:?}", shown(.found))]
    Subject {
        /// The token's.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// Its time is over.
    #[error("the token expired (exp) at {0}")]
    Expired(jiff::Timestamp),
    /// Its time has not come.
    #[error("the token is not valid before (nbf) {0}")]
    NotYet(jiff::Timestamp),
    /// Made in the future.
    #[error("the token was issued (iat) at {0}, which is yet to come")]
    FromTheFuture(jiff::Timestamp),
    /// Good for longer than is accepted.
    #[error("the token is valid for {found} s (iat to exp), more than {most} s")]
    Lifetime {
        /// From `iat` to `exp`, seconds.
        found: i64,
        /// Most seconds.
        most: u64,
    },
}

impl JwtError {
    /// The failed check's stable name.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "token-size",
            Self::Parts(_) | Self::Base64(_) | Self::Json { .. } | Self::Member { .. } => {
                "token-form"
            }
            Self::Algorithm(_) | Self::AlgorithmNotAllowed(_) => "token-algorithm",
            Self::Critical => "token-critical",
            Self::Type { .. } => "token-type",
            Self::KeyType { .. } | Self::KeyAlgorithm { .. } | Self::Key(_) => "token-key",
            Self::Signature => "token-signature",
            Self::Missing(_) => "token-claims",
            Self::Issuer { .. } => "token-issuer",
            Self::Audience { .. } => "token-audience",
            Self::Subject { .. } => "token-subject",
            Self::Expired(_) => "token-expired",
            Self::NotYet(_) | Self::FromTheFuture(_) => "token-not-yet",
            Self::Lifetime { .. } => "token-lifetime",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::TooLong(_)
            | Self::Parts(_)
            | Self::Base64(_)
            | Self::Json { .. }
            | Self::Member { .. } => Fault::Malformed,
            _ => Fault::Refused,
        }
    }
}
