//! Legacy service account tokens, judged by a key or by an API server's word. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestor::issuer::failed;
use crate::attestor::kubernetes::config::Access;
use crate::attestor::kubernetes::review::{self, Account, Review};
use crate::attestor::{AttestError, Fault};
use crate::crypto::sha256;
use crate::jwt::json::Json;
use crate::jwt::{self, Jwk, JwtError, VerifyingKey, shown};

/// The issuer of all legacy tokens.
const ISSUER: &str = "kubernetes/serviceaccount";
/// What a login's UUID is made with.
const UUID_LABEL: &[u8] = b"assay/k8s-sat-uuid/v1";

/// A cluster of one entry, checked.
#[derive(Debug)]
pub struct Cluster {
    pub(super) name: String,
    pub(super) allowed: BTreeSet<String>,
    pub(super) means: Means,
}

/// How its tokens are judged.
#[derive(Debug)]
pub enum Means {
    /// By the keys that its API server signs with.
    Keys(Vec<Jwk>),
    /// By its `TokenReview`.
    Review(Access),
}

/// What was asked and answered, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// The cluster.
    pub cluster: String,
    /// The API server that was asked.
    pub server: String,
    /// What it says of the token.
    pub review: Review,
}

/// An answer that is none of this method's.
pub(super) fn unreadable(why: impl core::fmt::Display) -> AttestError {
    AttestError::new(Fault::Internal, "answer", why.to_string())
}

/// By the first key that the token's signature is of.
///
/// # Errors
///
/// The engine's checks but for end and audience, which legacy tokens do not have; the claims of Kubernetes, which must agree
/// with the subject; the allow-list.
pub fn by_keys(
    cluster: &Cluster,
    keys: &[Jwk],
    token: &str,
    now: Timestamp,
) -> Result<Account, AttestError> {
    let token = jwt::parse(token.as_bytes()).map_err(failed)?;
    let mut refused = JwtError::Signature;
    for key in keys {
        let verified = VerifyingKey::new(key, token.header().algorithm)
            .and_then(|key| jwt::verify(&token, &key));
        let verified = match verified {
            Ok(verified) => verified,
            Err(error @ (JwtError::Signature | JwtError::KeyType { .. })) => {
                refused = error;
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        let claims = jwt::decide_endless(verified, ISSUER, now).map_err(failed)?;
        let text = |name: &str| claims.get(name).and_then(Json::text);
        let (Some(namespace), Some(name), Some(subject)) = (
            text("kubernetes.io/serviceaccount/namespace"),
            text("kubernetes.io/serviceaccount/service-account.name"),
            text("sub"),
        ) else {
            return Err(failed(JwtError::Missing("service account")));
        };
        let expected = format!("system:serviceaccount:{namespace}:{name}");
        if subject != expected {
            return Err(failed(JwtError::Subject {
                found: subject.to_owned(),
                expected,
            }));
        }
        let full = format!("{namespace}:{name}");
        if !cluster.allowed.contains(&full) {
            let detail = format!("{} is not an allowed service account", shown(&full));
            return Err(AttestError::new(
                Fault::Refused,
                "service-account-not-allowed",
                detail,
            ));
        }
        return Ok(Account {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        });
    }
    Err(failed(refused))
}

/// By the API server's word.
///
/// # Errors
///
/// [`review::account`].
pub fn by_review(
    cluster: &Cluster,
    access: &Access,
    answer: &Answer,
) -> Result<Account, AttestError> {
    if answer.cluster != cluster.name || answer.server != access.server {
        return Err(unreadable("it is the answer of another cluster"));
    }
    review::account(&answer.review, &[], &cluster.allowed)
}

/// A UUID (RFC 9562, version 8) made of a login's nonce.
pub(super) fn uuid(nonce: &[u8; 32]) -> String {
    let digest = sha256(&[UUID_LABEL, nonce]);
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(digest) {
        *slot = byte;
    }
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xf << 76) | 0x8 << 76;
    let number = number & !(0x3 << 62) | 0x2 << 62;
    let text = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts = parts.map(|range| text.get(range).unwrap_or_default());
    parts.join("-")
}
