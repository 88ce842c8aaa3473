//! Answers of clouds, kept for a while and shared.
//!
//! * Those who ask the same while it is being asked wait for the one answer. The question goes on by itself, on a task of its
//!   own: what comes of it is known even when nobody waits any more.
//! * An answer is kept for as long as it says, an error for [`Times::failure`], a throttled call for as long as the cloud
//!   asked, within bounds. So a cloud that is out of order costs one wait, not one for each login.
//! * What may pass is asked again, after a pause that doubles and is drawn by lot, so that those who were turned away together
//!   do not come back together; until [`Times::deadline`] is over.
//! * [`AT_ONCE`] questions of one lane are asked at once, [`WAITING`] wait. A region that is out does not hold up another.
//! * What strangers can make up is asked within a [`Quota`].
//! * At most [`MOST`] answers and [`MOST_BYTES`] bytes. The ones that were not asked for the longest go.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::question::{Answer, Cloud, Key, Known, Question};
use super::quota::Asked;
use super::{CallError, CallErrorKind, Quota};
use crate::clock::Clock;
use crate::outside::Outside;
use crate::random::{SecureRandom, SystemRandom, bytes};

/// Questions of one lane that are asked at once.
pub const AT_ONCE: usize = 5;
/// Questions of one lane that wait for their turn.
pub const WAITING: usize = 1024;
/// Most answers.
pub const MOST: usize = 10_000;
/// Most bytes of answers.
pub const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Longest pause between two attempts, and longest that a cloud's wish to be left alone is remembered.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From the question to its answer, with the wait for the lane and all attempts.
    pub deadline: Duration,
    /// Longest pause before the second attempt; twice that before the third, and so on.
    pub pause: Duration,
    /// How long an error is remembered.
    pub failure: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(20),
            pause: Duration::from_millis(400),
            failure: Duration::from_secs(5),
        }
    }
}

