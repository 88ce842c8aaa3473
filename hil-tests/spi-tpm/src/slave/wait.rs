//! Wait states: how many bytes the TPM inserts between header and data. `[PTP 1.05] 6.4.6`

use std::str::FromStr;

use crate::random::SplitMix;

/// How many wait bytes an access gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// None: the header's fourth byte says "go on".
    None,
    /// Always this many.
    Fixed(u32),
    /// 0..=`max`, drawn anew for every access.
    Random {
        /// Most wait bytes.
        max: u32,
        /// Start of the sequence.
        seed: u64,
    },
    /// Without end: a TPM that hangs.
    Endless,
}

/// Why a text is no [`Wait`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no wait: a number, random:MAX, random:MAX:SEED or endless")]
pub struct WaitError(String);

impl FromStr for Wait {
    type Err = WaitError;

    fn from_str(text: &str) -> Result<Self, WaitError> {
        let refused = || WaitError(text.to_owned());
        if text == "endless" {
            return Ok(Self::Endless);
        }
        if let Some(rest) = text.strip_prefix("random:") {
            let (max, seed) = rest.split_once(':').unwrap_or((rest, "1"));
            return Ok(Self::Random {
                max: max.parse().map_err(|_| refused())?,
                seed: seed.parse().map_err(|_| refused())?,
            });
        }
        match text.parse().map_err(|_| refused())? {
            0 => Ok(Self::None),
            n => Ok(Self::Fixed(n)),
        }
    }
}

/// Draws the waits of one TPM.
#[derive(Debug)]
pub(crate) struct WaitSource {
    wait: Wait,
    random: SplitMix,
}

impl WaitSource {
    pub(crate) fn new(wait: Wait) -> Self {
        let seed = match wait {
            Wait::Random { seed, .. } => seed,
            _ => 0,
        };
        Self {
            wait,
            random: SplitMix::new(seed),
        }
    }

    /// Wait bytes of the next access; `None` for no end.
    pub(crate) fn next(&mut self) -> Option<u32> {
        match self.wait {
            Wait::None => Some(0),
            Wait::Fixed(n) => Some(n),
            Wait::Random { max, .. } => Some(self.random.between(0, max)),
            Wait::Endless => None,
        }
    }

    /// A number in 0..=`max` for faults, from the same sequence.
    pub(crate) fn draw(&mut self, max: u32) -> u32 {
        self.random.between(0, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        assert_eq!("0".parse(), Ok(Wait::None));
        assert_eq!("5".parse(), Ok(Wait::Fixed(5)));
        assert_eq!("random:2:9".parse(), Ok(Wait::Random { max: 2, seed: 9 }));
        assert_eq!("random:2".parse(), Ok(Wait::Random { max: 2, seed: 1 }));
        assert_eq!("endless".parse(), Ok(Wait::Endless));
        assert!("some".parse::<Wait>().is_err());
        assert!("random:".parse::<Wait>().is_err());
    }
}
