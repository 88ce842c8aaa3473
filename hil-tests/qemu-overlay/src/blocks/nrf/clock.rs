//! CLOCK: the crystal that starts when it is told to, and its event. `[nRF52840_PS] CLOCK`
//!
//! No block has a gate here, and the core runs at 64 MHz from whichever oscillator there is.

use crate::blocks::{Clocks, ResetCause, Words, merge, narrow};

const TASKS_HFCLKSTART: u32 = 0x000;
const TASKS_HFCLKSTOP: u32 = 0x004;
const EVENTS_HFCLKSTARTED: u32 = 0x100;
const HFCLKRUN: u32 = 0x408;
const HFCLKSTAT: u32 = 0x40C;

/// HFCLKSTAT: from the crystal, and running.
const FROM_CRYSTAL: u32 = 1;
const RUNNING: u32 = 1 << 16;

const CORE_HZ: u64 = 64_000_000;

/// The block, with what else is at its address (POWER).
#[derive(Debug, Default)]
pub struct Clock {
    words: Words<0x400>,
    crystal: bool,
}

impl Clocks for Clock {
    /// RESETREAS is the block POWER's, which no image here asks.
    fn system_reset(&mut self, _: ResetCause) {
        *self = Self::default();
    }

    fn gpio_clock(&self, _: u8) -> bool {
        true
    }

    fn gpio_reset(&self, _: u8) -> bool {
        false
    }

    fn spi_clock(&self) -> bool {
        true
    }

    fn spi_reset(&self) -> bool {
        false
    }

    fn usart_clock(&self) -> bool {
        true
    }

    fn noise_clock(&self) -> bool {
        true
    }

    fn noise_sampled(&self) -> bool {
        true
    }

    fn core_hz(&self) -> Option<u64> {
        Some(CORE_HZ)
    }

    fn read(&self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            TASKS_HFCLKSTART | TASKS_HFCLKSTOP => 0,
            HFCLKRUN => u32::from(self.crystal),
            HFCLKSTAT if self.crystal => RUNNING | FROM_CRYSTAL,
            HFCLKSTAT => RUNNING,
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let word = merge(self.words.get(offset), offset, size, value);
        match offset & !3 {
            TASKS_HFCLKSTART if word & 1 != 0 => {
                self.crystal = true;
                self.words.set(EVENTS_HFCLKSTARTED, 1);
            }
            TASKS_HFCLKSTOP if word & 1 != 0 => self.crystal = false,
            TASKS_HFCLKSTART | TASKS_HFCLKSTOP | HFCLKRUN | HFCLKSTAT => {}
            _ => self.words.set(offset, word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crystal_starts_when_it_is_told_to_and_not_before() {
        let mut clock = Clock::default();
        assert_eq!(clock.read(EVENTS_HFCLKSTARTED, 4), 0);
        assert_eq!(clock.read(HFCLKSTAT, 4), RUNNING);
        clock.write(TASKS_HFCLKSTART, 4, 1);
        assert_eq!(clock.read(EVENTS_HFCLKSTARTED, 4), 1);
        assert_eq!(clock.read(HFCLKSTAT, 4), RUNNING | FROM_CRYSTAL);
        clock.write(EVENTS_HFCLKSTARTED, 4, 0);
        assert_eq!(clock.read(EVENTS_HFCLKSTARTED, 4), 0);
        clock.system_reset(ResetCause::Requested);
        assert_eq!(clock.read(HFCLKSTAT, 4), RUNNING);
    }
}
