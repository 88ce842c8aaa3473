//! Operators' acts become records of the audit trail, here and nowhere else: what a route changed, and what was refused.
//!
//! A handler says in its answer what it did (`Did`). One that does not, and changed something nevertheless, is recorded by
//! method and path: no route can forget it.
//!
//! # Why not every refused attempt has a record
//!
//! A record is kept for years, and whoever has a token that allows little could fill the disk with attempts. Each operator
//! has [`PER_WINDOW`] records of attempts per [`WINDOW`]; the next record says how many were left out. Every attempt is
//! counted and in the log as before. Changes are all recorded.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Extension;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Principal;
use crate::api::peer::Peer;
use crate::api::problem::{Code, Problem};
use crate::audit::{Act, ActOutcome, Actor, AuditError, Change};
use crate::random::RandomError;
use crate::server::Server;
use crate::telemetry::names;

/// Records of one operator's attempts in a window.
pub const PER_WINDOW: u32 = 10;
/// The window.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Operators that are counted by themselves; further ones share a place.
const COUNTED: usize = 1024;
/// When to come back if the trail takes no record.
const RETRY: Duration = Duration::from_secs(3);

/// What a handler did; in the extensions of its answer.
#[derive(Debug, Clone)]
pub(in crate::api) enum Did {
    /// Nothing, because nothing was to be done, or nothing was asked for.
    Nothing,
    /// This.
    Changed(Change),
}

/// An answer with what was done.
pub(in crate::api) const fn did(change: Change) -> Extension<Did> {
    Extension(Did::Changed(change))
}

/// Attempts of operators.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries(Arc<Mutex<HashMap<Option<Actor>, Window>>>);

#[derive(Debug)]
struct Window {
    began: Instant,
    recorded: u32,
    left_out: u64,
}

impl Tries {
    /// How many attempts were left out since the last record, if this one is to have a record.
    fn take(&self, actor: &Actor, now: Instant) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |window: &Window| now.saturating_duration_since(window.began) >= WINDOW;
        if windows.len() >= COUNTED {
            windows.retain(|_, window| !over(window) || window.left_out > 0);
        }
        let own = Some(actor.clone());
        let place = match windows.len() < COUNTED || windows.contains_key(&own) {
            true => own,
            false => None,
        };
        let window = windows.entry(place).or_insert(Window {
            began: now,
            recorded: 0,
            left_out: 0,
        });
        if over(window) {
            (window.began, window.recorded) = (now, 0);
        }
        if window.recorded >= PER_WINDOW {
            window.left_out = window.left_out.saturating_add(1);
            return None;
        }
        window.recorded += 1;
        Some(core::mem::take(&mut window.left_out))
    }
}

/// Why an act has no record.
#[derive(Debug, thiserror::Error)]
enum NotRecorded {
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// A request of an operator.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) server: Server,
    pub(super) tries: Tries,
    pub(super) peer: Peer,
    pub(super) method: Method,
    /// The template: what somebody made up is in the path only.
    pub(super) route: String,
    pub(super) path: String,
}

impl Attempt {
    /// What changes something, or was refused, is told by the log; what only looks is not.
    pub(super) fn log(&self, principal: &Principal, status: StatusCode) {
        if self.method.is_safe() && status != StatusCode::FORBIDDEN {
            return;
        }
        tracing::info!(
            principal = principal.name,
            role = principal.role.name(),
            peer = %self.peer.address,
            method = %self.method,
            route = self.route,
            path = self.path,
            status = status.as_u16(),
            "{}",
            names::OPERATOR_REQUEST
        );
    }

