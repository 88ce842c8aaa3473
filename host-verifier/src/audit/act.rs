//! What operators did: a record per change, and of attempts that were refused.
//!
//! ```text
//!   {"v":1,"seq":9,"prev":…,"time":…,"act_id":…,"link":"https:192.0.2.7:51000","outcome":"done","action":"node.ban",
//!    "actor":{"kind":"token","id":"0011223344556677","name":"ci","role":"operator"},
//!    "target":{"kind":"node","id":"3f1b…"},"detail":"stolen from rack 7"}
//! ```
//!
//! Over the API the gate before a route writes it, before the answer. A command that changes the store leaves it for the
//! writer of the trail ([`super::notes`]).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::random::{RandomError, SecureRandom};
use crate::store::Role;

/// Longest text of an act that somebody chose, characters. The rest is cut off: a record has to fit, whatever was sent.
pub const MAX_TEXT: usize = 512;

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActOutcome {
    /// It is so now.
    Done,
    /// Who asked may not.
    Refused,
    /// It was allowed and broke off: what became of it is not known.
    Failed,
}

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// By a bearer token: its id and name.
    Token,
    /// By a client certificate: the name in it that has a role, and its subject.
    Certificate,
    /// By the system that the command ran on: user id and name.
    CommandLine,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// How they are known.
    pub kind: ActorKind,
    /// Token id, name in the certificate, or user id.
    pub id: String,
    /// The name that people know them by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The role that they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// On what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// `session`, `node`, `token`, `join-token`, `cluster`; `path` where an attempt was refused before it was looked at.
    pub kind: String,
    /// Its name.
    pub id: String,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    action: &'static str,
    target: Target,
    detail: Option<String>,
}

impl Change {
    /// `action` is a noun and a verb, as in `token.create`; `kind` and `id` say on what.
    #[must_use]
    pub fn new(action: &'static str, kind: &str, id: &str) -> Self {
        Self {
            action,
            target: Target {
                kind: kind.to_owned(),
                id: short(id),
            },
            detail: None,
        }
    }

    /// With what else should be known of it. No secret.
    #[must_use]
    pub fn detail(self, detail: impl AsRef<str>) -> Self {
        let detail = short(detail.as_ref());
        Self {
            detail: Some(detail).filter(|detail| !detail.is_empty()),
            ..self
        }
    }
}

/// What somebody did or tried, without what chains it to the record before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When.
    pub time: Timestamp,
    /// 16 hex digits. A crash at the wrong moment can leave an act of the command line in two records; they have one id.
    pub act_id: String,
    /// The peer, `https:ADDRESS`, or `cli`.
    pub link: String,
    /// How it ended.
    pub outcome: ActOutcome,
    /// What: noun and verb, or method and route where that is all that is known.
    pub action: String,
    /// Who.
    pub actor: Actor,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The problem's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What else should be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Attempts of this actor since their last record that have none of their own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Act {
    /// A change that was made.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn done(
        random: &dyn SecureRandom,
        time: Timestamp,
        link: &str,
        actor: Actor,
        change: Change,
    ) -> Result<Self, RandomError> {
        Ok(Self {
            target: Some(change.target),
            detail: change.detail,
            ..Self::new(
                random,
                time,
                link,
                actor,
                ActOutcome::Done,
                change.action.to_owned(),
            )?
        })
    }

    /// What was not done, or is not known to be: a request and where it went.
    ///
    /// # Errors
    ///
    /// [`RandomError`].
    pub fn request(
        random: &dyn SecureRandom,
        time: Timestamp,
        link: &str,
        actor: Actor,
        outcome: ActOutcome,
        (action, path): (String, &str),
    ) -> Result<Self, RandomError> {
        Ok(Self {
            target: Some(Target {
                kind: "path".to_owned(),
                id: short(path),
            }),
            ..Self::new(random, time, link, actor, outcome, action)?
        })
    }

    fn new(
        random: &dyn SecureRandom,
        time: Timestamp,
        link: &str,
        actor: Actor,
        outcome: ActOutcome,
        action: String,
    ) -> Result<Self, RandomError> {
        Ok(Self {
            time,
            act_id: hex::encode(crate::random::bytes::<8>(random)?),
            link: link.to_owned(),
            outcome,
            action,
            actor,
            target: None,
            code: None,
            detail: None,
            unrecorded: 0,
        })
    }
}

/// As much of a text as a record has room for, without control characters.
fn short(text: &str) -> String {
    let text = text.chars().take(MAX_TEXT);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use jiff::Timestamp;

    use super::{Act, Actor, ActorKind, Change, MAX_TEXT};
    use crate::random::SystemRandom;

    #[test]
    fn what_somebody_chose_is_cut_and_nothing_else_is_read_back() {
        let actor = Actor {
            kind: ActorKind::CommandLine,
            id: "0".to_owned(),
            name: None,
            role: None,
        };
        let change = Change::new("node.ban", "node", &"x".repeat(MAX_TEXT + 1)).detail("a\nb");
        let act = Act::done(&SystemRandom, Timestamp::UNIX_EPOCH, "cli", actor, change).unwrap();
        let target = act.target.as_ref().unwrap();
        assert_eq!(target.id.len(), MAX_TEXT);
        assert_eq!(act.detail.as_deref(), Some("a b"));
        let text = serde_json::to_string(&act).unwrap();
        assert_eq!(serde_json::from_str::<Act>(&text).unwrap(), act);
        for wrong in [
            text.replace("\"outcome\":\"done\"", "\"outcome\":\"granted\""),
            text.replacen('{', "{\"seq\":1,", 1),
            text.replace("command-line", "nobody"),
        ] {
            assert!(serde_json::from_str::<Act>(&wrong).is_err(), "{wrong}");
        }
    }
}
