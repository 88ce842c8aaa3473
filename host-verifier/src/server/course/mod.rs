//! The course of one login: what the state machine asks for is done here, and what it finds out is told to the log, the
//! event stream and the audit trail. Links and HTTP requests come and go; this is the same for both.

use std::time::Duration;

use assay_common::policy::AttestorKind;
use assay_common::protocol::envelope::MAX_STATE;
use assay_common::protocol::{AgentMessage, DenyCode, decode};
use jiff::Timestamp;

use super::Server;
use crate::audit::{IssuedSvid, Record, Trail};
use crate::blobs::Blobs;
use crate::clock::Moment;
use crate::login::piece::Piece;
use crate::login::resume::{Answered, Resumed, Round, Said, Saved};
use crate::login::{
    AwaitAnswers, AwaitCommit, AwaitHello, AwaitProofs, AwaitSvid, Denied, Env, Granted, LoginId,
    Next, Step, Turn,
};
use crate::store::{Commit, StoreError};
use crate::telemetry::events::Body;
use crate::telemetry::metrics::{Held, LoginEnd, Occasion, SessionChange, Tally};
use crate::telemetry::{Event, names};

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

    /// Also for a hello that is refused: what was offered is what explains the refusal.
    fn log_started(&self, turn: &Turn, message: &[u8]) {
        let Ok(AgentMessage::Hello(hello)) = decode(message) else {
            return;
        };
        let id = match &turn.next {
            Next::Ask(_, state) => Some(state.login_id()),
            Next::Denied(denied) => denied.login_id,
            Next::Recall(_) | Next::Inquire(_) | Next::Commit(_) => None,
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
    async fn granted(&mut self, granted: Granted, svid: Option<IssuedSvid>) -> Answer {
        let now = self.server.clock.now().wall;
        let beside = self.server.beside(&granted.session).await;
        let record = Record::granted(now, &self.link, &granted, &self.trail).with_svid(svid);
        let record = self.server.sealed(record.beside(beside));
        if let Err(error) = self.server.record(&record).await {
            let id = Some(granted.login_id);
            let denied = Denied::new(id, DenyCode::UNAVAILABLE, error.to_string());
            return self.denied(denied).await;
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
        if beside > 0 {
            tracing::warn!(
                login_id = %granted.login_id,
                link = self.link,
                session_id = %session.id,
                spiffe_id = session.spiffe_id,
                live_beside = beside,
                "{}",
                names::LIVE_BESIDE
            );
            self.server.metrics.session(SessionChange::Beside);
        }
        self.event(Some(granted.login_id), || Body::granted(session));
        self.server.metrics.session(SessionChange::Granted);
        self.ended(LoginEnd::Granted, Some(self.began), self.worked());
        Answer::Granted(granted.message)
    }

    /// Recorded first, too; but where that fails nothing is gained by not refusing.
    pub(crate) async fn denied(&mut self, denied: Denied) -> Answer {
        let now = self.server.clock.now().wall;
        if let Some(record) = Record::denied(now, &self.link, &denied, &self.trail) {
            self.server.record_refusal(record).await;
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
        let body = || Body::denied(denied.code.to_string(), denied.detail.clone());
        self.event(denied.login_id, body);
        let began = denied.login_id.map(|_| self.began);
        self.ended(LoginEnd::Denied(denied.code), began, self.worked());
        Answer::Denied(denied)
    }

    /// An answer to a challenge that was answered before. Whoever sent it has seen the line, and that is all that is
    /// known: the login went its own way, and neither its record nor its events are touched.
    async fn replayed(&mut self, denied: Denied) -> Answer {
        let now = self.server.clock.now().wall;
        if let Some(record) = Record::denied(now, &self.link, &denied, &self.trail) {
            self.server.record_refusal(record.replayed()).await;
        }
        tracing::warn!(
            untrusted_login_id = denied.login_id.map(|id| id.to_string()),
            link = self.link,
            code = %denied.code,
            detail = denied.detail,
            "{}",
            names::REPLAYED
        );
        let body = || Body::denied(denied.code.to_string(), denied.detail.clone());
        self.event(None, body);
        // How long the login took is not known of what is played back.
        self.ended(LoginEnd::Denied(denied.code), None, self.worked());
        Answer::Denied(denied)
    }

    /// What was worked on it, until now.
    fn worked(&self) -> Duration {
        let (before, turn_began) = self.worked;
        let now = self.server.clock.now().monotonic;
        before + now.saturating_sub(turn_began)
    }

    fn ended(&mut self, end: LoginEnd, began: Option<Moment>, worked: Duration) {
        let now = self.server.clock.now().monotonic;
        let took = began.map(|began| now.saturating_sub(began.monotonic));
        self.tally.count(&self.server.metrics);
        self.server.metrics.login_ended(end, took, worked);
    }

    /// Ends a login without a result.
    pub(crate) fn abandon(&mut self, id: LoginId, why: &str) {
        tracing::info!(login_id = %id, link = self.link, why, "{}", names::ABANDONED);
        self.event(Some(id), || Body::denied("abandoned", why));
        self.ended(LoginEnd::Abandoned, Some(self.began), self.worked.0);
    }

    fn steps(&mut self, id: Option<LoginId>, steps: Vec<Step>) {
        self.trail.found(&steps);
        self.tally.see(&steps);
        for step in steps {
            self.event(id, || Body::Step(step));
        }
    }

    fn event(&self, id: Option<LoginId>, body: impl FnOnce() -> Body) {
        if !self.server.events.is_read() {
            return;
        }
        let now = self.server.clock.now();
        let elapsed = now.monotonic.saturating_sub(self.began.monotonic);
        self.server.events.send(Event {
            time: now.wall,
            login_id: id.map(|id| id.to_string()),
            link: self.link.clone(),
            elapsed_ms: Some(millis(elapsed)),
            body: body(),
        });
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

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The long fields that a message names, of those that came.
fn named(message: &[u8], blobs: &Blobs) -> Vec<(u8, Piece)> {
    let named = blobs.named_by(message);
    let named =
        named.filter_map(|(number, bytes)| Some((u8::try_from(number).ok()?, bytes.into())));
    named.collect()
}
