//! Bodies that are on their way.
//!
//! A request is worked on when its body is whole, and not before: whoever sends slowly would otherwise hold a place that
//! others need. Until then its body stands here, where places and bytes are bounded for each peer and for all. When all are
//! taken, the oldest body of the peer that takes most makes room for one of a peer that takes less, so that it takes as many
//! addresses as there are places to keep anybody out.
//!
//! A body has [`GRACE`], and a second more for every [`PACE`] bytes that came.

use core::pin::Pin;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use hyper::body::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::extract::body_problem;
use super::peer::PeerKey;
use super::problem::Problem;
use crate::config::ApiLimits;

/// How long a body may take whose bytes come slowly.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// Bytes for which a body gets another second.
const PACE: usize = 16 * 1024;
/// Bytes of all bodies on their way, unless one alone may have more than a quarter of that.
const BYTES: usize = 64 * 1024 * 1024;

/// The bodies on their way to one listener.
#[derive(Debug)]
pub(super) struct Arrivals {
    hall: Mutex<Hall>,
    /// Most of all peers together, and of one.
    all: Load,
    share: Load,
    /// Most bytes of one body.
    longest: usize,
    /// Most time of one body.
    time: Duration,
}

/// Bodies, and the bytes that they are or may become.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    bodies: usize,
    bytes: usize,
}

impl Load {
    const fn with(self, bytes: usize) -> Self {
        Self {
            bodies: self.bodies + 1,
            bytes: self.bytes + bytes,
        }
    }

    const fn without(self, bytes: usize) -> Self {
        Self {
            bodies: self.bodies.saturating_sub(1),
            bytes: self.bytes.saturating_sub(bytes),
        }
    }

    const fn within(self, most: Self) -> bool {
        self.bodies <= most.bodies && self.bytes <= most.bytes
    }

    /// How much of `most` it is, in millionths: of whichever it takes more.
    fn part_of(self, most: Self) -> u64 {
        let part = |some: usize, all: usize| (some as u64).saturating_mul(1_000_000) / (all as u64);
        part(self.bodies, most.bodies.max(1)).max(part(self.bytes, most.bytes.max(1)))
    }
}

#[derive(Debug, Default)]
struct Hall {
    next: u64,
    load: Load,
    peers: HashMap<PeerKey, Group>,
}

/// The bodies of one peer, by age.
#[derive(Debug, Default)]
struct Group {
    load: Load,
    bodies: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: usize,
    /// Dropped to send it away.
    _stay: oneshot::Sender<()>,
}

impl Hall {
    fn remove(&mut self, peer: PeerKey, number: u64) -> Option<Waiting> {
        let group = self.peers.get_mut(&peer)?;
        let waiting = group.bodies.remove(&number)?;
        group.load = group.load.without(waiting.bytes);
        self.load = self.load.without(waiting.bytes);
        if group.bodies.is_empty() {
            self.peers.remove(&peer);
        }
        Some(waiting)
    }

    /// The oldest body of the peer that takes most, if that takes more than `than`.
    fn largest(&self, than: Load, most: Load) -> Option<(PeerKey, u64)> {
        let (peer, group) = self
            .peers
            .iter()
            .max_by_key(|(_, group)| group.load.part_of(most))?;
        let number = group.bodies.keys().next()?;
        (group.load.part_of(most) > than.part_of(most)).then_some((*peer, *number))
    }
}

/// Why a body is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// Its peer has its share.
    Peer,
    /// Others have everything.
    All,
}

impl Arrivals {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        let bytes = BYTES.max(limits.body_bytes.saturating_mul(4));
        Self {
            hall: Mutex::default(),
            all: Load {
                bodies: limits.requests_in_flight,
                bytes,
            },
            share: Load {
                bodies: (limits.requests_in_flight / 4).max(1),
                bytes: bytes / 4,
            },
            longest: limits.body_bytes,
            time: limits.request_timeout,
        }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    ///
    /// The answer to its sender: too long, too slow, too many, or broken off.
    pub(super) async fn whole(&self, peer: PeerKey, body: Body) -> Result<Bytes, Problem> {
        // What does not say how long it is may be as long as any.
        let announced = body.size_hint().upper();
        let announced = announced.and_then(|upper| usize::try_from(upper).ok());
        let bytes = announced.map_or(self.longest, |announced| announced.min(self.longest));
        let (_place, mut sent_away) = self.enter(peer, bytes).map_err(full)?;
        tokio::select! {
            biased;
            read = self.read(body) => read,
            _ = &mut sent_away => Err(full(Full::All)),
        }
    }

