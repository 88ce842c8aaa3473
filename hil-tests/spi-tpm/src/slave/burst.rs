//! burstCount: how many bytes the FIFO takes or gives in one go. `[PTP 1.05] 6.5.2.5`

use std::str::FromStr;

use crate::random::SplitMix;

/// What STS.burstCount shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burst {
    /// Always this many bytes (an SPI frame moves 64 at most, whatever this says).
    Fixed(u16),
    /// 1..=`max`, drawn anew at every read of STS.
    Changing {
        /// Largest.
        max: u16,
        /// Start of the sequence.
        seed: u64,
    },
}

/// Why a text is no [`Burst`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no burst: a number from 1, changing:MAX or changing:MAX:SEED")]
pub struct BurstError(String);

impl FromStr for Burst {
    type Err = BurstError;

    fn from_str(text: &str) -> Result<Self, BurstError> {
        let refused = || BurstError(text.to_owned());
        let positive = |text: &str| {
            text.parse()
                .ok()
                .filter(|n: &u16| *n > 0)
                .ok_or_else(refused)
        };
        match text.strip_prefix("changing:") {
            Some(rest) => {
                let (max, seed) = rest.split_once(':').unwrap_or((rest, "1"));
                Ok(Self::Changing {
                    max: positive(max)?,
                    seed: seed.parse().map_err(|_| refused())?,
                })
            }
            None => positive(text).map(Self::Fixed),
        }
    }
}

/// Draws burst counts and remembers the largest that the host was shown since it last touched the
/// FIFO: that much fits into the next frame.
#[derive(Debug)]
pub(crate) struct BurstSource {
    burst: Burst,
    random: SplitMix,
    window: u16,
    shown: bool,
}

impl BurstSource {
    pub(crate) fn new(burst: Burst) -> Self {
        let (window, seed) = match burst {
            Burst::Fixed(n) => (n, 0),
            Burst::Changing { max, seed } => (max, seed),
        };
        Self {
            burst,
            random: SplitMix::new(seed),
            window,
            shown: false,
        }
    }

    /// The count for one read of STS, or another one that a fault wants; `promised_too_much` bytes
    /// of it do not fit.
    pub(crate) fn show(&mut self, instead: Option<Burst>, promised_too_much: u16) -> u16 {
        let count = match instead.unwrap_or(self.burst) {
            Burst::Fixed(n) => n,
            Burst::Changing { max, .. } => {
                u16::try_from(self.random.between(1, u32::from(max))).unwrap_or(u16::MAX)
            }
        };
        let fits = count.saturating_sub(promised_too_much).max(1);
        self.window = if self.shown {
            self.window.max(fits)
        } else {
            fits
        };
        self.shown = true;
        count
    }

    /// Bytes that fit into the FIFO access which begins now.
    pub(crate) fn begin_access(&mut self) -> u16 {
        self.shown = false;
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        assert_eq!("64".parse(), Ok(Burst::Fixed(64)));
        assert_eq!(
            "changing:8:3".parse(),
            Ok(Burst::Changing { max: 8, seed: 3 })
        );
        assert!("0".parse::<Burst>().is_err());
        assert!("changing:0".parse::<Burst>().is_err());
        assert!("65536".parse::<Burst>().is_err());
    }

    #[test]
    fn the_largest_count_shown_since_the_last_access_fits() {
        let mut source = BurstSource::new(Burst::Changing { max: 64, seed: 5 });
        let shown = [
            source.show(None, 0),
            source.show(None, 0),
            source.show(None, 0),
        ];
        assert_eq!(Some(source.begin_access()), shown.iter().copied().max());
        let next = source.show(None, 0);
        assert_eq!(source.begin_access(), next);
    }

    #[test]
    fn a_broken_promise_fits_less_than_it_shows() {
        let mut source = BurstSource::new(Burst::Fixed(32));
        assert_eq!(source.show(None, 12), 32);
        assert_eq!(source.begin_access(), 20);
    }
}
