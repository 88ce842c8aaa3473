//! Every check on a join token. Pure: bytes, the nonce and the store's answer come in.

use std::collections::BTreeMap;

use assay_common::{identity::SpiffeId, method::join_token::signed_message};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::payload::Untrusted;
use crate::{
    attestor::{AttestError, ErrandContext, Fault},
    crypto::sha256,
    store::{JoinTokenRecord, JoinTokenTaken},
};

/// The failed check. The operator reads all of it; the agent learns only that it was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The payload is not one whole message.
    #[error("payload cannot be read")]
    Payload,
    /// The signature was not made by this key, or not in this login.
    #[error("the signature is not by this token's key over this login")]
    Signature,
    /// What is kept of the store's answer cannot be read, or is about another token.
    #[error("the store's answer cannot be read: {0}")]
    Answer(String),
    /// There is none.
    #[error("there is no such token, or it was revoked")]
    Unknown,
    /// A login took it.
    #[error("token {id} was used at {at}")]
    Used {
        /// Its public name.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// It has ended unused.
    #[error("token {id} has expired at {at}")]
    Expired {
        /// Its public name.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// It is for another cluster. It is used up all the same.
    #[error("token {id} is for cluster `{wanted}`, the login is in `{got}`")]
    Cluster {
        /// Its public name.
        id: String,
        /// The token's.
        wanted: String,
        /// The login's.
        got: String,
    },
    /// What it is bound to was not proven in this login. It is used up all the same.
    #[error("token {id} is bound to {attribute}={wanted:?}, proven was {got:?}")]
    Bound {
        /// Its public name.
        id: String,
        /// The attribute.
        attribute: String,
        /// The token's value.
        wanted: String,
        /// What the other methods have proven.
        got: Vec<String>,
    },
    /// The identity that it names cannot be issued here.
    #[error("token {id} names an identity outside trust domain `{trust_domain}`")]
    Identity {
        /// Its public name.
        id: String,
        /// Ours.
        trust_domain: String,
    },
}

impl TokenError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Payload => "payload-malformed",
            Self::Signature => "join-token-signature",
            Self::Answer(_) => "join-token-answer",
            Self::Unknown => "join-token-unknown",
            Self::Used { .. } => "join-token-used",
            Self::Expired { .. } => "join-token-expired",
            Self::Cluster { .. } => "join-token-cluster",
            Self::Bound { .. } => "join-token-bound",
            Self::Identity { .. } => "join-token-identity",
        }
    }
}

impl From<TokenError> for AttestError {
    fn from(error: TokenError) -> Self {
        let fault = match error {
            TokenError::Payload => Fault::Malformed,
            TokenError::Answer(_) => Fault::Internal,
            // One fault for whatever is wrong with a token: an agent must not learn which tokens there are.
            _ => Fault::Refused,
        };
        Self::new(fault, error.check(), error.to_string())
    }
}

/// A key whose holder takes part in this login: only [`possession`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    digest: [u8; 32],
}

impl Shown {
    /// What the store knows the token by.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Does whoever answers have the token of this key, now?
///
/// # Errors
/// [`TokenError::Signature`].
pub fn possession(untrusted: &Untrusted, nonce: &[u8; 32]) -> Result<Shown, TokenError> {
    UnparsedPublicKey::new(&ED25519, untrusted.public_key)
        .verify(&signed_message(nonce).concat(), &untrusted.signature)
        .map_err(|_| TokenError::Signature)?;
    Ok(Shown {
        digest: sha256(&[&untrusted.public_key]),
    })
}

/// What taking the token came to, and all of the login that the token is judged by. Kept with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Answer {
    /// SHA-256 of the token's public key, in hex: which token was asked for.
    pub digest: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The cluster that the agent named.
    pub cluster: String,
    /// The trust domain of the verifier.
    pub trust_domain: String,
    /// The values that other methods have proven, of the attributes that the token is bound to.
    pub proven: BTreeMap<String, Vec<String>>,
}

