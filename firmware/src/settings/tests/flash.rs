//! A NOR flash in memory that obeys a flash's rules and loses its power when it is told to.

use core::ops::Range;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a page: small, so that few writes go round the log.
pub(crate) const PAGE: usize = 128;
pub(crate) const SIZE: usize = 3 * PAGE;
pub(crate) const REGION: Range<u32> = 0..SIZE as u32;

/// What a test has to ask for, or a bug of ours or of the log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The power went. What was under way is done in part.
    Power,
    /// The controller refuses.
    Refused,
    /// Not aligned, or outside.
    Misuse(NorFlashErrorKind),
    /// A word was written a second time without erasure: error correction makes that illegal on most chips.
    Rewritten(usize),
}

impl NorFlashError for Failure {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Misuse(kind) => *kind,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// The flash. A word may be written once between erasures.
#[derive(Clone)]
pub(crate) struct Flash {
    pub(crate) bytes: [u8; SIZE],
    /// By the number of the word, however many bytes one has.
    written: [bool; SIZE],
    /// Bytes that may still be written or erased before the power goes.
    pub(crate) power: Option<usize>,
    /// What the byte under way is left as.
    pub(crate) torn: u8,
    pub(crate) refuses: bool,
    pub(crate) erasures: usize,
    pub(crate) writes: usize,
}

impl Flash {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0xFF; SIZE],
            written: [false; SIZE],
            power: None,
            torn: 0,
            refuses: false,
            erasures: 0,
            writes: 0,
        }
    }

    /// Whatever a chip with words of `WORD` bytes holds before it is first used.
    pub(crate) fn holding<const WORD: usize>(bytes: [u8; SIZE]) -> Self {
        let mut flash = Self::new();
        flash.bytes = bytes;
        flash.written = core::array::from_fn(|word| {
            let at = word * WORD;
            bytes
                .get(at..at + WORD)
                .is_some_and(|word| *word != [0xFF; WORD])
        });
        flash
    }

    /// Changes one byte, or loses the power at it.
    fn change(&mut self, at: usize, value: u8, torn: u8) -> Result<(), Failure> {
        let gone = match &mut self.power {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        *self.bytes.get_mut(at).unwrap() = if gone { torn } else { value };
        if gone { Err(Failure::Power) } else { Ok(()) }
    }

    fn check(&self, from: usize, to: usize, unit: usize) -> Result<(), Failure> {
        if self.power == Some(0) {
            return Err(Failure::Power);
        }
        if from > to || to > SIZE {
            return Err(Failure::Misuse(NorFlashErrorKind::OutOfBounds));
        }
        if !from.is_multiple_of(unit) || !to.is_multiple_of(unit) {
            return Err(Failure::Misuse(NorFlashErrorKind::NotAligned));
        }
        if self.refuses {
            return Err(Failure::Refused);
        }
        Ok(())
    }
}

/// A flash that a test keeps while a log uses it: what is in it after the power went is what counts. Its words have 4 bytes,
/// as an STM32F405's are written, or 8, as an STM32L476's.
pub(crate) struct Chip<'a, const WORD: usize = 4>(pub(crate) &'a mut Flash);

impl<const WORD: usize> ErrorType for Chip<'_, WORD> {
    type Error = Failure;
}

impl<const WORD: usize> ReadNorFlash for Chip<'_, WORD> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        let from = offset as usize;
        let held = self.0.bytes.get(from..from + bytes.len());
        let outside = Failure::Misuse(NorFlashErrorKind::OutOfBounds);
        bytes.copy_from_slice(held.ok_or(outside)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl<const WORD: usize> NorFlash for Chip<'_, WORD> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failure> {
        let (from, to) = (from as usize, to as usize);
        let flash = &mut *self.0;
        flash.check(from, to, PAGE)?;
        flash.erasures += 1;
        for at in from..to {
            // An erasure that is cut short leaves cells between their states: any value, and a word with one has been used.
            let torn = flash.torn ^ at as u8;
            flash.change(at, 0xFF, torn)?;
            *flash.written.get_mut(at / WORD).unwrap() = false;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failure> {
        let from = offset as usize;
        let flash = &mut *self.0;
        flash.check(from, from + bytes.len(), WORD)?;
        flash.writes += 1;
        for (at, byte) in (from..).zip(bytes) {
            let word = at / WORD;
            if *flash.written.get(word).unwrap() {
                return Err(Failure::Rewritten(at));
            }
            // Writing only clears bits, and a write that is cut short has cleared some of them. Such a word may look blank
            // still, and then it may be written: flashes that check each word by a code of its own would not have that.
            let held = *flash.bytes.get(at).unwrap();
            let torn = held & (*byte | flash.torn);
            flash.change(at, held & byte, torn)?;
            *flash.written.get_mut(word).unwrap() = (at + 1).is_multiple_of(WORD);
        }
        Ok(())
    }
}
