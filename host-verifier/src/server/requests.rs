//! Logins over requests and answers: no link remembers what was said, so the state travels with the agent.
//!
//! The verifier that asked keeps the state in memory too, since making it again costs the work of judging again. That
//! memory is a cache: bounded in bytes, its oldest entries go when it is full, and a login that is not in it is taken up from what
//! the agent brings. So logins that were begun and left cost nothing but time, and none stands in another's way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use assay_common::protocol::{AgentMessage, DenyCode, decode};

use tokio::sync::Semaphore;

use super::Server;
use super::course::{Answer, Course, WEIGHT};
use super::state_keys::OpenError;
use crate::blobs::Blobs;
use crate::crypto::sha256;
use crate::login::{AwaitProofs, Denied};

/// Most bytes of logins that are kept in memory between two requests.
pub const KEPT_BYTES: usize = 64 * 1024 * 1024;
/// Most logins that these can be.
pub const MAX_KEPT: usize = KEPT_BYTES / WEIGHT;

/// What came of a request.
#[derive(Debug)]
pub struct Reply {
    /// For the next request; empty at the end.
    pub state: Vec<u8>,
    /// The message for the agent; empty when there is nothing to say.
    pub message: Vec<u8>,
    /// The refusal, if it is one.
    pub denied: Option<Denied>,
}

impl Reply {
    fn denied(denied: Denied) -> Self {
        Self {
            state: Vec::new(),
            message: denied.message(),
            denied: Some(denied),
        }
    }

    const fn end(message: Vec<u8>) -> Self {
        Self {
            state: Vec::new(),
            message,
            denied: None,
        }
    }
}

/// Most requests that are worked on at once, those included whose sender has gone.
const MAX_TURNS: usize = 512;

/// The logins of everybody who comes with requests.
#[derive(Debug)]
pub struct RequestLogins {
    kept: Mutex<Kept>,
    turns: Arc<Semaphore>,
}

impl Default for RequestLogins {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            turns: Arc::new(Semaphore::new(MAX_TURNS)),
        }
    }
}

/// By the digest of the state that was handed out: whoever takes a login out must have been told it.
#[derive(Debug, Default)]
struct Kept {
    logins: HashMap<[u8; 32], Entry>,
    /// The digests in the order in which they came.
    order: BTreeMap<u64, [u8; 32]>,
    next: u64,
    /// Bytes of all entries.
    weight: usize,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    weight: usize,
    course: Course,
    state: Box<AwaitProofs>,
}

impl Kept {
    fn put(&mut self, digest: [u8; 32], course: Course, state: Box<AwaitProofs>) {
        self.next += 1;
        let (number, weight) = (self.next, course.weight());
        let entry = Entry {
            number,
            weight,
            course,
            state,
        };
        self.order.insert(number, digest);
        // Every state is sealed under a key of its own: no two are the same.
        self.logins.insert(digest, entry);
        self.weight += weight;
        while self.weight > KEPT_BYTES
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            let oldest = *oldest;
            drop(self.take(&oldest));
        }
    }

    fn take(&mut self, digest: &[u8; 32]) -> Option<(Course, Box<AwaitProofs>)> {
        let entry = self.logins.remove(digest)?;
        self.order.remove(&entry.number);
        self.weight -= entry.weight;
        Some((entry.course, entry.state))
    }

    /// Drops what nobody came back for.
    fn expire(&mut self, now: core::time::Duration) -> Vec<(Course, Box<AwaitProofs>)> {
        let late = |digest: &[u8; 32]| {
            let login = self.logins.get(digest);
            login.is_none_or(|entry| entry.state.deadline() < now)
        };
        let mut over: Vec<_> = self
            .order
            .iter()
            .filter(|(_, digest)| late(digest))
            .collect();
        let over: Vec<_> = over.drain(..).map(|(_, digest)| *digest).collect();
        over.iter().filter_map(|digest| self.take(digest)).collect()
    }
}

