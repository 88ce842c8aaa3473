//! The random number generator: CR, SR, DR. `[RM0351] 27.7`
//!
//! A word is there as soon as the last was taken; it is the host's noise.

use std::fs::File;
use std::io::Read;

use crate::blocks::{Noise, Words, merge, narrow};

const CR: u32 = 0x00;
const SR: u32 = 0x04;
const DR: u32 = 0x08;

const ENABLE: u32 = 1 << 2;
const DATA_READY: u32 = 1 << 0;
/// CECS and CEIS: the clock for the samples is missing, or too slow.
const CLOCK_ERROR: u32 = 1 << 1 | 1 << 5;

/// The generator.
#[derive(Debug, Default)]
pub struct Rng {
    words: Words<3>,
    given: u64,
}

impl Noise for Rng {
    fn reset(&mut self) {
        self.words = Words::default();
    }

    fn given(&self) -> u64 {
        self.given
    }

    fn read(&mut self, offset: u32, size: u32, sampled: bool) -> u32 {
        let on = self.words.get(CR) & ENABLE != 0;
        let word = match offset & !3 {
            SR if on && sampled => DATA_READY,
            SR if on => CLOCK_ERROR,
            DR if on && sampled => {
                self.given = self.given.saturating_add(1);
                noise().unwrap_or(0)
            }
            SR | DR => 0,
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let word = merge(self.words.get(offset), offset, size, value);
        self.words.set(offset, word);
    }
}

/// A word of the host's noise. The board's own check finds one that repeats, so a host without noise is one without a
/// generator.
pub(in crate::blocks) fn noise() -> Option<u32> {
    let mut word = [0; 4];
    let mut source = File::open("/dev/urandom").ok()?;
    source.read_exact(&mut word).ok()?;
    Some(u32::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_words_only_while_it_is_on_and_clocked() {
        let mut rng = Rng::default();
        assert_eq!((rng.read(SR, 4, true), rng.read(DR, 4, true)), (0, 0));
        rng.write(CR, 4, ENABLE);
        assert_eq!(rng.read(SR, 4, true), DATA_READY);
        let words: Vec<u32> = (0..4).map(|_| rng.read(DR, 4, true)).collect();
        assert!(
            words.iter().any(|word| Some(word) != words.first()),
            "{words:?}"
        );
        assert_eq!(rng.read(SR, 4, false), CLOCK_ERROR);
        assert_eq!((rng.read(DR, 4, false), rng.given()), (0, 4));
    }
}