    /// Records what an answer says that was done; the answer, or that it could not be recorded.
    pub(super) async fn answered(&self, principal: &Principal, mut response: Response) -> Response {
        let status = response.status();
        let recorded = match response.extensions_mut().remove::<Did>() {
            Some(Did::Nothing) => return response,
            Some(Did::Changed(change)) => self.changed(principal, change).await,
            None if status.is_success() => {
                let change = Change::new("other", "path", &self.path).detail(self.action());
                self.changed(principal, change).await
            }
            None if status.is_server_error() => {
                let code = response.extensions().get::<Code>().map(|code| code.0);
                self.tried(&principal.actor, ActOutcome::Failed, code).await;
                return response;
            }
            // The state of things speaks against it: nothing was changed.
            None => return response,
        };
        match recorded {
            Ok(()) => response,
            Err(error) => {
                self.not_recorded(&principal.name, &error);
                let detail = "it is done, and could not be recorded in the audit trail";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-recorded", detail)
                    .hint("/ready says what is wrong with the trail; look at what is in force now")
                    .retry_after(RETRY)
                    .into_response()
            }
        }
    }

    /// Records an attempt of somebody who may not, if there is room for it.
    pub(super) async fn refused(&self, actor: &Actor, code: &'static str) {
        self.tried(actor, ActOutcome::Refused, Some(code)).await;
    }

    async fn changed(&self, principal: &Principal, change: Change) -> Result<(), NotRecorded> {
        let Self { server, .. } = self;
        let now = server.clock.now().wall;
        let actor = principal.actor.clone();
        let act = Act::done(server.random.as_ref(), now, &self.link(), actor, change)?;
        Ok(server.record(&act).await?)
    }

    async fn tried(&self, actor: &Actor, outcome: ActOutcome, code: Option<&'static str>) {
        let Some(unrecorded) = self.tries.take(actor, Instant::now()) else {
            return;
        };
        let now = self.server.clock.now().wall;
        let random = self.server.random.as_ref();
        let what = (self.action(), self.path.as_str());
        let act = Act::request(random, now, &self.link(), actor.clone(), outcome, what);
        let recorded = match act {
            Err(error) => Err(error.into()),
            Ok(act) => {
                let code = code.map(str::to_owned);
                let act = Act {
                    code,
                    unrecorded,
                    ..act
                };
                let recorded = self.server.record(&act).await;
                recorded.map_err(NotRecorded::from)
            }
        };
        // It was refused, or broke off; nothing is gained by another refusal.
        if let Err(error) = recorded {
            self.not_recorded(&actor.id, &error);
        }
    }

    fn not_recorded(&self, who: &str, error: &NotRecorded) {
        tracing::error!(
            principal = who,
            method = %self.method,
            path = self.path,
            %error,
            "{}",
            names::ACT_NOT_RECORDED
        );
    }

    fn action(&self) -> String {
        format!("{} {}", self.method, self.route)
    }

    fn link(&self) -> String {
        format!("https:{}", self.peer.address.ip())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Actor, COUNTED, PER_WINDOW, Tries, WINDOW};
    use crate::audit::ActorKind;

    fn actor(id: usize) -> Actor {
        Actor {
            kind: ActorKind::Token,
            id: id.to_string(),
            name: None,
            role: None,
        }
    }

    #[test]
    fn an_operator_has_so_many_records_of_attempts_and_the_next_counts_the_others() {
        let (tries, began) = (Tries::default(), Instant::now());
        for _ in 0..PER_WINDOW {
            assert_eq!(tries.take(&actor(1), began), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(tries.take(&actor(1), began), None);
        }
        assert_eq!(tries.take(&actor(2), began), Some(0), "another has its own");
        let almost = began + WINDOW - Duration::from_millis(1);
        assert_eq!(tries.take(&actor(1), almost), None);
        assert_eq!(tries.take(&actor(1), began + WINDOW), Some(8));
        assert_eq!(tries.take(&actor(1), began + WINDOW), Some(0));
    }

    #[test]
    fn many_operators_take_no_more_memory_than_there_is() {
        let (tries, now) = (Tries::default(), Instant::now());
        for id in 0..4 * COUNTED {
            tries.take(&actor(id), now);
        }
        let places = tries.0.lock().map(|windows| windows.len());
        assert_eq!(places.ok(), Some(COUNTED + 1));
        // Those without a place of their own share one.
        assert_eq!(tries.take(&actor(9 * COUNTED), now), None);
        assert_eq!(tries.take(&actor(0), now), Some(0));
    }
}
