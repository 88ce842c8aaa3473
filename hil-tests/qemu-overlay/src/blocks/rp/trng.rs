//! The TRNG: blocks of 192 bits in EHR_DATA0 to 5, with a status. `[RP2350] 12.12`
//!
//! A block is there some time after the one before it; it is the host's noise, and passes the checks. The time is in proportion
//! to the sampling period, with 2 ms at 25 clocks.

use crate::blocks::l4::rng::noise;
use crate::blocks::{Noise, Words, narrow};

const RNG_ISR: u32 = 0x104;
const RNG_ICR: u32 = 0x108;
const TRNG_VALID: u32 = 0x110;
const EHR_DATA0: u32 = 0x114;
const EHR_DATA5: u32 = 0x128;
const RND_SOURCE_ENABLE: u32 = 0x12C;
const SAMPLE_CNT1: u32 = 0x130;
const TRNG_SW_RESET: u32 = 0x140;

const VALID: u32 = 1;
/// Time for a block for each clock between two samples.
const CLOCK_NS: u64 = 80_000;

/// The generator.
#[derive(Debug)]
pub struct Trng {
    words: Words<0x7C>,
    /// The bits of the status that were not cleared.
    status: u32,
    /// Since when the next block is being made; `None` while the oscillator is off, or a block waits.
    since: Option<u64>,
    valid: bool,
    now: u64,
    given: u64,
}

impl Default for Trng {
    fn default() -> Self {
        let mut words = Words::default();
        words.set(0x100, 0xF);
        words.set(SAMPLE_CNT1, 0xFFFF);
        Self {
            words,
            status: 0,
            since: None,
            valid: false,
            now: 0,
            given: 0,
        }
    }
}

impl Trng {
    fn is_on(&self) -> bool {
        self.words.get(RND_SOURCE_ENABLE) & 1 != 0
    }

    fn run(&mut self) {
        let wanted = u64::from(self.words.get(SAMPLE_CNT1)).saturating_mul(CLOCK_NS);
        let Some(since) = self.since else { return };
        if self.now.saturating_sub(since) >= wanted {
            for at in (EHR_DATA0..=EHR_DATA5).step_by(4) {
                self.words.set(at, noise().unwrap_or(0));
            }
            (self.since, self.valid) = (None, true);
            self.status |= VALID;
        }
    }
}

impl Noise for Trng {
    fn reset(&mut self) {
        let (given, now) = (self.given, self.now);
        *self = Self {
            given,
            now,
            ..Self::default()
        };
    }

    fn set_time(&mut self, ns: u64) {
        self.now = ns;
    }

    fn given(&self) -> u64 {
        self.given
    }

    fn read(&mut self, offset: u32, size: u32, _: bool) -> u32 {
        self.run();
        let word = match offset & !3 {
            RNG_ISR => self.status,
            TRNG_VALID => u32::from(self.valid),
            at @ EHR_DATA0..=EHR_DATA5 => {
                let word = self.words.get(at);
                self.given = self.given.saturating_add(u64::from(self.valid));
                // The last one ends the block.
                if at == EHR_DATA5 {
                    for at in (EHR_DATA0..=EHR_DATA5).step_by(4) {
                        self.words.set(at, 0);
                    }
                    self.valid = false;
                    self.since = self.since.or(Some(self.now)).filter(|_| self.is_on());
                }
                word
            }
            at => self.words.get(at),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, _: u32, value: u32) {
        self.run();
        match offset & !3 {
            // The failure of the autocorrelation, bit 1, is cleared by a reset alone.
            RNG_ICR => self.status &= !value | 1 << 1,
            RND_SOURCE_ENABLE => {
                self.words.set(RND_SOURCE_ENABLE, value & 1);
                let waits = self.valid;
                self.since = self.since.or(Some(self.now));
                self.since = self.since.filter(|_| self.is_on() && !waits);
            }
            TRNG_SW_RESET if value & 1 != 0 => Noise::reset(self),
            RNG_ISR | TRNG_VALID | EHR_DATA0..=EHR_DATA5 => {}
            at => self.words.set(at, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_NS: u64 = 25 * CLOCK_NS;

    fn started() -> Trng {
        let mut trng = Trng::default();
        trng.write(SAMPLE_CNT1, 4, 25);
        trng.write(RND_SOURCE_ENABLE, 4, 1);
        trng
    }

    fn ready_after(trng: &mut Trng, ns: u64) -> bool {
        trng.set_time(trng.now.saturating_add(ns));
        trng.read(RNG_ISR, 4, true) & VALID != 0
    }

    fn block(trng: &mut Trng) -> Vec<u32> {
        trng.write(RNG_ICR, 4, VALID);
        let words = (EHR_DATA0..=EHR_DATA5).step_by(4);
        words.map(|at| trng.read(at, 4, true)).collect()
    }

    #[test]
    fn a_block_takes_its_time_and_the_next_begins_when_it_was_read() {
        let mut trng = started();
        assert!(!ready_after(&mut trng, BLOCK_NS - 1));
        assert_eq!(block(&mut started()), [0; 6]);
        assert!(ready_after(&mut trng, 1));
        let first = block(&mut trng);
        assert!(first.iter().any(|word| Some(word) != first.first()));
        assert!(!ready_after(&mut trng, BLOCK_NS - 1));
        assert!(ready_after(&mut trng, 1));
        assert_ne!(block(&mut trng), first);
        assert_eq!(trng.given(), 12);
    }

    #[test]
    fn an_oscillator_that_is_off_makes_nothing() {
        let mut trng = started();
        trng.write(RND_SOURCE_ENABLE, 4, 0);
        assert!(!ready_after(&mut trng, 9 * BLOCK_NS));
        let mut trng = started();
        Noise::reset(&mut trng);
        assert!(!ready_after(&mut trng, 9 * BLOCK_NS));
    }
}
