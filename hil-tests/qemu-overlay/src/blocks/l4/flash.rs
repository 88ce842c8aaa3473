//! The flash controller, and the pages that a board writes while it runs. `[RM0351] 3.3, 3.7`
//!
//! The rest of the flash is the machine's, which loads the image into it and never changes it. What a real part refuses is
//! refused here: a locked controller, half a double word, a double word that is written a second time, a page that is
//! not ours, anything at all while the errors of the last operation stand. A double word that was cut short ([`Flash::tear`])
//! raises the interrupt that cannot be masked when it is read.

use std::ops::Range;
use std::path::PathBuf;

use crate::blocks::{Cells, FlashControl, Lock, Words, merge, narrow};

/// Address of the first byte that can be written.
pub const BASE: u64 = 0x080F_8000;
/// Bytes of a page.
pub const PAGE: usize = 2 * 1024;
/// Pages of a bank; the second bank's are counted on here.
const BANK: u32 = 256;
/// The settings' pages: 240 to 247 of the second bank.
const SETTINGS: Range<u32> = 496..504;
/// The same with those of the provisioning record, the last eight.
const WITH_RECORD: Range<u32> = 496..512;
/// The settings' bytes.
pub const SETTINGS_LEN: usize = 8 * PAGE;
/// Address of the record.
pub const RECORD_BASE: u64 = BASE + SETTINGS_LEN as u64;
/// The record's bytes.
pub const RECORD_LEN: usize = 8 * PAGE;

const KEYR: u32 = 0x08;
const SR: u32 = 0x10;
const CR: u32 = 0x14;
const ECCR: u32 = 0x18;
const OPTR: u32 = 0x20;

const CR_PG: u32 = 1;
const CR_PER: u32 = 1 << 1;
const CR_BKER: u32 = 1 << 11;
const CR_STRT: u32 = 1 << 16;
const CR_OPTLOCK: u32 = 1 << 30;
const CR_LOCK: u32 = 1 << 31;

/// End of operation and the error flags, cleared by writing ones.
const SR_FLAGS: u32 = 0xC3FB;
const SR_PROGERR: u32 = 1 << 3;
const SR_WRPERR: u32 = 1 << 4;
const SR_PGAERR: u32 = 1 << 5;
const SR_SIZERR: u32 = 1 << 6;
const SR_PGSERR: u32 = 1 << 7;
/// What must be cleared before the next operation.
const SR_ERRORS: u32 = 0x3FA;

/// ECCC and ECCD, cleared by writing ones.
const ECC_FLAGS: u32 = 3 << 30;
/// ECCD: more wrong bits than can be mended.
const ECC_DOUBLE: u32 = 1 << 31;
/// BK_ECC: in the second bank.
const ECC_BANK: u32 = 1 << 19;
/// What a double word that was cut short still has of its bits.
const TORN: [u8; 8] = [0x5A; 8];

/// The option bytes as delivered: two banks, no protection.
const OPTIONS: u32 = 0xFFEF_F8AA;

/// The controller and what it controls.
#[derive(Debug, Clone)]
pub struct Flash {
    registers: Words<9>,
    lock: Lock,
    cells: Cells,
    pages: Range<u32>,
    /// The first word of a double word, and where: both are programmed when the second comes.
    half: Option<(u32, u32)>,
    /// Where a double word is that a loss of power cut short.
    torn: Option<u32>,
    /// Whether one was read since it was last asked.
    non_maskable: bool,
}

impl Flash {
    /// An erased flash, or what an earlier run left in `file`; with the pages of the record, or without.
    #[must_use]
    pub fn new(file: Option<PathBuf>, record: bool) -> Self {
        let pages = if record { WITH_RECORD } else { SETTINGS };
        let mut flash = Self {
            registers: Words::default(),
            lock: Lock::default(),
            cells: Cells::new(pages.len().saturating_mul(PAGE), file),
            pages,
            half: None,
            torn: None,
            non_maskable: false,
        };
        flash.reset();
        flash
    }

    /// The double word at `address` was cut short by a loss of power: its error-correcting code cannot mend it.
    pub fn tear(&mut self, address: u64) {
        let offset = address
            .checked_sub(BASE)
            .and_then(|at| u32::try_from(at).ok());
        self.torn = offset.map(|at| at & !7);
        if let Some(at) = self.torn {
            self.cells.program(at, &TORN);
        }
    }

