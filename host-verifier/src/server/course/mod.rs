//! The course of one login: what the state machine asks for is done here, and what it finds out is told to the log, the
//! event stream and the audit trail. Links and HTTP requests come and go; this is the same for both.
//!
//! * `resumed`: sealed, and taken up again. `told`: what comes of it, for those who look on.

mod resumed;
mod told;

use std::time::Duration;

use jiff::Timestamp;

use super::Server;
use crate::audit::{IssuedSvid, Trail};
use crate::blobs::Blobs;
use crate::clock::Moment;
use crate::login::piece::Piece;
use crate::login::resume::{Answered, Round, Said};
use crate::login::{
    AwaitAnswers, AwaitCommit, AwaitHello, AwaitProofs, AwaitSvid, Denied, Env, Granted, Next,
    Step, Turn,
};
use crate::store::{Commit, StoreError};
use crate::telemetry::metrics::{Held, Occasion, Tally};

/// How long the questions outside of one turn may take together: an agent gives up on its request after 30 s, and must hear
/// of it before.
pub(super) const ASKING: Duration = Duration::from_secs(25);

/// What a login takes of memory besides what was said in it, bytes; more than was measured.
pub(super) const WEIGHT: usize = 16 * 1024;

/// One login, from its hello on.
#[derive(Debug)]
pub(crate) struct Course {
    server: Server,
    link: String,
    began: Moment,
    /// What was said, for the audit trail.
    trail: Trail,
    /// Its proofs, for the metrics.
    tally: Tally,
    /// What was worked on it before this turn, and when this turn began, on the monotonic clock.
    worked: (Duration, Duration),
    /// Counts as in flight from its first challenge on.
    held: Option<Held>,
    /// What was said, for whoever goes on with it.
    said: Said,
}

/// What to answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A challenge; the login waits for its answer.
    Asked {
        /// The challenge.
        message: Vec<u8>,
        /// The state that takes the answer.
        state: Box<AwaitProofs>,
    },
    /// The session.
    Granted(Vec<u8>),
    /// The refusal.
    Denied(Denied),
}

impl Answer {
    /// The message for the agent.
    pub(crate) fn message(&self) -> Vec<u8> {
        match self {
            Self::Asked { message, .. } | Self::Granted(message) => message.clone(),
            Self::Denied(denied) => denied.message(),
        }
    }
}

impl Course {
    /// A login that begins with this hello.
    pub(crate) fn new(server: Server, link: &str, hello: &[u8]) -> Self {
        let began = server.clock.now();
        let hello = Piece::from(hello);
        Self {
            began,
            server,
            link: link.to_owned(),
            trail: Trail::begin(hello.clone()),
            tally: Tally::default(),
            worked: (Duration::ZERO, began.monotonic),
            held: None,
            said: Said {
                began: began.wall,
                hello,
                rounds: Vec::new(),
            },
        }
    }

    /// Judges the hello.
    pub(crate) async fn hello(&mut self, message: &[u8]) -> Answer {
        let env = Env {
            now: self.began,
            random: self.server.random.as_ref(),
        };
        let turn = AwaitHello::new(self.server.verifier.current()).handle(&env, message);
        self.log_started(&turn, message);
        self.follow(turn).await
    }

    /// Judges an answer to the challenge that `state` waits for, if it is the first.
    pub(crate) async fn proofs(
        &mut self,
        state: Box<AwaitProofs>,
        message: &[u8],
        blobs: &Blobs,
    ) -> Answer {
        let taken = self.take(self.said.began, state.challenge_digest()).await;
        match taken {
            Ok(true) => self.judge(state, message, blobs).await,
            Ok(false) => {
                self.trail.proved(message.into(), &named(message, blobs));
                self.replayed(Denied::already_answered(state.login_id()))
                    .await
            }
            Err(error) => {
                self.trail.proved(message.into(), &named(message, blobs));
                self.follow(state.unavailable(&error)).await
            }
        }
    }

    /// Takes a challenge of a login that began then; whether nobody has before.
    async fn take(&mut self, began: Timestamp, digest: [u8; 32]) -> Result<bool, StoreError> {
        let now = self.server.clock.now();
        self.worked.1 = now.monotonic;
        let timeout = self.server.verifier.current().login_timeout;
        let Ok(until) = now.wall.checked_add(timeout) else {
            return Ok(false);
        };
        let key = in_order_of_time(began, digest);
        self.server.store.take_challenge(&key, until).await
    }

    /// Judges the answer to a challenge that was taken for it.
    async fn judge(&mut self, state: Box<AwaitProofs>, message: &[u8], blobs: &Blobs) -> Answer {
        self.answered(message, blobs);
        let env = Env {
            now: self.server.clock.now(),
            random: self.server.random.as_ref(),
        };
        let turn = state.handle(&env, blobs, message);
        self.follow(turn).await
    }

    /// Notes an answer, for the trail and for whoever goes on.
    fn answered(&mut self, message: &[u8], blobs: &Blobs) {
        let (proofs, blobs) = (Piece::from(message), named(message, blobs));
        self.trail.proved(proofs.clone(), &blobs);
        if let Some(round) = self.said.rounds.last_mut() {
            round.answer = Some(Answered {
                at: self.server.clock.now().wall.as_millisecond(),
                proofs,
                blobs,
                outside: Vec::new(),
            });
        }
    }

    /// What it may take of memory while it waits, bytes: what was said, once as it came and once as what was read of it.
    pub(super) fn weight(&self) -> usize {
        WEIGHT + 2 * self.said.len()
    }

