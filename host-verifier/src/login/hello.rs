//! The first state: nothing said yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_common::identity::ClusterName;
use assay_common::login::{Direction, Transcript};
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{AgentMessage, DenyCode, Hello, decode};

use super::step::{Step, StepName};
use super::{Denied, Env, LoginId, Next, Progress, SvidKey, Turn, Verifier, plan, session_key};
use crate::attestor::Facts;
use crate::policy::{Outcome, Outcomes};

/// Most methods that a hello may offer.
const MAX_METHODS: usize = 32;
/// Longest hint (board, version), bytes: they end up in logs.
const MAX_HINT: usize = 64;

/// A login that waits for its `Hello`.
#[derive(Debug)]
pub struct AwaitHello {
    verifier: Arc<Verifier>,
}

impl AwaitHello {
    /// A login under the present configuration.
    #[must_use]
    pub const fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier }
    }

    /// Takes the first message: a challenge or a refusal follows.
    #[must_use]
    pub fn handle(self, env: &Env<'_>, untrusted: &[u8]) -> Turn {
        match self.open(env, untrusted) {
            Ok(progress) => plan::advance(progress, env),
            Err(denied) => Turn {
                steps: vec![Step::failed(StepName::Hello, denied.detail.clone())],
                next: Next::Denied(Box::new(denied)),
            },
        }
    }

    fn open(self, env: &Env<'_>, untrusted: &[u8]) -> Result<Progress, Denied> {
        let id = crate::random::bytes(env.random)
            .map(LoginId)
            .map_err(|error| Denied::new(None, DenyCode::INTERNAL, error.to_string()))?;
        self.reopen(id, env, untrusted)
    }

    /// Reads the hello of a login that has a name already.
    pub(super) fn reopen(
        self,
        id: LoginId,
        env: &Env<'_>,
        untrusted: &[u8],
    ) -> Result<Progress, Denied> {
        let deny = |code, detail: String| Denied::new(Some(id), code, detail);
        let malformed = |detail: String| deny(DenyCode::MALFORMED, detail);
        let hello = match decode(untrusted) {
            Ok(AgentMessage::Hello(hello)) => hello,
            Ok(other) => {
                return Err(malformed(format!(
                    "{} where a login begins with Hello",
                    name(&other)
                )));
            }
            Err(error) => return Err(malformed(error.to_string())),
        };
        let version = VersionRange::OURS.common(hello.versions).ok_or_else(|| {
            let VersionRange { min, max } = hello.versions;
            deny(
                DenyCode::UNSUPPORTED_VERSION,
                format!("the agent speaks versions {min} to {max}"),
            )
        })?;
        let offered = shape(&hello).map_err(malformed)?;
        let session_key = session_key::offered(hello.key_share).map_err(malformed)?;
        let cluster = self.verifier.clusters.get(hello.cluster).ok_or_else(|| {
            match self.verifier.unusable.get(hello.cluster) {
                Some(why) => deny(
                    DenyCode::MISCONFIGURED,
                    format!("cluster `{}`: {why}", hello.cluster),
                ),
                None => deny(
                    DenyCode::UNKNOWN_CLUSTER,
                    format!("cluster `{}` is not configured", hello.cluster),
                ),
            }
        })?;
        let policies = cluster.policies.clone();
        let mut outcomes = Outcomes::default();
        for (entry, attestor) in policies.requirements() {
            if !offered.contains(attestor.kind()) {
                outcomes.record(entry, Outcome::NotOffered);
            }
        }
        let svid_key = match version >= 2
            && self.verifier.issues_svids
            && hello.methods.contains(&AttestorKind::SVID_KEY.0)
        {
            true => SvidKey::Available,
            false => SvidKey::None,
        };
        let methods: Vec<_> = offered.iter().map(|kind| kind.to_string()).collect();
        let step = Step::ok(StepName::Hello).detail(format!("offers {}", methods.join(", ")));
        Ok(Progress {
            id,
            cluster: hello.cluster.to_owned(),
            offered,
            version,
            transcript: Transcript::new().then(Direction::Agent, untrusted),
            deadline: env
                .now
                .monotonic
                .saturating_add(self.verifier.login_timeout),
            outcomes,
            pending: BTreeMap::new(),
            errands: BTreeMap::new(),
            asked: AttestorSet::EMPTY,
            keys: BTreeMap::new(),
            facts: Facts::default(),
            round: 0,
            node: None,
            steps: vec![step],
            svid_key,
            session_key,
            policies,
            verifier: self.verifier,
        })
    }
}

/// Checks what does not depend on the configuration; returns the methods offered. Numbers that this version does not
/// know are carried by the transcript and otherwise ignored: a newer agent may offer more.
fn shape(hello: &Hello<'_>) -> Result<AttestorSet, String> {
    ClusterName::parse(hello.cluster).map_err(|error| format!("cluster: {error}"))?;
    for (field, hint) in [
        ("board", hello.untrusted_board),
        ("version", hello.untrusted_version),
    ] {
        if hint.len() > MAX_HINT {
            return Err(format!("{field} of {} bytes", hint.len()));
        }
    }
    if hello.methods.len() > MAX_METHODS {
        return Err(format!("{} methods offered", hello.methods.len()));
    }
    let mut seen = [false; 256];
    for number in hello.methods {
        match seen.get_mut(usize::from(*number)) {
            Some(slot) if !*slot => *slot = true,
            _ => return Err(format!("{} offered twice", AttestorKind(*number))),
        }
    }
    Ok(hello
        .methods
        .iter()
        .copied()
        .map(AttestorKind)
        .filter(|kind| kind.name().is_some())
        .collect())
}

/// The variant's name, for messages about what came out of turn.
pub(super) const fn name(message: &AgentMessage<'_>) -> &'static str {
    match message {
        AgentMessage::Hello(_) => "Hello",
        AgentMessage::Proofs(_) => "Proofs",
        AgentMessage::Trouble(_) => "Trouble",
        AgentMessage::Renew(_) => "Renew",
    }
}
