//! What a board remembers over a loss of power, in the flash of the emulated chip.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use assay_firmware::settings::Settings;
use assay_hil_tests::board::{self, Board};
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

/// A chip's flash as its driver has it: words of `WRITE` bytes, pages of `ERASE`, and `BEFORE` bytes in the file of the
/// overlay before the settings.
struct Chip<const WRITE: usize, const ERASE: usize, const BEFORE: usize>;

type Stm32f405 = Chip<4, 0x2_0000, 0>;
type Stm32l476 = Chip<8, 0x800, 0>;
/// The page before the settings is the microcontroller's key's.
type Nrf52840 = Chip<4, 0x1000, 0x1000>;

type Rp2350 = Chip<4, 0x1000, 0>;

/// [`Chip::boots`] of a chip.
type CountBoots = fn(&Path) -> u32;

impl<const WRITE: usize, const ERASE: usize, const BEFORE: usize> Chip<WRITE, ERASE, BEFORE> {
    /// The settings in `file`.
    fn read(file: &Path) -> Vec<u8> {
        std::fs::read(file).unwrap().split_off(BEFORE)
    }

    /// A file with these settings, and nothing before them.
    fn write(file: &Path, settings: &[u8]) {
        std::fs::write(file, [&[0xFF; BEFORE], settings].concat()).unwrap();
    }

    /// How many boots the flash in `file` tells of.
    fn boots(file: &Path) -> u32 {
        let mut settings = Dump::<WRITE, ERASE>::of(Self::read(file)).settings();
        // Counting this one, which no board sees.
        settings.count_boot().unwrap() - 1
    }
}

#[test]
fn each_start_of_a_board_has_a_number_of_its_own() {
    let boards: [(&str, CountBoots); 4] = [
        ("stm32f405", Stm32f405::boots),
        ("stm32l476", Stm32l476::boots),
        ("nrf52840dk", Nrf52840::boots),
        ("rp2350", Rp2350::boots),
    ];
    for (name, boots) in boards {
        let board = board::find(name).unwrap();
        let kept = tempfile::tempdir().unwrap();
        let file = kept.path().join("settings.bin");
        for start in 1..=2 {
            boot(&board, &file, None);
            assert_eq!(boots(&file), start, "{name}");
        }
    }
}

/// A start of the board with the flash in `file`, up to a session.
fn boot(board: &Board, file: &Path, torn: Option<u64>) {
    let bench = Bench::new(&Recipe::with([EkKind::P256]));
    let overlay = OverlayOptions {
        settings: Some(file.to_owned()),
        torn,
        ..OverlayOptions::default()
    };
    let live = bench.start(board, overlay);
    granted(&live);
}

/// One page of 2 KiB holds the numbers of some ninety starts: the log goes on to the next, and comes round to the first.
#[test]
fn a_board_that_starts_often_erases_the_pages_that_it_has_used() {
    starts_often::<8, 0x800, 0>("stm32l476");
    starts_often::<4, 0x1000, 0x1000>("nrf52840dk");
    starts_often::<4, 0x1000, 0>("rp2350");
}

fn starts_often<const WRITE: usize, const ERASE: usize, const BEFORE: usize>(name: &str) {
    let board = board::find(name).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let file = kept.path().join("settings.bin");
    // What many starts leave behind, by the same log on this machine: up to the one that has to erase a page.
    let dump = Dump::<WRITE, ERASE>::of(vec![0xFF; 0x4000]);
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
    Chip::<WRITE, ERASE, BEFORE>::write(&file, &before);
    boot(&board, &file, None);
    assert_eq!(
        Chip::<WRITE, ERASE, BEFORE>::boots(&file),
        last + 1,
        "{name}"
    );
    // Bits rise in nothing but an erasure.
    let after = Chip::<WRITE, ERASE, BEFORE>::read(&file);
    let rose = |(before, after): (&u8, &u8)| after & !before != 0;
    assert!(before.iter().zip(&after).any(rose), "{name}");
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
        Stm32l476::write(&file, &cut);
        boot(&board, &file, Some(torn));
        // The sixth start had no number, so the next one has it.
        assert_eq!(Stm32l476::boots(&file), 6, "{torn:#x}");
    }
}

/// The same on a flash that notices nothing: of the word that was under way some bits are written, and nothing of those after it.
#[test]
fn a_board_without_an_error_correcting_code_starts_over_a_number_that_was_cut_short() {
    let board = board::find("nrf52840dk").unwrap();
    let dump = Dump::<4, 0x1000>::of(vec![0xFF; 0x4000]);
    for start in 1..=5 {
        assert_eq!(dump.settings().count_boot(), Ok(start));
    }
    let before = dump.bytes.borrow().clone();
    assert_eq!(dump.settings().count_boot(), Ok(6));
    let whole = dump.bytes.borrow().clone();
    let words = before.chunks(4).zip(whole.chunks(4)).enumerate();
    let written: Vec<usize> = words
        .filter(|(_, (before, after))| before != after)
        .map(|(nth, _)| nth * 4)
        .collect();
    assert!(written.len() >= 2, "{written:x?}");
    for at in written {
        let mut cut = before.clone();
        cut[..at].copy_from_slice(&whole[..at]);
        for byte in at..at + 4 {
            cut[byte] = before[byte] & (whole[byte] | 0x5A);
        }
        let kept = tempfile::tempdir().unwrap();
        let file = kept.path().join("settings.bin");
        Nrf52840::write(&file, &cut);
        boot(&board, &file, None);
        assert_eq!(Nrf52840::boots(&file), 6, "{at:#x}");
    }
}
