//! Time limits of the FIFO interface and the clock that keeps them.
//!
//! # Why no monotonic clock
//!
//! Boards differ most in their timers, and `DelayNs` is what all of them have. A [`Clock`] adds up the
//! delays it asked for and a fixed charge for every status read, so that time spent on the bus counts
//! too. With [`Limits::access_us`] at or above the real cost of one status read, a limit is never
//! exceeded by more than one poll; a smaller value stretches limits by (real cost - charge) per
//! poll, and since polls are counted there is always an end.

/// How long to wait for what, in microseconds. [`Limits::default`] has the values for TPM 2.0.
///
/// A to D carry the names of `[PTP 1.05]`. The defaults are the largest that Linux, U-Boot and the TIS
/// 1.2 text use, because a limit that is too short turns a slow chip into a broken one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Limits {
    /// TIMEOUT_A: locality granted, burst count above zero, first sign of life after power-on.
    pub a_us: u32,
    /// TIMEOUT_B: commandReady after it was asked for, also after an abort. Also what the waits for bursts of one command,
    /// or of one response, may take together: a TPM that pauses before each byte, always within TIMEOUT_A, would
    /// otherwise hold a command of a kilobyte for twelve minutes.
    pub b_us: u32,
    /// TIMEOUT_C: stsValid, Expect, dataAvail inside a transfer.
    pub c_us: u32,
    /// TIMEOUT_D: how long a status with reserved bits set, or a failing bus, is read again before
    /// the locality counts as lost.
    pub d_us: u32,
    /// Shortest pause between two status reads.
    pub poll_min_us: u32,
    /// Longest pause between two status reads; pauses grow with the time already waited.
    pub poll_max_us: u32,
    /// What one status read costs on the bus: 8 bytes, so 64 µs at 1 MHz and 6.4 µs at 10 MHz.
    pub access_us: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            a_us: 750_000,
            b_us: 4_000_000,
            c_us: 750_000,
            d_us: 200_000,
            poll_min_us: 100,
            poll_max_us: 5_000,
            access_us: 10,
        }
    }
}

/// Time spent on one wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    limit_us: u32,
    elapsed_us: u32,
}

impl Clock {
    pub(super) const fn new(limit_us: u32) -> Self {
        Self {
            limit_us,
            elapsed_us: 0,
        }
    }

    pub(super) const fn elapsed_us(&self) -> u32 {
        self.elapsed_us
    }

    /// The next pause, which is charged at once together with the status read that follows it;
    /// `None` when the limit is reached.
    ///
    /// A pause is a sixteenth of the time waited so far: an answer is noticed at most 6 % late, and a
    /// key generation of seconds doesn't keep the bus busy.
    pub(super) fn pause(&mut self, limits: &Limits, poll_min_us: u32) -> Option<u32> {
        let left = self
            .limit_us
            .checked_sub(self.elapsed_us)
            .filter(|left| *left > 0)?;
        // At least 1, so that a wait ends even with limits of nothing but zeros.
        let pause = (self.elapsed_us / 16)
            .min(limits.poll_max_us)
            .max(poll_min_us)
            .min(left)
            .max(1);
        // The pause does not lead beyond the limit, the read after it may.
        self.elapsed_us = (self.elapsed_us + pause).saturating_add(limits.access_us);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(limits: &Limits, limit_us: u32) -> (u64, u32) {
        let mut clock = Clock::new(limit_us);
        let (mut real, mut polls) = (0, 0);
        while let Some(pause) = clock.pause(limits, limits.poll_min_us) {
            real += u64::from(pause) + u64::from(limits.access_us);
            polls += 1;
        }
        (real, polls)
    }

    #[test]
    fn a_limit_is_kept_from_both_sides() {
        let limits = Limits::default();
        for limit in [20_000, 750_000, 4_000_000, 120_000_000] {
            let (real, _) = run(&limits, limit);
            let limit = u64::from(limit);
            assert!(real >= limit, "{real} < {limit}");
            assert!(
                real <= limit + u64::from(limits.access_us),
                "{real} > {limit}"
            );
        }
    }

    #[test]
    fn long_waits_poll_seldom() {
        let (_, polls) = run(&Limits::default(), 120_000_000);
        assert!(polls < 25_000, "{polls}");
    }

    #[test]
    fn limits_of_zero_end() {
        let zero = Limits {
            a_us: 0,
            b_us: 0,
            c_us: 0,
            d_us: 0,
            poll_min_us: 0,
            poll_max_us: 0,
            access_us: 0,
        };
        assert_eq!(run(&zero, 0), (0, 0));
        assert_eq!(run(&zero, 5).1, 5);
    }
}
