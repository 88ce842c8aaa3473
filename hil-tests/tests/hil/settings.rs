//! What a board remembers over a loss of power, in the flash of the emulated chip.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use assay_firmware::settings::Settings;
use assay_hil_tests::board;
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::qemu::OverlayOptions;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

use super::emulated::{Bench, granted};

/// The flash as a chip left it, with words of `WRITE` bytes and pages of `ERASE`. Copies are of the same flash.
#[derive(Clone, Default)]
struct Dump<const WRITE: usize, const ERASE: usize> {
    bytes: Rc<RefCell<Vec<u8>>>,
    erasures: Rc<Cell<usize>>,
}

impl<const WRITE: usize, const ERASE: usize> Dump<WRITE, ERASE> {
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Rc::new(RefCell::new(bytes)),
            ..Self::default()
        }
    }

    fn settings(&self) -> Settings<Self> {
        let len = u32::try_from(self.capacity()).unwrap();
        Settings::new(self.clone(), 0..len).unwrap()
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for Dump<WRITE, ERASE> {
    type Error = NorFlashErrorKind;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for Dump<WRITE, ERASE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let from = offset as usize;
        bytes.copy_from_slice(&self.bytes.borrow()[from..from + bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.borrow().len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for Dump<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.erasures.set(self.erasures.get() + 1);
        self.bytes.borrow_mut()[from as usize..to as usize].fill(0xFF);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let from = offset as usize;
        self.bytes.borrow_mut()[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// [`boots`] of a chip.
type CountBoots = fn(&Path) -> u32;

/// How many boots the flash in `file` tells of.
fn boots<const WRITE: usize, const ERASE: usize>(file: &Path) -> u32 {
    let mut settings = Dump::<WRITE, ERASE>::of(std::fs::read(file).unwrap()).settings();
    // Counting this one, which no board sees.
    settings.count_boot().unwrap() - 1
}

#[test]
fn each_start_of_a_board_has_a_number_of_its_own() {
    // As each chip's driver has them.
    let boards: [(&str, CountBoots); 2] = [
        ("stm32f405", boots::<4, 0x2_0000>),
        ("stm32l476", boots::<8, 0x800>),
    ];
    for (name, boots) in boards {
        let board = board::find(name).unwrap();
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
            assert_eq!(boots(&file), start, "{name}");
        }
    }
}

/// One page of 2 KiB holds the numbers of some ninety starts: the log goes on to the next, and comes round to the first.
#[test]
fn a_board_that_starts_often_erases_the_pages_that_it_has_used() {
    let board = board::find("stm32l476").unwrap();
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("settings.bin");
    // What many starts leave behind, by the same log on this machine: up to the one that has to erase a page.
    let dump = Dump::<8, 0x800>::of(vec![0xFF; 0x4000]);
    let (mut last, mut before) = (0, Vec::new());
    loop {
        let erasures = dump.erasures.get();
        before.clone_from(&dump.bytes.borrow());
        let next = dump.settings().count_boot().unwrap();
        if next > 1_000 && dump.erasures.get() > erasures {
            break;
        }
        last = next;
    }
    std::fs::write(&file, &before).unwrap();
    let bench = Bench::new(&Recipe::with([EkKind::P256]));
    let overlay = OverlayOptions {
        settings: Some(file.clone()),
        ..OverlayOptions::default()
    };
    let live = bench.start(&board, overlay);
    granted(&live);
    drop(live);
    assert_eq!(boots::<8, 0x800>(&file), last + 1);
    // Bits rise in nothing but an erasure.
    let after = std::fs::read(&file).unwrap();
    let rose = |(before, after): (&u8, &u8)| after & !before != 0;
    assert!(before.iter().zip(&after).any(rose));
}

/// The power went while the number of a start was written: the flash's error-correcting code raises an interrupt that cannot be
/// masked when that double word is read. The board takes it for damaged, and counts on.
#[test]
fn a_board_starts_over_a_number_that_a_loss_of_power_cut_short() {
    let board = board::find("stm32l476").unwrap();
    let dump = Dump::<8, 0x800>::of(vec![0xFF; 0x4000]);
    for start in 1..=5 {
        assert_eq!(dump.settings().count_boot(), Ok(start));
    }
    let before = dump.bytes.borrow().clone();
    assert_eq!(dump.settings().count_boot(), Ok(6));
    let cut = dump.bytes.borrow().clone();
    let words = before.chunks(8).zip(cut.chunks(8));
    let written: Vec<_> = (0x080F_8000u64..)
        .step_by(8)
        .zip(words)
        .filter(|(_, (before, after))| before != after)
        .map(|(address, _)| address)
        .collect();
    assert!(written.len() >= 2, "{written:x?}");
    for torn in written {
        let kept = tempfile::tempdir().unwrap();
        let file = kept.path().join("settings.bin");
        std::fs::write(&file, &cut).unwrap();
        let bench = Bench::new(&Recipe::with([EkKind::P256]));
        let overlay = OverlayOptions {
            settings: Some(file.clone()),
            torn: Some(torn),
            ..OverlayOptions::default()
        };
        let live = bench.start(&board, overlay);
        granted(&live);
        drop(live);
        // The sixth start had no number, so the next one has it.
        assert_eq!(boots::<8, 0x800>(&file), 6, "{torn:#x}");
    }
}
