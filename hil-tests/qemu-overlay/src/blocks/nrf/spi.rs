//! SPI1, the master without DMA: EVENTS_READY, ENABLE, PSEL, RXD, TXD, FREQUENCY, CONFIG. `[nRF52840_PS] SPI`
//!
//! A byte is on the wire as soon as it is written. RXD holds two; reading it moves the second one up, which is an event of
//! its own. A third without a read is lost. The pins and the rate must be set before the block is enabled, and stay. No
//! interrupts.

use std::collections::VecDeque;

use super::{NO_PIN, selected};
use crate::args::Pin;
use crate::blocks::{Rx, SpiMaster, Words, merge, narrow};

const EVENTS_READY: u32 = 0x108;
const ENABLE: u32 = 0x500;
const PSEL_SCK: u32 = 0x508;
const PSEL_MOSI: u32 = 0x50C;
const PSEL_MISO: u32 = 0x510;
const RXD: u32 = 0x518;
const TXD: u32 = 0x51C;
const FREQUENCY: u32 = 0x524;
const CONFIG: u32 = 0x554;

const ENABLED: u32 = 1;
/// 125 kHz to 8 MHz; no other number is one.
const FREQUENCIES: [u32; 7] = [
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
    0x8000_0000,
];
/// Bytes that RXD holds.
const RX_DEPTH: usize = 2;

/// SPI1.
#[derive(Debug)]
pub struct Spi {
    words: Words<0x156>,
    received: VecDeque<u8>,
    ready: bool,
}

impl Default for Spi {
    fn default() -> Self {
        let mut words = Words::default();
        for psel in [PSEL_SCK, PSEL_MOSI, PSEL_MISO] {
            words.set(psel, NO_PIN);
        }
        words.set(FREQUENCY, 0x0400_0000);
        Self {
            words,
            received: VecDeque::new(),
            ready: false,
        }
    }
}

impl Spi {
    fn is_on(&self) -> bool {
        self.words.get(ENABLE) == ENABLED && FREQUENCIES.contains(&self.words.get(FREQUENCY))
    }
}

impl SpiMaster for Spi {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn pins(&self) -> Option<[Option<Pin>; 3]> {
        Some([PSEL_SCK, PSEL_MISO, PSEL_MOSI].map(|psel| selected(self.words.get(psel))))
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            EVENTS_READY => u32::from(self.ready),
            RXD => {
                let byte = self.received.pop_front().unwrap_or(0);
                self.ready |= !self.received.is_empty();
                u32::from(byte)
            }
            _ => self.words.get(offset),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) -> Rx {
        let word = merge(self.words.get(offset), offset, size, value);
        match offset & !3 {
            EVENTS_READY => self.ready &= word & 1 != 0,
            RXD => {}
            TXD if !self.is_on() => {}
            TXD if self.words.get(CONFIG) != 0 => return Rx::WrongMode,
            TXD => return Rx::Byte(value.to_le_bytes()[0]),
            PSEL_SCK | PSEL_MOSI | PSEL_MISO | FREQUENCY | CONFIG
                if self.words.get(ENABLE) == ENABLED => {}
            _ => self.words.set(offset, word),
        }
        Rx::Silent
    }

    fn receive(&mut self, answer: &[u8]) {
        for byte in answer {
            // What is moved to RXD is an event; what waits behind it is not yet.
            self.ready |= self.received.is_empty();
            if self.received.len() < RX_DEPTH {
                self.received.push_back(*byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(config: u32, frequency: u32) -> Spi {
        let mut spi = Spi::default();
        for (register, value) in [
            (PSEL_SCK, 0x2F),
            (PSEL_MOSI, 0x2D),
            (PSEL_MISO, 0x2E),
            (FREQUENCY, frequency),
            (CONFIG, config),
            (ENABLE, ENABLED),
        ] {
            spi.write(register, 4, value);
        }
        spi
    }

    #[test]
    fn a_block_that_is_off_or_has_no_rate_is_silent_and_another_mode_is_not_understood() {
        assert_eq!(Spi::default().write(TXD, 4, 0xA5), Rx::Silent);
        assert_eq!(enabled(0, 0x4100_0000).write(TXD, 4, 0xA5), Rx::Silent);
        assert_eq!(enabled(0, 0x4000_0000).write(TXD, 4, 0xA5), Rx::Byte(0xA5));
        for mode in [1, 2, 4] {
            let mut spi = enabled(mode, 0x4000_0000);
            assert_eq!(spi.write(TXD, 4, 0xA5), Rx::WrongMode);
        }
    }

    #[test]
    fn the_pins_are_those_that_were_selected_before_it_was_enabled() {
        let mut spi = enabled(0, 0x4000_0000);
        spi.write(PSEL_SCK, 4, 3);
        let pin = |number| Some(Pin { port: 1, number });
        assert_eq!(spi.pins(), Some([pin(15), pin(14), pin(13)]));
        assert_eq!(Spi::default().pins(), Some([None; 3]));
    }

    #[test]
    fn two_bytes_wait_each_with_its_event_and_a_third_is_lost() {
        let mut spi = enabled(0, 0x4000_0000);
        assert_eq!(spi.read(EVENTS_READY, 4), 0);
        spi.receive(&[1]);
        spi.receive(&[2]);
        spi.receive(&[3]);
        for byte in [1, 2] {
            assert_eq!(spi.read(EVENTS_READY, 4), 1);
            spi.write(EVENTS_READY, 4, 0);
            assert_eq!(spi.read(EVENTS_READY, 4), 0);
            assert_eq!(spi.read(RXD, 4), byte);
        }
        assert_eq!((spi.read(EVENTS_READY, 4), spi.read(RXD, 4)), (0, 0));
    }
}
