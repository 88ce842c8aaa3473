//! Credentials that were refused, per peer.
//!
//! Nobody guesses 256 bits; what this keeps small is what a peer with a wrong token costs, in the store and in the log. A
//! peer that was refused too often waits before the next token of its is looked at, whatever it is. Client certificates
//! do not wait: their handshake has proven them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::api::peer::PeerKey;
use crate::api::rate::Rate;

/// Refusals at once, and per minute after that.
const BURST: u32 = 10;
const PER_MINUTE: u32 = 30;
/// Peers that wait at once.
const WAITING: usize = 16_384;

/// Who was refused too often.
#[derive(Debug)]
pub(super) struct Attempts {
    rate: Rate,
    waiting: Mutex<HashMap<PeerKey, Instant>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            rate: Rate::per_minute(PER_MINUTE, BURST),
            waiting: Mutex::default(),
        }
    }
}

impl Attempts {
    /// How long a peer has still to wait.
    pub(super) fn wait(&self, peer: PeerKey) -> Option<Duration> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let left = waiting
            .get(&peer)?
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero());
        if left.is_none() {
            waiting.remove(&peer);
        }
        left
    }

    /// Counts a refusal; how long the peer has to wait, if it has to.
    pub(super) fn refused(&self, peer: PeerKey) -> Option<Duration> {
        let wait = self.rate.take(peer).err()?;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if waiting.len() >= WAITING {
            waiting.retain(|_, until| *until > now);
        }
        if waiting.len() < WAITING
            && let Some(until) = now.checked_add(wait)
        {
            waiting.insert(peer, until);
        }
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::{Attempts, BURST};
    use crate::api::peer::PeerKey;

    #[test]
    fn who_is_refused_too_often_waits_and_others_do_not() {
        let attempts = Attempts::default();
        let [one, other] = [1, 2].map(|n| PeerKey::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))));
        for _ in 0..BURST {
            assert_eq!(attempts.refused(one), None);
            assert_eq!(attempts.wait(one), None);
        }
        assert!(attempts.refused(one).is_some());
        assert!(attempts.wait(one).is_some());
        assert_eq!(attempts.wait(other), None);
    }
}
