//! The login from the verifier's side: a state machine that does no I/O and reads no clock.
//!
//! ```text
//!   AwaitHello ──Hello──> AwaitProofs(0) ──Proofs──> AwaitNode ──record──> AwaitProofs(1) ──Proofs──> …
//!        whenever a proof needs an answer from outside: ──> AwaitAnswers ──answers──> …
//!                                                           └─> AwaitCommit ──stored──> AwaitSvid ──issued──> Granted
//!   a live session: Renew ──> AwaitRenewal ──stored, issued──> Renewed
//!   any state ──anything else──> Denied
//! ```
//!
//! One type per state; `handle` consumes it, so a step cannot be done twice and a failed one leaves nothing to go on
//! with. What leads on exists only when its check passed: an [`Attested`](crate::attestor::run::Attested) comes out of
//! an attestor, an [`Authorized`](crate::policy::Authorized) out of the policy engine, a [`Granted`] out of a
//! stored session.
//!
//! * [`hello`] reads the opening, [`plan`] decides what to ask for, [`proofs`] judges answers, [`grant`] ends a login,
//!   [`renewal`] prolongs what came of it; `binding` is what one login ties the next ones to.
//! * [`Denied`] carries the category for the node and the detail for the operator.
//!
//! # Why the order of proofs does not matter
//!
//! Items are judged in the order in which methods stand on one another, every entry of every policy by itself, and
//! the decision is made over the set of outcomes. A failed proof is recorded as failed and never judged again.

pub mod asking;
mod binding;
pub mod cluster;
pub mod denial;
pub mod grant;
pub mod hello;
mod judging;
pub mod key;
pub mod piece;
pub mod plan;
pub mod proofs;
pub mod renewal;
pub mod resume;
mod session_key;
pub mod step;
mod svid_key;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::{AttestorKind, AttestorSet};
use zeroize::Zeroizing;

pub use asking::AwaitAnswers;
pub use cluster::Cluster;
pub use denial::Denied;
pub use grant::{AwaitCommit, AwaitSvid, Granted, SvidOrder};
pub use hello::AwaitHello;
pub use key::ChallengeKey;
pub use proofs::{AwaitNode, AwaitProofs};
pub use renewal::{AwaitRenewal, RefusedRenewal, Renewed};
pub use step::{Step, StepName};

use crate::attestor::run::{AwaitAnswer, AwaitResponse, RequirementId};
use crate::attestor::{BootState, Facts};
use crate::clock::Moment;
use crate::policy::{Outcomes, PolicySet};
use crate::random::SecureRandom;
use crate::session::PathTemplate;
use crate::store::NodeRecord;
use session_key::SessionKey;

/// Most rounds of one login.
pub const MAX_ROUNDS: u8 = 4;

/// What every login of this verifier shares. Immutable: a new configuration is a new one, and logins that have
/// begun end under the old.
#[derive(Debug, Clone)]
pub struct Verifier {
    /// The trust domain whose identities are issued.
    pub trust_domain: String,
    /// Every cluster that is served here.
    pub clusters: BTreeMap<String, Arc<Cluster>>,
    /// Clusters that are configured and cannot be served, each with the reason.
    pub unusable: BTreeMap<String, String>,
    /// What nodes pin.
    pub key: ChallengeKey,
    /// How long a login may take.
    pub login_timeout: Duration,
    /// How long a session lasts.
    pub session_ttl: Duration,
    /// How a node's SPIFFE ID is made, unless its cluster says otherwise.
    pub path_template: PathTemplate,
    /// After how long a node must log in anew, however often it renewed.
    pub reattest_after: Duration,
    /// Whether SVIDs can be issued. Nodes are asked for a key only then.
    pub issues_svids: bool,
}

impl Verifier {
    /// Names the configuration under which a cluster's nodes are let in, as it is now: a session is renewed only while it
    /// is the same.
    #[must_use]
    pub fn configuration_of(&self, cluster: &str) -> String {
        let cluster = self.clusters.get(cluster);
        cluster.map_or_else(String::new, |cluster| {
            format!("{}@{}", cluster.version, cluster.policies.digest())
        })
    }
}

/// What a step may use from outside.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    /// When the message arrived.
    pub now: Moment,
    /// Where nonces and secrets come from.
    pub random: &'a dyn SecureRandom,
}

