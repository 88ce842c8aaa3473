//! Keys of issuers that were fetched before.
//!
//! * A set is used for [`FRESH`] without asking. After that it is fetched anew; when that fails, the old one is used on, until
//!   it is [`OLDEST`] and not longer.
//! * An unknown `kid` has the set fetched anew at once, since issuers rotate their keys; but not within [`PAUSE`] of the last
//!   time, so that tokens with invented names are no way to have an issuer flooded.
//! * A failure is remembered for [`PAUSE`] too: a dead issuer costs one wait, not one for each login.
//! * One question at a time for each source; whoever comes meanwhile waits for its answer, and those whose key is known do
//!   not wait at all.
//! * At most [`MOST_SOURCES`] sets; the one that was not asked for the longest goes.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::set::{JwkSet, NoKey};
use super::source;
use crate::clock::Clock;
use crate::outside::{Error, ErrorKind, Fetch, KeySource};
use crate::telemetry::names;

/// How long a set is used without asking.
pub const FRESH: Duration = Duration::from_secs(300);
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
    sources: Mutex<HashMap<KeySource, Arc<Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    known: Mutex<Known>,
    /// Held by whoever asks.
    asking: tokio::sync::Mutex<()>,
}

/// What is known of a source. Times are of the clock that cannot be set.
#[derive(Debug, Default)]
struct Known {
    set: Option<Fetched>,
    /// When it was last asked, and what came of it if nothing did.
    asked: Option<(Duration, Option<Error>)>,
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
    Ask,
    Failed(Error),
}

impl KeyCache {
    /// An empty cache.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            sources: Mutex::default(),
        }
    }

    /// The key of `source` that a token with this `kid` means, as JSON; see
    /// [`Outside::jwk`](crate::outside::Outside::jwk). `fetch` is how the source is asked.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`ErrorKind::NoKey`] when a set was read and has no such key, or several without a `kid` to choose by.
    pub async fn jwk(
        &self,
        fetch: &dyn Fetch,
        source: &KeySource,
        kid: Option<&str>,
    ) -> Result<Vec<u8>, Error> {
        let entry = self.entry(source);
        match self.look(&entry, source, kid) {
            Look::Found(key) => return Ok(key),
            Look::Failed(error) => return Err(error),
            Look::Ask => {}
        }
        let asking = entry.asking.lock().await;
        // Somebody else may have asked while this one waited.
        match self.look(&entry, source, kid) {
            Look::Found(key) => return Ok(key),
            Look::Failed(error) => return Err(error),
            Look::Ask => {}
        }
        let fetched = source::fetch(fetch, source).await;
        let at = self.clock.now().monotonic;
        {
            let mut known = lock(&entry.known);
            match fetched {
                Ok(set) => {
                    let set = Arc::new(set);
                    known.set = Some(Fetched { set, at });
                    known.asked = Some((at, None));
                }
                Err(error) => {
                    tracing::warn!(%error, "{}", names::KEYS_NOT_FETCHED);
                    known.asked = Some((at, Some(error)));
                }
            }
        }
        drop(asking);
        match self.look(&entry, source, kid) {
            Look::Found(key) => Ok(key),
            Look::Failed(error) => Err(error),
            // It was asked this moment.
            Look::Ask => Err(no_key(source)),
        }
    }

    fn look(&self, entry: &Entry, source: &KeySource, kid: Option<&str>) -> Look {
        let now = self.clock.now().monotonic;
        let known = lock(&entry.known);
        let since = |at: Duration| now.saturating_sub(at);
        let may_ask = known
            .asked
            .as_ref()
            .is_none_or(|(at, _)| since(*at) >= PAUSE);
        let usable = known.set.as_ref().filter(|set| since(set.at) < OLDEST);
        let fresh = usable.filter(|set| since(set.at) < FRESH);
        if let Some(Fetched { set, .. }) = fresh {
            return match set.select(kid) {
                Ok(key) => Look::Found(key.to_json()),
                Err(NoKey::Unknown(_)) if may_ask => Look::Ask,
                Err(_) => Look::Failed(no_key(source)),
            };
        }
        if may_ask {
            return Look::Ask;
        }
        // It was asked just now and there was no answer.
        let failed = known.asked.as_ref().and_then(|(_, error)| error.clone());
        match usable.map(|old| old.set.select(kid)) {
            Some(Ok(key)) => Look::Found(key.to_json()),
            // The old set has no such key, which the new one may have.
            _ => Look::Failed(failed.unwrap_or_else(|| no_key(source))),
        }
    }

    fn entry(&self, source: &KeySource) -> Arc<Entry> {
        let now = self.clock.now().monotonic;
        let mut sources = lock(&self.sources);
        if let Some(entry) = sources.get(source) {
            lock(&entry.known).used = now;
            return entry.clone();
        }
        if sources.len() >= MOST_SOURCES {
            let oldest = sources
                .iter()
                .min_by_key(|(_, entry)| lock(&entry.known).used)
                .map(|(source, _)| source.clone());
            if let Some(oldest) = oldest {
                sources.remove(&oldest);
            }
        }
        let entry = Arc::new(Entry::default());
        lock(&entry.known).used = now;
        sources.insert(source.clone(), entry.clone());
        entry
    }
}

fn no_key(source: &KeySource) -> Error {
    Error::new(source.location.url(), ErrorKind::NoKey)
}

/// What is behind these locks is whole between two statements, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
