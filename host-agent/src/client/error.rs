//! Why there is no session, and what to do about it.

use std::time::Duration;

use assay_common::protocol::DenyCode;
use assay_firmware::agent::{Failure, ProtocolError};
use assay_host::TlsFault;
use assay_host::document::visible;
use assay_host::http::HttpError;

use crate::evidence::Trouble;

/// Longest wait that a verifier may ask for: a refusal is not authenticated, so it must not put a node to sleep for good.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No verifier was reached; of each, why.
    #[error("no verifier is reached: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unreachable(Vec<HttpError>),
    /// The verifier refused.
    #[error("denied: {code}: {reason}")]
    Denied {
        /// The category.
        code: DenyCode,
        /// What it says, on one line.
        reason: String,
        /// When it wants to be asked again.
        retry_after: Duration,
        /// The login's name in its audit trail, when it came to that.
        login_id: Option<String>,
        /// The methods that were offered.
        offered: Vec<String>,
    },
    /// A proof could not be made.
    #[error("{}", .0.iter().map(|trouble| format!("{}: {}", trouble.source, trouble.error)).collect::<Vec<_>>().join("; "))]
    Evidence(Vec<Trouble>),
    /// The verifier is not the one whose key is pinned.
    #[error("the verifier's message is not signed by the pinned key")]
    Untrusted,
    /// The verifier breaks the protocol.
    #[error("the verifier breaks the protocol: {0}")]
    Protocol(String),
    /// An answer that is none of a login: of a proxy, or of another service.
    #[error("HTTP {status}: {detail}")]
    Answer {
        /// The status.
        status: u16,
        /// What it says.
        detail: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The node's own settings.
    #[error("{0}")]
    Own(String),
}

/// What to do about a verifier's TLS.
const fn tls(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::UnknownAuthority | TlsFault::Certificate => {
            "`ca` below `server` names the certificate of the verifier's authority; `assay agent doctor` looks at the chain"
        }
        TlsFault::Name => {
            "name the verifier in `addresses` as its certificate does, or give it a certificate for this name: `listeners.api.tls` in assayd.yaml"
        }
        TlsFault::Time => "set this machine's clock right, or renew the verifier's certificate",
        TlsFault::Protocol => {
            "is that the port of the verifier's API? It is `listeners.api` of assayd.yaml that speaks TLS, 8443 by default"
        }
    }
}

impl LoginError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let hint = match self {
            Self::Unreachable(errors) => match errors.first() {
                Some(HttpError::Tls { source, .. }) => tls(TlsFault::of(source)),
                _ => {
                    "is assayd running, is `addresses` right, does a firewall stand between? `assay agent doctor` looks"
                }
            },
            Self::Denied {
                code: DenyCode::REFUSED,
                login_id: Some(id),
                offered,
                ..
            } => {
                let key_lost = match offered.iter().any(|one| BOUND.contains(&one.as_str())) {
                    true => format!(". {KEY_LOST}"),
                    false => String::new(),
                };
                return format!(
                    "a proof was checked and refused: on the verifier, `assay audit show {id} --config assayd.yaml` names the failed check, and how to mend it{key_lost}"
                );
            }
            Self::Denied {
                code: DenyCode::MISCONFIGURED,
                login_id: Some(id),
                ..
            } => {
                return format!(
                    "the cluster's policy, or what it needs of the verifier, is not in order: on the verifier, `assay audit show {id} --config assayd.yaml` says what"
                );
            }
            Self::Denied {
                code: DenyCode::NO_POLICY,
                login_id,
                offered,
                ..
            } => return no_policy(offered, login_id.as_deref()),
            Self::Denied { code, .. } => denied(*code),
            Self::Evidence(troubles) => {
                return match troubles.last() {
                    Some(trouble) => trouble.error.hint.clone(),
                    None => "`assay agent doctor` looks at every method".to_owned(),
                };
            }
            Self::Untrusted => {
                "this is another verifier, or its key was replaced: compare `verifierKey` with `challengeKey.sec1` of its /v1/bundle, over a way that you trust"
            }
            Self::Protocol(_) => "is the verifier of another version? Compare `assayd --version`",
            Self::Answer { status: 404, .. } => {
                "this is no verifier, or one whose API is elsewhere: check `addresses`"
            }
            Self::Answer { .. } => "what answers there may be a proxy: ask whoever runs it",
            Self::Own(_) => "correct the configuration",
        };
        hint.to_owned()
    }

    /// When the verifier wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let wish = match self {
            Self::Denied { retry_after, .. } => Some(*retry_after),
            Self::Answer { retry_after, .. } => *retry_after,
            _ => None,
        };
        wish.map(|wish| wish.min(MAX_RETRY_AFTER))
    }

    /// Of a state of the login.
    pub(super) fn of(failure: Failure, troubles: Vec<Trouble>) -> Self {
        match failure {
            Failure::Evidence(_) if !troubles.is_empty() => Self::Evidence(troubles),
            Failure::Evidence(error) => Self::Own(error.to_string()),
            Failure::NotProvisioned(error) => Self::Own(error.to_string()),
            Failure::UntrustedVerifier => Self::Untrusted,
            Failure::Protocol(ProtocolError::Identity) => Self::Protocol(
                "the identity that it grants is not of the node's trust domain".to_owned(),
            ),
            Failure::Protocol(ProtocolError::TooLong) => {
                Self::Own("the proofs are longer than a message may be".to_owned())
            }
            Failure::Protocol(error) => Self::Protocol(format!("{error:?}")),
            Failure::Denied {
                code,
                retry_after_s,
            } => Self::Denied {
                code,
                reason: String::new(),
                retry_after: Duration::from_secs(retry_after_s.into()),
                login_id: None,
                offered: Vec::new(),
            },
            Failure::NoAnswer | Failure::Link => Self::Protocol(failure.to_string()),
        }
    }

    /// With what a refusal says beside its category.
    pub(super) fn told(self, said: &str, login: Option<[u8; 16]>) -> Self {
        match self {
            Self::Denied {
                code, retry_after, ..
            } => Self::Denied {
                code,
                reason: visible(said),
                retry_after,
                login_id: login.map(hex::encode),
                offered: Vec::new(),
            },
            other => other,
        }
    }

    /// With what was offered, for whoever compares it with the policies.
    pub(super) fn offering(mut self, methods: Vec<String>) -> Self {
        if let Self::Denied { offered, .. } = &mut self {
            *offered = methods;
        }
        self
    }
}

