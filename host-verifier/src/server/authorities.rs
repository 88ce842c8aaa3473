//! The authorities of SVIDs: made and replaced in time, and told of to whoever watches the service.

use std::time::Duration;

use jiff::Timestamp;

use super::Server;
use crate::svid::RotateError;
use crate::telemetry::health::{Component, State};
use crate::telemetry::metrics::Authority;
use crate::telemetry::names;

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(60);

impl Server {
    /// Looks after the authorities, for ever.
    pub(super) async fn keep_authorities(&self) {
        let mut turns = tokio::time::interval(EVERY);
        loop {
            turns.tick().await;
            self.rotate_authorities().await;
        }
    }

    /// One look: makes and removes what is due, and tells log, health and metrics what came of it.
    pub async fn rotate_authorities(&self) {
        let now = self.clock.now();
        let result = self.issuer.rotate(now).await;
        // Also after a failure: what signs now may have changed with the time alone.
        self.count_authorities(now.wall);
        let state = match result {
            Ok(()) => match self.issuer.terms(now.wall).upstream {
                Some(term) if term.hands_over <= now.wall => State::Degraded(format!(
                    "the upstream authority ends at {}: put another into its files",
                    term.ends
                )),
                _ => State::Ok,
            },
            Err(RotateError::Busy) => return,
            Err(error) => {
                let hint = error.hint();
                match self.issuer.ready(now.wall) {
                    true => {
                        tracing::warn!(%error, hint, "{}", names::ROTATION_FAILED);
                        State::Degraded(error.to_string())
                    }
                    false => {
                        tracing::error!(%error, hint, "{}", names::NO_AUTHORITY);
                        State::Failing(format!("no authority is valid: {error}"))
                    }
                }
            }
        };
        self.health.report(Component::Authorities, state);
    }

    /// Those that have ended are told of until others sign: an alert must see their end.
    fn count_authorities(&self, now: Timestamp) {
        let terms = self.issuer.terms(now);
        for (authority, term) in [
            (Authority::X509, terms.x509),
            (Authority::Jwt, terms.jwt),
            (Authority::Upstream, terms.upstream),
        ] {
            if let Some(term) = term {
                self.metrics
                    .authority(authority, term.hands_over, term.ends);
            }
        }
    }
}
