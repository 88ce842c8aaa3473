//! The controller of the flash (NVMC), the pages that a board writes while it runs, and the access control lists (ACL),
//! which share its address. `[nRF52840_PS] NVMC, ACL`
//!
//! The rest of the flash is the machine's, which loads the image into it and never changes it. What a real part refuses is
//! refused here: anything while the controller is not set to it, less than a word, a word that is written a third time, a
//! page that a list closes. What the bus refuses ends in a bus fault. A list holds until the reset, and is written once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use crate::blocks::{Cells, FlashControl, Words, merge, narrow};

/// Address of the first byte that can be written.
pub const BASE: u64 = 0x000F_7000;
/// Bytes of a page.
pub const PAGE: usize = 4 * 1024;
/// The pages before the record: the one of the microcontroller's key, and four of the settings.
const OWN: usize = 5;
/// Their bytes.
pub const SETTINGS_LEN: usize = OWN * PAGE;
/// Address of the record.
pub const RECORD_BASE: u64 = BASE + SETTINGS_LEN as u64;
/// The record's bytes.
pub const RECORD_LEN: usize = 4 * PAGE;

const READY: u32 = 0x400;
const READYNEXT: u32 = 0x408;
const CONFIG: u32 = 0x504;
const ERASEPAGE: u32 = 0x508;
const ACL: u32 = 0x800;
const ACL_END: u32 = 0x880;

/// CONFIG.WEN.
const WRITE: u32 = 1;
const ERASE: u32 = 2;
/// nWRITE: how often a word may be written between two erasures of its page.
const WRITES: u8 = 2;

/// Registers of a list, and its words with the one that is not used.
const ACL_ADDR: u32 = 0;
const ACL_SIZE: u32 = 4;
const ACL_PERM: u32 = 8;
const ACL_STRIDE: u32 = 16;
/// PERM: closed for writing and erasing, and for reading.
const NO_WRITE: u32 = 1 << 1;
const NO_READ: u32 = 1 << 2;

/// A list that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Address of the first byte.
    pub address: u32,
    /// Bytes.
    pub len: u32,
    /// Nothing there can be written or erased.
    pub to_writes: bool,
    /// Nothing there can be read or executed.
    pub to_reads: bool,
}

impl Closed {
    /// As an object of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self {
            address,
            len,
            to_writes,
            to_reads,
        } = self;
        format!(
            "{{\"address\":{address},\"len\":{len},\"to_writes\":{to_writes},\"to_reads\":{to_reads}}}"
        )
    }
}

/// The controller and what it controls.
#[derive(Debug, Clone)]
pub struct Nvmc {
    config: u32,
    lists: Words<32>,
    cells: Cells,
    len: u32,
    /// How often a word has been written since its page was erased, by its offset.
    writes: BTreeMap<u32, u8>,
    /// Whether the last access ends in a bus fault.
    fault: bool,
    /// The lists take nothing, as on a chip that is broken.
    is_open: bool,
}

impl Nvmc {
    /// An erased flash, or what an earlier run left in `file`; with the pages of the record, or without.
    #[must_use]
    pub fn new(file: Option<PathBuf>, record: bool) -> Self {
        let record = if record { RECORD_LEN } else { 0 };
        let len = SETTINGS_LEN.saturating_add(record);
        let cells = Cells::new(len, file);
        let len = u32::try_from(len).unwrap_or(0);
        // Whatever is not erased was written, once at least.
        let written = (0..len)
            .step_by(4)
            .filter(|at| cells.read(*at, 4) != u32::MAX);
        let writes = written.map(|at| (at, 1)).collect();
        Self {
            config: 0,
            lists: Words::default(),
            cells,
            len,
            writes,
            fault: false,
            is_open: false,
        }
    }

    /// The lists take nothing, as on a chip that is broken.
    pub fn without_lists(&mut self) {
        self.is_open = true;
    }

    /// The lists that are in force: with a page's address, a size and something that is forbidden.
    pub fn closed(&self) -> impl Iterator<Item = Closed> {
        let page = u32::try_from(PAGE).unwrap_or(u32::MAX);
        (0..ACL_END.saturating_sub(ACL))
            .step_by(16)
            .map(|at| {
                let register = |of: u32| self.lists.get(at.saturating_add(of));
                let perm = register(ACL_PERM);
                Closed {
                    address: register(ACL_ADDR),
                    len: register(ACL_SIZE),
                    to_writes: perm & NO_WRITE != 0,
                    to_reads: perm & NO_READ != 0,
                }
            })
            .filter(move |list| list.len != 0 && list.address.checked_rem(page) == Some(0))
            .filter(|list| list.to_writes || list.to_reads)
    }

