//! Bits of the FIFO registers, spelled as in `[PTP 1.05]` tables "TPM_ACCESS" and "TPM_STS".

/// `TPM_ACCESS`.
pub(super) mod access {
    /// The other bits may be believed.
    pub(in crate::tis) const VALID: u8 = 0x80;
    /// This locality is active; writing it gives the locality up.
    pub(in crate::tis) const ACTIVE_LOCALITY: u8 = 0x20;
    /// Written: asks for the locality.
    pub(in crate::tis) const REQUEST_USE: u8 = 0x02;

    /// What a bus reads when nothing drives it. It has `VALID` and `ACTIVE_LOCALITY` set, so a naive
    /// test of those two would take an absent TPM for a granted locality.
    pub(in crate::tis) const FLOATING: u8 = 0xFF;

    /// True when a TPM that has started drives the register.
    pub(in crate::tis) const fn believable(access: u8) -> bool {
        access != FLOATING && access & VALID != 0
    }

    /// True when `access` says that this locality is ours.
    pub(in crate::tis) const fn granted(access: u8) -> bool {
        const BOTH: u8 = VALID | ACTIVE_LOCALITY;
        access != FLOATING && access & BOTH == BOTH
    }
}

/// `TPM_STS`, byte 0, and the cancel bit of byte 3.
pub(super) mod sts {
    /// `dataAvail` and `Expect` may be believed.
    pub(in crate::tis) const VALID: u8 = 0x80;
    /// Read: a command may be sent. Written: become ready, abort, or done with a response.
    pub(in crate::tis) const COMMAND_READY: u8 = 0x40;
    /// Written: execute.
    pub(in crate::tis) const GO: u8 = 0x20;
    /// A response (more of it) can be read.
    pub(in crate::tis) const DATA_AVAIL: u8 = 0x10;
    /// The command isn't complete yet.
    pub(in crate::tis) const EXPECT: u8 = 0x08;
    /// Written: give the same response once more from its beginning.
    pub(in crate::tis) const RESPONSE_RETRY: u8 = 0x02;
    /// Bits that always read as zero in an active locality. One of them set means that no FIFO
    /// answered: floating bus, locality lost, chip in reset.
    pub(in crate::tis) const READ_AS_ZERO: u8 = 0x23;
    /// `commandCancel`, as a byte written to [`Reg::STS_CANCEL`](crate::bus::Reg::STS_CANCEL).
    pub(in crate::tis) const CANCEL: u8 = 0x01;
}

/// One read of `TPM_STS`: flags and burst count belong together, so they are taken together. The
/// register as a little-endian number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status(u32);

impl Status {
    /// From the four bytes of the register; `None` when a read-as-zero bit is set.
    pub(super) const fn from_register(bytes: [u8; 4]) -> Option<Self> {
        let register = u32::from_le_bytes(bytes);
        if register & sts::READ_AS_ZERO as u32 != 0 {
            return None;
        }
        Some(Self(register))
    }

    /// True when all of `flags` are set.
    pub(super) const fn has(self, flags: u8) -> bool {
        self.matches(flags, flags)
    }

    /// Bytes that can be moved now without wait states.
    pub(super) const fn burst(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// True when, in this one read, the bits under `mask` equal `value`.
    pub(super) const fn matches(self, mask: u8, value: u8) -> bool {
        self.0 as u8 & mask == value
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    // Byte patterns recorded from real SLB9670 and SLB9672 chips.
    #[test]
    fn statuses_of_real_chips_decode() {
        let ready = Status::from_register([0x40, 0xFF, 0x00, 0x00]).unwrap();
        assert!(ready.has(sts::COMMAND_READY));
        assert_eq!(ready.burst(), 0x00FF);
        let partly_sent = Status::from_register([0x88, 0xFF, 0, 0]).unwrap();
        assert!(partly_sent.has(sts::VALID | sts::EXPECT));
        assert!(!partly_sent.matches(sts::VALID | sts::EXPECT, sts::VALID));
        let answered = Status::from_register([0x90, 0x0A, 0, 0]).unwrap();
        assert!(answered.has(sts::VALID | sts::DATA_AVAIL));
        let drained = Status::from_register([0x80, 0, 0, 0]).unwrap();
        assert!(drained.has(sts::VALID) && !drained.has(sts::DATA_AVAIL));
        let ready_with_valid = Status::from_register([0xC0, 0x40, 0, 0]).unwrap();
        assert!(ready_with_valid.has(sts::COMMAND_READY));
        assert_eq!(Status::from_register([0; 4]).unwrap(), Status::default());
    }

    #[test]
    fn a_floating_bus_is_not_a_status() {
        assert_eq!(Status::from_register([0xFF; 4]), None);
        for bit in [0x01, 0x02, 0x20] {
            assert_eq!(Status::from_register([0x80 | bit, 0, 0, 0]), None);
        }
    }

    #[test]
    fn a_floating_bus_does_not_grant_the_locality() {
        assert!(access::granted(0xA0));
        assert!(access::granted(0xA1));
        assert!(!access::granted(0xFF));
        assert!(!access::granted(0x80));
        assert!(!access::granted(0x20));
        assert!(!access::granted(0x00));
    }
}
