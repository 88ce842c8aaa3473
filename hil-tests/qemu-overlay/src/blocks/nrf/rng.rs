//! The random number generator: tasks, VALRDY, CONFIG, VALUE. `[nRF52840_PS] RNG`
//!
//! A byte is there some time after the one before it; it is the host's noise.

use super::super::l4::rng::noise;
use crate::blocks::{Noise, Words, merge, narrow};

const TASKS_START: u32 = 0x000;
const TASKS_STOP: u32 = 0x004;
const EVENTS_VALRDY: u32 = 0x100;
const CONFIG: u32 = 0x504;
const VALUE: u32 = 0x508;

/// Time for a byte, ns: as it comes, and with the correction of the bias. `[nRF52840_PS] RNG, electrical specification`
const RAW_NS: u64 = 30_000;
const CORRECTED_NS: u64 = 120_000;
/// DERCEN: with the correction.
const CORRECTED: u32 = 1;

/// The generator.
#[derive(Debug, Default)]
pub struct Rng {
    words: Words<0x143>,
    /// Since when the next byte is being made; `None` while it is stopped.
    since: Option<u64>,
    now: u64,
    value: u32,
    /// Bytes that the board has had.
    bytes: u64,
}

impl Rng {
    fn run(&mut self) {
        let corrected = self.words.get(CONFIG) & CORRECTED != 0;
        let wanted = if corrected { CORRECTED_NS } else { RAW_NS };
        if self
            .since
            .is_some_and(|since| self.now.saturating_sub(since) >= wanted)
        {
            self.since = Some(self.now);
            self.value = noise().unwrap_or(0) & 0xFF;
            self.words.set(EVENTS_VALRDY, 1);
        }
    }
}

impl Noise for Rng {
    fn reset(&mut self) {
        let (bytes, now) = (self.bytes, self.now);
        *self = Self {
            bytes,
            now,
            ..Self::default()
        };
    }

    fn set_time(&mut self, ns: u64) {
        self.now = ns;
    }

    fn given(&self) -> u64 {
        self.bytes.checked_div(4).unwrap_or(0)
    }

    fn read(&mut self, offset: u32, size: u32, _: bool) -> u32 {
        self.run();
        let word = match offset & !3 {
            TASKS_START | TASKS_STOP => 0,
            VALUE => {
                self.bytes = self.bytes.saturating_add(1);
                self.value
            }
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        self.run();
        let word = merge(self.words.get(offset), offset, size, value);
        match offset & !3 {
            TASKS_START if word & 1 != 0 => self.since = Some(self.now),
            TASKS_STOP if word & 1 != 0 => self.since = None,
            TASKS_START | TASKS_STOP | VALUE => {}
            _ => self.words.set(offset, word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready_after(rng: &mut Rng, ns: u64) -> bool {
        rng.set_time(rng.now.saturating_add(ns));
        rng.read(EVENTS_VALRDY, 4, true) != 0
    }

    #[test]
    fn a_byte_takes_its_time_and_none_comes_while_it_is_stopped() {
        let mut rng = Rng::default();
        rng.write(CONFIG, 4, CORRECTED);
        assert!(!ready_after(&mut rng, CORRECTED_NS));
        rng.write(TASKS_START, 4, 1);
        assert!(!ready_after(&mut rng, CORRECTED_NS - 1));
        assert!(ready_after(&mut rng, 1));
        rng.write(EVENTS_VALRDY, 4, 0);
        assert!(!ready_after(&mut rng, RAW_NS));
        rng.write(CONFIG, 4, 0);
        assert!(ready_after(&mut rng, 0));
        rng.write(TASKS_STOP, 4, 1);
        rng.write(EVENTS_VALRDY, 4, 0);
        assert!(!ready_after(&mut rng, CORRECTED_NS));
    }

    #[test]
    fn bytes_differ_and_four_are_a_word_that_was_given() {
        let mut rng = Rng::default();
        rng.write(TASKS_START, 4, 1);
        let bytes: Vec<u32> = (0..16)
            .map(|_| {
                assert!(ready_after(&mut rng, RAW_NS));
                rng.write(EVENTS_VALRDY, 4, 0);
                rng.read(VALUE, 4, true)
            })
            .collect();
        assert!(bytes.iter().any(|byte| Some(byte) != bytes.first()));
        assert!(bytes.iter().all(|byte| *byte <= 0xFF));
        assert_eq!(rng.given(), 4);
    }
}
