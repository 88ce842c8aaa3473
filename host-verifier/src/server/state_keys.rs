//! The keys that seal logins between two messages, shared by the verifiers of one challenge key.
//!
//! A login's state holds the secret that only its TPM can find out, so whoever opens states can log in as any TPM. Their keys
//! are therefore random, live for hours, and are in no file that an operator handles: the store has them, sealed under the
//! challenge key, so that it takes both to read one, and takes them at the right hour.
//!
//! # How they change
//!
//! Keys are numbered. The newest is there and not used yet: what seals is the one before it. So when a verifier makes the
//! next, every other has known the one that seals from then on for an hour, and no message of a login comes to a verifier
//! that cannot open its state, at any moment of a change, whatever the calendars of the verifiers say. Of several that make
//! the next key at once the store takes one. A key that seals no more is accepted for [`KEEP`] from when this verifier
//! learned of its end, and is then removed from the store and from memory. Where no verifier ran for hours, so that what a
//! backup of that time holds would seal again, two are made at once.
//!
//! Sealing and opening ask memory alone. A state of a key that is newer than all that are known here, which only a verifier
//! that could not read the store for long can meet, has the store read at once; states that anybody makes up do so too, so
//! that is done by one at a time and once a second at most.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::clock::{Clock, Moment};
use crate::crypto::seal::{KEY_LEN, SealError, SealingKey};
use crate::login::ChallengeKey;
use crate::login::resume::Saved;
use crate::random::{RandomError, SecureRandom};
use crate::store::{StateKeyRecord, Store, StoreError};
use crate::telemetry::names;

/// How often the store is read, and looked whether a key is due.
pub const TEND_EVERY: Duration = Duration::from_secs(30);
/// How long a key seals.
pub const ROTATE_EVERY: Duration = Duration::from_secs(3600);
/// Age at which a key seals no more, should nobody have made the next in time.
const OLDEST: Duration = Duration::from_secs(2 * 3600 + 300);
/// How long a key is accepted after it sealed the last: the longest login that can be configured, and the time that every
/// verifier has to learn of the end.
pub const KEEP: Duration = Duration::from_secs(900);
/// Most keys of which the store has any record: a verifier that never lives for [`KEEP`] removes the oldest too.
pub const MOST: u64 = 16;
/// Least time between two readings of the store for the sake of states.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is sealed (RFC 5869, info; associated data): this, and the key's number. Its version rises with what the store
/// remembers of a login, too: two verifiers that would look for an answered challenge in different places must not share one.
const LABEL: &[u8] = b"assay/login-state/v3";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum StateKeyError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`SealError`].
    #[error("keys of login states: {0}")]
    Seal(#[from] SealError),
    /// No key could be agreed upon.
    #[error("keys of login states: those in the store change under one's hands")]
    Contended,
}

/// Why a state is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No key that is known, here or in the store, has sealed it.
    #[error("a state that no verifier of this trust domain has made, or one that is too old")]
    Foreign,
    /// Whether one has is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The keys. Clones are the same.
#[derive(Debug, Clone)]
pub struct StateKeys(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    challenge: ChallengeKey,
    clock: Arc<dyn Clock>,
    random: Arc<dyn SecureRandom>,
    ring: RwLock<Arc<Ring>>,
    /// When the store was read last for the sake of a state; held while it is.
    looked: Mutex<Option<Duration>>,
}

/// What the store held when it was read last.
#[derive(Debug, Default)]
struct Ring {
    keys: BTreeMap<u64, Known>,
    /// Number and making of the newest record, whether or not it can be used, and since when it is known here, in a time
    /// that no calendar counts.
    newest: Option<(u64, Timestamp, Duration)>,
}

#[derive(Debug, Clone)]
struct Known {
    key: Arc<SealingKey>,
    made_at: Timestamp,
}

impl Ring {
    /// The one that seals: the last but one, since the last may not be known everywhere.
    fn sealing(&self) -> Option<(u64, &Known)> {
        let mut latest = self.keys.iter().rev();
        let newest = latest.next();
        let (number, known) = latest.next().or(newest)?;
        Some((*number, known))
    }

    /// Whether the next key is to be made. A calendar that was set back must not stop the change.
    fn due(&self, now: Timestamp) -> bool {
        let age = |made_at: Timestamp| now.duration_since(made_at).unsigned_abs();
        self.keys.len() < 2
            || self
                .newest
                .is_none_or(|(_, made_at, _)| age(made_at) >= ROTATE_EVERY)
            || self
                .sealing()
                .is_none_or(|(_, known)| age(known.made_at) >= OLDEST)
    }
}

impl StateKeys {
    /// The keys of the store, or new ones.
    ///
    /// # Errors
    ///
    /// [`StateKeyError`].
    pub async fn open(
        store: Arc<dyn Store>,
        challenge: ChallengeKey,
        clock: Arc<dyn Clock>,
        random: Arc<dyn SecureRandom>,
    ) -> Result<Self, StateKeyError> {
        let keys = Self(Arc::new(Inner {
            store,
            challenge,
            clock,
            random,
            ring: RwLock::default(),
            looked: Mutex::default(),
        }));
        keys.tend().await?;
        Ok(keys)
    }

