//! Keys of issuers that were fetched before.
//!
//! * A set is used for [`FRESH`] without asking. After that it is fetched anew, while those whose key is in it go on with it at
//!   once. Nobody has asked for [`STALE`]: then the answer is waited for, so that a withdrawn key is not taken in a quiet place;
//!   unless the last question had none, since a dead issuer must not hold up those whose keys are known.
//! * When it cannot be fetched, the old set is used on, until it is [`OLDEST`] and not longer.
//! * An unknown `kid` has the set fetched anew at once, since issuers rotate their keys; but not within [`PAUSE`] of the last
//!   time, so that tokens with invented names are no way to have an issuer flooded.
//! * A failure is remembered for [`PAUSE`] too: a dead issuer costs one wait, not one for each login.
//! * One question at a time for each source, on a task of its own: whoever comes meanwhile waits for the same answer, and when
//!   those who wait go away, what comes of it is remembered all the same. Otherwise an agent that hangs up in the middle could
//!   have an issuer asked as often as it likes.
//! * At most [`MOST_SOURCES`] sets; the one that was not asked for the longest goes.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::set::{JwkSet, NoKey};
use super::source;
use crate::clock::Clock;
use crate::outside::{Error, ErrorKind, Fetch, KeySource};
use crate::telemetry::names;

/// How long a set is used without asking.
pub const FRESH: Duration = Duration::from_secs(300);
/// How old a set may get while its keys are used before the answer to a new question is there.
pub const STALE: Duration = Duration::from_secs(600);
/// How old a set may get while its issuer cannot be asked.
pub const OLDEST: Duration = Duration::from_secs(3600);
/// Shortest time between two questions to one source.
pub const PAUSE: Duration = Duration::from_secs(30);
/// Most sets that are held.
pub const MOST_SOURCES: usize = 256;

/// The sets of all issuers that the policies name.
#[derive(Debug)]
pub struct KeyCache {
    clock: Arc<dyn Clock>,
    fetch: Arc<dyn Fetch>,
    sources: Mutex<HashMap<KeySource, Entry>>,
}

type Entry = Arc<Mutex<Known>>;

/// What is known of a source. Times are of the clock that cannot be set.
#[derive(Debug, Default)]
struct Known {
    set: Option<Fetched>,
    /// When it was last asked: when the question began, and once it has ended, when it did.
    asked: Option<Duration>,
    /// Why the last question that has ended brought no set.
    failed: Option<Error>,
    /// The question that is under way; its other end is gone when there is none.
    under_way: Option<watch::Receiver<()>>,
    used: Duration,
}

#[derive(Debug, Clone)]
struct Fetched {
    set: Arc<JwkSet>,
    at: Duration,
}

/// What a look at the cache comes to.
enum Look {
    Found(Vec<u8>),
    /// Found in a set that is to be fetched anew.
    Aged(Vec<u8>),
    /// Whoever asks has to wait for what the issuer says.
    Ask,
    Failed(Error),
}

