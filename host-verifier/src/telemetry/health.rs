//! Whether the service works: what `/live` and `/ready` say.
//!
//! Each part of the service reports how it is; nothing is ready that has not said so. `/ready` fails while any part
//! fails, and says which and why. `/live` fails only where a restart is the one thing that helps: a database that is away
//! must not have every replica killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::clock::{Clock, Moment, STEP};

/// A part of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The database.
    Store,
    /// The audit trail.
    Audit,
    /// The keys that sign SVIDs and challenges.
    Authorities,
    /// The configuration.
    Config,
    /// Ports and sockets.
    Listeners,
    /// The calendar.
    Clock,
}

impl Component {
    /// Every part.
    pub const ALL: [Self; 6] = [
        Self::Store,
        Self::Audit,
        Self::Authorities,
        Self::Config,
        Self::Listeners,
        Self::Clock,
    ];

    /// Its name in answers and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Audit => "audit",
            Self::Authorities => "authorities",
            Self::Config => "config",
            Self::Listeners => "listeners",
            Self::Clock => "clock",
        }
    }
}

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Degraded(String),
    /// It does not work now; it may again.
    Failing(String),
    /// It does not work, and only a restart helps.
    Dead(String),
}

impl State {
    const fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded(_) => "degraded",
            Self::Failing(_) | Self::Dead(_) => "failing",
        }
    }

    /// 0 ok, 1 degraded, 2 failing: the value of the metric.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Degraded(_) => 1,
            Self::Failing(_) | Self::Dead(_) => 2,
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Dead(_) => 3,
            other => other.number(),
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Ok => None,
            Self::Degraded(why) | Self::Failing(why) | Self::Dead(why) => Some(why),
        }
    }
}

/// What is known of one part.
#[derive(Debug, Clone)]
struct Known {
    /// By what it consists of, for instance listeners; `""` for the part as a whole. Those that are well are left out.
    ill: BTreeMap<String, State>,
    since: Timestamp,
}

impl Known {
    /// The worst of all.
    fn state(&self) -> State {
        let worst = self.ill.iter().max_by_key(|(_, state)| state.rank());
        let Some((of, state)) = worst else {
            return State::Ok;
        };
        let named = |why: &str| match of.as_str() {
            "" => why.to_owned(),
            of => format!("{of}: {why}"),
        };
        match state {
            State::Ok => State::Ok,
            State::Degraded(why) => State::Degraded(named(why)),
            State::Failing(why) => State::Failing(named(why)),
            State::Dead(why) => State::Dead(named(why)),
        }
    }
}

/// The state of all parts; cheap to clone.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    parts: Mutex<BTreeMap<Component, Known>>,
    draining: AtomicBool,
}

/// An answer of `/live` or `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// `ok`, `failing`, or of `/ready` `draining`: the service was told to stop and ends what it has begun.
    pub status: &'static str,
    /// The parts that keep it from being `ok`, and why, in a sentence for people. Empty when it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready: Vec<String>,
    /// Every part.
    pub components: Vec<Part>,
}

impl Answer {
    /// Whether the HTTP status is 200; 503 otherwise.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

/// One part in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Which.
    pub component: Component,
    /// `ok`, `degraded` or `failing`.
    pub status: &'static str,
    /// Why it is not `ok`. Says nothing that is secret, but speaks of hosts and files: not for the public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is so.
    pub since: Timestamp,
}

impl Health {
    /// A service that starts: nothing is ready yet.
    #[must_use]
    pub fn starting(clock: Arc<dyn Clock>) -> Self {
        let since = clock.now().wall;
        let ill = State::Failing("not started yet".to_owned());
        let known = Known {
            ill: [(String::new(), ill)].into(),
            since,
        };
        let parts = Component::ALL.map(|component| (component, known.clone()));
        Self(Arc::new(Inner {
            clock,
            parts: Mutex::new(parts.into()),
            draining: AtomicBool::new(false),
        }))
    }

