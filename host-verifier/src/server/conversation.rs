//! The logins of one link, one after the other.

use std::sync::Arc;
use std::time::Duration;

use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, DenyCode, decode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Server;
use crate::audit::{Record, Trail};
use crate::blobs::Blobs;
use crate::clock::Moment;
use crate::login::{AwaitHello, AwaitProofs, Denied, Env, Granted, LoginId, Next, Step, Turn};
use crate::store::Commit;
use crate::telemetry::events::Body;
use crate::telemetry::{Event, names};
use crate::transport::connection::Conversation;

/// A login that waits for the agent.
struct InFlight {
    state: Box<AwaitProofs>,
    began: Moment,
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
    /// What the login under way has said, for the audit trail.
    trail: Trail,
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
            trail: Trail::default(),
        }
    }

    async fn hello(&mut self, message: &[u8]) -> Vec<u8> {
        if let Some(challenge) = self.asked_already(message) {
            return challenge;
        }
        self.abandon("the agent began again");
        self.trail = Trail::begin(message);
        let began = self.server.clock.now();
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            let denied = Denied::new(None, DenyCode::OVERLOADED, "too many logins in flight");
            return self.denied(&denied, began).await;
        };
        let env = Env {
            now: began,
            random: self.server.random.as_ref(),
        };
        let turn = AwaitHello::new(self.server.verifier.clone()).handle(&env, message);
        self.log_started(&turn, message);
        let answer = self.follow(turn, began, permit).await;
        self.opening = self.login.is_some().then(|| Opening {
            hello: message.to_vec(),
            challenge: answer.clone(),
        });
        answer
    }

    /// The challenge that is out for this very hello, if enough of its time is left to answer it.
    fn asked_already(&self, hello: &[u8]) -> Option<Vec<u8>> {
        let opening = self
            .opening
            .as_ref()
            .filter(|opening| opening.hello == hello)?;
        let now = self.server.clock.now().monotonic;
        let left = self.login.as_ref()?.state.deadline().checked_sub(now)?;
        (left >= self.server.verifier.login_timeout / 2).then(|| opening.challenge.clone())
    }

    async fn proofs(&mut self, message: &[u8], blobs: &Blobs) -> Vec<u8> {
        self.opening = None;
        let Some(InFlight {
            state,
            began,
            _permit: permit,
        }) = self.login.take()
        else {
            let denied = Denied::new(
                None,
                DenyCode::MALFORMED,
                "proofs while no login waits for any",
            );
            return self.denied(&denied, self.server.clock.now()).await;
        };
        self.trail.proved(message, blobs);
        let digest = state.challenge_digest();
        let now = self.server.clock.now();
        let remembered = now.wall.checked_add(self.server.verifier.login_timeout);
        let taken = match remembered {
            Ok(until) => self.server.store.take_challenge(&digest, until).await,
            Err(_) => Ok(false),
        };
        let turn = match taken {
            Ok(true) => {
                let env = Env {
                    now,
                    random: self.server.random.as_ref(),
                };
                state.handle(&env, blobs, message)
            }
            Ok(false) => state.already_answered(),
            Err(error) => state.unavailable(&error),
        };
        self.follow(turn, began, permit).await
    }

    /// Does what the machine asks for until there is something to send.
    async fn follow(
        &mut self,
        mut turn: Turn,
        began: Moment,
        permit: OwnedSemaphorePermit,
    ) -> Vec<u8> {
        loop {
            let Turn { steps, next } = turn;
            turn = match next {
                Next::Ask(message, state) => {
                    let id = state.login_id();
                    self.steps(Some(id), began, steps);
                    self.trail.asked(&message);
                    self.login = Some(InFlight {
                        state,
                        began,
                        _permit: permit,
                    });
                    return message;
                }
                Next::Recall(state) => {
                    self.steps(Some(state.login_id()), began, steps);
                    match self.server.store.node(state.untrusted_subject()).await {
                        Ok(node) => {
                            let now = self.server.clock.now();
                            let env = Env {
                                now,
                                random: self.server.random.as_ref(),
                            };
                            state.handle(&env, node)
                        }
                        Err(error) => state.unavailable(&error),
                    }
                }
                Next::Commit(state) => {
                    self.steps(Some(state.login_id()), began, steps);
                    match self.server.store.commit_login(state.record()).await {
                        Ok(Commit::Stored) => {
                            let (steps, granted) = state.stored();
                            self.steps(Some(granted.login_id), began, steps);
                            return self.granted(granted, began).await;
                        }
                        Ok(Commit::Refused(conflict)) => state.refused(&conflict),
                        Err(error) => state.unavailable(&error),
                    }
                }
                Next::Denied(denied) => {
                    self.steps(denied.login_id, began, steps);
                    return self.denied(&denied, began).await;
                }
            };
        }
    }

    /// Also for a hello that is refused: what was offered is what explains the refusal.
    fn log_started(&self, turn: &Turn, message: &[u8]) {
        let Ok(AgentMessage::Hello(hello)) = decode(message) else {
            return;
        };
        let id = match &turn.next {
            Next::Ask(_, state) => Some(state.login_id()),
            Next::Denied(denied) => denied.login_id,
            Next::Recall(_) | Next::Commit(_) => None,
        };
        let methods = hello
            .methods
            .iter()
            .map(|number| AttestorKind(*number).to_string());
        tracing::info!(
            login_id = id.map(|id| id.to_string()),
            link = self.link,
            cluster = hello.cluster,
            board = hello.untrusted_board,
            version = hello.untrusted_version,
            providedMethods = json(&methods.collect::<Vec<_>>()),
            "{}",
            names::LOGIN_STARTED
        );
    }

    /// Recorded first: a session that the audit trail does not know is told to nobody. It is in the store, its secret is
    /// nowhere, and it ends by itself.
    async fn granted(&mut self, granted: Granted, began: Moment) -> Vec<u8> {
        let now = self.server.clock.now().wall;
        let record = Record::granted(now, &self.link, &granted, &self.trail);
        if let Err(error) = self.server.audit.append(&record).await {
            let id = Some(granted.login_id);
            let denied = Denied::new(id, DenyCode::UNAVAILABLE, error.to_string());
            return self.denied(&denied, began).await;
        }
        let session = &granted.session;
        let attributes: Vec<_> = session.attributes.iter().map(ToString::to_string).collect();
        tracing::info!(
            login_id = %granted.login_id,
            link = self.link,
            policy = session.policy,
            agentAttestationAttributes = json(&attributes),
            "{}",
            names::AUTHORIZED
        );
        tracing::info!(
            login_id = %granted.login_id,
            link = self.link,
            session_id = %session.id,
            spiffe_id = session.spiffe_id,
            expires_at = %session.expires_at,
            "{}",
            names::CONNECTED
        );
        self.event(Some(granted.login_id), began, Body::granted(session));
        granted.message
    }

    /// Recorded first, too; but where that fails nothing is gained by not refusing.
    async fn denied(&mut self, denied: &Denied, began: Moment) -> Vec<u8> {
        let now = self.server.clock.now().wall;
        if let Some(record) = Record::denied(now, &self.link, denied, &self.trail)
            && let Err(error) = self.server.audit.append(&record).await
        {
            tracing::error!(login_id = record.login_id, %error, "{}", names::AUDIT_FAILED);
        }
        let explanation = denied.explanation.as_ref().map(|e| json(&e.policies));
        tracing::warn!(
            login_id = denied.login_id.map(|id| id.to_string()),
            link = self.link,
            code = %denied.code,
            detail = denied.detail,
            explanation,
            "{}",
            names::DENIED
        );
        let body = Body::denied(denied.code.to_string(), denied.detail.clone());
        self.event(denied.login_id, began, body);
        denied.message()
    }

    fn abandon(&mut self, why: &str) {
        if let Some(InFlight { state, began, .. }) = self.login.take() {
            let id = state.login_id();
            tracing::info!(login_id = %id, link = self.link, why, "{}", names::ABANDONED);
            self.event(Some(id), began, Body::denied("abandoned", why));
        }
    }

    fn steps(&mut self, id: Option<LoginId>, began: Moment, steps: Vec<Step>) {
        self.trail.found(&steps);
        for step in steps {
            self.event(id, began, Body::Step(step));
        }
    }

    fn event(&self, id: Option<LoginId>, began: Moment, body: Body) {
        let now = self.server.clock.now();
        let elapsed = now.monotonic.saturating_sub(began.monotonic);
        self.server.events.send(Event {
            time: now.wall,
            login_id: id.map(|id| id.to_string()),
            link: self.link.clone(),
            elapsed_ms: Some(millis(elapsed)),
            body,
        });
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
            // No grant of this verifier offers renewal yet, so a renewal is as much out of turn as stray proofs.
            Ok(AgentMessage::Proofs(_) | AgentMessage::Renew(_)) => {
                Some(self.proofs(message, blobs).await)
            }
            Ok(AgentMessage::Trouble(trouble)) => {
                tracing::warn!(
                    link = self.link,
                    code = %trouble.code,
                    detail = format!("{:#x}", trouble.detail),
                    command = format!("{:#x}", trouble.command),
                    attempt = trouble.attempt,
                    retry_in_ms = trouble.retry_in_ms,
                    "{}",
                    names::TROUBLE
                );
                let detail = format!(
                    "{}, detail {:#x}, command {:#x}, attempt {}, retries in {} ms",
                    trouble.code,
                    trouble.detail,
                    trouble.command,
                    trouble.attempt,
                    trouble.retry_in_ms
                );
                self.link_event(Body::link("trouble", false, detail));
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
            state,
            began,
            _permit: permit,
        } = self.login.take()?;
        Some(self.follow(state.expire(), began, permit).await)
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

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
