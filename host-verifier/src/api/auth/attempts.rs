//! Credentials that were refused, per peer.
//!
//! Nobody guesses 256 bits; what this keeps small is what a peer with a wrong credential costs. Looking it up is one look into
//! an index, which the limit on requests bounds; refusals beyond the limit here are told to come back later and leave no line
//! in the log. A credential that holds never waits: others may stand behind the same address, and whoever sends rubbish from
//! there must not keep them out.

use std::time::Duration;

use crate::api::peer::PeerKey;
use crate::api::rate::Rate;

/// Refusals at once, and per minute after that.
const BURST: u32 = 10;
const PER_MINUTE: u32 = 30;

/// Who was refused how often.
#[derive(Debug)]
pub(super) struct Attempts(Rate);

impl Default for Attempts {
    fn default() -> Self {
        Self(Rate::per_minute(PER_MINUTE, BURST))
    }
}

impl Attempts {
    /// Counts a refusal; how long the peer should wait, if it was refused too often.
    pub(super) fn refused(&self, peer: PeerKey) -> Option<Duration> {
        self.0.take(peer).err()
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use super::{Attempts, BURST};
    use crate::api::peer::PeerKey;

    #[test]
    fn who_is_refused_too_often_is_to_wait_and_others_are_not() {
        let attempts = Attempts::default();
        let [one, other] = [1, 2].map(|n| PeerKey::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, n))));
        for _ in 0..BURST {
            assert_eq!(attempts.refused(one), None);
        }
        assert!(attempts.refused(one).is_some());
        assert_eq!(attempts.refused(other), None);
    }
}
