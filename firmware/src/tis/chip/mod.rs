//! What is special about each family of TPMs, as data.
//!
//! One file per family; the driver has no `if` on a vendor. A new chip is one file and one line in
//! [`Chip::identify`]. An unknown chip gets the careful middle: [`Quirks::COMMON`].

mod infineon_slb96xx;
mod microchip_attpm20;
mod nuvoton_npct7xx;
mod qemu;
mod st_st33;

/// `TPM_DID_VID` and `TPM_RID` as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ChipId {
    /// PCI vendor number.
    pub vendor: u16,
    /// Device number, by vendor.
    pub device: u16,
    /// Revision.
    pub revision: u8,
}

/// Deviations that the driver takes into account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Quirks {
    /// Never move more bytes than this on one burst count, whatever the chip announces.
    pub max_burst: u16,
    /// Shortest pause between two status reads, in µs; 0 leaves it to the limits.
    pub poll_min_us: u16,
    /// How long the chip drops requests after its locality was given up, in µs.
    pub settle_after_relinquish_us: u16,
    /// How often one command is offered before giving up, at least 1.
    pub submissions: u8,
}

impl Quirks {
    /// A chip that keeps to the profile. Three submissions are what Linux grants.
    pub const COMMON: Self = Self {
        max_burst: u16::MAX,
        poll_min_us: 0,
        settle_after_relinquish_us: 0,
        submissions: 3,
    };
}

/// A family of chips. Values exist only in this module's table.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Chip {
    vendor: u16,
    /// The device numbers of the family lie between these, both included.
    devices: (u16, u16),
    quirks: Quirks,
}

/// Every device of a vendor.
const ANY_DEVICE: (u16, u16) = (0, u16::MAX);

static UNKNOWN: Chip = Chip {
    vendor: 0,
    devices: ANY_DEVICE,
    quirks: Quirks::COMMON,
};

static TABLE: [Chip; 5] = [
    infineon_slb96xx::CHIP,
    st_st33::CHIP,
    nuvoton_npct7xx::CHIP,
    microchip_attpm20::CHIP,
    qemu::CHIP,
];

/// Names of the families of [`TABLE`], apart from it: what nobody prints is not linked in.
static NAMES: [&str; TABLE.len()] = [
    infineon_slb96xx::NAME,
    st_st33::NAME,
    nuvoton_npct7xx::NAME,
    microchip_attpm20::NAME,
    qemu::NAME,
];

impl Chip {
    /// A chip that wasn't looked at yet, or isn't listed.
    pub const UNKNOWN: &'static Self = &UNKNOWN;

    /// The family of `id`, or the unknown one. Never fails: a chip that isn't listed still works.
    pub fn identify(id: ChipId) -> &'static Self {
        let family = TABLE.iter().find(|chip| {
            let (first, last) = chip.devices;
            chip.vendor == id.vendor && (first..=last).contains(&id.device)
        });
        family.unwrap_or(&UNKNOWN)
    }

    /// Name for logs.
    pub fn name(&self) -> &'static str {
        let family = TABLE.iter().zip(NAMES).find(|(chip, _)| *chip == self);
        family.map_or("unknown", |(_, name)| name)
    }

    /// Its deviations.
    pub const fn quirks(&self) -> &Quirks {
        &self.quirks
    }
}

// A chip whose cap were 0 could never be sent a byte.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, inside the bounds of the loop"
)]
const _: () = {
    let mut i = 0;
    while i < TABLE.len() {
        assert!(TABLE[i].quirks.max_burst > 0 && TABLE[i].quirks.submissions > 0);
        i += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    fn name(vendor: u16, device: u16) -> &'static str {
        Chip::identify(ChipId {
            vendor,
            device,
            revision: 0,
        })
        .name()
    }

    #[test]
    fn chips_are_known_by_vendor_and_device() {
        assert_eq!(name(0x15D1, 0x001B), "Infineon SLB96xx");
        assert_eq!(name(0x15D1, 0x001D), "Infineon SLB96xx");
        assert_eq!(name(0x104A, 0x0000), "ST ST33");
        assert_eq!(name(0x1050, 0x00FE), "Nuvoton NPCT7xx");
        assert_eq!(name(0x1114, 0x3205), "Microchip ATTPM20");
        assert_eq!(name(0x1014, 0x0001), "QEMU");
    }

    #[test]
    fn an_unknown_chip_is_driven_by_the_book() {
        let chip = Chip::identify(ChipId {
            vendor: 0x1DEA,
            device: 1,
            revision: 2,
        });
        assert_eq!(chip.name(), "unknown");
        assert_eq!(*chip.quirks(), Quirks::COMMON);
    }
}
