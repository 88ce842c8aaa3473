//! Faults between host and TPM: stuck lines, flipped bits, lost clocks, a glitching chip select.

use super::tis::Tis;
use crate::fault::FaultKind;

/// What strikes before one byte of a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Strike {
    /// Chip select rises and falls.
    pub(crate) glitch: bool,
    /// The TPM misses the byte.
    pub(crate) drop: bool,
    /// The TPM sees a byte too many.
    pub(crate) insert: bool,
}

/// State of the wires within one frame.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    /// Bytes of the frame so far.
    index: u32,
    stuck: Option<u8>,
    flip_mosi_header: Option<u32>,
    flip_miso_header: Option<u32>,
    /// The bit that a slipped clock carries into the next byte.
    slip: Option<u8>,
    missed_rise: bool,
}

impl Wires {
    /// Start of a frame. Returns whether the TPM still is in the previous one, because it missed
    /// the rise of chip select.
    pub(crate) fn begin_frame(&mut self, tis: &mut Tis) -> bool {
        let low = tis.fire(FaultKind::MisoStuckLow).map(|_| 0x00);
        *self = Self {
            index: 0,
            stuck: low.or_else(|| tis.fire(FaultKind::MisoStuckHigh).map(|_| 0xFF)),
            flip_mosi_header: tis.fire(FaultKind::MosiFlipHeader),
            flip_miso_header: tis.fire(FaultKind::MisoFlipHeader),
            slip: None,
            missed_rise: self.missed_rise,
        };
        std::mem::take(&mut self.missed_rise)
    }

    /// The rise that ends this frame does not arrive.
    pub(crate) fn miss_rise(&mut self) {
        self.missed_rise = true;
    }

    /// What strikes before the next byte.
    pub(crate) fn strike(&mut self, tis: &mut Tis) -> Strike {
        let index = self.index;
        self.index = index.saturating_add(1);
        let context = tis.context();
        let mut here = |kind| {
            tis.injector
                .fire_if(kind, &context, |arg| arg == index)
                .is_some()
        };
        let strike = Strike {
            glitch: here(FaultKind::CsGlitch),
            drop: here(FaultKind::ClockDrop),
            insert: here(FaultKind::ClockInsert),
        };
        if here(FaultKind::BitSlip) {
            self.slip = Some(0);
        }
        strike
    }

    /// What the TPM sees of a byte; `header_byte` numbers the bytes of the header.
    pub(crate) fn mosi(&mut self, byte: u8, header_byte: Option<usize>) -> u8 {
        let byte = byte ^ flip(self.flip_mosi_header, header_byte);
        match &mut self.slip {
            Some(carry) => {
                let seen = (*carry << 7) | (byte >> 1);
                *carry = byte & 1;
                seen
            }
            None => byte,
        }
    }

    /// What the host sees of a byte.
    pub(crate) fn miso(&self, byte: u8, header_byte: Option<usize>) -> u8 {
        let byte = byte ^ flip(self.flip_miso_header, header_byte);
        let byte = match self.slip {
            // The bit that the next byte would begin with is not known yet; the line is high.
            Some(_) => (byte << 1) | 1,
            None => byte,
        };
        self.stuck.unwrap_or(byte)
    }
}

/// Mask of bit `bit` (0 = last of four bytes) within byte `header_byte`.
fn flip(bit: Option<u32>, header_byte: Option<usize>) -> u8 {
    let mask = bit.and_then(|bit| 1u32.checked_shl(bit)).unwrap_or(0);
    header_byte
        .and_then(|at| mask.to_be_bytes().get(at).copied())
        .unwrap_or(0)
}
