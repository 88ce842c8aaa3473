//! A flash chip that is written by pages and tells nobody what it refused: the NOR flash on a chip's quad SPI.
//!
//! Such a chip takes whole pages. A page may be written several times between two erasures, since a bit that is written as
//! 1 stays what it is: a few bytes are written as a page that is blank around them. A chip that is write-protected or worn
//! out ignores the command and says nothing, so everything is read back.

use core::ops::Range;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::flash_error::FlashError;

/// Bytes of a page: what one command writes, on nearly every such chip.
pub const PAGE: usize = 256;
/// Bytes of a sector: the least that is erased.
pub const SECTOR: usize = 4_096;

/// The chip, which does as it is told or does not. Offsets are in bytes from its start.
pub trait Chip {
    /// Erases the sector that begins at `offset`.
    fn erase(&mut self, offset: u32);

    /// Writes the page that begins at `offset`.
    fn program(&mut self, offset: u32, page: &[u8; PAGE]);

    /// Copies what is there, not what a cache remembers.
    fn read(&self, offset: u32, bytes: &mut [u8]);
}

/// The part of a chip that may be changed, and what lies before it, which may be read.
#[derive(Debug)]
pub struct PagedFlash<C> {
    chip: C,
    ours: Range<u32>,
}

impl<C: Chip> PagedFlash<C> {
    /// The flash of `chip`, of which `ours` may be changed.
    pub const fn new(chip: C, ours: Range<u32>) -> Self {
        Self { chip, ours }
    }

    fn check_ours(&self, from: u32) -> Result<(), FlashError> {
        if from < self.ours.start {
            return Err(FlashError::OutOfBounds);
        }
        Ok(())
    }

    /// Whether `expected` is what is in the flash from `offset` on.
    fn holds(&self, offset: u32, expected: &[u8]) -> Result<(), FlashError> {
        let mut there = [0; PAGE];
        let mut offset = offset;
        for part in expected.chunks(PAGE) {
            let there = there.get_mut(..part.len()).unwrap_or_default();
            self.chip.read(offset, there);
            if there != part {
                return Err(FlashError::Refused);
            }
            offset = offset.saturating_add(part.len() as u32);
        }
        Ok(())
    }
}

impl<C> ErrorType for PagedFlash<C> {
    type Error = FlashError;
}

impl<C: Chip> ReadNorFlash for PagedFlash<C> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len())?;
        self.chip.read(offset, bytes);
        Ok(())
    }

    /// Up to the end of what may be changed.
    fn capacity(&self) -> usize {
        self.ours.end as usize
    }
}

