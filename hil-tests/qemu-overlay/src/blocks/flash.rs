//! The flash controller, and the sectors that a board writes while it runs. `[RM0090] 3.6, 3.9`
//!
//! The rest of the flash is the machine's, which loads the image into it and never changes it. What a real part refuses is
//! refused here: a locked controller, bits that would have to rise, a wrong width, a sector that is not ours or is write-protected.

use std::ops::Range;
use std::path::PathBuf;

use super::options::{Options, RDP_LEVEL_2};
use super::{Cells, FlashControl, Lock, Words, merge, narrow};

/// Address of the first byte that can be written.
pub const BASE: u64 = 0x080A_0000;
/// Bytes of a sector from number 5 on.
pub const SECTOR: usize = 128 * 1024;
/// The sectors' numbers.
const SETTINGS: Range<u32> = 9..11;
/// The same with the sector of the provisioning record, the last one.
const WITH_RECORD: Range<u32> = 9..12;
/// The settings' sectors.
pub const SETTINGS_LEN: usize = 2 * SECTOR;
/// Address of the record's sector.
pub const RECORD_BASE: u64 = BASE + SETTINGS_LEN as u64;

const KEYR: u32 = 0x04;
const OPTKEYR: u32 = 0x08;
const SR: u32 = 0x0C;
const CR: u32 = 0x10;
const OPTCR: u32 = 0x14;

const CR_PG: u32 = 1;
const CR_SER: u32 = 1 << 1;
const CR_STRT: u32 = 1 << 16;
const CR_LOCK: u32 = 1 << 31;
/// End of operation and the error flags, cleared by writing ones.
const SR_FLAGS: u32 = 0xF3;
const SR_WRPERR: u32 = 1 << 4;
const SR_PGPERR: u32 = 1 << 6;
const SR_PGSERR: u32 = 1 << 7;

const OPTLOCK: u32 = 1;
const OPTSTRT: u32 = 1 << 1;
/// What of OPTCR are option bytes: BOR_LEV to RDP, and a bit of nWRP for each sector.
const OPTIONS: u32 = 0x0FFF_FFEC;
/// As delivered: nothing is protected.
const DELIVERED: u32 = 0x0FFF_AAEC;

/// The controller and what it controls.
#[derive(Debug, Clone)]
pub struct Flash {
    registers: Words<6>,
    lock: Lock,
    cells: Cells,
    sectors: Range<u32>,
    options: Options<1>,
    options_lock: Lock,
}

impl Flash {
    /// An erased flash, or what an earlier run left in `file`; with the sector of the record, or without.
    #[must_use]
    pub fn new(file: Option<PathBuf>, record: bool) -> Self {
        let sectors = if record { WITH_RECORD } else { SETTINGS };
        let mut flash = Self {
            registers: Words::default(),
            lock: Lock::default(),
            cells: Cells::new(sectors.len().saturating_mul(SECTOR), file.clone()),
            sectors,
            options: Options::new([DELIVERED], file),
            options_lock: Lock::of_options(),
        };
        flash.reset();
        flash
    }

    fn key(&mut self, key: u32) {
        if self.lock.key(key) {
            let control = self.registers.get(CR);
            self.registers.set(CR, control & !CR_LOCK);
        }
    }

    fn command(&mut self, control: u32) {
        if control & CR_LOCK != 0 {
            self.lock = Lock::default();
        }
        self.registers.set(CR, control & !CR_STRT);
        if control & CR_STRT == 0 || control & CR_SER == 0 {
            return;
        }
        let number = control >> 3 & 0xF;
        if !self.sectors.contains(&number) || self.is_protected(number) {
            return self.fail(SR_WRPERR);
        }
        let nth = usize::try_from(number.saturating_sub(self.sectors.start)).unwrap_or(0);
        self.cells.erase(nth, SECTOR);
    }

    /// A bit of nWRP that is 0 protects its sector.
    fn is_protected(&self, sector: u32) -> bool {
        let [options] = self.options.words();
        options >> 16 & 1 << sector == 0
    }

