//! The flash in which a node counts its boots, and that loses its power at any byte.

use anyhow::{Result, bail};
use assay_firmware::settings::{Settings, SettingsError};
use assay_spi_tpm::random::SplitMix;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a page: small, so that the log goes round it every few boots.
const PAGE: usize = 256;
const SIZE: usize = 2 * PAGE;
/// Bytes that a count writes, a little more; and the same with the erasure of a page.
const WRITING: u32 = 40;
const ERASING: u32 = PAGE as u32 + WRITING;
/// Starts in a row that are cut short, at most.
const MOST_CUTS: u32 = 3;

/// Two pages, whose words of four bytes are written once between erasures.
pub(super) struct BoardFlash {
    bytes: [u8; SIZE],
    /// Bytes that are changed before the power goes.
    power: Option<u32>,
    /// What the byte under way is left as.
    torn: u8,
    /// The last number that a boot was given.
    last: u32,
    /// How often the power went in a boot.
    pub(super) cuts: u64,
}

impl BoardFlash {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0xFF; SIZE],
            power: None,
            torn: 0,
            last: 0,
            cuts: 0,
        }
    }

    /// Starts the board, and starts it again for as long as the power goes while it counts; with `random`, which draws
    /// where. The number of the start that came through.
    ///
    /// # Errors
    ///
    /// When a number comes a second time, or the settings do not outlive a cut.
    pub(super) fn boot(&mut self, mut random: Option<&mut SplitMix>) -> Result<u32> {
        for cuts in 0..=MOST_CUTS {
            self.power = match &mut random {
                Some(random) if cuts < MOST_CUTS => {
                    self.torn = u8::try_from(random.between(0, 255)).unwrap_or(0);
                    let erases = random.between(0, 2) == 0;
                    Some(random.between(0, if erases { ERASING } else { WRITING }))
                }
                _ => None,
            };
            let settings = Settings::new(Chip(self), 0..SIZE as u32);
            let counted = settings.and_then(|mut settings| settings.count_boot());
            match counted {
                Ok(number) if number > self.last => {
                    self.last = number;
                    return Ok(number);
                }
                Ok(number) => bail!("boot {number} comes after boot {}", self.last),
                Err(SettingsError::Flash) if self.power == Some(0) => self.cuts += 1,
                Err(error) => bail!("after {} cuts of power: {error}", self.cuts),
            }
        }
        bail!("the power is there, and the flash fails")
    }

    fn change(&mut self, at: usize, value: u8) -> Result<(), Failed> {
        let torn = self.bytes.get(at).copied().unwrap_or_default() & (value | self.torn);
        let Some(byte) = self.bytes.get_mut(at) else {
            return Err(Failed(NorFlashErrorKind::OutOfBounds));
        };
        match &mut self.power {
            Some(0) => return Err(Failed(NorFlashErrorKind::Other)),
            Some(1) => {
                self.power = Some(0);
                *byte = torn;
                return Err(Failed(NorFlashErrorKind::Other));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        *byte = value;
        Ok(())
    }
}

/// The power went, or a misuse.
#[derive(Debug, Clone, Copy)]
struct Failed(NorFlashErrorKind);

impl NorFlashError for Failed {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

struct Chip<'f>(&'f mut BoardFlash);

impl ErrorType for Chip<'_> {
    type Error = Failed;
}

impl ReadNorFlash for Chip<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failed> {
        let from = offset as usize;
        let held = self.0.bytes.get(from..from.saturating_add(bytes.len()));
        let held = held.ok_or(Failed(NorFlashErrorKind::OutOfBounds))?;
        bytes.copy_from_slice(held);
        Ok(())
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlash for Chip<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failed> {
        for at in from..to {
            self.0.change(at as usize, 0xFF)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failed> {
        for (at, byte) in (offset as usize..).zip(bytes) {
            let held = self.0.bytes.get(at).copied().unwrap_or_default();
            self.0.change(at, held & byte)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

    use super::*;

    #[test]
    fn boots_have_rising_numbers_whenever_the_power_goes() {
        let mut flash = BoardFlash::new();
        let mut random = SplitMix::new(1);
        let mut last = 0;
        for _ in 0..2_000 {
            let number = flash.boot(Some(&mut random)).unwrap();
            assert!(number > last);
            last = number;
        }
        assert!(flash.cuts > 100, "{}", flash.cuts);
        assert_eq!(flash.boot(None).unwrap(), last + 1);
    }
}
