//! The two sectors of the flash in which the board keeps its settings.
//!
//! The processor stands still while a sector is erased or written, which is why this happens once a boot and before the
//! link is served.

use assay_board_support::cortex_m::systick::Watchdog;
use assay_board_support::settings::region;
use assay_firmware::settings::{Settings, SettingsError};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use stm32f4xx_hal::flash::{Error, FlashExt, LockedFlash};
use stm32f4xx_hal::pac::FLASH;

use crate::watchdog::Independent;

/// Where the flash is in memory.
const FLASH_BASE: usize = 0x0800_0000;

/// The board's settings.
pub(crate) fn settings(flash: FLASH) -> Result<Settings<Sectors>, SettingsError> {
    Settings::new(Sectors(LockedFlash::new(flash)), region(FLASH_BASE))
}

/// The flash from its sector 5 on, where each has 128 KiB; unlocked while it is changed, and only then.
pub(crate) struct Sectors(LockedFlash);

impl ErrorType for Sectors {
    type Error = Error;
}

impl ReadNorFlash for Sectors {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        ReadNorFlash::read(&mut self.0, offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl NorFlash for Sectors {
    /// The controller takes single bytes. A word is what the power cuts of the tests were made with.
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 128 * 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        // 2 s as a rule and 4 s at most (data sheet, "Flash memory programming", 128 KiB at x8): less than the watchdog's shortest 5.4 s.
        Independent::kick();
        let erased = NorFlash::erase(&mut self.0.unlocked(), from, to);
        Independent::kick();
        erased
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        NorFlash::write(&mut self.0.unlocked(), offset, bytes)
    }
}
