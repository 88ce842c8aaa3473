//! Infineon SLB9665, SLB9670, SLB9672: no wait states in practice, burst count up to 255.

use super::{ANY_DEVICE, Chip, Quirks};

pub(super) const NAME: &str = "Infineon SLB96xx";

pub(super) const CHIP: Chip = Chip {
    vendor: 0x15D1,
    devices: ANY_DEVICE,
    quirks: Quirks {
        // The status can stay invalid after quick requestUse/commandReady cycles, seen once in
        // millions of commands with firmware 7.83 (Linux de9e33df7762). A fresh submission clears it.
        submissions: 4,
        ..Quirks::COMMON
    },
};
