//! What the console asks of a board besides what the agent does.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiBus;
use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;

use crate::bus::{SpiTis, TisBus, TraceSink, Tracer};
use crate::platform::{BoardInfo, Platform, Protection};
use crate::settings::{Setting, Settings, SettingsError};

/// A board that has a bring-up image.
pub trait Board: Platform {
    /// The link.
    type Serial: Read + ReadReady + Write;
    /// The TPM's bus.
    type Bus: TisBus + Wire;
    /// Waits, with the watchdog kept quiet.
    type Delay: DelayNs;

    /// What it calls itself.
    fn about(&self) -> BoardInfo;

    /// The microcontroller's own number, where it has one.
    fn unique_id(&self) -> Option<&[u8]> {
        None
    }

    /// Copies what lies where the provisioning record is kept: as many bytes as `to` has. A copy, since
    /// [`write_record`](Self::write_record) changes it.
    fn read_record(&mut self, to: &mut [u8]);

    /// Puts a record where the agent looks for it, in the place of whatever is there. It was checked.
    ///
    /// # Errors
    ///
    /// [`RecordFault`].
    fn write_record(&mut self, record: &[u8]) -> Result<(), RecordFault> {
        let _ = record;
        Err(RecordFault::NotHere)
    }

    /// How the record is written from outside, in one line: what a technician is told when the board cannot do it.
    fn how_to_flash_record(&self) -> &'static str;

    /// What protects the record.
    fn protection(&mut self) -> Protection {
        Protection::UNKNOWN
    }

    /// Whether [`protect_record`](Self::protect_record) can do anything here.
    fn can_protect_record(&self) -> bool {
        false
    }

    /// Has the chip refuse to write the record's flash from now on, over resets and losses of power. Nothing else changes.
    /// A chip that has to restart for it does, and this does not return.
    ///
    /// # Errors
    ///
    /// [`ProtectFault`].
    fn protect_record(&mut self) -> Result<(), ProtectFault> {
        Err(ProtectFault::NotHere)
    }

    /// How that is taken back from outside, in one line.
    fn how_to_unprotect(&self) -> &'static str {
        "the board's README says how, \"In the field\""
    }

    /// The settings, where the board has them and they could be opened.
    fn settings(&mut self) -> Option<&mut dyn SettingsStore> {
        None
    }

    /// Restarts the board; returns where that is not possible.
    fn reset(&mut self) {
        self.restart();
    }
}

/// Why a record was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFault {
    /// This board's firmware cannot write it.
    NotHere,
    /// The flash failed, or is write-protected.
    Flash,
    /// The record is longer than the room for it.
    TooLong,
}

/// Why a record was not write-protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectFault {
    /// This board's firmware cannot do it.
    NotHere,
    /// What the chip has for it is in use for something else.
    InUse,
    /// The chip did not take it.
    Refused,
}

/// Settings of whatever flash.
pub trait SettingsStore {
    /// [`Settings::get`].
    ///
    /// # Errors
    ///
    /// [`SettingsError`].
    fn get(&mut self, setting: Setting) -> Result<Option<&[u8]>, SettingsError>;

    /// [`Settings::set`].
    ///
    /// # Errors
    ///
    /// [`SettingsError`].
    fn set(&mut self, setting: Setting, value: &[u8]) -> Result<(), SettingsError>;
}

impl<F: NorFlash> SettingsStore for Settings<F> {
    fn get(&mut self, setting: Setting) -> Result<Option<&[u8]>, SettingsError> {
        Self::get(self, setting)
    }

    fn set(&mut self, setting: Setting, value: &[u8]) -> Result<(), SettingsError> {
        Self::set(self, setting, value)
    }
}

/// What can be seen on a bus besides registers.
pub trait Wire {
    /// What the data line reads while nobody is selected; `None` on a bus without such a line.
    fn resting(&mut self) -> Option<[u8; 4]>;
}

impl<SPI: SpiBus, CS: OutputPin> Wire for SpiTis<SPI, CS> {
    fn resting(&mut self) -> Option<[u8; 4]> {
        self.unselected().ok()
    }
}

impl<B: TisBus + Wire, S: TraceSink> Wire for Tracer<B, S> {
    fn resting(&mut self) -> Option<[u8; 4]> {
        self.bus().resting()
    }
}
