//! The controller driven register by register.

use super::*;

const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];

fn unlocked() -> Flash {
    let mut flash = Flash::new(None, false);
    for key in KEYS {
        flash.write_register(KEYR, 4, key);
    }
    flash
}

fn erase(flash: &mut Flash, page: u32) {
    flash.write_register(CR, 4, CR_PER | CR_BKER | page << 3 | CR_STRT);
}

#[test]
fn a_double_word_is_programmed_when_its_second_half_comes_and_erased_with_its_page() {
    let mut flash = unlocked();
    flash.write_register(CR, 4, CR_PG);
    flash.write(8, 4, 0x1122_3344);
    assert_eq!(flash.read(8, 4), u32::MAX);
    flash.write(12, 4, 0x5566_7788);
    assert_eq!(flash.read(8, 4), 0x1122_3344);
    assert_eq!(flash.read(13, 1), 0x77);
    erase(&mut flash, 241);
    assert_eq!(flash.read(12, 4), 0x5566_7788, "the other page");
    erase(&mut flash, 240);
    assert_eq!(flash.read(12, 4), u32::MAX);
    assert_eq!(flash.read_register(SR, 4), 0);
}

#[test]
fn a_double_word_that_was_cut_short_is_told_until_its_page_is_erased() {
    let mut flash = unlocked();
    flash.tear(BASE + 0x804);
    assert_ne!(flash.read(0x800, 4), u32::MAX);
    assert!(flash.non_maskable() && !flash.non_maskable());
    let told = flash.read_register(ECCR, 4);
    assert_eq!(told, ECC_DOUBLE | ECC_BANK | 0x7_8800);
    flash.write_register(ECCR, 4, ECC_DOUBLE);
    assert_eq!(flash.read_register(ECCR, 4) & ECC_DOUBLE, 0);
    flash.read(0x808, 4);
    assert!(!flash.non_maskable(), "the next one is whole");
    erase(&mut flash, 240);
    flash.read(0x800, 1);
    assert!(flash.non_maskable(), "another page was erased");
    erase(&mut flash, 241);
    assert_eq!(
        (flash.read(0x800, 4), flash.non_maskable()),
        (u32::MAX, false)
    );
}

#[test]
fn what_was_programmed_can_only_become_zeros_until_it_is_erased() {
    let mut flash = unlocked();
    flash.write_register(CR, 4, CR_PG);
    for half in [0, 4] {
        flash.write(half, 4, 0xFFFF_0000);
    }
    for half in [0, 4] {
        flash.write(half, 4, 0x0F0F_0000);
    }
    assert_eq!(flash.read_register(SR, 4), SR_PROGERR);
    assert_eq!(flash.read(0, 4), 0xFFFF_0000);
    flash.write_register(SR, 4, SR_PROGERR);
    for half in [0, 4] {
        flash.write(half, 4, 0);
    }
    assert_eq!((flash.read_register(SR, 4), flash.read(0, 4)), (0, 0));
}

#[test]
fn an_error_stands_in_the_way_until_it_is_cleared() {
    let mut flash = unlocked();
    flash.write_register(CR, 4, CR_PG);
    flash.write(0, 1, 0);
    assert_eq!(flash.read_register(SR, 4), SR_SIZERR);
    for half in [0, 4] {
        flash.write(half, 4, 1);
    }
    assert_eq!(flash.read(0, 4), u32::MAX);
    assert_eq!(flash.read_register(SR, 4), SR_SIZERR | SR_PGSERR);
    flash.write_register(SR, 4, SR_SIZERR | SR_PGSERR);
    for half in [0, 4] {
        flash.write(half, 4, 1);
    }
    assert_eq!(flash.read(0, 4), 1);
}

#[test]
fn halves_of_two_double_words_are_none() {
    for (first, second) in [(0, 12), (4, 8), (0, 0)] {
        let mut flash = unlocked();
        flash.write_register(CR, 4, CR_PG);
        flash.write(first, 4, 0);
        flash.write(second, 4, 0);
        let errors = flash.read_register(SR, 4);
        assert_ne!(errors & SR_PGAERR, 0, "{first} {second}");
        assert_eq!(flash.read(0, 4), u32::MAX);
    }
}

