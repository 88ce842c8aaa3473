//! Looks after itself: how the parts of the service are, and the upkeep of the metrics.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::Server;
use crate::audit::AuditError;
use crate::policy::Policy;
use crate::store::StoreError;
use crate::telemetry::health::{ClockWatch, Component, State, probe};
use crate::telemetry::metrics::{StoreOperation, UPKEEP_EVERY};
use crate::telemetry::names;

/// How long the store may take to store something small.
const STORE_LIMIT: Duration = Duration::from_secs(2);

/// How often it is looked whether a command has left something to be recorded. It waits for that.
const NOTES_EVERY: Duration = Duration::from_millis(100);

impl Server {
    /// Looks at everything every [`UPKEEP_EVERY`], for ever.
    pub(super) async fn upkeep(&self) {
        // What had to be read, made or opened is there, or nobody would come here. Whoever changes it reports what
        // becomes of it.
        for component in [Component::Authorities, Component::Listeners] {
            self.health.report(component, State::Ok);
        }
        let mut calendar = ClockWatch::default();
        let mut turns = interval(UPKEEP_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            self.look(&mut calendar).await;
        }
    }

    /// Records what commands have changed in the store, for ever.
    pub(super) async fn take_notes(&self) {
        let mut turns = interval(NOTES_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            match self.audit.take_notes().await {
                Ok(taken) => self.metrics.audit_noted(taken),
                // Too busy now, which is no failure of the trail.
                Err(AuditError::Full) => {}
                Err(error) => {
                    tracing::error!(%error, "{}", names::AUDIT_NOTES_FAILED);
                    self.health.report(Component::Audit, error.health());
                    tokio::time::sleep(UPKEEP_EVERY).await;
                }
            }
        }
    }

    /// Tells health and metrics what becomes of the clusters' configuration, as it happens, for ever.
    pub(super) async fn watch_config(&self) {
        let mut changes = self.verifier.watch_status();
        let mut known = Vec::new();
        loop {
            let status = changes.borrow_and_update().clone();
            for _ in status.problems.iter().filter(|p| !known.contains(*p)) {
                self.metrics.config_error();
            }
            if let Some(generation) = status.generation {
                self.metrics.config_served(generation);
            }
            self.health.report(Component::Config, status.health());
            known = status.problems;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// A database that only reads, or whose writer waits for another's lock or is gone, stores no login: only a write
    /// tells. `ended` says that it is gone.
    async fn probe_store(&self, ended: &mut bool) -> Result<(), String> {
        let mut unique = [0; 32];
        let filled = self.random.fill(&mut unique);
        filled.map_err(|error| error.to_string())?;
        let written = async {
            let written = self.store.probe(&unique, self.clock.now().wall).await;
            written.inspect_err(|error| *ended = matches!(error, StoreError::Closed))
        };
        probe(STORE_LIMIT, written).await
    }

    /// When the first certificate ends of those that the clusters' methods trust and that somebody else replaces.
    fn trust_ends(&self) -> Option<Timestamp> {
        let verifier = self.verifier.current();
        let clusters = verifier.clusters.values();
        let policies = clusters.flat_map(|cluster| cluster.policies.policies());
        let attestors = policies.flat_map(Policy::attestors);
        attestors.filter_map(|attestor| attestor.trust_ends()).min()
    }

    /// One look at everything.
    async fn look(&self, calendar: &mut ClockWatch) {
        self.metrics.upkeep();
        // Its writer is started with the store, and only then.
        let mut ended = false;
        let asked = self.probe_store(&mut ended);
        let store = self.metrics.store(StoreOperation::Probe, asked).await;
        let store = match store {
            Ok(()) => State::Ok,
            Err(why) if ended => State::Dead(why),
            Err(why) => State::Failing(why),
        };
        self.health.report(Component::Store, store);
        // A trail that failed once gets no logins that would show that it is well again: it is tried here.
        let trail = match self.audit.tend().await {
            Ok(()) => State::Ok,
            Err(error) => error.health(),
        };
        self.health.report(Component::Audit, trail);
        if let Some(at) = self.trust_ends() {
            self.metrics.aws_certificate_expires(at);
        }
        let now = self.clock.now();
        self.health.report(Component::Clock, calendar.observe(now));
        for component in Component::ALL {
            let number = self.health.state(component).number();
            self.metrics.component(component.name(), number);
        }
    }
}
