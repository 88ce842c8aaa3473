//! A login between two messages, written down, so that another verifier, or this one after a restart, can go on with it.
//!
//! What is written down is what was said, and the secrets that were drawn; the state is made of it again by judging it
//! again. So there is one way that leads to a state, no state can be written down that was not reached, and a method
//! needs no code for it. The price is paid only where a login really changes its verifier.
//!
//! The bytes hold secrets of the login: they leave the process sealed (`server::StateKeys`).
//! That a challenge is answered once is no matter of this: the store that the verifiers share takes it.

#![cfg_attr(
    not(feature = "service"),
    allow(dead_code, reason = "only the service takes logins up again")
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_common::login::Direction;
use assay_common::policy::AttestorKind;
use assay_common::protocol::{Challenge, DenyCode, VerifierMessage, decode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::piece::Piece;
use super::{
    AwaitHello, AwaitProofs, Denied, Env, LoginId, MethodKeys, Progress, Verifier, judging,
};
use crate::attestor::errand;
use crate::blobs::Blobs;
use crate::clock::Moment;
use crate::store::NodeRecord;

/// How far the calendars of two verifiers may be apart.
const CALENDARS_APART: Duration = Duration::from_secs(60);

/// A login that waits for proofs.
#[derive(Serialize, Deserialize)]
pub struct Saved {
    login_id: [u8; 16],
    /// Unix milliseconds.
    began: i64,
    /// Unix milliseconds.
    deadline: i64,
    /// The policies that were asked for.
    configuration: String,
    hello: Piece,
    /// Every method's secret.
    keys: Vec<(u8, [u8; 32])>,
    rounds: Vec<Round>,
}

/// A challenge and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Round {
    /// The message as it was sent.
    pub(crate) challenge: Piece,
    /// What was answered; of the last round, nothing yet.
    pub(crate) answer: Option<Answered>,
}

/// An answer that was judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// When, Unix milliseconds.
    pub(crate) at: i64,
    /// The message.
    pub(crate) proofs: Piece,
    /// The long fields that came ahead of it.
    pub(crate) blobs: Vec<(u8, Piece)>,
    /// What was answered from outside before the next challenge.
    pub(crate) outside: Vec<errand::Answered>,
}

impl Drop for Saved {
    fn drop(&mut self) {
        for (_, secret) in &mut self.keys {
            secret.zeroize();
        }
    }
}

impl core::fmt::Debug for Saved {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Saved({})", LoginId(self.login_id))
    }
}

/// What was said in a login so far: kept while it waits, to be written down.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) began: Timestamp,
    pub(crate) hello: Piece,
    pub(crate) rounds: Vec<Round>,
}

impl Said {
    /// Bytes of all of it.
    pub(crate) fn len(&self) -> usize {
        let answered = |answer: &Answered| {
            let blobs = answer.blobs.iter().map(|(_, bytes)| bytes.len());
            let outside = answer.outside.iter().map(errand::Answered::len);
            answer.proofs.len() + blobs.sum::<usize>() + outside.sum::<usize>()
        };
        let round =
            |round: &Round| round.challenge.len() + round.answer.as_ref().map_or(0, answered);
        self.hello.len() + self.rounds.iter().map(round).sum::<usize>()
    }
}

/// A login taken up again.
#[derive(Debug)]
pub(crate) enum Resumed {
    /// It waits for proofs.
    Ready(Box<AwaitProofs>),
    /// It cannot be judged without what the store knows of the node with this EK: to be called again with that.
    NeedsNode(String),
}

impl Saved {
    /// Writes a login down; `now` is the moment at which this is done.
    pub(crate) fn of(state: &AwaitProofs, said: &Said, now: &Moment) -> Self {
        let progress = state.progress();
        let left = progress.deadline.saturating_sub(now.monotonic);
        let left = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let keys = progress.keys.iter();
        Self {
            login_id: progress.id.0,
            began: said.began.as_millisecond(),
            deadline: now.wall.as_millisecond().saturating_add(left),
            configuration: progress.policies.digest().to_owned(),
            hello: said.hello.clone(),
            keys: keys.map(|(kind, keys)| (kind.0, *keys.secret)).collect(),
            rounds: said.rounds.clone(),
        }
    }

