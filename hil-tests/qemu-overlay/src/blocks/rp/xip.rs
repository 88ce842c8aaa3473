//! The flash on the quad SPI, as the boot ROM's functions change it: they are calls of the stand-in of [`super::rom`].
//!
//! The flash is memory until its pads are connected anew, and again when it was set up for that with the cache empty and the
//! chip select released: in between nothing can be read from it, and code that runs from it faults. Sectors of 4 KiB are erased,
//! pages of 256 bytes programmed, which clears bits.

use std::path::PathBuf;

use super::rom::{
    CONNECT, ENTER, ERASE_FROM, ERASE_LEN, EXIT, FLUSH, PROGRAM_END, PROGRAM_FROM, PROGRAM_WORD,
};
use crate::blocks::{Cells, FlashControl};

/// Where the flash is in memory.
pub const FLASH_BASE: u64 = 0x1000_0000;
/// Bytes of a Pico 2's.
pub const FLASH_LEN: u64 = 4 * 1024 * 1024;
/// Bytes of a sector, and of a page.
pub const SECTOR: usize = 4 * 1024;
const PAGE: usize = 256;
/// Address of the first byte that the board writes.
pub const BASE: u64 = 0x103E_C000;
/// Bytes of the settings, four sectors.
pub const SETTINGS_LEN: usize = 4 * SECTOR;
/// Address of the record.
pub const RECORD_BASE: u64 = BASE + SETTINGS_LEN as u64;
/// The record's bytes.
pub const RECORD_LEN: usize = 64 * 1024;

/// How far the flash is from being memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It is.
    Memory,
    /// Its pads are connected.
    Connected,
    /// It takes commands; its chip select is held, and what the cache has is old.
    Commands,
    /// It takes commands no more.
    Flushed,
}

/// The flash.
#[derive(Debug, Clone)]
pub struct Xip {
    mode: Mode,
    cells: Cells,
    len: usize,
    erase_from: u32,
    program_from: u32,
    page: Vec<u8>,
    /// Whether the last access ends in a bus fault.
    fault: bool,
}

impl Xip {
    /// An erased flash, or what an earlier run left in `file`; with the sectors of the record, or without.
    #[must_use]
    pub fn new(file: Option<PathBuf>, record: bool) -> Self {
        let len = SETTINGS_LEN.saturating_add(if record { RECORD_LEN } else { 0 });
        Self {
            mode: Mode::Memory,
            cells: Cells::new(len, file),
            len,
            erase_from: 0,
            program_from: 0,
            page: Vec::new(),
            fault: false,
        }
    }

    /// Where `len` bytes at `offset` of the flash are in the cells, if they are the board's and whole units of `unit`.
    fn part(&self, offset: u32, len: usize, unit: usize) -> Option<usize> {
        let base = usize::try_from(BASE.saturating_sub(FLASH_BASE)).ok()?;
        let start = usize::try_from(offset).ok()?.checked_sub(base)?;
        let whole = start.checked_rem(unit) == Some(0) && len.checked_rem(unit) == Some(0);
        let ends = start.checked_add(len)?;
        (whole && len > 0 && ends <= self.len).then_some(start)
    }

    fn erase(&mut self, len: u32) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let from = self.part(self.erase_from, len, SECTOR);
        let Some(from) = from.filter(|_| self.mode == Mode::Commands) else {
            // The real one would erase the image, too; or, with no chip selected, nothing.
            return self.fault = true;
        };
        let first = from.checked_div(SECTOR).unwrap_or(0);
        let count = len.checked_div(SECTOR).unwrap_or(0);
        for nth in first..first.saturating_add(count) {
            self.cells.erase(nth, SECTOR);
        }
    }

    fn program(&mut self) {
        let bytes = std::mem::take(&mut self.page);
        let from = self.part(self.program_from, bytes.len(), PAGE);
        let from = from.filter(|_| self.mode == Mode::Commands);
        let Some(from) = from.and_then(|from| u32::try_from(from).ok()) else {
            return self.fault = true;
        };
        self.cells.program(from, &bytes);
    }
}

impl FlashControl for Xip {
    fn reset(&mut self) {
        // The boot ROM makes memory of it again.
        self.mode = Mode::Memory;
        self.page.clear();
        self.fault = false;
    }

    fn read_register(&self, _: u32, _: u32) -> u32 {
        0
    }

