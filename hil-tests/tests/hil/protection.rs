//! Write protection of the record, by bring-up images in QEMU: shown, set by a technician, and in force after the power was off.

use std::path::Path;

use assay_hil_tests::qemu::OverlayOptions;
use assay_hil_tests::scenario::desk::nobodys_record;

use super::console::{LIMIT, Seat, paste};

/// FLASH_OPTCR of an STM32F405 as delivered, without its lock.
const F405_DELIVERED: u32 = 0x0FFF_AAEC;
/// nWRP of sector 11.
const F405_RECORD: u32 = 1 << 27;
/// Where WRP2AR and WRP2BR are among the words that the overlay keeps of an STM32L476.
const L476_RANGES: [usize; 2] = [7, 8];
/// A range that protects nothing, one of the record's pages, and one of the first pages.
const NONE: u32 = 0xFF00_FFFF;
const RECORD: u32 = 0xFFFF_FFF8;
const ELSEWHERE: u32 = 0xFF03_FF00;

const OPEN: &str = "protection      record not write-protected, read-out level 0\n";
const PROTECTED: &str = "protection      record write-protected, read-out level 0\n";
const WARNING: &str = "warning: record not write-protected\n";

fn kept(settings: &Path) -> OverlayOptions {
    OverlayOptions {
        settings: Some(settings.to_owned()),
        ..OverlayOptions::default()
    }
}

/// The option bytes, beside the settings.
fn options(settings: &Path) -> Vec<u32> {
    let bytes = std::fs::read(settings.with_extension("bin.options")).unwrap();
    let words = bytes.chunks(4);
    words
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

fn is_closed(seat: &mut Seat, undo: &str) {
    let info = seat.asks("info");
    assert!(
        info.contains("record          whole\n") && info.ends_with(PROTECTED),
        "{info}"
    );
    let fit = seat.asks("selftest");
    assert!(
        fit.ends_with("fit to log in\n") && !fit.contains(WARNING),
        "{fit}"
    );
    for command in ["provision", "provision force"] {
        let said = seat.asks(command);
        assert_eq!(
            said,
            format!(
                "error: the record is write-protected\nhint: STM32_Programmer_CLI -c port=SWD -ob {undo}\n"
            )
        );
    }
    let said = seat.asks("protect");
    assert!(
        said.starts_with("the record is write-protected already\n"),
        "{said}"
    );
}

#[test]
fn a_record_that_a_technician_protects_stays_protected_and_settings_beside_it_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.bin");
    let overlay = OverlayOptions {
        writable_record: true,
        ..kept(&settings)
    };
    let mut seat = Seat::at("stm32f405", overlay.clone(), None);
    assert!(seat.asks("info").ends_with(OPEN));
    let said = seat.asks("protect force");
    assert!(
        said.starts_with("error: there is no record to protect\n"),
        "{said}"
    );
    let record = nobodys_record().unwrap();
    let said = paste(&mut seat, "provision", &hex::encode(&record));
    assert!(said.contains("written"), "{said}");
    let fit = seat.asks("selftest");
    assert!(
        fit.contains(WARNING) && fit.ends_with("fit to log in\n"),
        "{fit}"
    );
    let said = seat.asks("protect");
    assert!(
        said.ends_with(
            "hint: if this record is the right one, and the power stays on: `protect force`\n"
        ),
        "{said}"
    );
    assert!(seat.asks("info").ends_with(OPEN), "asked only");
    let said = seat.asks("protect force");
    assert!(said.ends_with(PROTECTED), "{said}");

    is_closed(&mut seat, "nWRP11=1");
    assert!(seat.asks("settings label slot 7").contains("slot 7"));
    // One bit, and RDP is not among it.
    assert_eq!(options(&settings), [F405_DELIVERED & !F405_RECORD]);

    // Its power was off.
    drop(seat);
    let mut seat = Seat::at("stm32f405", overlay, None);
    is_closed(&mut seat, "nWRP11=1");
    assert!(seat.asks("info").contains("label           slot 7\n"));
    assert!(seat.asks("settings label slot 8").contains("slot 8"));
}

