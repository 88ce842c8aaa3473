//! The provisioning record as a bring-up image writes it, for a technician who types `provision`.
//!
//! An agent's image has none of this: it reads the record in place and relies on nobody writing it.

use core::ops::Range;

use assay_firmware::console::RecordFault;
use embedded_storage::nor_flash::NorFlash;

/// Room for the widest word that a flash writes.
const WIDEST: usize = 32;

/// The record's place in a flash.
#[derive(Debug)]
pub struct Record<F> {
    flash: F,
    region: Range<u32>,
}

impl<F: NorFlash> Record<F> {
    /// The record in the pages of `flash` that `region` covers, in bytes from its start. Touches nothing yet.
    pub const fn new(flash: F, region: Range<u32>) -> Self {
        const { assert!(F::WRITE_SIZE <= WIDEST) };
        Self { flash, region }
    }

    /// Copies what is at the front; blank, should the flash ever fail: that is no record.
    pub fn read(&mut self, to: &mut [u8]) {
        if self.flash.read(self.region.start, to).is_err() {
            to.fill(0xFF);
        }
    }

    /// Erases as many pages as `record` needs, and writes it to the front. Power that goes meanwhile leaves a board without
    /// a record, never with half of one: its checksum comes last. (On a flash that guards each word by a code, a word that was cut short
    /// may end in a fault when an agent reads it: `provision` once more.)
    ///
    /// # Errors
    ///
    /// [`RecordFault`].
    pub fn write(&mut self, record: &[u8]) -> Result<(), RecordFault> {
        let Range { start, end } = self.region;
        let len = record.len().next_multiple_of(F::ERASE_SIZE) as u32;
        let erased = start.checked_add(len).filter(|erased| *erased <= end);
        let erased = erased.ok_or(RecordFault::TooLong)?;
        self.flash.erase(start, erased).map_err(fault)?;
        let (whole, rest) = record.split_at(record.len() - record.len() % F::WRITE_SIZE);
        self.flash.write(start, whole).map_err(fault)?;
        if !rest.is_empty() {
            let mut word = [0xFF; WIDEST];
            for (to, from) in word.iter_mut().zip(rest) {
                *to = *from;
            }
            let word = word.get(..F::WRITE_SIZE).unwrap_or_default();
            let at = start.saturating_add(whole.len() as u32);
            self.flash.write(at, word).map_err(fault)?;
        }
        Ok(())
    }
}

fn fault<E>(_: E) -> RecordFault {
    RecordFault::Flash
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use embedded_storage::nor_flash::{
        ErrorType, NorFlashErrorKind, ReadNorFlash, check_erase, check_write,
    };

    use super::*;

    const PAGE: usize = 64;

    /// Bytes that can be written once after an erasure, in words of 8, until power goes.
    struct Flash {
        bytes: Vec<u8>,
        words_left: usize,
    }

    impl ErrorType for &mut Flash {
        type Error = NorFlashErrorKind;
    }

    impl ReadNorFlash for &mut Flash {
        const READ_SIZE: usize = 1;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
            Ok(())
        }

        fn capacity(&self) -> usize {
            self.bytes.len()
        }
    }

    impl NorFlash for &mut Flash {
        const WRITE_SIZE: usize = 8;
        const ERASE_SIZE: usize = PAGE;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
            check_erase(&*self, from, to)?;
            self.bytes[from as usize..to as usize].fill(0xFF);
            Ok(())
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            check_write(&*self, offset, bytes.len())?;
            for (there, word) in self.bytes[offset as usize..]
                .chunks_mut(8)
                .zip(bytes.chunks(8))
            {
                let left = self.words_left.checked_sub(1);
                self.words_left = left.ok_or(NorFlashErrorKind::Other)?;
                assert_eq!(there, [0xFF; 8], "written twice");
                there.copy_from_slice(word);
            }
            Ok(())
        }
    }

    fn flash() -> Flash {
        Flash {
            bytes: vec![0x11; 4 * PAGE],
            words_left: usize::MAX,
        }
    }

    const REGION: Range<u32> = PAGE as u32..3 * PAGE as u32;

    #[test]
    fn a_record_of_any_length_is_written_and_nothing_beside_it() {
        for len in [1, 7, 8, 9, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE] {
            let mut flash = flash();
            let record: Vec<u8> = (0..len).map(|at| at as u8 | 0x80).collect();
            let mut there = vec![0; len];
            let mut kept = Record::new(&mut flash, REGION);
            assert_eq!(kept.write(&record), Ok(()));
            kept.read(&mut there);
            assert_eq!(there, record);
            let touched = PAGE + len.next_multiple_of(PAGE);
            assert_eq!(flash.bytes[PAGE..PAGE + len], record[..], "{len}");
            assert!(
                flash.bytes[PAGE + len..touched].iter().all(|b| *b == 0xFF),
                "{len}"
            );
            assert!(
                flash.bytes[..PAGE]
                    .iter()
                    .chain(&flash.bytes[touched..])
                    .all(|b| *b == 0x11)
            );
        }
    }

    #[test]
    fn one_that_is_too_long_erases_nothing_and_one_that_is_cut_short_ends_blank() {
        let mut flash = flash();
        let mut record = Record::new(&mut flash, REGION);
        assert_eq!(record.write(&[0; 2 * PAGE + 1]), Err(RecordFault::TooLong));
        assert!(flash.bytes.iter().all(|b| *b == 0x11));
        flash.words_left = 2;
        assert_eq!(
            Record::new(&mut flash, REGION).write(&[0x5A; 20]),
            Err(RecordFault::Flash)
        );
        assert_eq!(flash.bytes[PAGE..PAGE + 16], [0x5A; 16]);
        assert_eq!(flash.bytes[PAGE + 16..PAGE + 24], [0xFF; 8]);
    }
}
