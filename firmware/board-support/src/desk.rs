//! The bring-up image of a board (feature `console`): the technician's console over a board's parts, in the agent's place.

use core::marker::PhantomData;

use assay_firmware::bus::TisBus;
use assay_firmware::console::{Board, ProtectFault, RecordFault, SettingsStore, Wire};
use assay_firmware::platform::{BoardInfo, Platform, Protection, ReadOut, WriteProtection};
use assay_firmware::settings::{Settings, SettingsError};
use embedded_hal::delay::DelayNs;
use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;

use crate::record::Record;

/// What protects the record of a board on a desk.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    /// What the chip says.
    pub state: fn() -> Protection,
    /// [`Board::protect_record`], where the board can.
    pub protect: Option<fn() -> Result<(), ProtectFault>>,
    /// [`Board::how_to_unprotect`].
    pub undo: fn() -> &'static str,
}

impl Guard {
    /// A board that does not look.
    pub const UNKNOWN: Self = Self {
        state: || Protection::UNKNOWN,
        protect: None,
        undo: || "the board's README says how, \"In the field\"",
    };
    /// A record in a flash that anybody can write.
    pub const NONE: Self = Self {
        state: || Protection {
            write: WriteProtection::Open,
            read_out: ReadOut::Unknown,
        },
        ..Self::UNKNOWN
    };
}

/// Settings and record, each in its pages of one flash.
pub struct InFlash<F: NorFlash> {
    /// `None` when the region is not what the flash has; what is wrong inside it each access says.
    settings: Option<Settings<F>>,
    record: Record<F>,
}

impl<F: NorFlash> InFlash<F> {
    /// From what opened the settings, and the record's place.
    pub fn new(settings: Result<Settings<F>, SettingsError>, record: Record<F>) -> Self {
        Self {
            settings: settings.ok(),
            record,
        }
    }
}

/// A board on a technician's desk.
pub struct Desk<P, S, B, F: NorFlash> {
    platform: P,
    about: BoardInfo,
    how_to_flash: &'static str,
    kept: InFlash<F>,
    guard: Guard,
    parts: PhantomData<(S, B)>,
}

impl<P, S, B, F: NorFlash> Desk<P, S, B, F> {
    /// A board with its time, its name, how its record is written from outside, in one line, and what it keeps.
    pub const fn new(
        platform: P,
        about: BoardInfo,
        how_to_flash: &'static str,
        kept: InFlash<F>,
    ) -> Self {
        Self {
            platform,
            about,
            how_to_flash,
            kept,
            guard: Guard::UNKNOWN,
            parts: PhantomData,
        }
    }

    /// The same, of which it is known what protects its record.
    #[must_use]
    pub const fn guarded(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }
}

impl<P: Platform, S, B, F: NorFlash> Platform for Desk<P, S, B, F> {
    fn now_us(&mut self) -> u64 {
        self.platform.now_us()
    }

    fn idle(&mut self) {
        self.platform.idle();
    }

    fn kick_watchdog(&mut self) {
        self.platform.kick_watchdog();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        self.platform.noise(out)
    }

    fn restart(&mut self) {
        self.platform.restart();
    }
}

impl<P, S, B, F> Board for Desk<P, S, B, F>
where
    P: Platform + DelayNs,
    S: Read + ReadReady + Write,
    B: TisBus + Wire,
    F: NorFlash,
{
    type Serial = S;
    type Bus = B;
    type Delay = P;

    fn about(&self) -> BoardInfo {
        self.about
    }

    fn read_record(&mut self, to: &mut [u8]) {
        self.kept.record.read(to);
    }

    fn write_record(&mut self, record: &[u8]) -> Result<(), RecordFault> {
        self.kept.record.write(record)
    }

    fn how_to_flash_record(&self) -> &'static str {
        self.how_to_flash
    }

    fn settings(&mut self) -> Option<&mut dyn SettingsStore> {
        let settings = self.kept.settings.as_mut()?;
        Some(settings)
    }

    fn protection(&mut self) -> Protection {
        (self.guard.state)()
    }

    fn can_protect_record(&self) -> bool {
        self.guard.protect.is_some()
    }

    fn protect_record(&mut self) -> Result<(), ProtectFault> {
        self.guard
            .protect
            .map_or(Err(ProtectFault::NotHere), |protect| protect())
    }

    fn how_to_unprotect(&self) -> &'static str {
        (self.guard.undo)()
    }
}