    /// As it is sealed. It holds secrets: to be sealed in place.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(self).ok()
    }

    /// The inverse of [`Self::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }

    /// What was said.
    pub(crate) fn said(&self) -> Said {
        Said {
            began: Timestamp::from_millisecond(self.began).unwrap_or(Timestamp::UNIX_EPOCH),
            hello: self.hello.clone(),
            rounds: self.rounds.clone(),
        }
    }

    /// The login's name.
    pub(crate) const fn login_id(&self) -> LoginId {
        LoginId(self.login_id)
    }

    /// What [`AwaitProofs::challenge_digest`] says of the challenge that waits for its answer. `None` when there is none.
    pub(crate) fn challenge_digest(&self) -> Option<[u8; 32]> {
        let last = self.rounds.last().filter(|round| round.answer.is_none())?;
        let Ok(VerifierMessage::Challenge(signed)) = decode(&last.challenge) else {
            return None;
        };
        let challenge: Challenge<'_> = decode(signed.body).ok()?;
        Some(crate::crypto::sha256(&[&challenge.server_nonce]))
    }

    /// How much of the login's time is left, which is at most `timeout`.
    ///
    /// # Errors
    ///
    /// Its time is over, or has not begun.
    pub(crate) fn left(&self, timeout: Duration, now: &Moment) -> Result<Duration, Denied> {
        let over = |detail: &str| Denied::new(Some(self.login_id()), DenyCode::EXPIRED, detail);
        let left = self.deadline.saturating_sub(now.wall.as_millisecond());
        let left = u64::try_from(left).map_err(|_| over("the login took too long"))?;
        let left = Duration::from_millis(left);
        // A calendar that was set back makes old logins young again, and the store may have forgotten which of their
        // challenges were answered.
        if left > timeout.saturating_add(CALENDARS_APART) {
            return Err(over(
                "the login began in the future: a verifier's calendar was set back",
            ));
        }
        // No longer than a login that begins now: the verifiers' calendars need not agree.
        Ok(left.min(timeout))
    }

    /// The refusal of a state that is not as it was written.
    pub(crate) fn damaged(id: LoginId) -> Denied {
        Denied::new(Some(id), DenyCode::INTERNAL, "a damaged login state")
    }

    /// Makes the state again. `node` is what the store knows of the node, once it was asked for.
    ///
    /// # Errors
    ///
    /// The login's end: its time is over, or the cluster's policies are others by now.
    pub(crate) fn resume(
        &self,
        verifier: Arc<Verifier>,
        env: &Env<'_>,
        node: Option<Option<NodeRecord>>,
    ) -> Result<Resumed, Denied> {
        let id = LoginId(self.login_id);
        let over = |detail: &str| Denied::new(Some(id), DenyCode::EXPIRED, detail);
        let damaged = || Self::damaged(id);
        let left = self.left(verifier.login_timeout, &env.now)?;
        let mut progress = AwaitHello::new(verifier).reopen(id, env, &self.hello)?;
        if self.configuration != progress.policies.digest() {
            return Err(over(
                "the cluster's policies have changed since the login began",
            ));
        }
        progress.deadline = env.now.monotonic.saturating_add(left);
        for (kind, secret) in &self.keys {
            let keys = MethodKeys::of(*secret);
            progress.keys.insert(AttestorKind(*kind), keys);
        }
        for round in &self.rounds {
            let state = asked(progress, &round.challenge).ok_or_else(damaged)?;
            let Some(answer) = &round.answer else {
                return Ok(Resumed::Ready(Box::new(state)));
            };
            let mut blobs = Blobs::default();
            for (number, bytes) in &answer.blobs {
                blobs.put(*number, bytes).map_err(|_| damaged())?;
            }
            let then = Env {
                now: Moment {
                    wall: Timestamp::from_millisecond(answer.at).map_err(|_| damaged())?,
                    ..env.now
                },
                ..*env
            };
            progress = state
                .judge(&then, &blobs, &answer.proofs)
                .map_err(|(_, denied)| denied)?;
            if progress.node.is_none()
                && let Some(subject) = progress.untrusted_subject()
            {
                match &node {
                    Some(node) => progress.node = Some(node.clone()),
                    None => return Ok(Resumed::NeedsNode(subject)),
                }
            }
            for answered in &answer.outside {
                judging::answer_again(&mut progress, answered).ok_or_else(damaged)?;
            }
        }
        Err(damaged())
    }
}

/// The state after a challenge that this trust domain's verifiers have made and sent.
fn asked(mut progress: Progress, message: &[u8]) -> Option<AwaitProofs> {
    let Ok(VerifierMessage::Challenge(signed)) = decode(message) else {
        return None;
    };
    let challenge: Challenge<'_> = decode(signed.body).ok()?;
    if challenge.round != progress.round || challenge.login_id != progress.id.0 {
        return None;
    }
    let requests: BTreeMap<_, _> = challenge
        .items
        .iter()
        .map(|item| (item.kind, item.payload.to_vec()))
        .collect();
    for kind in requests.keys().filter(|kind| !kind.is_protocol()) {
        progress.asked = progress.asked.with(*kind);
    }
    progress.transcript = progress.transcript.then(Direction::Verifier, message);
    progress.round += 1;
    progress.steps.clear();
    Some(AwaitProofs::new(
        progress,
        challenge.round,
        requests,
        challenge.server_nonce,
    ))
}