    /// Takes note of how a part is. `since` moves only when the state does, not when the reason is put another way.
    pub fn report(&self, component: Component, state: State) {
        self.report_of(component, "", state);
    }

    /// Takes note of how one piece of a part is, for instance one of several listeners. The part is as well as the worst
    /// of its pieces.
    pub fn report_of(&self, component: Component, piece: &str, state: State) {
        let now = self.0.clock.now().wall;
        let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = parts.entry(component).or_insert_with(|| Known {
            ill: BTreeMap::new(),
            since: now,
        });
        let before = known.state().name();
        match state {
            State::Ok => known.ill.remove(piece),
            ill => known.ill.insert(piece.to_owned(), ill),
        };
        if known.state().name() != before {
            known.since = now;
        }
    }

    /// How a part is.
    #[must_use]
    pub fn state(&self, component: Component) -> State {
        let parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get(&component).map_or(State::Ok, Known::state)
    }

    /// The service was told to stop: from now on it is not ready, whatever its parts say.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// The answer of `/ready`: whether logins can be served.
    #[must_use]
    pub fn ready(&self) -> Answer {
        let mut answer = self.answer(|state| matches!(state, State::Failing(_) | State::Dead(_)));
        if self.0.draining.load(Ordering::Acquire) {
            answer.status = "draining";
            let why = "the service ends, and takes nothing new".to_owned();
            answer.not_ready.insert(0, why);
        }
        answer
    }

    /// The answer of `/live`: whether a restart would not help.
    #[must_use]
    pub fn live(&self) -> Answer {
        self.answer(|state| matches!(state, State::Dead(_)))
    }

    fn answer(&self, fails: impl Fn(&State) -> bool) -> Answer {
        let parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = Answer {
            status: "ok",
            not_ready: Vec::new(),
            components: Vec::new(),
        };
        for (component, known) in parts.iter() {
            let state = known.state();
            if fails(&state) {
                answer.status = "failing";
                let why = state.reason().unwrap_or_default();
                answer
                    .not_ready
                    .push(format!("{}: {why}", component.name()));
            }
            answer.components.push(Part {
                component: *component,
                status: state.name(),
                reason: state.reason().map(str::to_owned),
                since: known.since,
            });
        }
        answer
    }
}

/// Asks something small of a part, and waits for `limit` at most.
///
/// # Errors
///
/// Why it does not work.
pub async fn probe<T, E: core::fmt::Display>(
    limit: Duration,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<(), String> {
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

/// How long a step is reported.
const REPORTED: Duration = Duration::from_secs(600);
/// Before this the calendar cannot be right, and with it no certificate can be judged: the year of this program.
const EARLIEST: &str = "2026-01-01T00:00:00Z";

/// Watches the calendar against the monotonic clock.
#[derive(Debug, Default)]
pub struct ClockWatch {
    last: Option<Moment>,
    step: Option<(Duration, jiff::SignedDuration)>,
}

impl ClockWatch {
    /// How the calendar is at `now`; to be asked every few seconds.
    pub fn observe(&mut self, now: Moment) -> State {
        if let Some(last) = self.last {
            let moved = now.moved_since(&last);
            if moved.unsigned_abs() > STEP {
                self.step = Some((now.monotonic, moved));
            }
        }
        self.last = Some(now);
        if EARLIEST
            .parse()
            .is_ok_and(|earliest: Timestamp| now.wall < earliest)
        {
            return State::Failing(format!(
                "the calendar says {}, which is before this program was made",
                now.wall
            ));
        }
        match self.step {
            Some((at, by)) if now.monotonic.saturating_sub(at) < REPORTED => {
                let way = if by.is_negative() { "back" } else { "forward" };
                let by = by.unsigned_abs().as_secs();
                State::Degraded(format!("the calendar was set {way} by {by} s"))
            }
            _ => State::Ok,
        }
    }
}