/// A login's name: random, shown in logs and events of both sides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginId(pub [u8; 16]);

impl core::fmt::Display for LoginId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        crate::session::write_hex(f, &self.0)
    }
}

impl core::fmt::Debug for LoginId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "LoginId({self})")
    }
}

/// What comes of a message.
#[derive(Debug)]
pub struct Turn {
    /// What was found out on the way, for the event stream and the log.
    pub steps: Vec<Step>,
    /// How it goes on.
    pub next: Next,
}

/// How a login goes on.
#[derive(Debug)]
pub enum Next {
    /// Send the message, and wait for the answer.
    Ask(Vec<u8>, Box<AwaitProofs>),
    /// Look up what the store knows of a node.
    Recall(Box<AwaitNode>),
    /// Ask somebody outside.
    Inquire(Box<AwaitAnswers>),
    /// Store the session.
    Commit(Box<AwaitCommit>),
    /// Send the message; the login is over.
    Denied(Box<Denied>),
}

/// The secret of one method in one login, and the keys made from it.
pub(crate) struct MethodKeys {
    pub(crate) secret: Zeroizing<[u8; 32]>,
    pub(crate) keys: LoginKeys,
}

impl MethodKeys {
    pub(crate) fn draw(random: &dyn SecureRandom) -> Result<Self, crate::random::RandomError> {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(secret.as_mut_slice())?;
        let keys = LoginKeys::new(*secret);
        Ok(Self { secret, keys })
    }

    /// Of a secret that was drawn before.
    pub(crate) fn of(secret: [u8; 32]) -> Self {
        Self {
            secret: Zeroizing::new(secret),
            keys: LoginKeys::new(secret),
        }
    }
}

impl core::fmt::Debug for MethodKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MethodKeys(..)")
    }
}

/// What is known of a login between its messages.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) id: LoginId,
    pub(crate) cluster: String,
    pub(crate) policies: Arc<PolicySet>,
    pub(crate) offered: AttestorSet,
    pub(crate) version: u8,
    pub(crate) transcript: Transcript,
    /// On the monotonic clock.
    pub(crate) deadline: Duration,
    pub(crate) outcomes: Outcomes,
    pub(crate) pending: BTreeMap<RequirementId, AwaitResponse>,
    pub(crate) errands: BTreeMap<RequirementId, AwaitAnswer>,
    pub(crate) asked: AttestorSet,
    pub(crate) keys: BTreeMap<AttestorKind, MethodKeys>,
    pub(crate) facts: Facts,
    pub(crate) round: u8,
    /// What the store knows of the node that a pending proof names; outer `None` before it was asked.
    pub(crate) node: Option<Option<NodeRecord>>,
    pub(crate) steps: Vec<Step>,
    /// The key that an SVID is wanted for.
    pub(crate) svid_key: SvidKey,
    /// What the session can be sealed to where no TPM opens a secret.
    pub(crate) session_key: SessionKey,
}

/// How far the matter of an SVID has come.
#[derive(Debug)]
pub(crate) enum SvidKey {
    /// None is wanted, or none can be had.
    None,
    /// The agent can name a key, and will be asked.
    Available,
    /// The key it named.
    Offered(Box<svid_key::OfferedKey>),
    /// What it named was refused, or it named none after all.
    Refused(crate::attestor::AttestError),
}

impl Progress {
    /// The boot state that was proven last for the node that is proven now; nobody else's.
    ///
    /// Of whichever AK: a boot state is only ever known from a primary key of the Endorsement hierarchy, to which the
    /// TPM shows its true counters. Were it bound to the AK, another AK in the same TPM would shed the node's past.
    pub(crate) fn last_boot(&self) -> Option<&BootState> {
        let node = self.node.as_ref()?.as_ref()?;
        let same_node = self.facts.subject.as_ref() == Some(&node.ek_hash);
        node.boot.as_ref().filter(|_| same_node)
    }

    /// The node that a proof speaks of whose challenge is still out.
    pub(crate) fn untrusted_subject(&self) -> Option<String> {
        self.pending.values().find_map(|p| p.untrusted_subject())
    }

    pub(crate) fn turn(mut self, next: impl FnOnce(Self) -> Next) -> Turn {
        let steps = core::mem::take(&mut self.steps);
        Turn {
            steps,
            next: next(self),
        }
    }
}