#[test]
fn a_chip_that_restarts_for_its_option_bytes_protects_the_records_pages_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.bin");
    let record = nobodys_record().unwrap();
    let mut seat = Seat::at("stm32l476", kept(&settings), Some(&record));
    assert!(seat.asks("info").ends_with(OPEN));
    let fit = seat.asks("selftest");
    assert!(fit.contains(WARNING), "{fit}");
    seat.desk.types(b"protect force\r").unwrap();
    let said = seat.desk.until_prompt(LIMIT).unwrap();
    assert!(
        said.contains("protecting; the board may restart for it\n")
            && said.contains("Assay bring-up console, stm32l476 "),
        "{said}"
    );
    is_closed(&mut seat, "WRP2B_STRT=0xFF WRP2B_END=0x00");

    let mut words = options(&settings);
    assert_eq!(words[0] & 0xFF, 0xAA, "RDP");
    assert_eq!(words[L476_RANGES[1]], RECORD);
    words[L476_RANGES[1]] = NONE;
    drop(seat);
    let mut seat = Seat::at("stm32l476", kept(&settings), Some(&record));
    is_closed(&mut seat, "WRP2B_STRT=0xFF WRP2B_END=0x00");
    drop(seat);

    // All else is as delivered: a chip with the range taken back is open again, and takes the other where that is in use.
    let (first, second) = (L476_RANGES[0], L476_RANGES[1]);
    for (used, left) in [
        ([NONE, ELSEWHERE], Some("WRP2A_STRT=0xFF WRP2A_END=0x00")),
        ([ELSEWHERE, ELSEWHERE], None),
    ] {
        [words[first], words[second]] = used;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(settings.with_extension("bin.options"), bytes).unwrap();
        let mut seat = Seat::at("stm32l476", kept(&settings), Some(&record));
        assert!(seat.asks("info").ends_with(OPEN));
        let Some(undo) = left else {
            let said = seat.asks("protect force");
            assert!(
                said.contains("error: the chip has no write protection left\n"),
                "{said}"
            );
            continue;
        };
        seat.desk.types(b"protect force\r").unwrap();
        let said = seat.desk.until_prompt(LIMIT).unwrap();
        assert!(said.contains("Assay bring-up console"), "{said}");
        is_closed(&mut seat, undo);
        let now = options(&settings);
        words[first] = RECORD;
        assert_eq!(now, words);
    }
}

/// At level 2 the register takes the bit, and the option bytes do not.
#[test]
fn a_chip_whose_options_are_frozen_is_not_said_to_protect_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.bin");
    let frozen = F405_DELIVERED & !0xFF00 | 0xCC00;
    std::fs::write(settings.with_extension("bin.options"), frozen.to_le_bytes()).unwrap();
    let record = nobodys_record().unwrap();
    let mut seat = Seat::at("stm32f405", kept(&settings), Some(&record));
    let open = OPEN.replace("level 0", "level 2");
    assert!(seat.asks("info").ends_with(&open));
    let said = seat.asks("protect force");
    assert!(said.contains("error: "), "{said}");
    assert!(seat.asks("info").ends_with(&open));
    assert_eq!(options(&settings), [frozen]);
}

#[test]
fn a_record_that_is_protected_in_part_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.bin");
    let record = nobodys_record().unwrap();
    // Pages 248 to 250, and 252 to 255: 251 is open. Then 248 to 251.
    for (first, state) in [(0xFFFA_FFF8, OPEN), (0xFFFB_FFF8, PROTECTED)] {
        let mut words = [
            0xFFEF_F8AA,
            u32::MAX,
            0x0FFF_0000,
            NONE,
            NONE,
            u32::MAX,
            0x0FFF_0000,
            0,
            0,
        ];
        [words[L476_RANGES[0]], words[L476_RANGES[1]]] = [first, 0xFFFF_FFFC];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(settings.with_extension("bin.options"), bytes).unwrap();
        let mut seat = Seat::at("stm32l476", kept(&settings), Some(&record));
        let info = seat.asks("info");
        assert!(info.ends_with(state), "{info}");
    }
}