    fn write_register(&mut self, offset: u32, _: u32, value: u32) {
        match offset & !3 {
            CONNECT => self.mode = Mode::Connected,
            EXIT if self.mode == Mode::Connected => self.mode = Mode::Commands,
            FLUSH if self.mode == Mode::Commands => self.mode = Mode::Flushed,
            ENTER if self.mode == Mode::Flushed => self.mode = Mode::Memory,
            ERASE_FROM => self.erase_from = value,
            ERASE_LEN => self.erase(value),
            PROGRAM_FROM => {
                self.program_from = value;
                self.page.clear();
            }
            PROGRAM_WORD => self.page.extend(value.to_le_bytes()),
            PROGRAM_END => self.program(),
            _ => {}
        }
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        self.fault |= !self.is_memory();
        self.cells.read(offset, size)
    }

    /// The window is not for writing.
    fn write(&mut self, _: u32, _: u32, _: u32) {
        self.fault = true;
    }

    fn refused(&mut self) -> bool {
        std::mem::take(&mut self.fault)
    }

    fn is_memory(&self) -> bool {
        self.mode == Mode::Memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET: u32 = 0x003E_C000;

    fn call(xip: &mut Xip, calls: &[u32]) {
        for at in calls {
            xip.write_register(*at, 4, 1);
        }
    }

    fn program(xip: &mut Xip, offset: u32, words: u32, value: u32) {
        xip.write_register(PROGRAM_FROM, 4, offset);
        for _ in 0..words {
            xip.write_register(PROGRAM_WORD, 4, value);
        }
        xip.write_register(PROGRAM_END, 4, 0);
    }

    fn erase(xip: &mut Xip, offset: u32, len: u32) {
        xip.write_register(ERASE_FROM, 4, offset);
        xip.write_register(ERASE_LEN, 4, len);
    }

    #[test]
    fn the_flash_is_no_memory_between_its_calls_and_stays_none_when_one_is_left_out() {
        let calls = [CONNECT, EXIT, FLUSH, ENTER];
        let mut xip = Xip::new(None, false);
        assert!(xip.is_memory());
        call(&mut xip, &calls[..1]);
        xip.read(0, 4);
        assert!(xip.refused() && !xip.is_memory());
        call(&mut xip, &calls[1..]);
        xip.read(0, 4);
        assert!(!xip.refused() && xip.is_memory());
        for left_out in 1..calls.len() {
            let mut some = calls.to_vec();
            some.remove(left_out);
            let mut xip = Xip::new(None, false);
            call(&mut xip, &some);
            assert!(!xip.is_memory(), "{left_out}");
            xip.reset();
            assert!(xip.is_memory());
        }
    }

    #[test]
    fn pages_clear_bits_and_sectors_set_them_only_where_commands_are_taken() {
        let mut xip = Xip::new(None, false);
        program(&mut xip, OFFSET, 64, 0);
        assert!(xip.refused());
        erase(&mut xip, OFFSET, 0x1000);
        assert!(xip.refused());
        // Its pads were not connected.
        call(&mut xip, &[EXIT]);
        program(&mut xip, OFFSET, 64, 0);
        assert!(xip.refused());
        call(&mut xip, &[CONNECT, EXIT]);
        program(&mut xip, OFFSET + 0x1100, 64, 0xFFFF_0000);
        program(&mut xip, OFFSET + 0x1100, 64, 0x0F0F_0F0F);
        assert!(!xip.refused());
        assert_eq!(xip.cells.read(0x1100, 4), 0x0F0F_0000);
        erase(&mut xip, OFFSET, 0x1000);
        assert_eq!(xip.cells.read(0x1100, 4), 0x0F0F_0000, "the next sector");
        erase(&mut xip, OFFSET + 0x1000, 0x1000);
        assert_eq!(xip.cells.read(0x1100, 4), u32::MAX);
        assert!(!xip.refused());
    }

    #[test]
    fn parts_of_units_and_what_is_not_the_boards_are_refused() {
        let refused = |record, work: fn(&mut Xip)| {
            let mut xip = Xip::new(None, record);
            call(&mut xip, &[CONNECT, EXIT]);
            work(&mut xip);
            xip.refused()
        };
        assert!(refused(false, |xip| program(xip, OFFSET + 4, 64, 0)));
        assert!(refused(false, |xip| program(xip, OFFSET, 63, 0)));
        assert!(refused(false, |xip| erase(xip, OFFSET, 0x800)));
        assert!(refused(false, |xip| erase(xip, OFFSET - 0x1000, 0x1000)));
        assert!(refused(false, |xip| erase(xip, OFFSET + 0x4000, 0x1000)));
        assert!(!refused(true, |xip| erase(xip, OFFSET + 0x4000, 0x1000)));
    }

    #[test]
    fn the_window_is_not_written() {
        let mut xip = Xip::new(None, false);
        xip.write(0, 4, 0);
        assert!(xip.refused());
        assert_eq!(xip.read(0, 4), u32::MAX);
    }
}