impl RequestLogins {
    /// Answers one request, in a task of its own: what was begun is gone through with and recorded, whether or not whoever
    /// asked is still there to hear of it. A token that is taken, a session that is stored, a question that was put to
    /// somebody: none of them is left without its record because a connection was cut.
    pub async fn turn_to_its_end(
        self: Arc<Self>,
        server: Server,
        link: String,
        state: Vec<u8>,
        blobs: Blobs,
        message: Vec<u8>,
    ) -> Reply {
        let Ok(turn) = self.turns.clone().try_acquire_owned() else {
            let detail = "too many logins are being worked on";
            return Reply::denied(Denied::new(None, DenyCode::OVERLOADED, detail));
        };
        let task = tokio::spawn(async move {
            let reply = self.turn(&server, &link, &state, &blobs, &message).await;
            drop(turn);
            reply
        });
        match task.await {
            Ok(reply) => reply,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down.
                Err(_) => Reply::denied(Denied::new(
                    None,
                    DenyCode::UNAVAILABLE,
                    "the verifier is being stopped",
                )),
            },
        }
    }

    /// Answers one request. `link` is what the log calls the peer.
    pub async fn turn(
        &self,
        server: &Server,
        link: &str,
        state: &[u8],
        blobs: &Blobs,
        message: &[u8],
    ) -> Reply {
        match decode::<AgentMessage<'_>>(message) {
            Ok(AgentMessage::Hello(_)) => {
                let mut course = Course::new(server.clone(), link, message);
                let answer = course.hello(message).await;
                self.reply(course, answer)
            }
            Ok(AgentMessage::Proofs(_)) => self.proofs(server, link, state, blobs, message).await,
            Ok(AgentMessage::Renew(renew)) => match server.renew(link, &renew, message).await {
                Ok(message) => Reply::end(message),
                Err(denied) => Reply::denied(denied),
            },
            Ok(AgentMessage::Trouble(trouble)) => {
                server.trouble(link, &trouble);
                Reply::end(Vec::new())
            }
            Err(error) => {
                let denied = Denied::new(None, DenyCode::MALFORMED, error.to_string());
                refused(server, link, denied).await
            }
        }
    }

    async fn proofs(
        &self,
        server: &Server,
        link: &str,
        state: &[u8],
        blobs: &Blobs,
        message: &[u8],
    ) -> Reply {
        let kept = self.kept().take(&sha256(&[state]));
        let (course, answer) = match kept {
            Some((mut course, state)) => {
                let answer = course.proofs(state, message, blobs).await;
                (course, answer)
            }
            None => match server.state_keys.open_state(state).await {
                Ok(saved) => Course::resume(server.clone(), link, &saved, message, blobs).await,
                Err(error) => {
                    let code = match error {
                        OpenError::Foreign => DenyCode::MALFORMED,
                        OpenError::Store(_) => DenyCode::UNAVAILABLE,
                    };
                    let denied = Denied::new(None, code, error.to_string());
                    return refused(server, link, denied).await;
                }
            },
        };
        self.reply(course, answer)
    }

    fn reply(&self, course: Course, answer: Answer) -> Reply {
        match answer {
            Answer::Denied(denied) => Reply::denied(denied),
            Answer::Granted(message) => Reply::end(message),
            Answer::Asked { message, state } => match course.sealed(&state) {
                None => Reply::denied(Denied::new(
                    Some(state.login_id()),
                    DenyCode::INTERNAL,
                    "the login's state cannot be sealed, or too much was said in it",
                )),
                Some(sealed) => {
                    self.kept().put(sha256(&[&sealed]), course, state);
                    Reply {
                        state: sealed,
                        message,
                        denied: None,
                    }
                }
            },
        }
    }

    /// Ends the logins whose time is over; called now and then.
    pub async fn expire(&self, server: &Server) {
        let over = self.kept().expire(server.clock.now().monotonic);
        for (mut course, state) in over {
            course.expire(state).await;
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Every change is complete before anything that could panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses what belongs to no login: it is told to the log, the events and the metrics as any other refusal is.
async fn refused(server: &Server, link: &str, denied: Denied) -> Reply {
    let mut course = Course::new(server.clone(), link, &[]);
    match course.denied(denied).await {
        Answer::Denied(denied) => Reply::denied(denied),
        answer => Reply::end(answer.message()),
    }
}
