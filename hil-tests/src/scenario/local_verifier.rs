//! The verifier's login machine, driven directly: no process, no socket, the store in two maps.
//!
//! The checks, the decision and the session are the verifier's own code. Which message goes to which state is told
//! again here, as `assay_host_verifier::server::conversation` does it on tokio, so that a login runs in virtual time.
//! What depends on that routing is tested with the real service, in `host-verifier/tests/service` and in QEMU.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use assay_common::measurement::Image;
use assay_common::protocol::{
    AgentMessage, DenyCode, FrameError, FrameKind, Renew, Trouble, decode,
};
use assay_firmware::measure::Measurable;
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::clock::{Moment, SystemClock};
use assay_host_verifier::login::{
    AwaitHello, AwaitProofs, Denied, Env, Granted, Next, Step, SvidOrder, Turn, Verifier, renewal,
};
use assay_host_verifier::outside::NoOutside;
use assay_host_verifier::random::SecureRandom;
use assay_host_verifier::server::World;
use assay_host_verifier::store::{
    ImageRecord, MeasuredBoot as _, MemoryStore, NodeRecord, SessionRecord, Store as _, check,
};
use jiff::Timestamp;

use super::line::Peer;

/// What became of logins, in order.
#[derive(Debug)]
pub enum Outcome {
    /// A session.
    Granted(Box<Granted>),
    /// A session that goes on, as it is now.
    Renewed(Box<SessionRecord>),
    /// A refusal, with the detail for the operator.
    Denied(Box<Denied>),
    /// The node says it has trouble.
    Trouble(Trouble),
    /// The firmware panicked.
    Panic(String),
}