/// What came of taking a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is this login's, and no other's.
    Taken(Token),
    /// A login took it before.
    Used(Token),
    /// It has ended unused.
    Expired(Token),
    /// There is none.
    Unknown,
}

/// A token, without what would let anybody in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Token {
    /// Its public name.
    pub id: String,
    /// The cluster that it lets into.
    pub cluster: String,
    /// The identity that its node gets.
    pub spiffe_id: Option<String>,
    /// What the node must have proven beside it.
    pub bound: BTreeMap<String, String>,
    /// Its end.
    pub expires_at: Timestamp,
    /// When it was taken.
    pub used_at: Option<Timestamp>,
}

impl From<JoinTokenRecord> for Token {
    fn from(record: JoinTokenRecord) -> Self {
        Self {
            id: record.id,
            cluster: record.cluster,
            spiffe_id: record.spiffe_id,
            bound: record.bound,
            expires_at: record.expires_at,
            used_at: record.used_at,
        }
    }
}

impl Answer {
    /// Of what the store said to whoever showed this key, in this login.
    #[must_use]
    pub fn of(shown: &Shown, taken: JoinTokenTaken, cx: &ErrandContext) -> Self {
        let outcome = match taken {
            JoinTokenTaken::Taken(token) => Outcome::Taken(token.into()),
            JoinTokenTaken::Used(token) => Outcome::Used(token.into()),
            JoinTokenTaken::Expired(token) => Outcome::Expired(token.into()),
            JoinTokenTaken::Unknown => Outcome::Unknown,
        };
        let mut proven = BTreeMap::<_, Vec<_>>::new();
        if let Outcome::Taken(token) = &outcome {
            let attributes = cx.proven.iter().flat_map(|(_, attributes)| attributes);
            for attribute in attributes.filter(|a| token.bound.contains_key(&*a.name)) {
                let values = proven.entry(attribute.name.to_string()).or_default();
                values.push(attribute.value.clone());
            }
        }
        Self {
            digest: hex::encode(shown.digest),
            outcome,
            cluster: cx.cluster.clone(),
            trust_domain: cx.trust_domain.clone(),
            proven,
        }
    }
}

/// Judges what the store said: the token, when it lets this login in.
///
/// # Errors
/// The failed check, see [`TokenError`].
pub fn decide(shown: &Shown, answer: &[u8]) -> Result<Token, TokenError> {
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|error| TokenError::Answer(error.to_string()))?;
    if answer.digest != hex::encode(shown.digest) {
        return Err(TokenError::Answer("it is about another token".to_owned()));
    }
    let token = match answer.outcome {
        Outcome::Taken(token) => token,
        Outcome::Used(token) => {
            let at = token.used_at.unwrap_or(token.expires_at);
            return Err(TokenError::Used { id: token.id, at });
        }
        Outcome::Expired(token) => {
            return Err(TokenError::Expired {
                id: token.id,
                at: token.expires_at,
            });
        }
        Outcome::Unknown => return Err(TokenError::Unknown),
    };
    if token.cluster != answer.cluster {
        return Err(TokenError::Cluster {
            id: token.id,
            wanted: token.cluster,
            got: answer.cluster,
        });
    }
    for (attribute, wanted) in &token.bound {
        let got = answer.proven.get(attribute).cloned().unwrap_or_default();
        if got != [wanted.as_str()] {
            return Err(TokenError::Bound {
                attribute: attribute.clone(),
                wanted: wanted.clone(),
                got,
                id: token.id,
            });
        }
    }
    if let Some(id) = &token.spiffe_id {
        let own =
            SpiffeId::parse(id).is_ok_and(|id| id.trust_domain().as_str() == answer.trust_domain);
        if !own {
            return Err(TokenError::Identity {
                trust_domain: answer.trust_domain,
                id: token.id,
            });
        }
    }
    Ok(token)
}
