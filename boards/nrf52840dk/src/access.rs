//! What of the flash is closed until the next reset: all of it to writes, the page of the microcontroller's key to reads as well.
//!
//! By the access control lists (data sheet, ACL): each can be set once and holds until the reset, and covers 512 KiB at most.
//! What they refuse ends in a bus fault. Code that takes the agent over can so change neither whom it trusts nor what is
//! started next. A debug probe that halts the chip at its reset writes what it likes.

use core::ops::Range;

#[cfg(not(feature = "console"))]
use assay_board_support::provisioning;
use nrf_pac::ACL;
use nrf_pac::acl::vals::{Read, Write};

use crate::flash::key_place;
#[cfg(not(feature = "console"))]
use crate::flash::{FLASH_BASE, settings_place};

/// The most that a list covers, bytes.
const MOST: u32 = 512 * 1024;

/// Lists, by their numbers.
#[cfg(not(feature = "console"))]
const RECORD: usize = 0;
const KEY: usize = 1;
#[cfg(not(feature = "console"))]
const IMAGE: [usize; 2] = [2, 3];
#[cfg(not(feature = "console"))]
const SETTINGS: usize = 4;

/// Forbids the core to write or erase the record, which the agent never does. Whether it is closed.
#[cfg(not(feature = "console"))]
#[must_use]
pub(crate) fn close_record() -> bool {
    close(RECORD, provisioning::place(FLASH_BASE), Read::Enable)
}

/// Forbids the core to read, write or erase the page of the key. Whether it is closed.
#[must_use]
pub(crate) fn close_key_page() -> bool {
    close(KEY, key_place(), Read::Disable)
}

/// Forbids the core to write or erase the image and the settings, once this start was counted. Whether they are closed.
#[cfg(not(feature = "console"))]
#[must_use]
pub(crate) fn close_image() -> bool {
    let end = key_place().start;
    let [first, second] = IMAGE;
    let image = close(first, 0..MOST, Read::Enable) & close(second, MOST..end, Read::Enable);
    image & close(SETTINGS, settings_place(), Read::Enable)
}

/// The chip holds a list to be in force whose registers have what was written, two cycles later.
fn close(list: usize, pages: Range<u32>, reads: Read) -> bool {
    let list = ACL.acl(list);
    let size = pages.end - pages.start;
    debug_assert!(size <= MOST);
    list.addr().write_value(pages.start);
    list.size().write_value(size);
    list.perm().write(|w| {
        w.set_read(reads);
        w.set_write(Write::Disable);
    });
    let perm = list.perm().read();
    list.addr().read() == pages.start
        && list.size().read() == size
        && perm.read() == reads
        && perm.write() == Write::Disable
}
