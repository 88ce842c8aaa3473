//! What a board remembers over a loss of power, in the flash of the emulated chip.

use std::path::Path;

use assay_firmware::settings::Settings;
use assay_hil_tests::board;
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::qemu::OverlayOptions;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

use super::emulated::{Bench, granted};

/// The sectors as the chip left them.
struct Dump(Vec<u8>);

impl ErrorType for Dump {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Dump {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let from = offset as usize;
        bytes.copy_from_slice(&self.0[from..from + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Dump {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 128 * 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let from = offset as usize;
        self.0[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// How many boots the flash in `file` tells of.
fn boots(file: &Path) -> u32 {
    let dump = Dump(std::fs::read(file).unwrap());
    let len = u32::try_from(dump.capacity()).unwrap();
    let mut settings = Settings::new(dump, 0..len).unwrap();
    // Counting this one, which no board sees.
    settings.count_boot().unwrap() - 1
}

#[test]
fn each_start_of_a_board_has_a_number_of_its_own() {
    let board = board::find("stm32f405").unwrap();
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("settings.bin");
    for start in 1..=2 {
        let bench = Bench::new(&Recipe::with([EkKind::P256]));
        let overlay = OverlayOptions {
            settings: Some(file.clone()),
            ..OverlayOptions::default()
        };
        let live = bench.start(&board, overlay);
        granted(&live);
        drop(live);
        assert_eq!(boots(&file), start);
    }
}
