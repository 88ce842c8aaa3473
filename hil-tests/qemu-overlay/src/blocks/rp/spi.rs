//! SPI0, a PL022: CR0, CR1, DR, SR, CPSR. `[RP2350] 12.3`, `[DDI 0194]`
//!
//! A byte is on the wire as soon as it is written, so that the block is never busy and its transmit FIFO empty. What came back
//! waits in eight places; a ninth without a read is lost. Master, Motorola's frames, no interrupts, no DMA.

use std::collections::VecDeque;

use crate::blocks::{Rx, SpiMaster, Words, narrow};

const SSPCR0: u32 = 0x00;
const SSPCR1: u32 = 0x04;
const SSPDR: u32 = 0x08;
const SSPSR: u32 = 0x0C;
const SSPCPSR: u32 = 0x10;
const SSPRIS: u32 = 0x18;
const SSPICR: u32 = 0x20;

/// CR0: eight bits; the frame's format, the clock's polarity and phase.
const EIGHT_BITS: u32 = 7;
const FORMAT: u32 = 3 << 4 | 1 << 6 | 1 << 7;
/// CR1: enabled, slave, and the loop from its output to its input.
const SSE: u32 = 1 << 1;
const SLAVE: u32 = 1 << 2;
const LOOP: u32 = 1 << 0;
/// SR: the transmit FIFO is empty, and not full; something was received, and there is no more room.
const TFE_TNF: u32 = 0b11;
const RNE: u32 = 1 << 2;
const RFF: u32 = 1 << 3;
/// RIS: a received byte was lost; the transmit FIFO is half empty.
const LOST: u32 = 1 << 0;
const TX_LEVEL: u32 = 1 << 3;
const DEPTH: usize = 8;

/// SPI0.
#[derive(Debug, Default)]
pub struct Spi {
    words: Words<10>,
    received: VecDeque<u8>,
    lost: bool,
}

impl SpiMaster for Spi {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            SSPDR => u32::from(self.received.pop_front().unwrap_or(0)),
            SSPSR => {
                let some = if self.received.is_empty() { 0 } else { RNE };
                let full = if self.received.len() < DEPTH { 0 } else { RFF };
                TFE_TNF | some | full
            }
            SSPRIS => TX_LEVEL | if self.lost { LOST } else { 0 },
            SSPICR => 0,
            at => self.words.get(at),
        };
        narrow(word, offset, size)
    }

    fn write(&mut self, offset: u32, _: u32, value: u32) -> Rx {
        match offset & !3 {
            SSPDR => {}
            SSPSR | SSPRIS => return Rx::Silent,
            SSPICR => {
                self.lost &= value & LOST == 0;
                return Rx::Silent;
            }
            at => {
                self.words.set(at, value);
                return Rx::Silent;
            }
        }
        let (cr0, cr1) = (self.words.get(SSPCR0), self.words.get(SSPCR1));
        // An even number from 2 to 254.
        let prescaler = self.words.get(SSPCPSR) & 0xFE;
        if cr1 & (SSE | SLAVE) != SSE || prescaler == 0 || cr0 & 0xF < 3 {
            return Rx::Silent;
        }
        if cr0 & 0xF != EIGHT_BITS || cr0 & FORMAT != 0 || cr1 & LOOP != 0 {
            return Rx::WrongMode;
        }
        u8::try_from(value & 0xFF).map_or(Rx::Silent, Rx::Byte)
    }

    fn receive(&mut self, answer: &[u8]) {
        for byte in answer {
            if self.received.len() < DEPTH {
                self.received.push_back(*byte);
            } else {
                self.lost = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(cr0: u32, cr1: u32, prescaler: u32) -> Spi {
        let mut spi = Spi::default();
        for (register, value) in [(SSPCPSR, prescaler), (SSPCR0, cr0), (SSPCR1, cr1)] {
            assert_eq!(spi.write(register, 4, value), Rx::Silent);
        }
        spi
    }

    #[test]
    fn a_byte_goes_out_of_a_master_that_is_on_and_has_a_prescaler() {
        let sends = |cr0, cr1, prescaler| enabled(cr0, cr1, prescaler).write(SSPDR, 4, 0xA5);
        assert_eq!(sends(0x0E07, SSE, 2), Rx::Byte(0xA5));
        assert_eq!(sends(0x0E07, 0, 2), Rx::Silent);
        assert_eq!(sends(0x0E07, SSE | SLAVE, 2), Rx::Silent);
        assert_eq!(sends(0x0E07, SSE, 0), Rx::Silent);
        assert_eq!(sends(0x0E00, SSE, 2), Rx::Silent, "no such size");
    }

    #[test]
    fn a_mode_that_is_not_the_tpms_is_not_understood() {
        for cr0 in [0x0F, 0x17, 0x47, 0x87] {
            let mut spi = enabled(cr0, SSE, 2);
            assert_eq!(spi.write(SSPDR, 4, 0xA5), Rx::WrongMode, "{cr0:#x}");
        }
        let mut spi = enabled(7, SSE | LOOP, 2);
        assert_eq!(spi.write(SSPDR, 4, 0xA5), Rx::WrongMode);
    }

    #[test]
    fn eight_bytes_wait_and_a_ninth_is_lost() {
        let mut spi = enabled(7, SSE, 2);
        assert_eq!(spi.read(SSPSR, 4), TFE_TNF);
        for byte in 1..=9 {
            spi.receive(&[byte]);
        }
        assert_eq!(spi.read(SSPSR, 4), TFE_TNF | RNE | RFF);
        assert_eq!(spi.read(SSPRIS, 4) & LOST, LOST);
        let read: Vec<u32> = (0..8).map(|_| spi.read(SSPDR, 4)).collect();
        assert_eq!(read, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(spi.read(SSPSR, 4), TFE_TNF);
        spi.write(SSPICR, 4, LOST);
        assert_eq!(spi.read(SSPRIS, 4) & LOST, 0);
    }
}