    /// The pages' numbers are those of the whole flash, and so is the address that is reported.
    fn stumble(&mut self, offset: u32) {
        if self.torn != Some(offset & !7) {
            return;
        }
        let within_bank = u32::try_from(BASE).unwrap_or(0).saturating_add(offset) & 0x7_FFF8;
        self.registers
            .set(ECCR, ECC_DOUBLE | ECC_BANK | within_bank);
        self.non_maskable = true;
    }

    fn command(&mut self, control: u32) {
        if control & CR_LOCK != 0 {
            self.lock = Lock::default();
        }
        if control & CR_PG == 0 {
            self.half = None;
        }
        self.registers.set(CR, control & !CR_STRT);
        if control & CR_STRT == 0 || control & CR_PER == 0 {
            return;
        }
        if self.registers.get(SR) & SR_ERRORS != 0 || control & CR_PG != 0 {
            return self.fail(SR_PGSERR);
        }
        let bank = if control & CR_BKER == 0 { 0 } else { BANK };
        let number = (control >> 3 & 0xFF).saturating_add(bank);
        if !self.pages.contains(&number) {
            return self.fail(SR_WRPERR);
        }
        let nth = usize::try_from(number.saturating_sub(self.pages.start)).unwrap_or(0);
        self.cells.erase(nth, PAGE);
        let page = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let erased = number.saturating_sub(self.pages.start);
        self.torn = self.torn.filter(|at| at.checked_div(page) != Some(erased));
    }

    fn program(&mut self, offset: u32, low: u32, high: u32) {
        let (low_at, high_at) = (offset & !7, offset | 4);
        let erased = [low_at, high_at]
            .into_iter()
            .all(|at| self.cells.read(at, 4) == u32::MAX);
        // The code that corrects errors belongs to the whole double word; all zeros is the one that may follow another.
        if !erased && (low, high) != (0, 0) {
            return self.fail(SR_PROGERR);
        }
        self.cells.program(low_at, &low.to_le_bytes());
        self.cells.program(high_at, &high.to_le_bytes());
    }

    fn fail(&mut self, flag: u32) {
        self.half = None;
        let status = self.registers.get(SR);
        self.registers.set(SR, status | flag);
    }
}

impl FlashControl for Flash {
    fn reset(&mut self) {
        self.registers = Words::default();
        self.registers.set(CR, CR_LOCK | CR_OPTLOCK);
        self.registers.set(OPTR, OPTIONS);
        self.lock = Lock::default();
        self.half = None;
    }

    fn read_register(&self, offset: u32, size: u32) -> u32 {
        narrow(self.registers.get(offset), offset, size)
    }

    fn write_register(&mut self, offset: u32, size: u32, value: u32) {
        let old = self.registers.get(offset);
        let word = merge(old, offset, size, value);
        match offset & !3 {
            KEYR => {
                if self.lock.key(word) {
                    let control = self.registers.get(CR);
                    self.registers.set(CR, control & !CR_LOCK);
                }
            }
            SR => self.registers.set(SR, old & !(word & SR_FLAGS)),
            ECCR => self.registers.set(ECCR, old & !(word & ECC_FLAGS)),
            CR if old & CR_LOCK == 0 => self.command(word),
            // Locked: nothing but a key moves it. The option bytes have a lock of their own, which nobody opens.
            CR | OPTR => {}
            _ => self.registers.set(offset, word),
        }
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        self.stumble(offset);
        self.cells.read(offset, size)
    }

    fn non_maskable(&mut self) -> bool {
        std::mem::take(&mut self.non_maskable)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let control = self.registers.get(CR);
        let standing = self.registers.get(SR) & SR_ERRORS;
        if control & (CR_PG | CR_LOCK) != CR_PG || standing != 0 {
            return self.fail(SR_PGSERR);
        }
        if size != 4 {
            return self.fail(SR_SIZERR);
        }
        match self.half.take() {
            None if offset & 7 == 0 => self.half = Some((offset, value)),
            Some((at, low)) if offset == at | 4 => self.program(at, low, value),
            _ => self.fail(SR_PGAERR),
        }
    }
}

#[cfg(test)]
mod tests {
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
}
