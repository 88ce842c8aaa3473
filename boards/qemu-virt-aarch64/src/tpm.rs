//! Where the TPM is: `tpm-tis-device` on the platform bus of `virt`.

#![expect(
    unsafe_code,
    reason = "the address of the TPM is a promise to the driver"
)]

use assay_firmware::bus::MmioTis;

/// First device of the platform bus, as the device tree of `-M virt -device tpm-tis-device` says.
const BASE: usize = 0x0C00_0000;

/// The TPM's registers. Called once.
pub(crate) const fn take() -> MmioTis {
    // SAFETY: five pages from BASE are the TPM's localities (without one, QEMU answers the access
    // with an exception, which ends in a panic frame). The one call is in `main`.
    unsafe { MmioTis::new(BASE) }
}
