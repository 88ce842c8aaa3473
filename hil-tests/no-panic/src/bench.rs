//! Boards on a technician's bench, of which the compiler knows nothing either.

use core::hint::black_box;

use assay_firmware::bus::SpiTis;
use assay_firmware::console::{Board, ProtectFault, RecordFault, SettingsStore};
use assay_firmware::platform::{BoardInfo, Platform, Protection};
use assay_firmware::settings::{Setting, SettingsError};

use crate::wire::{Wire, filled, seen};

/// A board that can all that the console may ask of it.
#[derive(Debug)]
pub struct Bench {
    settings: Kept,
}

/// Settings that may be anything.
#[derive(Debug)]
struct Kept([u8; 64]);

impl SettingsStore for Kept {
    fn get(&mut self, setting: Setting) -> Result<Option<&[u8]>, SettingsError> {
        black_box(setting);
        let _ = filled(&mut self.0);
        black_box(Ok(self.0.get(..black_box(0))))
    }
    fn set(&mut self, setting: Setting, value: &[u8]) -> Result<(), SettingsError> {
        black_box(setting);
        let _ = seen(value);
        black_box(Ok(()))
    }
}

impl Platform for Bench {
    fn now_us(&mut self) -> u64 {
        black_box(0)
    }
    fn idle(&mut self) {
        black_box(());
    }
    fn kick_watchdog(&mut self) {
        black_box(());
    }
    fn restart(&mut self) {
        black_box(());
    }
}

impl Board for Bench {
    type Serial = Wire;
    type Bus = SpiTis<Wire, Wire>;
    type Delay = Wire;

    fn about(&self) -> BoardInfo {
        black_box(BoardInfo {
            name: "",
            version: "",
        })
    }
    fn unique_id(&self) -> Option<&[u8]> {
        black_box(Some(&self.settings.0))
    }
    fn read_record(&mut self, to: &mut [u8]) {
        let _ = filled(to);
    }
    fn write_record(&mut self, record: &[u8]) -> Result<(), RecordFault> {
        let _ = seen(record);
        black_box(Ok(()))
    }
    fn how_to_flash_record(&self) -> &'static str {
        black_box("")
    }
    fn protection(&mut self) -> Protection {
        black_box(Protection::UNKNOWN)
    }
    fn can_protect_record(&self) -> bool {
        black_box(true)
    }
    fn protect_record(&mut self) -> Result<(), ProtectFault> {
        black_box(Ok(()))
    }
    fn how_to_unprotect(&self) -> &'static str {
        black_box("")
    }
    fn settings(&mut self) -> Option<&mut dyn SettingsStore> {
        black_box(Some(&mut self.settings))
    }
    fn reset(&mut self) {
        black_box(());
    }
}

/// And one that can no more than it must.
impl Board for Wire {
    type Serial = Self;
    type Bus = SpiTis<Self, Self>;
    type Delay = Self;

    fn about(&self) -> BoardInfo {
        black_box(BoardInfo {
            name: "",
            version: "",
        })
    }
    fn read_record(&mut self, to: &mut [u8]) {
        let _ = filled(to);
    }
    fn how_to_flash_record(&self) -> &'static str {
        black_box("")
    }
}
