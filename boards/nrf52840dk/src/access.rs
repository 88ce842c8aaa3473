//! What of the flash is closed until the next reset: the provisioning record to writes, the page of the microcontroller's key
//! to reads as well.
//!
//! By the access control lists (data sheet, ACL): each can be set once and holds until the reset. What they refuse ends in a
//! bus fault.

use assay_board_support::provisioning;
use nrf_pac::ACL;
#[cfg(feature = "secure-bus")]
use nrf_pac::acl::vals::Read;
use nrf_pac::acl::vals::Write;

/// Pages of the flash, bytes.
const PAGE_BYTES: usize = 4_096;

/// Lists, by their numbers.
const RECORD: usize = 0;
#[cfg(feature = "secure-bus")]
const KEY: usize = 1;

/// Forbids the core to write or erase the record. The agent never writes it; after this no fault of the agent's can.
///
/// A debug probe writes it before the image runs, or after an erase of the whole chip where the debug port is locked.
pub(crate) fn protect_provisioning() {
    let region = provisioning::region();
    let address = region.as_ptr().addr();
    debug_assert!(address.is_multiple_of(PAGE_BYTES) && region.len().is_multiple_of(PAGE_BYTES));
    let list = ACL.acl(RECORD);
    list.addr().write_value(address as u32);
    list.size().write_value(region.len() as u32);
    list.perm().write(|w| w.set_write(Write::Disable));
}

/// Forbids the core to read, write or erase the page of the key at `address`. Whether it is closed: the chip holds a list to be
/// in force whose registers have what was written, two cycles later.
#[cfg(feature = "secure-bus")]
#[must_use]
pub(crate) fn close_key_page(address: u32) -> bool {
    let list = ACL.acl(KEY);
    list.addr().write_value(address);
    list.size().write_value(PAGE_BYTES as u32);
    list.perm().write(|w| {
        w.set_read(Read::Disable);
        w.set_write(Write::Disable);
    });
    let perm = list.perm().read();
    list.addr().read() == address
        && list.size().read() == PAGE_BYTES as u32
        && perm.read() == Read::Disable
        && perm.write() == Write::Disable
}
