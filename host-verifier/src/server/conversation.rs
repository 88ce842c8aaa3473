//! The logins of one link, one after the other.

use std::sync::Arc;

use assay_common::protocol::{AgentMessage, DenyCode, decode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Server;
use super::course::{Answer, Course};
use crate::blobs::Blobs;
use crate::login::{AwaitProofs, Denied};
use crate::telemetry::events::Body;
use crate::telemetry::metrics::Limit;
use crate::telemetry::names;
use crate::transport::connection::Conversation;

/// A login that waits for the agent.
struct InFlight {
    state: Box<AwaitProofs>,
    course: Course,
    _permit: OwnedSemaphorePermit,
}

/// A hello, and the challenge that it was answered with.
struct Opening {
    hello: Vec<u8>,
    challenge: Vec<u8>,
}

/// Runs logins over one link. There is at most one at a time: an agent that says another hello has begun again.
///
/// # Why a hello that is repeated gets the same challenge
///
/// An agent repeats its hello until it is answered, and answers the first challenge that it hears. Where the verifier is
/// slow, or opens a port on which hellos have queued up, each would begin another login and end the one that
/// the agent is about to answer: the slower the verifier, the fewer nodes would ever log in. The hello carries the
/// agent's nonce, so one that is equal to the byte belongs to the same attempt.
pub struct LoginConversation {
    server: Server,
    link: String,
    permits: Arc<Semaphore>,
    login: Option<InFlight>,
    /// Kept while the login's first challenge is out.
    opening: Option<Opening>,
}

impl LoginConversation {
    /// A link on which nothing was said yet. A login takes one of `permits` and is turned away when there is none.
    #[must_use]
    pub fn new(server: Server, link: String, permits: Arc<Semaphore>) -> Self {
        Self {
            server,
            link,
            permits,
            login: None,
            opening: None,
        }
    }

    async fn hello(&mut self, message: &[u8]) -> Vec<u8> {
        if let Some(challenge) = self.asked_already(message) {
            return challenge;
        }
        self.abandon("the agent began again");
        let mut course = Course::new(self.server.clone(), &self.link, message);
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            self.server.metrics.rate_limited(Limit::LoginsInFlight);
            let denied = Denied::new(None, DenyCode::OVERLOADED, "too many logins in flight");
            return course.denied(denied).await.message();
        };
        let answer = course.hello(message).await;
        let challenge = self.answered(answer, course, permit);
        self.opening = self.login.is_some().then(|| Opening {
            hello: message.to_vec(),
            challenge: challenge.clone(),
        });
        challenge
    }

    /// Keeps a login that goes on; returns what to send.
    fn answered(
        &mut self,
        answer: Answer,
        course: Course,
        permit: OwnedSemaphorePermit,
    ) -> Vec<u8> {
        let message = answer.message();
        if let Answer::Asked { state, .. } = answer {
            self.login = Some(InFlight {
                state,
                course,
                _permit: permit,
            });
        }
        message
    }

    /// The challenge that is out for this very hello, if enough of its time is left to answer it.
    fn asked_already(&self, hello: &[u8]) -> Option<Vec<u8>> {
        let opening = self
            .opening
            .as_ref()
            .filter(|opening| opening.hello == hello)?;
        let now = self.server.clock.now().monotonic;
        let left = self.login.as_ref()?.state.deadline().checked_sub(now)?;
        (left >= self.server.verifier.current().login_timeout / 2)
            .then(|| opening.challenge.clone())
    }

    async fn proofs(&mut self, message: &[u8], blobs: &Blobs) -> Vec<u8> {
        self.opening = None;
        let Some(InFlight {
            state,
            mut course,
            _permit: permit,
        }) = self.login.take()
        else {
            let detail = "proofs while no login waits for any";
            let denied = Denied::new(None, DenyCode::MALFORMED, detail);
            let mut course = Course::new(self.server.clone(), &self.link, message);
            return course.denied(denied).await.message();
        };
        let answer = course.proofs(state, message, blobs).await;
        self.answered(answer, course, permit)
    }

    fn abandon(&mut self, why: &str) {
        if let Some(InFlight {
            state, mut course, ..
        }) = self.login.take()
        {
            course.abandon(state.login_id(), why);
        }
    }

    fn link_event(&self, body: Body) {
        self.server.link_event(&self.link, body);
    }
}

#[async_trait::async_trait]
impl Conversation for LoginConversation {
    async fn message(&mut self, message: &[u8], blobs: &Blobs) -> Option<Vec<u8>> {
        match decode::<AgentMessage<'_>>(message) {
            Ok(AgentMessage::Hello(_)) => Some(self.hello(message).await),
            Ok(AgentMessage::Proofs(_)) => Some(self.proofs(message, blobs).await),
            Ok(AgentMessage::Renew(renew)) => {
                self.abandon("the agent renews a session instead");
                let renewed = self.server.renew(&self.link, &renew, message).await;
                Some(renewed.unwrap_or_else(|denied| denied.message()))
            }
            Ok(AgentMessage::Trouble(trouble)) => {
                self.server.trouble(&self.link, &trouble);
                self.abandon("the agent reports trouble");
                None
            }
            // A login that is under way ends; where there is none, the bytes may come from anything at all that was
            // plugged in, and the verifier keeps silent.
            Err(_) if self.login.is_some() => Some(self.proofs(message, blobs).await),
            Err(error) => {
                tracing::warn!(link = self.link, %error, "{}", names::MALFORMED);
                None
            }
        }
    }

    fn blobs_wanted(&self) -> bool {
        self.login.is_some()
    }

    async fn tick(&mut self) -> Option<Vec<u8>> {
        let now = self.server.clock.now();
        let late = self
            .login
            .as_ref()
            .is_some_and(|login| now.monotonic > login.state.deadline());
        if !late {
            return None;
        }
        let InFlight {
            state, mut course, ..
        } = self.login.take()?;
        Some(course.expire(state).await.message())
    }

    fn panic(&mut self, text: &str) {
        tracing::error!(link = self.link, text, "{}", names::PANIC);
        self.link_event(Body::link("panic", false, text));
        self.abandon("the agent panicked");
    }

    fn closed(&mut self) {
        self.abandon("the link is gone");
    }
}
