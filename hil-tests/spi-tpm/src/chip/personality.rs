//! Chips by DID/VID, with their habits on the bus.
//!
//! Identification, wait states and burst counts follow public driver tables, data sheets and bench
//! traces. Where no public source has a number (RID, latencies) the value only has to differ from
//! chip to chip, so that a driver which relies on one of them fails here.

use crate::slave::burst::Burst;
use crate::slave::wait::Wait;

/// A chip on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Personality {
    /// Name for arguments and logs.
    pub name: &'static str,
    /// Vendor id, low half of DID_VID.
    pub vendor_id: u16,
    /// Device id, high half of DID_VID.
    pub device_id: u16,
    /// Revision, register 0xF04.
    pub revision: u8,
    /// INTF_CAPABILITY, register 0x14.
    pub capability: u32,
    /// Wait states.
    pub wait: Wait,
    /// Burst count.
    pub burst: Burst,
    /// Byte 0 of STS while idle.
    pub idle_status: u8,
    /// Byte 0 of STS while ready.
    pub ready_status: u8,
    /// Polls of STS between commandReady and the ready state.
    pub ready_polls: u32,
    /// Whether commandReady after a command leads to ready at once (many chips do so), or to idle
    /// with one more commandReady due, as the state table of `[PTP 1.05] 6.5.2.5` has it.
    pub ready_after_command: bool,
    /// Busy polls of a command.
    pub busy_polls: u32,
    /// Bytes the FIFO holds; what comes after is dropped.
    pub fifo_len: usize,
}

impl Personality {
    /// Infineon SLB9670: no wait states, burst count 255, idle after a command.
    pub const SLB9670: Self = Self {
        name: "slb9670",
        vendor_id: 0x15D1,
        device_id: 0x001B,
        revision: 0x10,
        capability: 0x3000_0697,
        wait: Wait::None,
        burst: Burst::Fixed(255),
        idle_status: 0x00,
        ready_status: 0x40,
        ready_polls: 1,
        ready_after_command: false,
        busy_polls: 3,
        fifo_len: 1420,
    };

    /// Infineon SLB9672: no wait states, burst count 64.
    pub const SLB9672: Self = Self {
        name: "slb9672",
        vendor_id: 0x15D1,
        device_id: 0x001D,
        revision: 0x26,
        capability: 0x3000_0697,
        wait: Wait::None,
        burst: Burst::Fixed(64),
        idle_status: 0x00,
        ready_status: 0xC0,
        ready_polls: 0,
        ready_after_command: false,
        busy_polls: 3,
        fifo_len: 1420,
    };

    /// ST ST33TPHF2X: one wait byte in reads and writes, burst count 32.
    pub const ST33: Self = Self {
        name: "st33",
        vendor_id: 0x104A,
        device_id: 0x0000,
        revision: 0x4E,
        capability: 0x3000_0697,
        wait: Wait::Fixed(1),
        burst: Burst::Fixed(32),
        idle_status: 0x80,
        ready_status: 0xC0,
        ready_polls: 0,
        ready_after_command: false,
        busy_polls: 2,
        fifo_len: 1420,
    };

    /// Nuvoton NPCT75x: zero to two wait bytes, burst count changes.
    pub const NUVOTON: Self = Self {
        name: "nuvoton",
        vendor_id: 0x1050,
        device_id: 0x00FC,
        revision: 0x01,
        capability: 0x3000_0697,
        wait: Wait::Random {
            max: 2,
            seed: 0x1050,
        },
        burst: Burst::Changing {
            max: 64,
            seed: 0xFC,
        },
        idle_status: 0x84,
        ready_status: 0xC4,
        ready_polls: 0,
        ready_after_command: true,
        busy_polls: 4,
        fifo_len: 1420,
    };

    /// Every chip.
    pub const ALL: &'static [Self] = &[Self::SLB9670, Self::SLB9672, Self::ST33, Self::NUVOTON];

    /// The chip with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|chip| chip.name == name)
    }

    /// The DID_VID register.
    #[must_use]
    pub fn did_vid(&self) -> u32 {
        (u32::from(self.device_id) << 16) | u32::from(self.vendor_id)
    }
}

impl Default for Personality {
    fn default() -> Self {
        Self::SLB9672
    }
}