impl KeyCache {
    /// An empty cache. `fetch` is how issuers are asked.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, fetch: Arc<dyn Fetch>) -> Self {
        Self {
            clock,
            fetch,
            sources: Mutex::default(),
        }
    }

    /// The key of `source` that a token with this `kid` means, as JSON; see
    /// [`Outside::jwk`](crate::outside::Outside::jwk). Within a runtime of tokio, on which questions go on by themselves.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`ErrorKind::NoKey`] when a set was read and has no such key, or several without a `kid` to choose by.
    pub async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        let entry = self.entry(source);
        let mut under_way = {
            let mut known = lock(&entry);
            match known.look(self.now(), source, kid) {
                Look::Found(key) => return Ok(key),
                Look::Failed(error) => return Err(error),
                Look::Aged(key) => {
                    self.question(&entry, &mut known, source);
                    return Ok(key);
                }
                Look::Ask => self.question(&entry, &mut known, source),
            }
        };
        // Nothing is ever sent: it ends when the question does.
        while under_way.changed().await.is_ok() {}
        match lock(&entry).look(self.now(), source, kid) {
            Look::Found(key) | Look::Aged(key) => Ok(key),
            Look::Failed(error) => Err(error),
            // It was asked this moment.
            Look::Ask => Err(no_key(source)),
        }
    }

    /// The question that is under way, or a new one. It is noted before it begins: were it to end in a panic, it would
    /// still count.
    fn question(
        &self,
        entry: &Entry,
        known: &mut Known,
        source: &KeySource,
    ) -> watch::Receiver<()> {
        if let Some(under_way) = known.under_way() {
            return under_way;
        }
        let (end, under_way) = watch::channel(());
        known.asked = Some(self.now());
        known.under_way = Some(under_way.clone());
        let (clock, fetch) = (self.clock.clone(), self.fetch.clone());
        let (entry, source) = (entry.clone(), source.clone());
        tokio::spawn(async move {
            let fetched = source::fetch(fetch.as_ref(), &source).await;
            lock(&entry).learn(fetched, clock.now().monotonic);
            drop(end);
        });
        under_way
    }

    fn now(&self) -> Duration {
        self.clock.now().monotonic
    }

    fn entry(&self, source: &KeySource) -> Entry {
        let now = self.now();
        let mut sources = lock(&self.sources);
        if let Some(entry) = sources.get(source) {
            lock(entry).used = now;
            return entry.clone();
        }
        if sources.len() >= MOST_SOURCES {
            let oldest = sources
                .iter()
                .min_by_key(|(_, entry)| lock(entry).used)
                .map(|(source, _)| source.clone());
            if let Some(oldest) = oldest {
                sources.remove(&oldest);
            }
        }
        let entry = Entry::default();
        lock(&entry).used = now;
        sources.insert(source.clone(), entry.clone());
        entry
    }
}

impl Known {
    fn under_way(&self) -> Option<watch::Receiver<()>> {
        let running = |end: &&watch::Receiver<()>| end.has_changed().is_ok();
        self.under_way.as_ref().filter(running).cloned()
    }

    /// What came of a question.
    fn learn(&mut self, fetched: Result<JwkSet, Error>, at: Duration) {
        self.asked = Some(at);
        self.failed = match fetched {
            Ok(set) => {
                let set = Arc::new(set);
                self.set = Some(Fetched { set, at });
                None
            }
            Err(error) => {
                tracing::warn!(%error, "{}", names::KEYS_NOT_FETCHED);
                Some(error)
            }
        };
    }

    fn look(&self, now: Duration, source: &KeySource, kid: Option<&str>) -> Look {
        let since = |at: Duration| now.saturating_sub(at);
        let under_way = self.under_way().is_some();
        let may_ask = under_way || self.asked.is_none_or(|at| since(at) >= PAUSE);
        let failed = || self.failed.clone().unwrap_or_else(|| no_key(source));
        let Some(Fetched { set, at }) = self.set.as_ref().filter(|set| since(set.at) < OLDEST)
        else {
            return match may_ask {
                true => Look::Ask,
                false => Look::Failed(failed()),
            };
        };
        let age = since(*at);
        match set.select(kid) {
            Ok(key) if age < FRESH => Look::Found(key.to_json()),
            Ok(key) if !may_ask => Look::Found(key.to_json()),
            Ok(key) if age < STALE || self.failed.is_some() => Look::Aged(key.to_json()),
            Err(NoKey::Unknown(_)) if may_ask => Look::Ask,
            Ok(_) | Err(_) if age >= FRESH && may_ask => Look::Ask,
            // The old set has no such key, which the new one may have.
            _ if age >= FRESH => Look::Failed(failed()),
            _ => Look::Failed(no_key(source)),
        }
    }
}

fn no_key(source: &KeySource) -> Error {
    Error::new(source.location.url(), ErrorKind::NoKey)
}

/// What is behind these locks is whole between two statements, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
