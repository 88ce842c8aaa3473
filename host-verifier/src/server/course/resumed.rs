//! A login that another verifier began, or this one before it was restarted: sealed for the agent to keep, and taken up again.

use assay_common::protocol::DenyCode;
use assay_common::protocol::envelope::MAX_STATE;

use super::{Answer, Course, named};
use crate::blobs::Blobs;
use crate::login::resume::{Resumed, Said, Saved};
use crate::login::{AwaitProofs, Denied, Env};
use crate::server::Server;

impl Course {
    /// Takes up a login that another verifier began, or this one before it was restarted, with the answer to the challenge
    /// that it waits with.
    ///
    /// The challenge is taken before anything is judged again: a state that was used before costs one look into the store.
    pub(crate) async fn resume(
        server: Server,
        link: &str,
        saved: &Saved,
        message: &[u8],
        blobs: &Blobs,
    ) -> (Self, Answer) {
        let said = saved.said();
        let mut course = Self::new(server, link, &said.hello);
        let answer = course.taken_up(saved, said, message, blobs).await;
        (course, answer)
    }

    async fn taken_up(
        &mut self,
        saved: &Saved,
        said: Said,
        message: &[u8],
        blobs: &Blobs,
    ) -> Answer {
        let id = saved.login_id();
        let timeout = self.server.verifier.current().login_timeout;
        if let Err(denied) = saved.left(timeout, &self.server.clock.now()) {
            return self.denied(denied).await;
        }
        let taken = match saved.challenge_digest() {
            None => Err(Saved::damaged(id)),
            Some(digest) => self
                .take(said.began, digest)
                .await
                .map_err(|error| Denied::new(Some(id), DenyCode::UNAVAILABLE, error.to_string())),
        };
        match taken {
            Ok(true) => {}
            Ok(false) => {
                self.trail.proved(message.into(), &named(message, blobs));
                return self.replayed(Denied::already_answered(id)).await;
            }
            Err(denied) => return self.denied(denied).await,
        }
        for round in &said.rounds {
            self.trail.asked(round.challenge.clone());
            if let Some(answer) = &round.answer {
                self.trail.proved(answer.proofs.clone(), &answer.blobs);
                for answered in &answer.outside {
                    self.trail.answered(answered);
                }
            }
        }
        self.said = said;
        match self.reopen(saved).await {
            Ok(state) => {
                let metrics = &self.server.metrics;
                self.held.get_or_insert_with(|| metrics.login_in_flight());
                self.judge(state, message, blobs).await
            }
            Err(denied) => self.denied(denied).await,
        }
    }

    async fn reopen(&self, saved: &Saved) -> Result<Box<AwaitProofs>, Denied> {
        let env = Env {
            now: self.server.clock.now(),
            random: self.server.random.as_ref(),
        };
        let verifier = self.server.verifier.current();
        let ek_hash = match saved.resume(verifier.clone(), &env, None)? {
            Resumed::Ready(state) => return Ok(state),
            Resumed::NeedsNode(ek_hash) => ek_hash,
        };
        let node = self.server.store.node(&ek_hash).await;
        let unavailable = |what: &dyn core::fmt::Display| {
            Denied::new(None, DenyCode::UNAVAILABLE, what.to_string())
        };
        let node = node.map_err(|error| unavailable(&error))?;
        match saved.resume(verifier.clone(), &env, Some(node))? {
            Resumed::Ready(state) => Ok(state),
            Resumed::NeedsNode(_) => Err(unavailable(&"the login's node")),
        }
    }

    /// The login as it waits now, sealed. `None` when the library fails, or more was said than a state can hold.
    pub(crate) fn sealed(&self, state: &AwaitProofs) -> Option<Vec<u8>> {
        let now = self.server.clock.now();
        let saved = Saved::of(state, &self.said, &now);
        let sealed = self.server.state_keys.seal(&saved).ok()?;
        // What the agent could not bring back is no state.
        (sealed.len() <= MAX_STATE).then_some(sealed)
    }
}
