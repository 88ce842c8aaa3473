//! Join tokens: `join_` and 256 random bits as text. Each lets one node of one cluster log in once.
//!
//! A token is what whoever has it knows. What makes it more is what it is bound to: attributes that other methods prove in the
//! same login, as the hash of the node's EK. The text is always made here: nobody chooses a short one.

use core::time::Duration;
use std::collections::BTreeMap;

use assay_common::identity::{ClusterName, NameError, SpiffeId, SpiffeIdError};
use assay_common::method::join_token::key_seed;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::crypto::sha256;

use crate::random::{RandomError, SecureRandom, bytes};
use crate::store::JoinTokenRecord;
use crate::token_text::TokenText;

/// What every token begins with.
pub const PREFIX: &str = "join_";
/// How long a token may be made to last.
pub const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 24 * 3600));
/// How long it lasts unless something else is asked for.
pub const DEFAULT_TTL: Duration = Duration::from_secs(600);
/// Longest comment, bytes.
pub const MAX_COMMENT: usize = 256;
/// Most attributes that a token is bound to.
pub const MAX_BOUND: usize = 8;
/// Longest value of such an attribute, bytes.
pub const MAX_VALUE: usize = 256;

/// A token; see [`TokenText`].
#[derive(Debug)]
pub struct JoinToken(TokenText);

/// What a token is to be.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The cluster that it lets into.
    pub cluster: &'a str,
    /// How long.
    pub ttl: Duration,
    /// The identity that its node gets, in `trust_domain`; `None`: what the cluster's issuance policy makes.
    pub spiffe_id: Option<&'a str>,
    /// What the node must prove beside it.
    pub bound: BTreeMap<String, String>,
    /// What it is for.
    pub comment: &'a str,
    /// Who asks for it.
    pub created_by: &'a str,
    /// Whose identities are issued.
    pub trust_domain: &'a str,
}

/// Why a token is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    /// No cluster can have this name.
    #[error("cluster: {0}")]
    Cluster(NameError),
    /// It would end too soon or too late.
    #[error("a join token lasts from one second to 30 days")]
    Ttl,
    /// No node can have this identity.
    #[error("SPIFFE ID: {0}")]
    SpiffeId(SpiffeIdError),
    /// Identities of others are not ours to give.
    #[error("SPIFFE ID: not of trust domain {0}")]
    TrustDomain(String),
    /// No attribute has this name or value, or there are too many.
    #[error("{0}")]
    Bound(String),
    /// The comment cannot be shown.
    #[error("a comment has up to {MAX_COMMENT} bytes, none of them a control character")]
    Comment,
    /// See [`RandomError`].
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl JoinTokenError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Cluster(_) => "a cluster's name has letters, digits, `-`, `_` and `.`",
            Self::Ttl => "a node logs in soon after its token was made: minutes are enough",
            Self::SpiffeId(_) | Self::TrustDomain(_) => "e.g. spiffe://example.org/node/rack7",
            Self::Bound(_) => "e.g. tpm_ek.public_hash and the hash that `assay ek check` prints",
            Self::Comment | Self::Random(_) => return None,
        })
    }
}

impl JoinToken {
    /// A new token, and the record that stands for it.
    ///
    /// # Errors
    ///
    /// [`JoinTokenError`].
    pub fn issue(
        random: &dyn SecureRandom,
        now: Timestamp,
        wanted: Wanted<'_>,
    ) -> Result<(Self, JoinTokenRecord), JoinTokenError> {
        ClusterName::parse(wanted.cluster).map_err(JoinTokenError::Cluster)?;
        if wanted.ttl < TTL.0 || wanted.ttl > TTL.1 {
            return Err(JoinTokenError::Ttl);
        }
        if let Some(id) = wanted.spiffe_id {
            let id = SpiffeId::parse(id).map_err(JoinTokenError::SpiffeId)?;
            if id.trust_domain().as_str() != wanted.trust_domain {
                return Err(JoinTokenError::TrustDomain(wanted.trust_domain.to_owned()));
            }
        }
        check_bound(&wanted.bound)?;
        let comment = wanted.comment;
        if comment.len() > MAX_COMMENT || comment.chars().any(char::is_control) {
            return Err(JoinTokenError::Comment);
        }
        let whole = |at: Timestamp| Timestamp::from_second(at.as_second()).unwrap_or(at);
        let expires_at = now.checked_add(wanted.ttl);
        let expires_at = whole(expires_at.map_err(|_| JoinTokenError::Ttl)?);
        let token = Self(TokenText::new(random, PREFIX)?);
        let record = JoinTokenRecord {
            id: hex::encode(bytes::<16>(random)?),
            sha256: token.sha256(),
            cluster: wanted.cluster.to_owned(),
            spiffe_id: wanted.spiffe_id.map(str::to_owned),
            bound: wanted.bound,
            comment: comment.to_owned(),
            created_at: whole(now),
            created_by: wanted.created_by.to_owned(),
            expires_at,
            used_at: None,
        };
        Ok((token, record))
    }

