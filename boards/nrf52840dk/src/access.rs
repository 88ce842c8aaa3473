//! What of the flash is closed until the next reset: the provisioning record, to writes.

use assay_board_support::provisioning;
use nrf_pac::ACL;
use nrf_pac::acl::vals::Write;

/// Pages of the flash, bytes.
const PAGE_BYTES: usize = 4_096;

/// Forbids the core to write or erase the record (data sheet, ACL: the access control lists can be set once and hold
/// until the reset). The agent never writes it; after this no fault of the agent's can.
///
/// A debug probe writes it before the image runs, or after an erase of the whole chip where the debug port is locked.
pub(crate) fn protect_provisioning() {
    let region = provisioning::region();
    let address = region.as_ptr().addr();
    debug_assert!(address.is_multiple_of(PAGE_BYTES) && region.len().is_multiple_of(PAGE_BYTES));
    let list = ACL.acl(0);
    list.addr().write_value(address as u32);
    list.size().write_value(region.len() as u32);
    list.perm().write(|w| w.set_write(Write::Disable));
}