/// Methods that a policy's `tofu` binds to the key of the first login.
const BOUND: [&str; 5] = ["aws_iid", "aws_token", "azure_imds", "azure_msi", "gcp_iit"];

/// What no check of a proof says, and the agent cannot know: that the verifier holds another key for it.
const KEY_LOST: &str = "An instance that was set up anew, or has no `keyFile` and so a new key each time, is refused by policies with `tofu` until an operator unbinds it: `assay node evict`";

/// Which entry of which policy is lacking is the verifier's to say to its operator.
fn no_policy(offered: &[String], login: Option<&str>) -> String {
    let what = match offered {
        [] => "what `attestors` offers".to_owned(),
        methods => format!("what was offered, {}", methods.join(", ")),
    };
    let where_told = match login {
        Some(id) => format!("`assay audit show {id} --config assayd.yaml`"),
        None => "`assay audit list --config assayd.yaml` has the login, and `assay audit show`"
            .to_owned(),
    };
    format!(
        "no policy of the cluster is satisfied by {what}: compare `assay agent show` with the policy; \
         on the verifier, {where_told} says what each policy lacks"
    )
}

const fn denied(code: DenyCode) -> &'static str {
    match code {
        DenyCode::REFUSED => {
            "a proof was checked and refused: on the verifier, `assay audit list --config assayd.yaml` has this login, and `assay audit show` its failed check"
        }
        DenyCode::UNKNOWN_CLUSTER => {
            "correct `clusterId`; the verifier does not serve this cluster. One that was set just now is served within a second"
        }
        DenyCode::MISCONFIGURED => {
            "the cluster's policy, or what it needs of the verifier, is not in order: on the verifier, `assay audit list --config assayd.yaml` has this login, and `assay audit show` what is missing"
        }
        DenyCode::UNAVAILABLE => {
            "the verifier depends on something that is down; the agent asks again by itself"
        }
        DenyCode::OVERLOADED => "too many logins at once; the agent asks again by itself",
        DenyCode::UNSUPPORTED_VERSION => "agent and verifier are too far apart: upgrade the older",
        DenyCode::EXPIRED => "a proof took too long to make; look for what is slow",
        DenyCode::LOGIN_REQUIRED => "the session is over; the agent logs in anew",
        DenyCode::MALFORMED => "agent and verifier disagree on the protocol: upgrade the older",
        _ => "the verifier's log says more",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use assay_common::protocol::DenyCode;

    use super::LoginError;

    fn told(login: Option<[u8; 16]>, offered: &[&str]) -> String {
        let denied = LoginError::Denied {
            code: DenyCode::NO_POLICY,
            reason: String::new(),
            retry_after: Duration::ZERO,
            login_id: None,
            offered: Vec::new(),
        };
        let offered = offered.iter().map(ToString::to_string).collect();
        denied.told("no policy", login).offering(offered).hint()
    }

    #[test]
    fn who_is_refused_is_told_of_the_key_where_a_method_may_be_bound_to_one() {
        let hint = |offered: &str| {
            let denied = LoginError::Denied {
                code: DenyCode::REFUSED,
                reason: String::new(),
                retry_after: Duration::ZERO,
                login_id: None,
                offered: Vec::new(),
            };
            let denied = denied.told("refused", Some([0xCD; 16]));
            denied.offering(vec![offered.to_owned()]).hint()
        };
        let command = format!(
            "`assay audit show {} --config assayd.yaml`",
            "cd".repeat(16)
        );
        for part in [command.as_str(), "`keyFile`", "`assay node evict`"] {
            assert!(hint("aws_iid").contains(part), "{part}");
        }
        assert!(hint("x509pop").contains(&command));
        assert!(!hint("x509pop").contains("keyFile"), "{}", hint("x509pop"));
    }

    #[test]
    fn who_fits_no_policy_is_told_what_was_offered_and_which_login_it_was() {
        let hint = told(Some([0xAB; 16]), &["x509pop", "custom_jwt"]);
        assert!(hint.contains("x509pop, custom_jwt"), "{hint}");
        let command = format!(
            "`assay audit show {} --config assayd.yaml`",
            "ab".repeat(16)
        );
        assert!(hint.contains(&command), "{hint}");
        // Before a challenge the login has no name that the agent knows.
        let hint = told(None, &["x509pop"]);
        assert!(
            hint.contains("`assay audit list --config assayd.yaml`"),
            "{hint}"
        );
    }
}