/// Makes SVIDs: DER certificates one after the other, the leaf first.
pub type Issue = Box<dyn Fn(&SvidOrder<'_>) -> Vec<u8>>;

/// A verifier at the end of a line.
pub struct LocalVerifier {
    verifier: Arc<Verifier>,
    random: Box<dyn SecureRandom>,
    now: Box<dyn Fn() -> Moment>,
    state: Option<AwaitProofs>,
    opening: Option<(Vec<u8>, Vec<u8>)>,
    blobs: Blobs,
    /// Nobody listens: what arrives is on the tape and gets no answer.
    away: bool,
    answered: BTreeSet<[u8; 32]>,
    nodes: BTreeMap<String, NodeRecord>,
    /// Those that were evicted once, by EK: their boots are counted whether they are let in or not.
    evicted: BTreeSet<String>,
    sessions: BTreeMap<[u8; 16], SessionRecord>,
    issue: Issue,
    /// What was found out, step by step.
    pub steps: Vec<Step>,
    /// How logins ended.
    pub outcomes: Vec<Outcome>,
    /// The last message sent.
    pub said: Option<Vec<u8>>,
    /// Which images are registered, and how often nodes have booted.
    pub register: Arc<MemoryStore>,
    /// Every frame received, for tests that look at them.
    pub tape: Vec<(FrameKind, Vec<u8>)>,
}

impl LocalVerifier {
    /// A verifier with an empty store.
    pub fn new(
        verifier: Arc<Verifier>,
        random: Box<dyn SecureRandom>,
        now: Box<dyn Fn() -> Moment>,
    ) -> Self {
        Self {
            verifier,
            random,
            now,
            state: None,
            opening: None,
            blobs: Blobs::default(),
            away: false,
            answered: BTreeSet::new(),
            nodes: BTreeMap::new(),
            evicted: BTreeSet::new(),
            sessions: BTreeMap::new(),
            issue: Box::new(|_| Vec::new()),
            register: Arc::default(),
            steps: Vec::new(),
            outcomes: Vec::new(),
            said: None,
            tape: Vec::new(),
        }
    }

    /// Goes away, or comes back as a process that was started again: with its store, without the login under way.
    pub fn set_away(&mut self, away: bool) {
        self.away = away;
        self.state = None;
        self.opening = None;
        self.blobs = Blobs::default();
    }

    /// Makes SVIDs so from now on, for nodes that are asked for a key.
    pub fn issue_by(&mut self, issue: Issue) {
        self.issue = issue;
    }

    /// Comes back with other terms.
    pub fn restart_as(&mut self, verifier: Arc<Verifier>) {
        self.verifier = verifier;
        self.set_away(false);
    }

    /// Sessions granted so far.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Outcome::Granted(_)))
            .count()
    }

    /// The last session.
    #[must_use]
    pub fn last_granted(&self) -> Option<&Granted> {
        self.outcomes
            .iter()
            .rev()
            .find_map(|outcome| match outcome {
                Outcome::Granted(granted) => Some(&**granted),
                _ => None,
            })
    }

    /// The key that nodes pin: an uncompressed SEC1 point.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.verifier.key.public()
    }

    /// What is known of the nodes that have logged in.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values()
    }

    /// Forgets every node and its sessions, as `assay node evict` does: the next login is a node's first.
    ///
    /// # Errors
    ///
    /// Of the store.
    pub fn evict(&mut self) -> Result<()> {
        self.sessions.clear();
        let nodes = core::mem::take(&mut self.nodes);
        self.evicted.extend(nodes.into_keys());
        for ek_hash in &self.evicted {
            at_once(self.register.evict_node(ek_hash)).context("the store waits")??;
        }
        Ok(())
    }

    /// Registers an image, as `assay image register` does.
    ///
    /// # Errors
    ///
    /// When another has its digest.
    pub fn register(&self, image: &Measurable<'_>) -> Result<()> {
        let record = ImageRecord {
            sha256: Image::measure(image.name, image.version, image.bytes).sha256,
            name: image.name.to_owned(),
            version: image.version.to_owned(),
            len: u32::try_from(image.bytes.len())?,
            build_id: String::new(),
            registered_at: Timestamp::UNIX_EPOCH,
            registered_by: "scenario".to_owned(),
            revoked_at: None,
        };
        let registered = at_once(self.register.register_image(&record));
        match registered.context("the register waits")?? {
            true => Ok(()),
            false => bail!("another image has this digest"),
        }
    }

    /// Takes a message, as a service's conversation does.
    fn message(&mut self, body: &[u8]) -> Vec<Vec<u8>> {
        let now = (self.now)();
        let env = Env {
            now,
            random: &*self.random,
        };
        let blobs = core::mem::take(&mut self.blobs);
        let turn = match (decode::<AgentMessage<'_>>(body), self.state.take()) {
            (Ok(AgentMessage::Trouble(trouble)), _) => {
                self.outcomes.push(Outcome::Trouble(trouble));
                return Vec::new();
            }
            (Ok(AgentMessage::Renew(renew)), state) => {
                self.state = state;
                return vec![self.renew(&renew, body)];
            }
            (Ok(AgentMessage::Hello(_)), state) => {
                // A hello that is repeated gets the same challenge, as long as it has not been answered.
                if state.is_some()
                    && let Some((hello, challenge)) = &self.opening
                    && hello == body
                {
                    self.state = state;
                    return vec![challenge.clone()];
                }
                let turn = AwaitHello::new(Arc::clone(&self.verifier)).handle(&env, body);
                let answers = self.follow(turn);
                let challenge = answers.first().filter(|_| self.state.is_some());
                self.opening = challenge.map(|challenge| (body.to_vec(), challenge.clone()));
                return answers;
            }
            (_, Some(waiting)) => {
                self.opening = None;
                // Each challenge is answered once, whatever the answer is worth.
                if self.answered.insert(waiting.challenge_digest()) {
                    waiting.handle(&env, &blobs, body)
                } else {
                    waiting.already_answered()
                }
            }
            (Ok(AgentMessage::Proofs(_)), None) => {
                let denied = Denied::new(
                    None,
                    DenyCode::MALFORMED,
                    "proofs while no login waits for any",
                );
                return vec![self.deny(Box::new(denied))];
            }
            // Whatever was plugged in: no answer.
            (Err(_), None) => return Vec::new(),
        };
        self.follow(turn)
    }

    /// As `assay_host_verifier::server` renews; the nonce is taken with the session that it is kept in.
    fn renew(&mut self, renew: &Renew<'_>, message: &[u8]) -> Vec<u8> {
        let env = Env {
            now: (self.now)(),
            random: &*self.random,
        };
        let session = self.sessions.get(&renew.session_id).cloned();
        let renewed = renewal::judge(&self.verifier, &env, session, renew, message);
        let renewed = renewed.map_err(|refused| refused.denied);
        let renewed = renewed.and_then(|judged| {
            let svid = judged.order().map(|order| (self.issue)(&order));
            judged.issued(&self.verifier, &svid.unwrap_or_default())
        });
        match renewed {
            Ok(renewed) => {
                let session = renewed.session;
                self.sessions.insert(session.id.0, session.clone());
                self.outcomes.push(Outcome::Renewed(Box::new(session)));
                renewed.message
            }
            Err(denied) => self.deny(Box::new(denied)),
        }
    }

    fn deny(&mut self, denied: Box<Denied>) -> Vec<u8> {
        let message = denied.message();
        self.outcomes.push(Outcome::Denied(denied));
        message
    }

    fn follow(&mut self, mut turn: Turn) -> Vec<Vec<u8>> {
        loop {
            self.steps.append(&mut turn.steps);
            turn = match turn.next {
                Next::Ask(message, waiting) => {
                    self.state = Some(*waiting);
                    return vec![message];
                }
                Next::Recall(waiting) => {
                    let now = (self.now)();
                    let env = Env {
                        now,
                        random: &*self.random,
                    };
                    let node = self.nodes.get(waiting.untrusted_subject()).cloned();
                    waiting.handle(&env, node)
                }
                // The scenarios' policies ask nobody but the register of images, which answers at once.
                Next::Inquire(waiting) => {
                    let clock = Arc::new(SystemClock::new());
                    let world = World::new(Arc::new(NoOutside), self.register.clone(), clock);
                    match at_once(waiting.run(&world)) {
                        None => waiting.expire(),
                        Some(answers) => {
                            let env = Env {
                                now: (self.now)(),
                                random: &*self.random,
                            };
                            waiting.handle(&env, answers).1
                        }
                    }
                }
                Next::Commit(commit) => {
                    let update = commit.record().node.clone();
                    if let Err(conflict) = check(&update, self.nodes.values()) {
                        commit.refused(&conflict)
                    } else {
                        self.remember(update);
                        let stored = commit.stored();
                        let svid = stored.order().map(|order| (self.issue)(&order));
                        match stored.issued(svid.as_deref().map(|svid| (svid, "svid"))) {
                            Ok((steps, granted)) => {
                                self.steps.extend(steps);
                                let session = granted.session.clone();
                                self.sessions.insert(session.id.0, session);
                                let message = granted.message.clone();
                                self.outcomes.push(Outcome::Granted(Box::new(granted)));
                                return vec![message];
                            }
                            Err(turn) => *turn,
                        }
                    }
                }
                Next::Denied(denied) => return vec![self.deny(denied)],
            };
        }
    }

    fn remember(&mut self, update: assay_host_verifier::store::NodeUpdate) {
        let known = self.nodes.get(&update.ek_hash);
        let record = NodeRecord {
            ek_hash: update.ek_hash.clone(),
            ak_name: update.ak_name,
            spiffe_id: update.spiffe_id,
            cluster: update.cluster,
            boot: update.boot.or_else(|| known.and_then(|node| node.boot)),
            first_seen: known.map_or(update.seen_at, |node| node.first_seen),
            last_seen: update.seen_at,
            ban: None,
        };
        self.nodes.insert(update.ek_hash, record);
    }
}

impl Peer for LocalVerifier {
    fn frame(&mut self, kind: FrameKind, body: &[u8]) -> Vec<Vec<u8>> {
        self.tape.push((kind, body.to_vec()));
        if self.away {
            return Vec::new();
        }
        match kind {
            FrameKind::MESSAGE => {
                let answers = self.message(body);
                self.said = answers.last().cloned().or(self.said.take());
                answers
            }
            FrameKind::CHUNK => {
                if self.state.is_some()
                    && let Ok(chunk) = decode(body)
                {
                    // A bad chunk leaves its blob empty, and the message that names it will be refused.
                    let _ = self.blobs.add(&chunk);
                }
                Vec::new()
            }
            FrameKind::PANIC => {
                self.outcomes
                    .push(Outcome::Panic(String::from_utf8_lossy(body).into_owned()));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn damaged(&mut self, _error: FrameError) {}
}

/// What a future comes to that waits for nobody.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