    fn is_closed(&self, bytes: Range<u32>, to: impl Fn(&Closed) -> bool) -> bool {
        let base = u32::try_from(BASE).unwrap_or(u32::MAX);
        let from = base.saturating_add(bytes.start);
        let end = base.saturating_add(bytes.end);
        self.closed()
            .filter(|list| to(list))
            .any(|list| from < list.address.saturating_add(list.len) && list.address < end)
    }

    fn erase(&mut self, address: u32) {
        let page = u32::try_from(PAGE).unwrap_or(u32::MAX);
        let base = u32::try_from(BASE).unwrap_or(u32::MAX);
        let offset = address.checked_sub(base).filter(|at| *at < self.len);
        let Some(offset) = offset.filter(|_| self.config == ERASE) else {
            // The real one would erase pages of the image, too; this one has them not.
            return self.fault = true;
        };
        let nth = offset.checked_div(page).unwrap_or(0);
        let start = nth.saturating_mul(page);
        let erased = start..start.saturating_add(page);
        if self.is_closed(erased.clone(), |list| list.to_writes) {
            return self.fault = true;
        }
        self.cells.erase(usize::try_from(nth).unwrap_or(0), PAGE);
        self.writes.retain(|at, _| !erased.contains(at));
    }
}

impl FlashControl for Nvmc {
    fn reset(&mut self) {
        self.config = 0;
        self.lists = Words::default();
        self.fault = false;
    }

    fn read_register(&self, offset: u32, size: u32) -> u32 {
        let word = match offset & !3 {
            // An operation ends before the next access.
            READY | READYNEXT => 1,
            CONFIG => self.config,
            at @ ACL..ACL_END => self.lists.get(at.saturating_sub(ACL)),
            _ => 0,
        };
        narrow(word, offset, size)
    }

    fn write_register(&mut self, offset: u32, size: u32, value: u32) {
        match offset & !3 {
            CONFIG => self.config = merge(self.config, offset, size, value) & 3,
            ERASEPAGE if size == 4 => self.erase(value),
            // The first value stays until the reset.
            at @ ACL..ACL_END => {
                let at = at.saturating_sub(ACL);
                let is_register = at.checked_rem(ACL_STRIDE) <= Some(ACL_PERM);
                if is_register && !self.is_open && self.lists.get(at) == 0 {
                    self.lists.set(at, merge(0, offset, size, value));
                }
            }
            _ => {}
        }
    }

    fn read(&mut self, offset: u32, size: u32) -> u32 {
        let bytes = offset..offset.saturating_add(size);
        if self.is_closed(bytes, |list| list.to_reads) {
            self.fault = true;
            return 0;
        }
        self.cells.read(offset, size)
    }

    fn write(&mut self, offset: u32, size: u32, value: u32) {
        let bytes = offset..offset.saturating_add(size);
        let closed = self.is_closed(bytes, |list| list.to_writes);
        if closed || self.config != WRITE || size != 4 {
            return self.fault = true;
        }
        let written = self.writes.entry(offset).or_default();
        // A third write is beyond what the flash is specified for: it does not hold here.
        if *written < WRITES {
            *written = written.saturating_add(1);
            self.cells.program(offset, &value.to_le_bytes());
        }
    }

    fn refused(&mut self) -> bool {
        std::mem::take(&mut self.fault)
    }

