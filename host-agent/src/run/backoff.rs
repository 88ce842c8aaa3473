//! Waits between attempts, and the chance in them that keeps nodes from coming all at once.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// However often it failed. A node is to be back soon after its verifier.
const LONGEST: Duration = Duration::from_secs(120);

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// How often it failed.
    pub(super) const fn attempts(self) -> u32 {
        self.0
    }

    /// The wait after one more failure: doubled each time, and no shorter than a verifier wishes.
    pub(super) fn after_failure(&mut self, wish: Option<Duration>) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.0.min(10)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        spread(doubled.max(wish.unwrap_or_default()), chance())
    }
}

/// Up to a quarter more.
fn spread(wait: Duration, chance: u8) -> Duration {
    let quarter = wait / 4;
    wait.saturating_add(quarter.saturating_mul(chance.into()) / 255)
}

/// When a session that is not renewed is followed by a login: between a half and five eighths of its life, which leaves
/// time for many attempts.
pub(super) fn login_again_after(lifetime: Duration) -> Duration {
    spread(lifetime / 2, chance())
}

/// When to renew: as the verifier says, or up to a tenth of what is left of the life later.
pub(super) fn renew_after(renew_in: Duration, lifetime: Duration) -> Duration {
    let room = lifetime.saturating_sub(renew_in) / 10;
    renew_in.saturating_add(room.saturating_mul(chance().into()) / 255)
}

/// One byte. Without randomness all nodes come at once, which is no reason not to come.
fn chance() -> u8 {
    let mut byte = [0];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    let [byte] = byte;
    byte
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, login_again_after, renew_after, spread};

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_and_end_at_a_limit() {
        let mut backoff = Backoff::default();
        for floor in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            let wait = backoff.after_failure(None);
            assert!(
                wait >= s(floor) && wait <= s(floor) + s(floor) / 4,
                "{wait:?}"
            );
        }
        assert_eq!(backoff.attempts(), 9);
        for _ in 0..100 {
            assert!(backoff.after_failure(None) <= s(150));
        }
    }

    #[test]
    fn a_verifiers_wish_is_heeded_when_it_is_for_longer() {
        let wait = Backoff::default().after_failure(Some(s(60)));
        assert!(wait >= s(60) && wait <= s(75), "{wait:?}");
        assert!(Backoff::default().after_failure(Some(s(0))) >= s(1));
    }

    #[test]
    fn chance_spreads_nodes_over_a_quarter() {
        assert_eq!(spread(s(100), 0), s(100));
        assert_eq!(spread(s(100), 255), s(125));
        let again = login_again_after(s(3600));
        assert!(again >= s(1800) && again <= s(2250), "{again:?}");
        let renewal = renew_after(s(1800), s(3600));
        assert!(renewal >= s(1800) && renewal <= s(1980), "{renewal:?}");
        assert_eq!(renew_after(s(3600), s(3600)), s(3600));
    }
}