    /// Ends the login because its time is over.
    pub(crate) async fn expire(&mut self, state: Box<AwaitProofs>) -> Answer {
        self.worked.1 = self.server.clock.now().monotonic;
        self.follow(state.expire()).await
    }

    /// Does what the machine asks for until there is something to send.
    async fn follow(&mut self, mut turn: Turn) -> Answer {
        loop {
            let Turn { steps, next } = turn;
            turn = match next {
                Next::Ask(message, state) => {
                    self.steps(Some(state.login_id()), steps);
                    let challenge = Piece::from(message.as_slice());
                    self.trail.asked(challenge.clone());
                    self.said.rounds.push(Round {
                        challenge,
                        answer: None,
                    });
                    self.worked.0 = self.worked();
                    let metrics = &self.server.metrics;
                    self.held.get_or_insert_with(|| metrics.login_in_flight());
                    return Answer::Asked { message, state };
                }
                Next::Recall(state) => {
                    self.steps(Some(state.login_id()), steps);
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
                Next::Inquire(state) => {
                    self.steps(Some(state.login_id()), steps);
                    self.inquire(*state).await
                }
                Next::Commit(state) => {
                    self.steps(Some(state.login_id()), steps);
                    let (told, elsewhere) = state.from_where(super::asking::address(&self.link));
                    self.steps(Some(state.login_id()), told);
                    if let Some(detail) = elsewhere {
                        turn = state.from_elsewhere(detail);
                        continue;
                    }
                    match self.commit(&state).await {
                        Ok(Commit::Stored) => match self.issue(state.stored()).await {
                            Ok((steps, granted, svid)) => {
                                self.steps(Some(granted.login_id), steps);
                                return self.granted(granted, svid).await;
                            }
                            Err(turn) => *turn,
                        },
                        Ok(Commit::Refused(conflict)) => state.refused(&conflict),
                        Err(error) => state.unavailable(&error),
                    }
                }
                Next::Denied(denied) => {
                    self.steps(denied.login_id, steps);
                    return self.denied(*denied).await;
                }
            };
        }
    }

    /// Asks outside what the proofs need, at most until the login's time is over, or that of an agent who waits for the answer
    /// to its request.
    async fn inquire(&mut self, state: AwaitAnswers) -> Turn {
        let now = self.server.clock.now().monotonic;
        let end = state.deadline().min(self.worked.1 + ASKING);
        let left = end.saturating_sub(now);
        let Some(_place) = self.server.asking.enter(state.cluster(), &self.link) else {
            return state.overloaded();
        };
        let asked = state.run(self.server.outside.as_ref());
        let Ok(answers) = tokio::time::timeout(left, asked).await else {
            return state.expire();
        };
        let env = Env {
            now: self.server.clock.now(),
            random: self.server.random.as_ref(),
        };
        let (kept, turn) = state.handle(&env, answers);
        for answered in &kept {
            self.trail.answered(answered);
        }
        let round = self.said.rounds.last_mut();
        if let Some(answer) = round.and_then(|round| round.answer.as_mut()) {
            answer.outside.extend(kept);
        }
        turn
    }

    /// Stores a login, if neither its node nor anything that it is known by is banned. A ban that is made meanwhile is seen
    /// here, or sees the session: the second look comes after it is stored.
    async fn commit(&self, state: &AwaitCommit) -> Result<Commit, StoreError> {
        let known_as = state.known_as();
        let server = &self.server;
        if let Some(ban) = server.banned(&known_as).await? {
            return Ok(Commit::Refused(ban.into()));
        }
        let commit = server.store.commit_login(state.record()).await?;
        if commit == Commit::Stored
            && let Some(ban) = server.banned(&known_as).await?
        {
            let now = server.clock.now().wall;
            let session = state.record().session.id;
            server.store.revoke_session(session, now).await?;
            return Ok(Commit::Refused(ban.into()));
        }
        Ok(commit)
    }

    /// The SVID of a session that is stored, if its node named a key.
    async fn issue(
        &self,
        state: AwaitSvid,
    ) -> Result<(Vec<Step>, Granted, Option<IssuedSvid>), Box<Turn>> {
        let Some(order) = state.order() else {
            let (steps, granted) = state.issued(None)?;
            return Ok((steps, granted, None));
        };
        match self.server.issue(order, Occasion::Login).await {
            Ok(svid) => {
                let (steps, granted) = state.issued(Some((&svid.chain, &svid.name)))?;
                Ok((steps, granted, Some(svid.record)))
            }
            Err(error) => Err(Box::new(state.unavailable(&error))),
        }
    }
}

/// What the store remembers a challenge by: the second in which its login began, which every verifier reads out of the sealed
/// state, and 28 of the 32 bytes of its digest. In that order a database keeps what is new in a few pages beside each other; by
/// the digest alone each login would change two pages of its own.
fn in_order_of_time(began: Timestamp, mut digest: [u8; 32]) -> [u8; 32] {
    if let Some(time) = digest.first_chunk_mut() {
        *time = crate::session::second(began);
    }
    digest
}

/// The long fields that a message names, of those that came.
fn named(message: &[u8], blobs: &Blobs) -> Vec<(u8, Piece)> {
    let named = blobs.named_by(message);
    let named =
        named.filter_map(|(number, bytes)| Some((u8::try_from(number).ok()?, bytes.into())));
    named.collect()
}