/// Who counts what is asked.
pub trait Counts: Send + Sync + core::fmt::Debug {
    /// One attempt has ended: `answered`, or as [`CallError::outcome`] says.
    fn called(&self, cloud: Cloud, outcome: &'static str);
    /// Somebody has asked; `kept`: and the answer was there.
    fn asked(&self, cloud: Cloud, kept: bool);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCounts;

impl Counts for NoCounts {
    fn called(&self, _: Cloud, _: &'static str) {}
    fn asked(&self, _: Cloud, _: bool) {}
}

/// See the module.
#[derive(Debug)]
pub struct Answers {
    clock: Arc<dyn Clock>,
    counts: Arc<dyn Counts>,
    times: Times,
    places: Mutex<HashMap<Key, Arc<Mutex<Place>>>>,
    lanes: Mutex<HashMap<(Cloud, String), Arc<Lane>>>,
    /// Of the lanes that have a quota, which are few and fixed.
    quotas: Mutex<HashMap<(Cloud, String), Asked>>,
}

#[derive(Debug, Default)]
struct Place {
    told: Option<Told>,
    /// The other end is gone when the question has ended.
    under_way: Option<watch::Receiver<()>>,
    used: Duration,
}

#[derive(Debug, Clone)]
struct Told {
    result: Result<Known, CallError>,
    until: Duration,
}

#[derive(Debug)]
struct Lane {
    places: Semaphore,
    waiting: AtomicUsize,
}

impl Answers {
    /// None yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, counts: Arc<dyn Counts>, times: Times) -> Self {
        Self {
            clock,
            counts,
            times,
            places: Mutex::default(),
            lanes: Mutex::default(),
            quotas: Mutex::default(),
        }
    }

    /// The answer to `question`, which is asked through `outside` unless its answer is known. Within a runtime of tokio.
    ///
    /// # Errors
    ///
    /// [`CallError`], perhaps of a moment ago.
    pub async fn answer(
        self: &Arc<Self>,
        outside: Arc<dyn Outside>,
        question: Arc<dyn Question>,
    ) -> Result<Known, CallError> {
        let key = question.key();
        let place = self.place(&key);
        let mut under_way = {
            let mut place_now = lock(&place);
            place_now.used = self.now();
            if let Some(told) = place_now.told(self.now()) {
                self.counts.asked(key.cloud, true);
                return told.result;
            }
            self.counts.asked(key.cloud, false);
            match place_now.under_way() {
                Some(under_way) => under_way,
                None => self.start(
                    &mut place_now,
                    place.clone(),
                    outside,
                    question,
                    key.clone(),
                ),
            }
        };
        // Nothing is ever sent: it ends when the question does.
        while under_way.changed().await.is_ok() {}
        // What was learned this moment holds for those who waited for it, however short it is kept.
        let told = lock(&place).told.clone();
        told.map_or_else(
            || {
                Err(CallError::new(
                    key.cloud.name(),
                    "call",
                    CallErrorKind::Lost,
                ))
            },
            |told| told.result,
        )
    }

    fn start(
        self: &Arc<Self>,
        place: &mut Place,
        shared: Arc<Mutex<Place>>,
        outside: Arc<dyn Outside>,
        question: Arc<dyn Question>,
        key: Key,
    ) -> watch::Receiver<()> {
        let (end, under_way) = watch::channel(());
        place.told = None;
        place.under_way = Some(under_way.clone());
        let answers = self.clone();
        tokio::spawn(async move {
            let result = answers.ask(outside.as_ref(), question.as_ref(), key).await;
            let told = answers.told(result, question.quota());
            lock(&shared).told = Some(told);
            drop(end);
        });
        under_way
    }

    /// How long what came of a question is worth.
    fn told(&self, result: Result<Answer, CallError>, quota: Option<Quota>) -> Told {
        let (result, kept) = match result {
            Ok(answer) => (Ok(Arc::new(answer.body)), answer.kept),
            Err(error) => {
                let kept = match error.kind {
                    // It was the crowd's fault.
                    CallErrorKind::Busy => Duration::ZERO,
                    CallErrorKind::Throttled {
                        retry_after: Some(wish),
                    } => wish.clamp(self.times.failure, LONGEST_PAUSE),
                    _ => match quota {
                        Some(quota) if error.is_lasting() => quota.per,
                        _ => self.times.failure,
                    },
                };
                (Err(error), kept)
            }
        };
        Told {
            result,
            until: self.now().saturating_add(kept),
        }
    }

    async fn ask(
        &self,
        outside: &dyn Outside,
        question: &dyn Question,
        key: Key,
    ) -> Result<Answer, CallError> {
        let cloud = key.cloud;
        let ends = Instant::now() + self.times.deadline;
        let quota = question.quota();
        let named = quota.map(|quota| (quota, (cloud, key.lane.clone())));
        let lane = self.lane(key);
        let late = |kind| CallError::new(cloud.name(), "call", kind);
        if lane.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            lane.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(late(CallErrorKind::Busy));
        }
        let place = tokio::time::timeout_at(ends, lane.places.acquire()).await;
        lane.waiting.fetch_sub(1, Ordering::Relaxed);
        let Ok(Ok(_place)) = place else {
            return Err(late(CallErrorKind::Busy));
        };
        // Behind the lane, so that those who wait have not used up what they do not ask.
        if let Some((quota, lane)) = named {
            let mut quotas = lock(&self.quotas);
            if !quotas.entry(lane).or_default().take(quota, self.now()) {
                return Err(late(CallErrorKind::Quota));
            }
        }
        let mut pause = self.times.pause;
        loop {
            let attempt = tokio::time::timeout_at(ends, question.ask(outside)).await;
            let attempt = attempt.unwrap_or_else(|_| Err(late(CallErrorKind::Deadline)));
            let attempt = attempt.and_then(|answer| match answer.body.len() > Answer::MOST {
                true => Err(late(CallErrorKind::Content("it is too long"))),
                false => Ok(answer),
            });
            let error = match attempt {
                Ok(answer) => {
                    self.counts.called(cloud, "answered");
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.counts.called(cloud, error.outcome());
            let wait = by_lot(&SystemRandom, pause).max(match error.kind {
                CallErrorKind::Throttled { retry_after } => retry_after.unwrap_or_default(),
                _ => Duration::ZERO,
            });
            // A pause after which there is no time to ask serves nobody.
            if !error.is_passing() || Instant::now() + wait >= ends {
                tracing::warn!(%error, "{}", crate::telemetry::names::CLOUD_CALL_FAILED);
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    fn lane(&self, key: Key) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        // Whoever is in a lane holds it.
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        let lane = lanes.entry((key.cloud, key.lane)).or_insert_with(|| {
            Arc::new(Lane {
                places: Semaphore::new(AT_ONCE),
                waiting: AtomicUsize::new(0),
            })
        });
        lane.clone()
    }

    fn place(&self, key: &Key) -> Arc<Mutex<Place>> {
        let mut places = lock(&self.places);
        if let Some(place) = places.get(key) {
            return place.clone();
        }
        make_room(&mut places, self.now());
        let place = Arc::new(Mutex::new(Place {
            used: self.now(),
            ..Place::default()
        }));
        places.insert(key.clone(), place.clone());
        place
    }

    fn now(&self) -> Duration {
        self.clock.now().monotonic
    }
}

impl Place {
    fn told(&self, now: Duration) -> Option<Told> {
        self.told.clone().filter(|told| now < told.until)
    }

    fn under_way(&self) -> Option<watch::Receiver<()>> {
        let running = |end: &&watch::Receiver<()>| end.has_changed().is_ok();
        self.under_way.as_ref().filter(running).cloned()
    }

    fn bytes(&self) -> usize {
        match &self.told {
            Some(Told {
                result: Ok(known), ..
            }) => known.len(),
            _ => 0,
        }
    }
}

/// Room for one more: what has ended goes first, then an eighth of the rest, by when it was used. A question that is under way
/// stays, so that nobody asks it a second time.
fn make_room(places: &mut HashMap<Key, Arc<Mutex<Place>>>, now: Duration) {
    let bytes = |places: &HashMap<Key, Arc<Mutex<Place>>>| -> usize {
        places.values().map(|place| lock(place).bytes()).sum()
    };
    // Adding up is for every 64th: one answer is at most 1 MiB, so the bound is passed by that much at the most.
    let full = |places: &HashMap<Key, Arc<Mutex<Place>>>| {
        places.len() >= MOST || (places.len() % 64 == 63 && bytes(places) > MOST_BYTES)
    };
    if !full(places) {
        return;
    }
    let stays = |place: &Arc<Mutex<Place>>| {
        let place = lock(place);
        place.under_way().is_some() || place.told(now).is_some()
    };
    places.retain(|_, place| stays(place));
    if !full(places) {
        return;
    }
    let mut ages: Vec<_> = places.values().map(|place| lock(place).used).collect();
    ages.sort_unstable();
    let line = ages.get(ages.len() / 8).copied().unwrap_or(now);
    places.retain(|_, place| {
        let place = lock(place);
        place.under_way().is_some() || place.used > line
    });
}

/// Somewhere between nothing and `most`. Without randomness: all of it.
fn by_lot(random: &dyn SecureRandom, most: Duration) -> Duration {
    let drawn = bytes::<4>(random).map_or(u32::MAX, u32::from_le_bytes);
    most.mul_f64(f64::from(drawn) / f64::from(u32::MAX))
}

/// What is behind these locks is whole between two statements, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
