//! SPI1 as a polled master: CR1, CR2, SR, DR. `[RM0090] 28.5`
//!
//! A byte is on the wire as soon as it is written. The receive side holds two bytes, since real
//! hardware has one in DR and one in the shift register; the third without a read is an overrun.
//! No DMA, no interrupts, no CRC.

use std::collections::VecDeque;

use super::{Rx, SpiMaster, Words, merge, narrow};

const CR1: u32 = 0x00;
const SR: u32 = 0x08;
const DR: u32 = 0x0C;

const CPHA: u32 = 1 << 0;
const CPOL: u32 = 1 << 1;
const MASTER: u32 = 1 << 2;
const ENABLE: u32 = 1 << 6;
const LSB_FIRST: u32 = 1 << 7;
const SIXTEEN_BIT: u32 = 1 << 11;

const RXNE: u32 = 1 << 0;
const TXE: u32 = 1 << 1;
const OVERRUN: u32 = 1 << 6;

/// Bytes that the receive side holds.
const RX_DEPTH: usize = 2;

/// SPI1.
#[derive(Debug, Default)]
pub struct Spi {
    words: Words<9>,
    received: VecDeque<u16>,
    overrun: bool,
    overrun_seen: bool,
}

impl SpiMaster for Spi {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            SR => {
                // An overrun is cleared by a read of DR followed by one of SR.
                let overrun = if self.overrun { OVERRUN } else { 0 };
                if self.overrun_seen {
                    self.overrun = false;
                    self.overrun_seen = false;
                }
                let rxne = if self.received.is_empty() { 0 } else { RXNE };
                TXE | rxne | overrun
            }
            DR => {
                self.overrun_seen = self.overrun;
                u32::from(self.received.pop_front().unwrap_or(0))
            }
            // CRCPR
            0x10 => self.words.get(offset).max(7),
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
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
        if control & (CPHA | CPOL | LSB_FIRST) != 0 {
            return Rx::WrongMode;
        }
        let [_, _, high, low] = value.to_be_bytes();
        if control & SIXTEEN_BIT != 0 {
            Rx::TwoBytes(high, low)
        } else {
            Rx::Byte(low)
        }
    }

    fn receive(&mut self, answer: &[u8]) {
        let value = answer
            .iter()
            .fold(0, |value: u16, byte| (value << 8) | u16::from(*byte));
        if self.received.len() < RX_DEPTH {
            self.received.push_back(value);
        } else {
            self.overrun = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled() -> Spi {
        let mut spi = Spi::default();
        spi.write(CR1, 4, ENABLE | MASTER);
        spi
    }

    #[test]
    fn is_silent_until_enabled_as_master() {
        let mut spi = Spi::default();
        assert_eq!(spi.write(DR, 1, 0xA5), Rx::Silent);
        spi.write(CR1, 4, ENABLE);
        assert_eq!(spi.write(DR, 1, 0xA5), Rx::Silent);
        assert_eq!(enabled().write(DR, 1, 0xA5), Rx::Byte(0xA5));
    }

    #[test]
    fn another_clock_mode_is_not_understood() {
        for wrong in [CPHA, CPOL, LSB_FIRST] {
            let mut spi = enabled();
            spi.write(CR1, 4, ENABLE | MASTER | wrong);
            assert_eq!(spi.write(DR, 1, 1), Rx::WrongMode);
        }
    }

    #[test]
    fn a_third_unread_byte_is_an_overrun_and_is_lost() {
        let mut spi = enabled();
        for byte in [1, 2, 3] {
            spi.receive(&[byte]);
        }
        assert_eq!(spi.read(SR, 4) & (RXNE | OVERRUN), RXNE | OVERRUN);
        assert_eq!(spi.read(DR, 1), 1);
        assert_eq!(spi.read(DR, 1), 2);
        assert_eq!(spi.read(SR, 4) & OVERRUN, OVERRUN, "cleared by this read");
        assert_eq!(spi.read(SR, 4) & (RXNE | OVERRUN), 0);
    }
}
