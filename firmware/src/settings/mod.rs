//! What a node remembers over a loss of power, in the microcontroller's own flash.
//!
//! Settings are a log over two or more pages of flash (`sequential-storage`): a new value is appended with a checksum, and
//! a page is erased only when the log has come round to it. Power may go at any byte of any write: afterwards each setting
//! has its old or its new value, whole. (A flash that guards each word by an error-correcting code may fault on a word that was
//! cut short: its driver must answer with what was read, which the checksum refuses, and not with a fault.) Nothing here is secret, and nothing is believed because it is here: who can write
//! the flash can set the counters back, and it is the verifier who notices.
//!
//! Nothing is written but once a boot and by an operator, so the flash outlives the board: on an STM32F405, with two
//! sectors of 128 KiB and 10,000 erasures each, for more than 50 million boots.

mod boots;
mod flash;
#[cfg(test)]
pub(crate) mod tests;

use core::ops::Range;

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use self::flash::{Blocking, now};
use crate::fmt::warning;

/// Longest value, bytes.
pub const MAX_VALUE: usize = 64;
/// The key, the value, and what rounds them up to the widest word that a flash writes.
const BUFFER: usize = MAX_VALUE + 32;

/// What is kept. The numbers are in the flash: a number is never given a second meaning. 2 stood for the TPM's
/// resetCount, which no image has written, and is not given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Setting {
    /// How often this board has started, u32 be.
    Boots = 1,
    /// What the operator calls this board, UTF-8.
    Label = 3,
}

/// Why a setting could not be read or kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum SettingsError {
    /// The region is not two or more whole pages of this flash.
    Region = 1,
    /// The flash failed: worn out, or write-protected.
    Flash = 2,
    /// What is in the region is not a log of settings, and no repair made it one.
    Damaged = 3,
    /// All pages are full of settings that are in force.
    Full = 4,
    /// Longer than [`MAX_VALUE`].
    TooLong = 5,
    /// A value of another length or range than its setting has.
    Value = 6,
}

impl core::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Region => "the settings' region is not whole pages of this flash",
            Self::Flash => "flash failed",
            Self::Damaged => "settings damaged beyond repair",
            Self::Full => "no room for another setting",
            Self::TooLong => "setting too long",
            Self::Value => "setting with an illegal value",
        })
    }
}

impl core::error::Error for SettingsError {}

/// The settings in one region of a flash.
pub struct Settings<F: NorFlash> {
    log: MapStorage<u8, Blocking<F>, Cache<Uncached, Uncached, Uncached, u8>>,
    buffer: Buffer,
}

/// Some controllers move words only.
#[repr(align(8))]
struct Buffer([u8; BUFFER]);

impl<F: NorFlash> Settings<F> {
    /// Settings in the pages of `flash` that `region` covers, in bytes from its start. Touches nothing yet.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Region`].
    pub fn new(flash: F, region: Range<u32>) -> Result<Self, SettingsError> {
        let config = MapConfig::try_new(region).map_err(|_| SettingsError::Region)?;
        Ok(Self {
            log: MapStorage::new(Blocking(flash), config, Cache::new_uncached()),
            buffer: Buffer([0; BUFFER]),
        })
    }

    /// The value that was kept last; `None` when there never was one.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]. Reading repairs what a loss of power left behind, and so it may write.
    pub fn get(&mut self, setting: Setting) -> Result<Option<&[u8]>, SettingsError> {
        let Buffer(buffer) = &mut self.buffer;
        let found = now(self.log.fetch_item::<&[u8]>(buffer, &(setting as u8)));
        found.map_err(of).inspect_err(told)
    }

    /// Keeps a value. It is in the flash when this returns; one that is there already is not written again.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]; the old value is in force then.
    pub fn set(&mut self, setting: Setting, value: &[u8]) -> Result<(), SettingsError> {
        if value.len() > MAX_VALUE {
            return Err(SettingsError::TooLong);
        }
        if self.get(setting)? == Some(value) {
            return Ok(());
        }
        let Buffer(buffer) = &mut self.buffer;
        let kept = now(self.log.store_item(buffer, &(setting as u8), &value));
        kept.map_err(of).inspect_err(told)
    }

    /// Erases all settings: an operator's way out of [`SettingsError::Damaged`]. Counters begin anew, which a verifier that
    /// has seen them takes for what it is.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Flash`].
    pub fn erase(&mut self) -> Result<(), SettingsError> {
        now(self.log.erase_all()).map_err(of).inspect_err(told)
    }

    /// A number that a setting holds.
    fn number(&mut self, setting: Setting) -> Result<Option<u32>, SettingsError> {
        let number = self.get(setting)?.map(|value| {
            let bytes = value.try_into().map_err(|_| SettingsError::Value)?;
            Ok(u32::from_be_bytes(bytes))
        });
        number.transpose()
    }
}

fn told(error: &SettingsError) {
    warning!("settings: error {=u8}", *error as u8);
}

fn of<E: NorFlashError>(error: sequential_storage::Error<E>) -> SettingsError {
    use sequential_storage::Error;
    match error {
        Error::Storage { value } if value.kind() == NorFlashErrorKind::OutOfBounds => {
            SettingsError::Region
        }
        Error::Storage { .. } => SettingsError::Flash,
        Error::FullStorage => SettingsError::Full,
        Error::BufferTooSmall(_) | Error::BufferTooBig | Error::ItemTooBig => {
            SettingsError::TooLong
        }
        _ => SettingsError::Damaged,
    }
}