impl<C: Chip> NorFlash for PagedFlash<C> {
    /// Any would do; by words the log's entries stay aligned.
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to)?;
        self.check_ours(from)?;
        for sector in (from..to).step_by(SECTOR) {
            self.chip.erase(sector);
            for page in (0..SECTOR as u32).step_by(PAGE) {
                self.holds(sector.saturating_add(page), &[0xFF; PAGE])?;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len())?;
        self.check_ours(offset)?;
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let within = at as usize % PAGE;
            let (part, after) = rest.split_at(rest.len().min(PAGE - within));
            let mut page = [0xFF; PAGE];
            for (to, from) in page.iter_mut().skip(within).zip(part) {
                *to = *from;
            }
            self.chip.program(at - within as u32, &page);
            self.holds(at, part)?;
            at = at.saturating_add(part.len() as u32);
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use assay_firmware::settings::{Setting, Settings, SettingsError};

    use super::*;

    const SECTORS: usize = 4;
    /// The two sectors in the middle.
    const OURS: Range<u32> = SECTOR as u32..3 * SECTOR as u32;

    /// A chip as its data sheet has it: writing clears bits, erasing sets them, and neither happens to what is protected.
    struct Nor {
        bytes: Vec<u8>,
        is_protected: bool,
        programmed: Vec<u32>,
    }

    impl Nor {
        fn new() -> Self {
            Self {
                bytes: (0..SECTORS * SECTOR).map(|at| at as u8).collect(),
                is_protected: false,
                programmed: Vec::new(),
            }
        }
    }

    impl Chip for &mut Nor {
        fn erase(&mut self, offset: u32) {
            assert!(offset.is_multiple_of(SECTOR as u32));
            if !self.is_protected {
                self.bytes[offset as usize..][..SECTOR].fill(0xFF);
            }
        }

        fn program(&mut self, offset: u32, page: &[u8; PAGE]) {
            assert!(offset.is_multiple_of(PAGE as u32));
            self.programmed.push(offset);
            if !self.is_protected {
                for (there, new) in self.bytes[offset as usize..].iter_mut().zip(page) {
                    *there &= new;
                }
            }
        }

        fn read(&self, offset: u32, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        }
    }

    #[test]
    fn a_write_across_pages_leaves_what_is_around_it() {
        let mut nor = Nor::new();
        let mut flash = PagedFlash::new(&mut nor, OURS);
        assert_eq!(flash.erase(OURS.start, OURS.end), Ok(()));
        assert_eq!(flash.write(OURS.start + 248, &[1; 4]), Ok(()));
        let long: Vec<u8> = (0..520_u32).map(|at| at as u8).collect();
        assert_eq!(flash.write(OURS.start + 252, &long), Ok(()));
        assert_eq!(
            nor.programmed,
            [0, 0, 256, 512, 768].map(|page| OURS.start + page)
        );
        let at = OURS.start as usize;
        assert_eq!(
            nor.bytes[at + 244..at + 252],
            [255, 255, 255, 255, 1, 1, 1, 1]
        );
        assert_eq!(nor.bytes[at + 252..at + 772], long[..]);
        assert!(
            nor.bytes[at + 772..OURS.end as usize]
                .iter()
                .all(|byte| *byte == 0xFF)
        );
    }

    #[test]
    fn nothing_before_or_after_what_is_ours_is_changed() {
        let mut nor = Nor::new();
        let before = nor.bytes.clone();
        let mut flash = PagedFlash::new(&mut nor, OURS);
        let outside = Err(FlashError::OutOfBounds);
        assert_eq!(flash.erase(0, OURS.end), outside);
        assert_eq!(flash.erase(OURS.start, OURS.end + SECTOR as u32), outside);
        assert_eq!(flash.write(OURS.start - 4, &[0; 8]), outside);
        assert_eq!(flash.write(OURS.end - 4, &[0; 8]), outside);
        assert_eq!(
            flash.write(OURS.start + 2, &[0; 4]),
            Err(FlashError::NotAligned)
        );
        assert_eq!(flash.read(OURS.end - 4, &mut [0; 8]), outside);
        assert_eq!(nor.bytes, before);
    }

    #[test]
    fn what_a_chip_ignores_is_an_error() {
        let mut nor = Nor::new();
        nor.is_protected = true;
        let mut flash = PagedFlash::new(&mut nor, OURS);
        assert_eq!(flash.erase(OURS.start, OURS.end), Err(FlashError::Refused));
        assert_eq!(
            flash.write(OURS.start, &[0x5A; 4]),
            Err(FlashError::Refused)
        );
        // Bits that are 0 stay so without an erasure.
        nor.is_protected = false;
        let mut flash = PagedFlash::new(&mut nor, OURS);
        assert_eq!(
            flash.write(OURS.start, &[0xFF; 4]),
            Err(FlashError::Refused)
        );
    }

    #[test]
    fn settings_live_in_it() {
        let mut nor = Nor::new();
        for boot in 1..=1_000 {
            let settings = Settings::new(PagedFlash::new(&mut nor, OURS), OURS);
            let counted = settings.and_then(|mut settings| {
                if boot == 1 {
                    settings.erase()?;
                    settings.set(Setting::Label, b"rack 4")?;
                }
                settings.count_boot()
            });
            assert_eq!(counted, Ok(boot));
        }
        let settings = Settings::new(PagedFlash::new(&mut nor, OURS), OURS);
        let label =
            settings.and_then(|mut settings| Ok(settings.get(Setting::Label)? == Some(b"rack 4")));
        assert_eq!(label, Ok(true));
        nor.is_protected = true;
        let settings = Settings::new(PagedFlash::new(&mut nor, OURS), OURS);
        let counted = settings.and_then(|mut settings| settings.count_boot());
        assert_eq!(counted, Err(SettingsError::Flash));
    }
}