    /// Learns of the keys that others made, makes the next when it is due, and removes those that are of no more use. To be
    /// called every [`TEND_EVERY`].
    ///
    /// # Errors
    ///
    /// [`StateKeyError`]; what is known stays in use.
    pub async fn tend(&self) -> Result<(), StateKeyError> {
        let now = self.0.clock.now();
        let mut ring = self.read(now).await?;
        // The first two, the next one, and as many again that others made meanwhile.
        for _ in 0..2 * MOST {
            if !ring.due(now.wall) {
                self.remove(&ring, now).await?;
                return Ok(());
            }
            let number = ring.newest.map_or(0, |(number, ..)| number) + 1;
            self.make(number, now.wall).await?;
            ring = self.read(now).await?;
        }
        Err(StateKeyError::Contended)
    }

    /// [`Self::tend`], for ever.
    pub(super) async fn follow(&self) {
        let mut turns = tokio::time::interval(TEND_EVERY);
        loop {
            turns.tick().await;
            if let Err(error) = self.tend().await {
                tracing::warn!(%error, "{}", names::STATE_KEYS_FAILED);
            }
        }
    }

    /// Seals a login's state for whichever verifier has the same keys: the key's number, and what it has sealed.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn seal(&self, state: &Saved) -> Result<Vec<u8>, SealError> {
        let ring = self.ring();
        let (number, known) = ring.sealing().ok_or(SealError::Library)?;
        let text = state.to_bytes().ok_or(SealError::Library)?;
        let sealed = known
            .key
            .seal(&about(number), text, self.0.random.as_ref())?;
        Ok([number.to_be_bytes().as_slice(), &sealed].concat())
    }

    /// Opens what a verifier with the same keys has sealed.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub async fn open_state(&self, untrusted: &[u8]) -> Result<Saved, OpenError> {
        let (number, sealed) = untrusted
            .split_first_chunk::<8>()
            .ok_or(OpenError::Foreign)?;
        let number = u64::from_be_bytes(*number);
        let mut ring = self.ring();
        if ring.newest.is_none_or(|(newest, ..)| number > newest) {
            ring = self.look(number).await?;
        }
        let known = ring.keys.get(&number).ok_or(OpenError::Foreign)?;
        let text = known.key.open(&about(number), sealed);
        let saved = text.and_then(|text| Saved::from_bytes(&text));
        saved.ok_or(OpenError::Foreign)
    }

    /// Reads the store because of a state, unless that was done just now.
    async fn look(&self, number: u64) -> Result<Arc<Ring>, StoreError> {
        let mut looked = self.0.looked.lock().await;
        let now = self.0.clock.now();
        let ring = self.ring();
        let known = ring.keys.contains_key(&number);
        let recent = looked.is_some_and(|at| now.monotonic.saturating_sub(at) < LOOK_EVERY);
        if known || recent {
            return Ok(ring);
        }
        *looked = Some(now.monotonic);
        self.read(now).await
    }

    async fn read(&self, now: Moment) -> Result<Arc<Ring>, StoreError> {
        let inner = &self.0;
        let records = inner.store.state_keys(&inner.challenge.family()).await?;
        let before = self.ring();
        let mut ring = Ring::default();
        for StateKeyRecord {
            number,
            sealed,
            made_at,
            ..
        } in records
        {
            let since = match before.newest {
                Some((newest, _, since)) if newest == number => since,
                _ => now.monotonic,
            };
            ring.newest = Some((number, made_at, since));
            let known = before.keys.get(&number).cloned();
            let unwrap = || inner.challenge.unwrap_state_key(number, &sealed);
            let unwrapped = |key| Known {
                key: Arc::new(key),
                made_at,
            };
            match known.or_else(|| unwrap().map(unwrapped)) {
                Some(known) => {
                    ring.keys.insert(number, known);
                }
                None => tracing::error!(number, "{}", names::STATE_KEY_DAMAGED),
            }
        }
        let ring = Arc::new(ring);
        *inner.ring.write().unwrap_or_else(PoisonError::into_inner) = ring.clone();
        Ok(ring)
    }

    /// Makes a key and offers it to the store, which may have another of this number by now.
    async fn make(&self, number: u64, now: Timestamp) -> Result<(), StateKeyError> {
        let inner = &self.0;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let random = inner.random.as_ref();
        random
            .fill(key.as_mut_slice())
            .map_err(|RandomError| SealError::Random(RandomError))?;
        let record = StateKeyRecord {
            family: inner.challenge.family(),
            number,
            sealed: inner.challenge.wrap_state_key(number, &key, random)?,
            made_at: now,
        };
        inner.store.add_state_key(&record).await?;
        Ok(())
    }

    async fn remove(&self, ring: &Ring, now: Moment) -> Result<(), StoreError> {
        let (Some((sealing, _)), Some((newest, _, since))) = (ring.sealing(), ring.newest) else {
            return Ok(());
        };
        let over = now.monotonic.saturating_sub(since) >= KEEP;
        let first = if over {
            sealing
        } else {
            newest.saturating_sub(MOST - 1)
        };
        let oldest = ring.keys.keys().next();
        if oldest.is_none_or(|oldest| *oldest >= first) {
            return Ok(());
        }
        let family = self.0.challenge.family();
        self.0.store.remove_state_keys(&family, first).await?;
        self.read(now).await?;
        Ok(())
    }

    fn ring(&self) -> Arc<Ring> {
        let ring = self.0.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.clone()
    }
}

fn about(number: u64) -> Vec<u8> {
    [LABEL, &number.to_be_bytes()].concat()
}
