//! SPI1 as a polled master, with its FIFOs: CR1, CR2, SR, DR. `[RM0351] 42.6`
//!
//! A byte is on the wire as soon as it is written. The receive side holds four bytes; a fifth without a read is an
//! overrun. A write of 16 bits or more to DR sends two bytes, the low one first, as the real one does for frames of
//! eight bits. Frames of another length are clocked in a way that no TPM understands. No DMA, no interrupts, no CRC.

use std::collections::VecDeque;

use crate::blocks::{Rx, SpiMaster, Words, merge, narrow};

const CR1: u32 = 0x00;
const CR2: u32 = 0x04;
const SR: u32 = 0x08;
const DR: u32 = 0x0C;
const CRCPR: u32 = 0x10;

const CPHA: u32 = 1 << 0;
const CPOL: u32 = 1 << 1;
const MASTER: u32 = 1 << 2;
const ENABLE: u32 = 1 << 6;
const LSB_FIRST: u32 = 1 << 7;

/// DS, the length of a frame, and its code of eight bits.
const LENGTH: u32 = 0xF << 8;
const EIGHT_BITS: u32 = 7 << 8;
/// FRXTH: one byte counts as something received; without it two do.
const ONE_BYTE: u32 = 1 << 12;

const RXNE: u32 = 1 << 0;
const TXE: u32 = 1 << 1;
const OVERRUN: u32 = 1 << 6;
/// FRLVL is two bits from here on.
const LEVEL: u32 = 9;

/// Bytes that the receive side holds.
const RX_DEPTH: usize = 4;

/// SPI1.
#[derive(Debug)]
pub struct Spi {
    words: Words<9>,
    received: VecDeque<u8>,
    overrun: bool,
    overrun_seen: bool,
}

impl Default for Spi {
    fn default() -> Self {
        let mut words = Words::default();
        words.set(CR2, EIGHT_BITS);
        words.set(CRCPR, 7);
        Self {
            words,
            received: VecDeque::new(),
            overrun: false,
            overrun_seen: false,
        }
    }
}

impl Spi {
    fn status(&mut self) -> u32 {
        // An overrun is cleared by a read of DR followed by one of SR.
        let overrun = if self.overrun { OVERRUN } else { 0 };
        if self.overrun_seen {
            self.overrun = false;
            self.overrun_seen = false;
        }
        let wanted = if self.words.get(CR2) & ONE_BYTE == 0 {
            2
        } else {
            1
        };
        let held = self.received.len();
        let rxne = if held >= wanted { RXNE } else { 0 };
        let level = u32::try_from(held.min(3)).unwrap_or(3) << LEVEL;
        TXE | rxne | level | overrun
    }

    fn take(&mut self, size: u32) -> u32 {
        self.overrun_seen = self.overrun;
        (0..size.min(2)).fold(0, |word, nth| {
            let byte = u32::from(self.received.pop_front().unwrap_or(0));
            word | byte.checked_shl(nth.saturating_mul(8)).unwrap_or(0)
        })
    }
}

impl SpiMaster for Spi {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        match offset & !3 {
            SR => narrow(self.status(), offset, size),
            DR => self.take(size),
            _ => narrow(self.words.get(offset), offset, size),
        }
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) -> Rx {
        if offset & !3 != DR {
            let word = merge(self.words.get(offset), offset, size, value);
            self.words.set(offset, word);
            return Rx::Silent;
        }
        let control = self.words.get(CR1);
        if control & (ENABLE | MASTER) != ENABLE | MASTER {
            return Rx::Silent;
        }
        let length = self.words.get(CR2) & LENGTH;
        if control & (CPHA | CPOL | LSB_FIRST) != 0 || length != EIGHT_BITS {
            return Rx::WrongMode;
        }
        let [low, high, ..] = value.to_le_bytes();
        if size == 1 {
            Rx::Byte(low)
        } else {
            Rx::TwoBytes(low, high)
        }
    }

    fn receive(&mut self, answer: &[u8]) {
        for byte in answer {
            if self.received.len() < RX_DEPTH {
                self.received.push_back(*byte);
            } else {
                self.overrun = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(cr2: u32) -> Spi {
        let mut spi = Spi::default();
        spi.write(CR2, 4, cr2);
        spi.write(CR1, 4, ENABLE | MASTER);
        spi
    }

    #[test]
    fn a_byte_shows_only_where_one_byte_was_made_enough() {
        let mut spi = enabled(EIGHT_BITS);
        spi.receive(&[1]);
        assert_eq!(spi.read(SR, 4) & RXNE, 0);
        let mut spi = enabled(EIGHT_BITS | ONE_BYTE);
        spi.receive(&[1]);
        assert_eq!(spi.read(SR, 4) & (RXNE | 3 << LEVEL), RXNE | 1 << LEVEL);
        assert_eq!(spi.read(DR, 1), 1);
        assert_eq!(spi.read(SR, 4), TXE);
    }

    #[test]
    fn a_wide_store_sends_two_bytes() {
        let mut spi = enabled(EIGHT_BITS | ONE_BYTE);
        assert_eq!(spi.write(DR, 1, 0xA5), Rx::Byte(0xA5));
        assert_eq!(spi.write(DR, 4, 0xA5), Rx::TwoBytes(0xA5, 0));
    }

    #[test]
    fn another_mode_or_length_is_not_understood_and_a_block_that_is_off_is_silent() {
        let mut spi = enabled(ONE_BYTE);
        assert_eq!(spi.write(DR, 1, 1), Rx::WrongMode);
        for wrong in [CPHA, CPOL, LSB_FIRST] {
            let mut spi = enabled(EIGHT_BITS);
            spi.write(CR1, 4, ENABLE | MASTER | wrong);
            assert_eq!(spi.write(DR, 1, 1), Rx::WrongMode);
        }
        for off in [0, ENABLE, MASTER] {
            let mut spi = enabled(EIGHT_BITS);
            spi.write(CR1, 4, off);
            assert_eq!(spi.write(DR, 1, 1), Rx::Silent);
        }
    }

    #[test]
    fn a_fifth_unread_byte_is_an_overrun_and_is_lost() {
        let mut spi = enabled(EIGHT_BITS | ONE_BYTE);
        spi.receive(&[1, 2, 3, 4, 5]);
        assert_eq!(spi.read(SR, 4) & OVERRUN, OVERRUN);
        assert_eq!(spi.read(DR, 2), 0x0201);
        assert_eq!(spi.read(DR, 2), 0x0403);
        assert_eq!(spi.read(SR, 4) & OVERRUN, OVERRUN, "cleared by this read");
        assert_eq!(spi.read(SR, 4), TXE);
    }
}