#[test]
fn a_locked_controller_changes_nothing_and_a_wrong_key_locks_until_the_next_reset() {
    let mut flash = Flash::new(None, false);
    flash.write_register(CR, 4, CR_PG);
    flash.write(0, 4, 0);
    flash.write(4, 4, 0);
    assert_eq!(flash.read(0, 4), u32::MAX);
    assert_eq!(flash.read_register(SR, 4), SR_PGSERR);
    flash.write_register(KEYR, 4, 1);
    for key in KEYS {
        flash.write_register(KEYR, 4, key);
    }
    assert_ne!(flash.read_register(CR, 4) & CR_LOCK, 0);
    flash.reset();
    for key in KEYS {
        flash.write_register(KEYR, 4, key);
    }
    assert_eq!(flash.read_register(CR, 4) & CR_LOCK, 0);
}

#[test]
fn pages_of_the_image_and_of_the_first_bank_are_not_the_boards_and_the_records_only_if_given() {
    let refused = |flash: &mut Flash, control: u32| {
        flash.write_register(CR, 4, control | CR_PER | CR_STRT);
        flash.read_register(SR, 4) == SR_WRPERR
    };
    assert!(refused(&mut unlocked(), CR_BKER | 239 << 3));
    assert!(refused(&mut unlocked(), 240 << 3));
    assert!(refused(&mut unlocked(), CR_BKER | 248 << 3));
    let mut given = Flash::new(None, true);
    for key in KEYS {
        given.write_register(KEYR, 4, key);
    }
    assert!(!refused(&mut given, CR_BKER | 248 << 3));
}

const WRP2AR: u32 = 0x4C;
const WRP2BR: u32 = 0x50;

fn open_options(flash: &mut Flash) {
    for key in [0x0819_2A3B, 0x4C5D_6E7F] {
        flash.write_register(OPTKEYR, 4, key);
    }
}

/// Protects pages of the second bank, loaded or not.
fn protect(flash: &mut Flash, register: u32, pages: u32, launch: bool) {
    open_options(flash);
    flash.write_register(register, 4, pages);
    flash.write_register(CR, 4, CR_OPTSTRT);
    if launch {
        flash.write_register(CR, 4, CR_OBL_LAUNCH);
        assert!(flash.restarts());
        flash.reset();
        assert!(!flash.restarts());
        for key in KEYS {
            flash.write_register(KEYR, 4, key);
        }
    }
}

#[test]
fn a_range_of_pages_is_protected_once_it_was_loaded() {
    for (register, launch) in [(WRP2AR, false), (WRP2AR, true), (WRP2BR, true)] {
        let mut flash = unlocked();
        protect(&mut flash, register, 0xFFF1_FFF0, launch);
        for (page, inside) in [(240, true), (241, true), (242, false)] {
            erase(&mut flash, page);
            let refused = flash.read_register(SR, 4);
            assert_eq!(refused == SR_WRPERR, inside && launch, "{page}");
            flash.write_register(SR, 4, SR_WRPERR);
        }
        flash.write_register(CR, 4, CR_PG);
        for half in [0x800, 0x804] {
            flash.write(half, 4, 1);
        }
        let held = if launch { u32::MAX } else { 1 };
        assert_eq!(flash.read(0x800, 4), held);
        assert_eq!(flash.read_register(SR, 4) == SR_WRPERR, launch);
    }
}

#[test]
fn the_first_banks_ranges_are_not_the_seconds() {
    let mut flash = unlocked();
    protect(&mut flash, 0x2C, 0xFFFF_FF00, true);
    assert!(flash.is_protected(255) && !flash.is_protected(256));
}

#[test]
fn option_bytes_need_both_locks_open_and_are_lost_without_a_start() {
    let mut flash = Flash::new(None, false);
    open_options(&mut flash);
    flash.write_register(WRP2BR, 4, 0);
    assert_eq!(
        flash.read_register(WRP2BR, 4),
        UNUSED,
        "the controller is locked"
    );
    let mut flash = unlocked();
    flash.write_register(CR, 4, CR_OPTSTRT | CR_OBL_LAUNCH);
    assert!(!flash.restarts(), "and so are they");
    flash.write_register(WRP2BR, 4, 0);
    assert_eq!(flash.read_register(WRP2BR, 4), UNUSED);
    open_options(&mut flash);
    flash.write_register(WRP2BR, 4, 0);
    flash.write_register(CR, 4, CR_OBL_LAUNCH);
    flash.reset();
    assert_eq!(flash.read_register(WRP2BR, 4), UNUSED, "no start");
}

#[test]
fn level_2_freezes_the_option_bytes() {
    let mut flash = unlocked();
    protect(&mut flash, OPTR, 0xFFEF_F8CC, true);
    protect(&mut flash, WRP2BR, 0xFFFF_FFF8, true);
    assert!(!flash.is_protected(504));
}
