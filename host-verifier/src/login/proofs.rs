//! The state in which a challenge is out, and the one in which a node is looked up.

use std::collections::BTreeMap;

use assay_common::login::Direction;
use assay_common::policy::{AttestorKind, AttestorSet};
use assay_common::protocol::{AgentMessage, DenyCode, Proofs, decode};

use super::hello::name;
use super::judging::{
    AskedItem, judge_item, judge_session_key, judge_svid_key, judging_order, unanswered,
};
use super::step::{Step, StepName};
use super::{Denied, Env, LoginId, Next, Progress, Turn, plan};
use crate::blobs::Blobs;
use crate::store::NodeRecord;

/// A login whose last challenge is not answered yet.
#[derive(Debug)]
pub struct AwaitProofs {
    progress: Progress,
    round: u8,
    /// What each method was asked, to the byte.
    requests: BTreeMap<AttestorKind, Vec<u8>>,
    nonce: [u8; 32],
}

impl AwaitProofs {
    pub(super) const fn new(
        progress: Progress,
        round: u8,
        requests: BTreeMap<AttestorKind, Vec<u8>>,
        nonce: [u8; 32],
    ) -> Self {
        Self {
            progress,
            round,
            requests,
            nonce,
        }
    }

    /// The login's name.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.progress.id
    }

    #[cfg_attr(
        not(feature = "service"),
        allow(dead_code, reason = "only the service takes logins up again")
    )]
    pub(super) const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The cluster that the agent named.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.progress.cluster
    }

    /// The methods that the agent offered.
    #[must_use]
    pub const fn offered(&self) -> AttestorSet {
        self.progress.offered
    }

    /// When the login expires, on the monotonic clock.
    #[must_use]
    pub const fn deadline(&self) -> core::time::Duration {
        self.progress.deadline
    }

    /// SHA-256 of the challenge's nonce: what a store remembers of a challenge that was answered. This state takes one
    /// answer by itself; the store extends that to all verifiers that share it.
    #[must_use]
    pub fn challenge_digest(&self) -> [u8; 32] {
        crate::crypto::sha256(&[&self.nonce])
    }

    /// Ends the login because nothing came in time.
    #[must_use]
    pub fn expire(self) -> Turn {
        let denied = self.denied(
            DenyCode::EXPIRED,
            format!("round {} was not answered in time", self.round),
        );
        plan::deny(self.progress, denied)
    }

    /// Ends the login because the challenge was answered before, elsewhere.
    #[must_use]
    pub fn already_answered(self) -> Turn {
        let denied = Denied::already_answered(self.progress.id);
        plan::deny(self.progress, denied)
    }

    /// Ends the login because something that it needs is down.
    #[must_use]
    pub fn unavailable(self, what: &dyn core::fmt::Display) -> Turn {
        let denied = self.denied(DenyCode::UNAVAILABLE, what.to_string());
        plan::deny(self.progress, denied)
    }

    /// Takes the answer. `blobs` holds what the agent sent ahead of it.
    #[must_use]
    pub fn handle(self, env: &Env<'_>, blobs: &Blobs, untrusted: &[u8]) -> Turn {
        if env.now.monotonic > self.progress.deadline {
            return self.expire();
        }
        let progress = match self.judge(env, blobs, untrusted) {
            Ok(progress) => progress,
            Err((progress, denied)) => return plan::deny(*progress, denied),
        };
        if progress.node.is_none()
            && let Some(subject) = progress.untrusted_subject()
        {
            return progress
                .turn(|progress| Next::Recall(Box::new(AwaitNode { progress, subject })));
        }
        plan::advance(progress, env)
    }

    /// Judges the answer, and decides nothing yet.
    ///
    /// # Errors
    ///
    /// The refusal of a message that breaks the protocol, with the login that it ends.
    pub(super) fn judge(
        self,
        env: &Env<'_>,
        blobs: &Blobs,
        untrusted: &[u8],
    ) -> Result<Progress, (Box<Progress>, Denied)> {
        let proofs = match self.read(untrusted) {
            Ok(proofs) => proofs,
            Err(detail) => {
                let denied = self.denied(DenyCode::MALFORMED, detail);
                return Err((Box::new(self.progress), denied));
            }
        };
        let Self {
            mut progress,
            round,
            requests,
            ..
        } = self;
        progress.steps.push(Step::ok(StepName::Proofs).round(round));
        let asked_at = progress.transcript;
        let mut answers: BTreeMap<_, _> = proofs
            .items
            .iter()
            .map(|item| (item.kind, item.payload))
            .collect();
        if requests.contains_key(&AttestorKind::SVID_KEY) {
            let answer = answers.remove(&AttestorKind::SVID_KEY);
            judge_svid_key(&mut progress, &asked_at, answer, round);
        }
        if requests.contains_key(&AttestorKind::SESSION_KEY) {
            let answer = answers.remove(&AttestorKind::SESSION_KEY);
            judge_session_key(&mut progress, &asked_at, answer, round);
        }
        for kind in judging_order(&progress, &answers) {
            let (Some(payload), Some(request)) = (answers.get(&kind), requests.get(&kind)) else {
                continue;
            };
            let asked = AskedItem {
                kind,
                request,
                payload,
                transcript: &asked_at,
                blobs,
            };
            judge_item(&mut progress, env, &asked);
        }
        let of_methods = |kind: &&AttestorKind| !kind.is_protocol();
        for kind in requests
            .keys()
            .filter(of_methods)
            .filter(|kind| !answers.contains_key(kind))
        {
            unanswered(&mut progress, *kind);
        }
        progress.transcript = asked_at.then(Direction::Agent, untrusted);
        Ok(progress)
    }

    /// Reads the message, and checks that it answers this challenge and nothing else.
    fn read<'m>(&self, untrusted: &'m [u8]) -> Result<Proofs<'m>, String> {
        let proofs = match decode(untrusted) {
            Ok(AgentMessage::Proofs(proofs)) => proofs,
            Ok(other) => return Err(format!("{} where proofs were asked for", name(&other))),
            Err(error) => return Err(error.to_string()),
        };
        if proofs.login_id != self.progress.id.0 {
            return Err(format!("proofs for login {}", LoginId(proofs.login_id)));
        }
        if proofs.round != self.round {
            return Err(format!(
                "proofs for round {} in round {}",
                proofs.round, self.round
            ));
        }
        let mut seen = std::collections::BTreeSet::new();
        for item in &proofs.items {
            if !self.requests.contains_key(&item.kind) {
                return Err(format!("a proof by {}, which was not asked for", item.kind));
            }
            if !seen.insert(item.kind) {
                return Err(format!("two proofs by {}", item.kind));
            }
        }
        Ok(proofs)
    }

    fn denied(&self, code: DenyCode, detail: String) -> Denied {
        Denied::new(Some(self.progress.id), code, detail)
    }
}

/// A login that needs to know what the store has of a node.
#[derive(Debug)]
pub struct AwaitNode {
    progress: Progress,
    subject: String,
}

impl AwaitNode {
    /// The login's name.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.progress.id
    }

    /// The hash of the EK that the node claims to have.
    #[must_use]
    pub fn untrusted_subject(&self) -> &str {
        &self.subject
    }

    /// Goes on with what the store knows.
    #[must_use]
    pub fn handle(mut self, env: &Env<'_>, node: Option<NodeRecord>) -> Turn {
        self.progress.node = Some(node);
        plan::advance(self.progress, env)
    }

    /// Ends the login because the store cannot tell.
    #[must_use]
    pub fn unavailable(self, what: &dyn core::fmt::Display) -> Turn {
        let denied = Denied::new(
            Some(self.progress.id),
            DenyCode::UNAVAILABLE,
            what.to_string(),
        );
        plan::deny(self.progress, denied)
    }
}