    fn closed(&self) -> Vec<Closed> {
        Self::closed(self).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_to(config: u32) -> Nvmc {
        let mut nvmc = Nvmc::new(None, false);
        nvmc.write_register(CONFIG, 4, config);
        nvmc
    }

    fn page(nth: u32) -> u32 {
        u32::try_from(BASE).unwrap_or(0) + nth * 0x1000
    }

    fn close(nvmc: &mut Nvmc, list: u32, address: u32, size: u32, perm: u32) {
        let at = ACL + list * ACL_STRIDE;
        for (register, value) in [(ACL_ADDR, address), (ACL_SIZE, size), (ACL_PERM, perm)] {
            nvmc.write_register(at + register, 4, value);
        }
    }

    #[test]
    fn words_are_written_and_pages_erased_only_while_the_controller_is_set_to_it() {
        for config in [0, ERASE] {
            let mut nvmc = set_to(config);
            nvmc.write(8, 4, 0);
            assert!(nvmc.refused(), "{config}");
            assert_eq!(nvmc.read(8, 4), u32::MAX);
        }
        let mut nvmc = set_to(WRITE);
        nvmc.write(0x1008, 4, 0x1122_3344);
        assert!(!nvmc.refused());
        for config in [0, WRITE] {
            nvmc.write_register(CONFIG, 4, config);
            nvmc.write_register(ERASEPAGE, 4, page(1));
            assert!(nvmc.refused(), "{config}");
        }
        nvmc.write_register(CONFIG, 4, ERASE);
        nvmc.write_register(ERASEPAGE, 4, page(2));
        assert_eq!(nvmc.read(0x1008, 4), 0x1122_3344, "the other page");
        nvmc.write_register(ERASEPAGE, 4, page(1));
        assert_eq!((nvmc.read(0x1008, 4), nvmc.refused()), (u32::MAX, false));
    }

    #[test]
    fn less_than_a_word_is_refused_and_bits_rise_in_nothing_but_an_erasure() {
        let mut nvmc = set_to(WRITE);
        for size in [1, 2] {
            nvmc.write(0, size, 0);
            assert!(nvmc.refused());
        }
        assert_eq!(nvmc.read(0, 4), u32::MAX);
        nvmc.write(0, 4, 0xFFFF_0000);
        nvmc.write(0, 4, 0x0F0F_0F0F);
        assert_eq!(nvmc.read(0, 4), 0x0F0F_0000);
    }

    #[test]
    fn a_word_takes_two_writes_and_a_third_after_an_erasure() {
        let mut nvmc = set_to(WRITE);
        for value in [u32::MAX - 1, u32::MAX - 3, 0] {
            nvmc.write(4, 4, value);
        }
        assert_eq!(nvmc.read(4, 4), u32::MAX - 3);
        nvmc.write_register(CONFIG, 4, ERASE);
        nvmc.write_register(ERASEPAGE, 4, page(0));
        nvmc.write_register(CONFIG, 4, WRITE);
        nvmc.write(4, 4, 0);
        assert_eq!(nvmc.read(4, 4), 0);
    }

    #[test]
    fn a_page_that_is_closed_is_read_or_written_by_nobody_until_the_reset() {
        let mut nvmc = set_to(WRITE);
        nvmc.write(0, 4, 0x55);
        close(&mut nvmc, 1, page(0), 0x1000, NO_READ | NO_WRITE);
        assert_eq!((nvmc.read(0, 4), nvmc.refused()), (0, true));
        nvmc.write(0, 4, 0);
        assert!(nvmc.refused());
        nvmc.write_register(CONFIG, 4, ERASE);
        nvmc.write_register(ERASEPAGE, 4, page(0));
        assert!(nvmc.refused());
        for (register, value) in [(0, page(0)), (4, 0x1000), (8, NO_READ | NO_WRITE)] {
            let at = ACL + ACL_STRIDE + register;
            assert_eq!(nvmc.read_register(at, 4), value);
        }
        // Its registers are written once.
        close(&mut nvmc, 1, page(2), 0, 0);
        nvmc.read(0xFFC, 4);
        assert!(nvmc.refused());
        nvmc.read(0x1000, 4);
        assert!(!nvmc.refused(), "the next page is open");
        nvmc.reset();
        assert_eq!((nvmc.read(0, 4), nvmc.refused()), (0x55, false));
    }

    #[test]
    fn each_permission_closes_its_own_half_and_an_incomplete_list_none() {
        let refused = |perm, size, address| {
            let mut nvmc = set_to(WRITE);
            close(&mut nvmc, 7, address, size, perm);
            nvmc.read(0, 4);
            let read = nvmc.refused();
            nvmc.write(0, 4, 0);
            (read, nvmc.refused())
        };
        assert_eq!(refused(NO_WRITE, 0x1000, page(0)), (false, true));
        assert_eq!(refused(NO_READ, 0x1000, page(0)), (true, false));
        assert_eq!(refused(NO_READ, 0, page(0)), (false, false));
        assert_eq!(refused(0, 0x1000, page(0)), (false, false));
        assert_eq!(refused(NO_READ, 0x1000, page(0) + 4), (false, false));
    }

    #[test]
    fn lists_that_take_nothing_close_nothing_and_say_so() {
        let mut nvmc = set_to(WRITE);
        nvmc.without_lists();
        close(&mut nvmc, 1, page(0), 0x1000, NO_READ | NO_WRITE);
        nvmc.read(0, 4);
        assert!(!nvmc.refused());
        assert_eq!(nvmc.read_register(ACL + ACL_STRIDE + ACL_PERM, 4), 0);
    }

    #[test]
    fn pages_of_the_image_are_not_the_boards_and_the_records_only_if_given() {
        let refused = |record, address| {
            let mut nvmc = Nvmc::new(None, record);
            nvmc.write_register(CONFIG, 4, ERASE);
            nvmc.write_register(ERASEPAGE, 4, address);
            nvmc.refused()
        };
        assert!(refused(false, page(0) - 0x1000));
        assert!(!refused(false, page(4)));
        assert!(refused(false, page(5)));
        assert!(!refused(true, page(5)));
    }
}
