//! What a `TokenReview` says of a token. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::attestor::{AttestError, Fault};
use crate::jwt::shown;

/// Where Kubernetes puts the pod and the node that a token is bound to.
const EXTRA: &str = "authentication.kubernetes.io/";
/// The bindings that count; others, such as the token's own name, are not kept.
const BINDINGS: [&str; 4] = ["pod-name", "pod-uid", "node-name", "node-uid"];
/// Longest name or UID, bytes.
const MAX_NAME: usize = 253;
/// Most audiences that are kept.
const MAX_AUDIENCES: usize = 32;

/// What is kept of `status` of a `TokenReview`: enough to judge it again, and never the token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Review {
    /// Whether the API server says that the token is good.
    pub authenticated: bool,
    /// Whether it says that it could not tell. What it says is not kept: it may quote the token.
    pub failed: bool,
    /// `user.username`.
    pub username: String,
    /// Of the audiences that were asked for, those that it confirms.
    pub audiences: Vec<String>,
    /// `user.extra`, of the keys that name the token's pod and node.
    pub bound: BTreeMap<String, Vec<String>>,
}

/// The API server's answer, as far as it is read.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    audiences: Vec<String>,
}

#[derive(Deserialize, Default)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

impl Review {
    /// Reads the API server's answer. `None`: it is no `TokenReview`, or some name in it is longer than names are.
    pub(super) fn read(body: &[u8], asked: &[String]) -> Option<Self> {
        let Answer { kind, status } = serde_json::from_slice(body).ok()?;
        if kind != "TokenReview" {
            return None;
        }
        let mut audiences = status.audiences;
        audiences.retain(|audience| asked.contains(audience));
        audiences.truncate(MAX_AUDIENCES);
        let mut bound = BTreeMap::new();
        for (key, values) in status.user.extra {
            let name = key.strip_prefix(EXTRA);
            if let Some(name) = name.filter(|name| BINDINGS.contains(name)) {
                if values.len() > 4 || values.iter().any(|value| value.len() > MAX_NAME) {
                    return None;
                }
                bound.insert(name.to_owned(), values);
            }
        }
        let short = status.user.username.len() <= 3 * MAX_NAME;
        short.then_some(Self {
            authenticated: status.authenticated,
            failed: !status.error.is_empty(),
            username: status.user.username,
            audiences,
            bound,
        })
    }
}

/// A service account that the API server vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The checks of a review, in SPIRE's order and with its texts.
///
/// # Errors
///
/// [`Fault::Refused`].
pub fn account(
    review: &Review,
    asked: &[String],
    allowed: &BTreeSet<String>,
) -> Result<Account, AttestError> {
    let refused = |check, detail: String| AttestError::new(Fault::Refused, check, detail);
    // An API server says so of tokens that are not its own as well, so it is no sign of trouble there.
    if review.failed {
        return Err(refused(
            "token-review-error",
            "unable to validate token with TokenReview API: its answer has an error".to_owned(),
        ));
    }
    if !review.authenticated {
        return Err(refused(
            "token-not-authenticated",
            "token not authenticated according to TokenReview API".to_owned(),
        ));
    }
    // An API server that knows nothing of audiences confirms none (SPIRE #5142).
    let confirmed = |audience| review.audiences.contains(audience);
    if !asked.is_empty() && !asked.iter().any(confirmed) {
        return Err(refused(
            "token-audience",
            "token not authenticated according to TokenReview API: it confirms no audience that was asked for"
                .to_owned(),
        ));
    }
    self::allowed(&review.username, allowed)
}

/// The service account of a user name, if it is one of those that are allowed.
///
/// # Errors
///
/// [`Fault::Refused`].
pub fn allowed(username: &str, allowed: &BTreeSet<String>) -> Result<Account, AttestError> {
    let refused = |check, detail: String| AttestError::new(Fault::Refused, check, detail);
    let parts: Vec<_> = username.split(':').collect();
    let ["system", "serviceaccount", namespace, name] = parts.as_slice() else {
        return Err(refused(
            "token-username",
            format!("failed to parse username {}", shown(username)),
        ));
    };
    let full = format!("{namespace}:{name}");
    if !allowed.contains(&full) {
        return Err(refused(
            "service-account-not-allowed",
            format!("{} is not an allowed service account", shown(&full)),
        ));
    }
    Ok(Account {
        namespace: (*namespace).to_owned(),
        name: (*name).to_owned(),
    })
}

/// The one value of a binding, e.g. `pod-name`.
///
/// # Errors
///
/// [`Fault::Refused`]: there is none, or several.
pub fn bound<'a>(review: &'a Review, name: &str, what: &str) -> Result<&'a str, AttestError> {
    match review.bound.get(name).map(Vec::as_slice) {
        Some([one]) if !one.is_empty() => Ok(one),
        found => Err(AttestError::new(
            Fault::Refused,
            "token-not-bound",
            format!(
                "failed to get {what} from token review status: {} values",
                found.map_or(0, <[_]>::len)
            ),
        )),
    }
}