    fn options_command(&mut self, word: u32) {
        if word & OPTLOCK != 0 {
            self.options_lock = Lock::of_options();
        }
        self.registers.set(OPTCR, word & (OPTIONS | OPTLOCK));
        let [now] = self.options.words();
        // RDP.
        let frozen = now >> 8 & 0xFF == RDP_LEVEL_2;
        match word & OPTSTRT != 0 {
            true if frozen => self.fail(SR_WRPERR),
            true => self.options.program([word & OPTIONS]),
            false => {}
        }
    }

    fn fail(&mut self, flag: u32) {
        let status = self.registers.get(SR);
        self.registers.set(SR, status | flag);
    }
}

impl FlashControl for Flash {
    fn reset(&mut self) {
        self.registers = Words::default();
        self.registers.set(CR, CR_LOCK);
        self.lock = Lock::default();
        let [options] = self.options.words();
        self.registers.set(OPTCR, options | OPTLOCK);
        self.options_lock = Lock::of_options();
    }

    fn read_register(&self, offset: u32, size: u32) -> u32 {
        narrow(self.registers.get(offset), offset, size)
    }

    fn write_register(&mut self, offset: u32, size: u32, value: u32) {
        let old = self.registers.get(offset);
        let word = merge(old, offset, size, value);
        match offset & !3 {
            KEYR => self.key(word),
            OPTKEYR => {
                if self.options_lock.key(word) {
                    let options = self.registers.get(OPTCR);
                    self.registers.set(OPTCR, options & !OPTLOCK);
                }
            }
            OPTCR if old & OPTLOCK == 0 => self.options_command(word),
            OPTCR => {}
            SR => self.registers.set(SR, old & !(word & SR_FLAGS)),
            CR if old & CR_LOCK == 0 => self.command(word),
            // Locked: nothing but another key moves it.
            CR => {}
            _ => self.registers.set(offset, word),
        }
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        self.cells.read(offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let control = self.registers.get(CR);
        if control & CR_PG == 0 || control & CR_LOCK != 0 {
            return self.fail(SR_PGSERR);
        }
        // PSIZE is the logarithm of the width.
        if size != 1 << (control >> 8 & 3) {
            return self.fail(SR_PGPERR);
        }
        let sector = offset.checked_div(u32::try_from(SECTOR).unwrap_or(u32::MAX));
        if self.is_protected(self.sectors.start.saturating_add(sector.unwrap_or(0))) {
            return self.fail(SR_WRPERR);
        }
        let bytes = value.to_le_bytes();
        let width = size as usize;
        self.cells
            .program(offset, bytes.get(..width).unwrap_or(&bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
    const PSIZE_32: u32 = 2 << 8;

    fn unlocked() -> Flash {
        let mut flash = Flash::new(None, false);
        for key in KEYS {
            flash.write_register(KEYR, 4, key);
        }
        flash
    }

    #[test]
    fn a_word_is_programmed_once_and_erased_with_its_sector() {
        let mut flash = unlocked();
        flash.write_register(CR, 4, CR_PG | PSIZE_32);
        flash.write(8, 4, 0x1122_3344);
        assert_eq!(flash.read(8, 4), 0x1122_3344);
        assert_eq!(flash.read(9, 1), 0x33);
        flash.write(8, 4, 0xFFFF_0000);
        assert_eq!(flash.read(8, 4), 0x1122_0000, "bits do not rise");
        flash.write_register(CR, 4, CR_SER | CR_STRT | 10 << 3);
        assert_eq!(flash.read(8, 4), 0x1122_0000, "the other sector");
        flash.write_register(CR, 4, CR_SER | CR_STRT | 9 << 3);
        assert_eq!(flash.read(8, 4), u32::MAX);
        assert_eq!(flash.read_register(SR, 4), 0);
    }

    #[test]
    fn a_locked_controller_changes_nothing() {
        let mut flash = Flash::new(None, false);
        flash.write_register(CR, 4, CR_PG | PSIZE_32);
        flash.write(0, 4, 0);
        assert_eq!(flash.read(0, 4), u32::MAX);
        assert_eq!(flash.read_register(SR, 4), SR_PGSERR);
        flash.write_register(SR, 4, SR_PGSERR);
        assert_eq!(flash.read_register(SR, 4), 0);
    }

    #[test]
    fn a_wrong_key_locks_until_the_next_reset() {
        let mut flash = Flash::new(None, false);
        flash.write_register(KEYR, 4, 1);
        for key in KEYS {
            flash.write_register(KEYR, 4, key);
        }
        assert_eq!(flash.read_register(CR, 4), CR_LOCK);
        flash.reset();
        for key in KEYS {
            flash.write_register(KEYR, 4, key);
        }
        assert_eq!(flash.read_register(CR, 4), 0);
    }

    #[test]
    fn the_records_sector_is_the_boards_only_where_it_was_given_to_it() {
        for given in [false, true] {
            let mut flash = Flash::new(None, given);
            for key in KEYS {
                flash.write_register(KEYR, 4, key);
            }
            flash.write_register(CR, 4, CR_PG | PSIZE_32);
            let offset = u32::try_from(SETTINGS_LEN).unwrap_or(0);
            flash.write(offset, 4, 0);
            flash.write_register(CR, 4, CR_SER | CR_STRT | 11 << 3);
            let refused = flash.read_register(SR, 4) & SR_WRPERR != 0;
            assert_eq!(refused, !given);
            assert_eq!(flash.read(offset, 4), u32::MAX);
        }
    }

    #[test]
    fn a_wrong_width_and_a_foreign_sector_are_errors() {
        let mut flash = unlocked();
        flash.write_register(CR, 4, CR_PG | PSIZE_32);
        flash.write(0, 1, 0);
        assert_eq!(flash.read(0, 1), 0xFF);
        assert_eq!(flash.read_register(SR, 4), SR_PGPERR);
        flash.write_register(CR, 4, CR_SER | CR_STRT | 2 << 3);
        assert_eq!(flash.read_register(SR, 4), SR_PGPERR | SR_WRPERR);
    }

    const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];

    fn set_options(flash: &mut Flash, options: u32) {
        for key in OPTION_KEYS {
            flash.write_register(OPTKEYR, 4, key);
        }
        flash.write_register(OPTCR, 4, options);
        flash.write_register(OPTCR, 4, options | OPTSTRT);
        flash.write_register(OPTCR, 4, options | OPTLOCK);
    }

    #[test]
    fn a_protected_sector_is_neither_erased_nor_programmed_and_the_others_are() {
        let mut flash = unlocked();
        flash.write_register(CR, 4, CR_PG | PSIZE_32);
        flash.write(0, 4, 7);
        set_options(&mut flash, DELIVERED & !(1 << (16 + 9)));
        flash.write(4, 4, 0);
        assert_eq!(flash.read_register(SR, 4), SR_WRPERR);
        flash.write_register(CR, 4, CR_SER | CR_STRT | 9 << 3);
        assert_eq!((flash.read(0, 4), flash.read(4, 4)), (7, u32::MAX));
        flash.write_register(SR, 4, SR_WRPERR);
        flash.write_register(CR, 4, CR_PG | PSIZE_32);
        let next = u32::try_from(SECTOR).unwrap_or(0);
        flash.write(next, 4, 9);
        assert_eq!((flash.read(next, 4), flash.read_register(SR, 4)), (9, 0));
    }

    #[test]
    fn option_bytes_need_their_own_keys_and_a_start() {
        let open = DELIVERED & !(1 << 27);
        let mut flash = unlocked();
        flash.write_register(OPTCR, 4, open | OPTSTRT);
        assert_eq!(flash.read_register(OPTCR, 4), DELIVERED | OPTLOCK);
        for key in OPTION_KEYS {
            flash.write_register(OPTKEYR, 4, key);
        }
        flash.write_register(OPTCR, 4, open);
        flash.reset();
        assert_eq!(
            flash.read_register(OPTCR, 4),
            DELIVERED | OPTLOCK,
            "no start"
        );
        set_options(&mut flash, open);
        flash.reset();
        assert_eq!(flash.read_register(OPTCR, 4), open | OPTLOCK);
        // Locked again.
        flash.write_register(OPTCR, 4, DELIVERED | OPTSTRT);
        assert!(flash.is_protected(11) && !flash.is_protected(10));
    }

    #[test]
    fn level_2_freezes_the_option_bytes() {
        let mut flash = unlocked();
        set_options(&mut flash, DELIVERED & !0xFF00 | RDP_LEVEL_2 << 8);
        set_options(&mut flash, DELIVERED & !(1 << 27));
        assert!(!flash.is_protected(11));
        assert_ne!(flash.read_register(SR, 4) & SR_WRPERR, 0);
    }
}