    /// Reads what somebody sent; `None` when it cannot be a token, so that the store is not asked for it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        TokenText::read(text, PREFIX).map(Self)
    }

    /// What is stored of it, and what it is taken by: the SHA-256 of the public half of the key that it is the seed of.
    /// Nothing that a store, a login or a trail holds is good for a login; see [`assay_common::method::join_token`].
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&[self.key().public_key().as_ref()])
    }

    /// The token's key, by which an agent shows that it has the token.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "the only error is a seed of another length, and its type says the length"
    )]
    pub fn key(&self) -> Ed25519KeyPair {
        let seed = Zeroizing::new(key_seed(self.expose()));
        Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("32 bytes are a seed")
    }

    /// The token itself: for whoever asked for it, once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Attributes by their names in policies, `method.name`; a value is compared as a whole, so there is nothing to escape.
fn check_bound(bound: &BTreeMap<String, String>) -> Result<(), JoinTokenError> {
    let wrong = |why: String| Err(JoinTokenError::Bound(why));
    if bound.len() > MAX_BOUND {
        return wrong(format!(
            "a token is bound to {MAX_BOUND} attributes at most"
        ));
    }
    for (name, value) in bound {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let parts = name.split_once('.');
        if parts.is_none_or(|(method, rest)| method.is_empty() || rest.is_empty())
            || name.len() > MAX_VALUE
            || !name.bytes().all(legal)
        {
            return wrong(format!("`{}` is no attribute", name.escape_debug()));
        }
        if value.is_empty() || value.len() > MAX_VALUE || value.chars().any(char::is_control) {
            return wrong(format!("`{name}` cannot have this value"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{DEFAULT_TTL, JoinToken, JoinTokenError, MAX_BOUND, Wanted};
    use crate::random::SystemRandom;

    fn wanted() -> Wanted<'static> {
        Wanted {
            cluster: "lab",
            ttl: DEFAULT_TTL,
            spiffe_id: Some("spiffe://example.org/node/rack7"),
            bound: BTreeMap::from([("tpm_ek.public_hash".to_owned(), "3f".to_owned())]),
            comment: "rack 7",
            created_by: "test",
            trust_domain: "example.org",
        }
    }

    fn issue(wanted: Wanted<'_>) -> Result<JoinToken, JoinTokenError> {
        let now = Timestamp::UNIX_EPOCH;
        JoinToken::issue(&SystemRandom, now, wanted).map(|(token, _)| token)
    }

    #[test]
    fn a_token_is_read_as_it_was_made_and_its_record_does_not_tell_it() {
        let now = Timestamp::from_millisecond(1500).unwrap();
        let (token, record) = JoinToken::issue(&SystemRandom, now, wanted()).unwrap();
        let text = token.expose();
        assert_eq!((text.len(), text.starts_with("join_")), (48, true));
        assert_eq!(JoinToken::read(text).unwrap().sha256(), record.sha256);
        assert_eq!((record.id.len(), record.created_at.as_second()), (32, 1));
        assert_eq!(record.expires_at.as_second(), 601);
        assert!(!format!("{token:?}{record:?}").contains(&text[5..]));
        for wrong in [
            "",
            "join_",
            &text[1..],
            &text[..47],
            &text.replace("join_", "assay_"),
        ] {
            assert!(JoinToken::read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_no_node_can_be_let_in_by_is_refused() {
        for seconds in [0, 30 * 24 * 3600 + 1] {
            let ttl = Duration::from_secs(seconds);
            assert!(matches!(
                issue(Wanted { ttl, ..wanted() }),
                Err(JoinTokenError::Ttl)
            ));
        }
        let cluster = issue(Wanted {
            cluster: "a b",
            ..wanted()
        });
        assert!(matches!(cluster, Err(JoinTokenError::Cluster(_))));
        for id in ["rack7", "spiffe://example.org", "spiffe://example.org/a//b"] {
            let made = issue(Wanted {
                spiffe_id: Some(id),
                ..wanted()
            });
            assert!(matches!(made, Err(JoinTokenError::SpiffeId(_))), "{id}");
        }
        let foreign = Some("spiffe://other.org/node/rack7");
        let made = issue(Wanted {
            spiffe_id: foreign,
            ..wanted()
        });
        assert!(matches!(made, Err(JoinTokenError::TrustDomain(_))));
        assert!(matches!(
            issue(Wanted {
                comment: "a\nb",
                ..wanted()
            }),
            Err(JoinTokenError::Comment)
        ));
        for (name, value) in [
            ("public_hash", "3f"),
            (".public_hash", "3f"),
            ("tpm_ek.", "3f"),
            ("tpm_ek.public hash", "3f"),
            ("tpm_ek.public_hash", ""),
            ("tpm_ek.public_hash", "a\nb"),
        ] {
            let bound = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            let made = issue(Wanted { bound, ..wanted() });
            assert!(
                matches!(made, Err(JoinTokenError::Bound(_))),
                "{name}={value}"
            );
        }
        let many = (0..=MAX_BOUND).map(|n| (format!("tpm_ek.a{n}"), "x".to_owned()));
        let made = issue(Wanted {
            bound: many.collect(),
            ..wanted()
        });
        assert!(matches!(made, Err(JoinTokenError::Bound(_))));
    }
}
