//! QEMU's `tpm-tis-device` in front of swtpm: IBM's vendor number, burst count up to the whole buffer.

use super::{Chip, Quirks};

pub(super) const NAME: &str = "QEMU";

pub(super) const CHIP: Chip = Chip {
    vendor: 0x1014,
    devices: (0x0001, 0x0001),
    quirks: Quirks::COMMON,
};
