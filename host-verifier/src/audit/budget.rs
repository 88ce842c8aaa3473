//! How much of what was said in refused logins is kept whole.
//!
//! What a login said is kept so that it can be judged again. Where it was refused after a method had proven something, that
//! is worth some disk; but whoever holds one proven TPM could fill any disk with refusals. So each peer has a share, all peers
//! together have one, and what goes beyond is kept as hashes and lengths. The decision itself is recorded in any case.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a share lasts.
pub const WINDOW: Duration = Duration::from_secs(3600);
/// Bytes of one peer in that time.
pub const PEER_BYTES: usize = 1024 * 1024;
/// Bytes of all peers in that time.
pub const ALL_BYTES: usize = 32 * 1024 * 1024;
/// Most peers that have a share; those who come later have none until the time is over.
pub const MAX_PEERS: usize = 4096;

/// What was taken in the present window.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// On the monotonic clock.
    began: Duration,
    all: usize,
    peers: HashMap<String, usize>,
}

impl Budget {
    /// Whether so many bytes of this peer may be kept; if so they are taken.
    pub(super) fn take(&self, peer: &str, bytes: usize, now: Duration) -> bool {
        if bytes == 0 {
            return true;
        }
        // Every change is complete before anything that could panic.
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(window.began) >= WINDOW {
            *window = Window {
                began: now,
                ..Window::default()
            };
        }
        let taken = window.peers.get(peer).copied();
        let room = taken.is_some() || window.peers.len() < MAX_PEERS;
        let own = taken.unwrap_or_default().saturating_add(bytes);
        let all = window.all.saturating_add(bytes);
        if !room || own > PEER_BYTES || all > ALL_BYTES {
            return false;
        }
        window.all = all;
        window.peers.insert(peer.to_owned(), own);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ALL_BYTES, Budget, MAX_PEERS, PEER_BYTES, WINDOW};

    #[test]
    fn a_share_is_used_up_and_comes_back_with_time() {
        let budget = Budget::default();
        let at = Duration::from_secs;
        assert!(budget.take("a", PEER_BYTES, at(0)));
        assert!(!budget.take("a", 1, at(1)));
        assert!(budget.take("a", 0, at(1)), "nothing costs nothing");
        assert!(budget.take("b", PEER_BYTES, at(1)), "another has its own");
        assert!(!budget.take("a", 1, WINDOW - at(1)));
        assert!(budget.take("a", 1, WINDOW));
    }

    #[test]
    fn all_peers_together_have_an_end_too() {
        let budget = Budget::default();
        for peer in 0..ALL_BYTES / PEER_BYTES {
            assert!(budget.take(&peer.to_string(), PEER_BYTES, Duration::ZERO));
        }
        assert!(!budget.take("one more", 1, Duration::ZERO));

        let budget = Budget::default();
        for peer in 0..MAX_PEERS {
            assert!(budget.take(&peer.to_string(), 1, Duration::ZERO));
        }
        assert!(!budget.take("one more", 1, Duration::ZERO));
        assert!(budget.take("0", 1, Duration::ZERO));
    }
}
