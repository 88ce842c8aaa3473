//! The service: links, logins and the store, wired together.

pub mod asking;
mod authorities;
pub mod clusters;
mod conversation;
mod counted;
mod course;
mod issue;
mod known;
mod lasting;
mod renewal;
mod requests;
pub mod start;
pub mod state_keys;
mod upkeep;
mod world;

use std::sync::Arc;
use std::time::Duration;

use assay_common::protocol::Trouble;
use serde::Serialize;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use asking::Asking;
pub use clusters::{Clusters, Live};
pub use conversation::LoginConversation;
pub use counted::Counted;
pub(crate) use issue::IssueFailed;
pub use lasting::Broken;
use lasting::Lasting;
pub use requests::{KEPT_BYTES, MAX_KEPT, Reply, RequestLogins};
pub use state_keys::StateKeys;
pub use world::World;

use crate::audit::{AuditError, AuditLog, Record};
use crate::clock::{Clock, Settled};
use crate::outside::Outside;
use crate::random::SecureRandom;
use crate::store::Store;
use crate::svid::Issuer;
use crate::telemetry::events::Body;
use crate::telemetry::health::{Component, State};
use crate::telemetry::metrics::LinkKind;
use crate::telemetry::{Event, EventSink, Health, Metrics, names};
use crate::transport::connection::{self, LinkCounters};
use crate::transport::{Link, LinkSource};

/// Most links of one source that is not exclusive.
pub const MAX_LINKS: usize = 256;
/// How often records that have ended are removed.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// How long records are kept after they ended, so that a late answer is still recognised.
const PURGE_AFTER: Duration = Duration::from_secs(300);
/// Waiting times before a source is opened again: doubled from the first to the last.
const REOPEN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Everything that links share.
#[derive(Debug, Clone)]
pub struct Server {
    /// Keys, policies, lifetimes, as they are in force.
    pub verifier: Live,
    /// Where the policies come from.
    pub clusters: Clusters,
    /// What issues SVIDs.
    pub issuer: Arc<Issuer>,
    /// What seals logins between two messages.
    pub state_keys: StateKeys,
    /// State that outlives a login; a [`Counted`] one in a service.
    pub store: Arc<dyn Store>,
    /// Whoever is asked about proofs: issuers, names, webhooks, the tokens in the store.
    pub outside: Arc<dyn Outside>,
    /// The logins that ask it now.
    pub asking: Asking,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn SecureRandom>,
    /// The live view.
    pub events: EventSink,
    /// Where decisions are recorded before anybody is told.
    pub audit: AuditLog,
    /// One permit per login in flight over links that anybody may open. An exclusive link has a permit of its own.
    pub permits: Arc<Semaphore>,
    /// What is counted.
    pub metrics: Metrics,
    /// What works and what does not.
    pub health: Health,
}

