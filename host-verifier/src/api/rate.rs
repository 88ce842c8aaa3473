//! How often a peer may do something.
//!
//! # Why peers share places
//!
//! A limiter that remembers every address can be made to remember millions. Here an address has one of 65,536 places, by a
//! hash that nobody outside can compute, so that memory has an end whatever comes. Two peers of one place share its limit;
//! with a hundred busy peers at once, one in fourteen times there are such two.

use core::hash::BuildHasher;
use core::num::NonZeroU32;
use core::time::Duration;
use std::hash::RandomState;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::peer::PeerKey;

/// A limit per peer: so many at once, and as many more as time allows (GCRA).
#[derive(Debug)]
pub struct Rate {
    limiter: RateLimiter<u16, DashMapStateStore<u16>, DefaultClock>,
    clock: DefaultClock,
    places: RandomState,
}

impl Rate {
    /// `count` per second, and as many at once.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::new(Quota::per_second(at_least_one(count)))
    }

    /// `burst` at once, then `count` per minute.
    #[must_use]
    pub fn per_minute(count: u32, burst: u32) -> Self {
        Self::new(Quota::per_minute(at_least_one(count)).allow_burst(at_least_one(burst)))
    }

    fn new(quota: Quota) -> Self {
        let clock = DefaultClock::default();
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
            places: RandomState::new(),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    ///
    /// How long until the peer may.
    pub fn take(&self, peer: PeerKey) -> Result<(), Duration> {
        // The lowest 16 of 64 mixed bits.
        let [place @ .., _, _, _, _, _, _] = self.places.hash_one(peer).to_le_bytes();
        self.limiter
            .check_key(&u16::from_le_bytes(place))
            .map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::{PeerKey, Rate};

    #[test]
    fn a_peer_that_asks_too_often_waits_and_another_does_not() {
        let rate = Rate::per_minute(1, 2);
        let [one, other] = [1, 2].map(|n| PeerKey::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))));
        assert_eq!(rate.take(one), Ok(()));
        assert_eq!(rate.take(one), Ok(()));
        let wait = rate.take(one).unwrap_err().as_secs();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(rate.take(other), Ok(()));
    }
}
