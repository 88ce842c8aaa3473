//! The flash controller, and the pages that a board writes while it runs. `[RM0351] 3.3, 3.7`
//!
//! The rest of the flash is the machine's, which loads the image into it and never changes it. What a real part refuses is
//! refused here: a locked controller, half a double word, a double word that is written a second time, a page that is
//! not ours or is write-protected, anything at all while the errors of the last operation stand. A double word that was cut short ([`Flash::tear`])
//! raises the interrupt that cannot be masked when it is read.

use std::ops::Range;
use std::path::PathBuf;

use crate::blocks::options::{Options, RDP_LEVEL_2};
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
const OPTKEYR: u32 = 0x0C;
const SR: u32 = 0x10;
const CR: u32 = 0x14;
const ECCR: u32 = 0x18;
const OPTR: u32 = 0x20;

const CR_PG: u32 = 1;
const CR_PER: u32 = 1 << 1;
const CR_BKER: u32 = 1 << 11;
const CR_STRT: u32 = 1 << 16;
const CR_OPTSTRT: u32 = 1 << 17;
const CR_OBL_LAUNCH: u32 = 1 << 27;
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

/// The registers of the option bytes: OPTR, PCROP1SR, PCROP1ER, WRP1AR, WRP1BR, PCROP2SR, PCROP2ER, WRP2AR, WRP2BR.
const OPTIONS: [u32; 9] = [OPTR, 0x24, 0x28, 0x2C, 0x30, 0x44, 0x48, 0x4C, 0x50];
/// Where the two ranges of a bank are among them.
const RANGES: [[usize; 2]; 2] = [[3, 4], [7, 8]];
/// As delivered: two banks, no protection. A range whose start is after its end is none.
const DELIVERED: [u32; 9] = [
    0xFFEF_F8AA,
    u32::MAX,
    0x0FFF_0000,
    UNUSED,
    UNUSED,
    u32::MAX,
    0x0FFF_0000,
    UNUSED,
    UNUSED,
];
const UNUSED: u32 = 0xFF00_FFFF;

/// The controller and what it controls.
#[derive(Debug, Clone)]
pub struct Flash {
    registers: Words<21>,
    lock: Lock,
    cells: Cells,
    pages: Range<u32>,
    /// The first word of a double word, and where: both are programmed when the second comes.
    half: Option<(u32, u32)>,
    /// Where a double word is that a loss of power cut short.
    torn: Option<u32>,
    /// Whether one was read since it was last asked.
    non_maskable: bool,
    options: Options<9>,
    options_lock: Lock,
    /// What is in force: they are loaded at power-on, and when that is asked for.
    loaded: [u32; 9],
    /// Whether it was.
    launched: bool,
}

impl Flash {
    /// An erased flash, or what an earlier run left in `file`; with the pages of the record, or without.
    #[must_use]
    pub fn new(file: Option<PathBuf>, record: bool) -> Self {
        let pages = if record { WITH_RECORD } else { SETTINGS };
        let options = Options::new(DELIVERED, file.clone());
        let mut flash = Self {
            registers: Words::default(),
            lock: Lock::default(),
            loaded: options.words(),
            options,
            options_lock: Lock::of_options(),
            launched: false,
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
        // Only a key opens the option bytes.
        let closed = (self.registers.get(CR) | control) & CR_OPTLOCK;
        if closed != 0 {
            self.options_lock = Lock::of_options();
        }
        let commands = CR_STRT | CR_OPTSTRT | CR_OBL_LAUNCH | CR_OPTLOCK;
        self.registers.set(CR, control & !commands | closed);
        if closed == 0 {
            self.options_command(control);
        }
        if control & CR_STRT == 0 || control & CR_PER == 0 {
            return;
        }
        if self.registers.get(SR) & SR_ERRORS != 0 || control & CR_PG != 0 {
            return self.fail(SR_PGSERR);
        }
        let bank = if control & CR_BKER == 0 { 0 } else { BANK };
        let number = (control >> 3 & 0xFF).saturating_add(bank);
        if !self.pages.contains(&number) || self.is_protected(number) {
            return self.fail(SR_WRPERR);
        }
        let nth = usize::try_from(number.saturating_sub(self.pages.start)).unwrap_or(0);
        self.cells.erase(nth, PAGE);
        let page = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let erased = number.saturating_sub(self.pages.start);
        self.torn = self.torn.filter(|at| at.checked_div(page) != Some(erased));
    }

    fn options_command(&mut self, control: u32) {
        let [now, ..] = self.options.words();
        if control & CR_OPTSTRT != 0 && now & 0xFF != RDP_LEVEL_2 {
            self.options
                .program(OPTIONS.map(|register| self.registers.get(register)));
        }
        self.launched |= control & CR_OBL_LAUNCH != 0;
    }

    /// By the ranges of its bank that are in force: first page in bits 0 to 7, last in bits 16 to 23.
    fn is_protected(&self, page: u32) -> bool {
        let [first, second] = RANGES;
        let (ranges, page) = match page.checked_sub(BANK) {
            None => (first, page),
            Some(page) => (second, page),
        };
        ranges.into_iter().any(|range| {
            let range = self.loaded.get(range).copied().unwrap_or(UNUSED);
            (range & 0xFF..=range >> 16 & 0xFF).contains(&page)
        })
    }

    fn program(&mut self, offset: u32, low: u32, high: u32) {
        let (low_at, high_at) = (offset & !7, offset | 4);
        let page = offset.checked_div(u32::try_from(PAGE).unwrap_or(u32::MAX));
        if self.is_protected(self.pages.start.saturating_add(page.unwrap_or(0))) {
            return self.fail(SR_WRPERR);
        }
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
        if std::mem::take(&mut self.launched) {
            self.loaded = self.options.words();
        }
        for (register, value) in OPTIONS.into_iter().zip(self.loaded) {
            self.registers.set(register, value);
        }
        self.lock = Lock::default();
        self.options_lock = Lock::of_options();
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
            OPTKEYR => {
                // Only a controller that is open itself.
                let control = self.registers.get(CR);
                if control & CR_LOCK == 0 && self.options_lock.key(word) {
                    self.registers.set(CR, control & !CR_OPTLOCK);
                }
            }
            // Locked: nothing but a key moves it.
            CR => {}
            option if OPTIONS.contains(&option) => {
                if self.registers.get(CR) & CR_OPTLOCK == 0 {
                    self.registers.set(offset, word);
                }
            }
            _ => self.registers.set(offset, word),
        }
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        self.stumble(offset);
        self.cells.read(offset, size)
    }

    fn restarts(&self) -> bool {
        self.launched
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
#[path = "flash_tests.rs"]
mod tests;