impl Server {
    /// Serves all sources until `stop` becomes true. Links that are open then are dropped; their logins are given up.
    ///
    /// # Errors
    ///
    /// [`Broken`], at once, when a task that must last for ever has ended: what is left would serve with something missing
    /// that nobody notices.
    pub async fn serve(
        &self,
        sources: Vec<Box<dyn LinkSource>>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Broken> {
        let mut tasks = Lasting::new(stop.clone());
        for source in sources {
            let (server, name, stop) = (self.clone(), source.name(), stop.clone());
            tasks.spawn(Component::Listeners, name, async move {
                server.serve_source(source.as_ref(), stop).await;
            });
        }
        let server = self.clone();
        tasks.spawn_endless(Component::Store, "upkeep", async move {
            server.upkeep().await;
        });
        let server = self.clone();
        tasks.spawn_endless(Component::Config, "clusters", async move {
            server.clusters.follow(&server.verifier).await;
        });
        let server = self.clone();
        tasks.spawn_endless(Component::Config, "status", async move {
            server.watch_config().await;
        });
        let server = self.clone();
        tasks.spawn_endless(Component::Store, "purge", async move {
            server.purge().await;
        });
        let server = self.clone();
        tasks.spawn_endless(Component::Audit, "notes", async move {
            server.take_notes().await;
        });
        let server = self.clone();
        tasks.spawn_endless(Component::Store, "state keys", async move {
            server.state_keys.follow().await;
        });
        let server = self.clone();
        tasks.spawn_endless(Component::Authorities, "rotation", async move {
            server.keep_authorities().await;
        });
        tasks.last(&self.health).await
    }

    /// Serves one source until `stop`.
    ///
    /// Whoever can open a socket can open many, say a hello on each and leave it at that: the shared permits are gone
    /// until the logins time out. A board on a serial port must not wait for that. Its link is the only one of its
    /// source and has one login at a time, so a permit of its own is always free when it needs one; with them the
    /// service has at most `loginsInFlight` logins and one per exclusive listener.
    async fn serve_source(&self, source: &dyn LinkSource, mut stop: watch::Receiver<bool>) {
        let name = source.name();
        let permits = if source.exclusive() {
            Arc::new(Semaphore::new(1))
        } else {
            self.permits.clone()
        };
        let links = Arc::new(Semaphore::new(MAX_LINKS));
        let mut tasks = JoinSet::new();
        let mut wait = REOPEN.0;
        loop {
            let opened = tokio::select! {
                opened = source.open() => opened,
                () = stopped(&mut stop) => break,
            };
            let state = match &opened {
                Ok(_) => State::Ok,
                Err(error) => State::Degraded(error.to_string()),
            };
            self.health.report_of(Component::Listeners, &name, state);
            match opened {
                Ok(link) if source.exclusive() => {
                    wait = REOPEN.0;
                    // In a task, as every link: a fault that what comes over it finds costs the link alone.
                    let (server, own, permits) = (self.clone(), name.clone(), permits.clone());
                    tasks.spawn(async move { server.serve_link(link, &own, permits).await });
                    tokio::select! {
                        _ = tasks.join_next() => {}
                        () = stopped(&mut stop) => break,
                    }
                    // A port that opens and ends at once must not become a busy loop.
                    tokio::time::sleep(wait).await;
                }
                Ok(link) => {
                    while tasks.try_join_next().is_some() {}
                    // Beyond the limit a link is closed at once; the agent comes again.
                    if let Ok(permit) = links.clone().try_acquire_owned() {
                        let (server, name, permits) = (self.clone(), name.clone(), permits.clone());
                        tasks.spawn(async move {
                            server.serve_link(link, &name, permits).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(link = name, %error, "{}", names::LINK_FAILED);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = stopped(&mut stop) => break,
                    }
                    wait = (wait * 2).min(REOPEN.1);
                }
            }
        }
        tasks.shutdown().await;
    }

    /// Serves one link until it is gone; `permits` are those that its logins take.
    pub async fn serve_link(&self, link: Box<dyn Link>, name: &str, permits: Arc<Semaphore>) {
        tracing::info!(link = name, "{}", names::LINK_OPEN);
        self.link_event(name, Body::link("link_open", true, ""));
        let _open = self.metrics.link_opened(LinkKind::of(name));
        let mut conversation = LoginConversation::new(self.clone(), name.to_owned(), permits);
        let mut counters = LinkCounters::default();
        let result = connection::run(link, &mut conversation, &mut counters).await;
        let LinkCounters {
            bad_frames,
            unknown_frames,
            bad_chunks,
            messages,
        } = counters;
        let error = result.err().map(|error| error.to_string());
        tracing::info!(
            link = name,
            error,
            bad_frames,
            unknown_frames,
            bad_chunks,
            messages,
            "{}",
            names::LINK_CLOSED
        );
        self.link_event(
            name,
            Body::link("link_closed", error.is_none(), error.unwrap_or_default()),
        );
    }

    /// Appends to the audit trail, counts it, and notes how the trail is.
    pub(crate) async fn record(&self, record: &(impl Serialize + Sync)) -> Result<(), AuditError> {
        let append = self.audit.append(record);
        let result = self.metrics.audit(append).await;
        let state = match &result {
            Ok(()) => State::Ok,
            Err(error) => error.health(),
        };
        self.health.report(Component::Audit, state);
        result
    }

    /// A record of this verifier, with what lets its reader in sealed.
    pub(crate) fn sealed(&self, record: Record) -> Record {
        let verifier = self.verifier.current();
        record.sealed(verifier.key.evidence_key(), self.random.as_ref())
    }

    /// Records a refusal, with what was said as long as the peer's share lasts. Where it cannot be recorded nothing is
    /// gained by not refusing.
    pub(crate) async fn record_refusal(&self, record: Record) {
        let now = self.clock.now().monotonic;
        let record = match self.audit.may_keep(&record, now) {
            true => self.sealed(record),
            false => record.reduced(),
        };
        if let Err(error) = self.record(&record).await {
            tracing::error!(login_id = record.login_id, %error, "{}", names::AUDIT_FAILED);
        }
    }

    /// Tells of a node's report that it cannot log in.
    pub(crate) fn trouble(&self, link: &str, trouble: &Trouble) {
        tracing::warn!(
            link,
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
            trouble.code, trouble.detail, trouble.command, trouble.attempt, trouble.retry_in_ms
        );
        self.link_event(link, Body::link("trouble", false, detail));
    }

    fn link_event(&self, link: &str, body: Body) {
        self.events.send(Event {
            time: self.clock.now().wall,
            login_id: None,
            link: link.to_owned(),
            elapsed_ms: None,
            body,
        });
    }

    async fn purge(&self) {
        let mut interval = tokio::time::interval(PURGE_EVERY);
        let mut settled = Settled::default();
        loop {
            interval.tick().await;
            self.purge_ended(&mut settled).await;
        }
    }

    /// Removes from the store what has ended; nothing while the calendar is not settled, which `settled` remembers from
    /// one call to the next. To be called every minute.
    pub async fn purge_ended(&self, settled: &mut Settled) {
        let now = self.clock.now();
        if !settled.observe(now) {
            return;
        }
        let Ok(before) = now.wall.checked_sub(PURGE_AFTER) else {
            return;
        };
        if let Err(error) = self.store.purge(before).await {
            tracing::warn!(%error, "{}", names::PURGE_FAILED);
        }
    }
}

pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could say stop is gone, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