    async fn read(&self, mut body: Body) -> Result<Bytes, Problem> {
        let began = Instant::now();
        let mut first = Bytes::new();
        let mut more: Vec<u8> = Vec::new();
        loop {
            let came = first.len() + more.len();
            let earned = Duration::from_secs((came / PACE) as u64);
            let until = began + GRACE.saturating_add(earned).min(self.time);
            let frame = core::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = timeout_at(until, frame).await.map_err(|_| too_slow())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| {
                body_problem(StatusCode::BAD_REQUEST, format!("the body: {error}"))
            })?;
            // What is no data is a trailer, which nobody asked for.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if came + data.len() > self.longest {
                return Err(too_long());
            }
            match (first.is_empty(), more.is_empty()) {
                (true, true) => first = data,
                (false, _) => {
                    more.extend_from_slice(&first);
                    more.extend_from_slice(&data);
                    first = Bytes::new();
                }
                (true, false) => more.extend_from_slice(&data),
            }
        }
        Ok(if more.is_empty() { first } else { more.into() })
    }

    fn enter(
        &self,
        peer: PeerKey,
        bytes: usize,
    ) -> Result<(Place<'_>, oneshot::Receiver<()>), Full> {
        let mut hall = self.hall();
        let own = hall
            .peers
            .get(&peer)
            .map_or_else(Load::default, |group| group.load);
        let own = own.with(bytes);
        if !own.within(self.share) {
            return Err(Full::Peer);
        }
        while !hall.load.with(bytes).within(self.all) {
            let (largest, number) = hall.largest(own, self.all).ok_or(Full::All)?;
            drop(hall.remove(largest, number));
        }
        let (stay, sent_away) = oneshot::channel();
        let number = hall.next;
        hall.next += 1;
        hall.load = hall.load.with(bytes);
        let group = hall.peers.entry(peer).or_default();
        group.load = own;
        group.bodies.insert(number, Waiting { bytes, _stay: stay });
        let place = Place {
            arrivals: self,
            peer,
            number,
        };
        Ok((place, sent_away))
    }

    fn hall(&self) -> MutexGuard<'_, Hall> {
        // Every change is complete before anything that could panic.
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a body stands; it is given back with it.
#[derive(Debug)]
struct Place<'a> {
    arrivals: &'a Arrivals,
    peer: PeerKey,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        drop(self.arrivals.hall().remove(self.peer, self.number));
    }
}

fn full(full: Full) -> Problem {
    let problem = match full {
        Full::Peer => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "too many bodies of this address are on their way",
        ),
        Full::All => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too many bodies are on their way",
        ),
    };
    problem
        .hint("send bodies at once, or come back when Retry-After says")
        .retry_after(Duration::from_secs(1))
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        "the body did not come in time",
    )
    .hint("send the body at once")
}

fn too_long() -> Problem {
    body_problem(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is longer than this service takes".to_owned(),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::{Arrivals, Full};
    use crate::api::peer::PeerKey;
    use crate::config::ApiLimits;

    fn peer(number: u8) -> PeerKey {
        PeerKey::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)))
    }

    fn arrivals(bodies: usize, longest: usize) -> Arrivals {
        Arrivals::new(&ApiLimits {
            requests_in_flight: bodies,
            body_bytes: longest,
            ..ApiLimits::default()
        })
    }

    #[test]
    fn who_takes_most_makes_room_and_who_takes_as_much_does_not() {
        let arrivals = arrivals(8, 1000);
        let mut places = Vec::new();
        for number in 1..=4 {
            for _ in 0..2 {
                places.push(arrivals.enter(peer(number), 10).unwrap());
            }
            assert_eq!(arrivals.enter(peer(number), 10).err(), Some(Full::Peer));
        }
        // Four have two each; a fifth gets one of somebody's, and then has as much as anybody.
        let mut fifth = vec![arrivals.enter(peer(5), 10).unwrap()];
        let gone = |places: &mut Vec<(_, tokio::sync::oneshot::Receiver<()>)>| {
            let gone = |(_, stay): &mut (_, tokio::sync::oneshot::Receiver<()>)| {
                stay.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Closed)
            };
            places
                .iter_mut()
                .filter_map(|place| gone(place).then_some(()))
                .count()
        };
        assert_eq!((gone(&mut places), gone(&mut fifth)), (1, 0));
        assert_eq!(arrivals.enter(peer(5), 10).err(), Some(Full::All));
        // Places come back, also those of whoever was sent away, once.
        drop(places);
        drop(fifth);
        let hall = arrivals.hall();
        assert_eq!(
            (hall.load.bodies, hall.load.bytes, hall.peers.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn bytes_count_as_places_do() {
        let longest = 32 * 1024 * 1024;
        let arrivals = arrivals(512, longest);
        let long: Vec<_> = (1..=4)
            .map(|number| arrivals.enter(peer(number), longest).unwrap())
            .collect();
        assert_eq!(arrivals.enter(peer(1), 1).err(), Some(Full::Peer));
        let _short = arrivals.enter(peer(5), 1).unwrap();
        assert_eq!(arrivals.hall().peers.len(), 4, "one made room");
        assert_eq!(arrivals.enter(peer(6), longest).err(), Some(Full::All));
        drop(long);
    }
}
