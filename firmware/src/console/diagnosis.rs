//! What is wrong on a bus on which no TPM answers, from what a few reads of one register saw.
//!
//! `TPM_DID_VID` never changes and is never all ones or all zeros, so every other reading means something. What each reading
//! means was seen on boards: a missing supply, a chip select on the wrong pin, MISO and MOSI exchanged, a controller in the
//! wrong SPI mode.

use core::fmt;

use super::board::Wire;
use crate::bus::{BusError, Reg, TisBus};
use crate::tis::chip::{Chip, ChipId};

/// Reads of the register.
pub(super) const READS: usize = 4;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Diagnosis {
    /// All ones: nothing drives MISO.
    High,
    /// Wait states without end, and MISO is low without a chip select as well.
    Shorted,
    /// Wait states without end, only while the TPM is selected.
    Waiting,
    /// All zeros, and yet no wait states.
    Zeros,
    /// The reads differ; the first two that do.
    Unsteady(u32, u32),
    /// A known chip's identity, moved by one bit.
    Shifted(u32),
    /// A known chip's identity with the bits of each byte the other way round.
    Reversed(u32),
    /// The bus itself reports a fault.
    Bus(BusError),
}

/// Reads the identity a few times; it, or what is wrong.
pub(super) fn identity<B: TisBus + Wire>(bus: &mut B) -> Result<u32, Diagnosis> {
    let mut first = None;
    for _ in 0..READS {
        let mut bytes = [0; 4];
        match bus.read(Reg::DID_VID, &mut bytes).map_err(Into::into) {
            Ok(()) => {}
            Err(BusError::WaitState) => {
                return Err(match bus.resting() {
                    Some([0, 0, 0, 0]) => Diagnosis::Shorted,
                    _ => Diagnosis::Waiting,
                });
            }
            Err(error) => return Err(Diagnosis::Bus(error)),
        }
        let id = u32::from_le_bytes(bytes);
        match first {
            None => first = Some(id),
            Some(first) if first != id => return Err(Diagnosis::Unsteady(first, id)),
            Some(_) => {}
        }
    }
    judge(first.unwrap_or(u32::MAX))
}

/// A steady reading.
fn judge(id: u32) -> Result<u32, Diagnosis> {
    match id {
        u32::MAX => Err(Diagnosis::High),
        0 => Err(Diagnosis::Zeros),
        _ if is_known(id) => Ok(id),
        // On the wire the bytes come lowest first, each with its highest bit first.
        _ if is_known_moved(id) => Err(Diagnosis::Shifted(id)),
        _ if is_known(u32::from_le_bytes(id.to_le_bytes().map(u8::reverse_bits))) => {
            Err(Diagnosis::Reversed(id))
        }
        // A chip that is not in the table works as well.
        _ => Ok(id),
    }
}

/// Whether `id` is a known one that was sampled a bit too early or too late; the bit at the edge is lost.
fn is_known_moved(id: u32) -> bool {
    let wire = id.swap_bytes();
    let moved = [wire << 1, wire << 1 | 1, wire >> 1, wire >> 1 | 1 << 31];
    moved.into_iter().any(|wire| is_known(wire.swap_bytes()))
}

fn is_known(id: u32) -> bool {
    Chip::identify(chip_id(id, 0)) != Chip::UNKNOWN
}

/// The parts of `TPM_DID_VID`.
pub(super) const fn chip_id(id: u32, revision: u8) -> ChipId {
    ChipId {
        vendor: id as u16,
        device: (id >> 16) as u16,
        revision,
    }
}

impl Diagnosis {
    /// Where to look.
    pub(super) const fn hint(self) -> &'static str {
        match self {
            Self::High => "check the TPM's supply, its reset line (high?), chip select and MISO",
            Self::Shorted => {
                "MISO is low with nobody selected: a short to ground, or the wrong pin"
            }
            Self::Waiting => "is the TPM in reset or hung? Switch its power off and on",
            Self::Zeros => "check MOSI and the clock: the TPM seems not to see the address",
            Self::Unsteady(..) => "a slower clock, shorter wires, a ground beside the clock",
            Self::Shifted(_) => "the TPM wants SPI mode 0 (clock low at rest, first edge samples)",
            Self::Reversed(_) => "the TPM wants the most significant bit first",
            Self::Bus(_) => "the SPI controller of the board is set up wrongly",
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::High => f.write_str("no TPM answers: MISO stays high, every byte reads 0xFF"),
            Self::Shorted => f.write_str("no TPM answers: MISO stays low, every byte reads 0x00"),
            Self::Waiting => f.write_str(
                "the TPM answers with wait states without end: MISO is low while it is selected",
            ),
            Self::Zeros => f.write_str("no TPM answers: its identity reads as zeros"),
            Self::Unsteady(first, second) => write!(
                f,
                "the bus is unsteady: DID_VID read as 0x{first:08X}, then as 0x{second:08X}"
            ),
            Self::Shifted(id) => write!(
                f,
                "wrong SPI mode: DID_VID read as 0x{id:08X}, a known chip's moved by one bit"
            ),
            Self::Reversed(id) => write!(
                f,
                "wrong bit order: DID_VID read as 0x{id:08X}, a known chip's backwards"
            ),
            Self::Bus(error) => write!(f, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bus whose reads are given.
    struct Readings<'r> {
        reads: &'r [Result<u32, BusError>],
        at: usize,
        resting: u8,
    }

    impl TisBus for Readings<'_> {
        type Error = BusError;
        const MAX_TRANSFER: usize = 64;

        fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), BusError> {
            assert_eq!(reg, Reg::DID_VID);
            let read = self.reads.iter().cycle().nth(self.at).copied();
            self.at += 1;
            let id = read.unwrap_or(Ok(0))?;
            buf.copy_from_slice(&id.to_le_bytes());
            Ok(())
        }

        fn write(&mut self, _: Reg, _: &[u8]) -> Result<(), BusError> {
            unreachable!("looking changes nothing")
        }
    }

    impl Wire for Readings<'_> {
        fn resting(&mut self) -> Option<[u8; 4]> {
            Some([self.resting; 4])
        }
    }

    fn seen(reads: &[Result<u32, BusError>], resting: u8) -> Result<u32, Diagnosis> {
        identity(&mut Readings {
            reads,
            at: 0,
            resting,
        })
    }

    const SLB9672: u32 = 0x001D_15D1;

    #[test]
    fn a_steady_identity_is_one_known_or_not() {
        assert_eq!(seen(&[Ok(SLB9672)], 0xFF), Ok(SLB9672));
        assert_eq!(seen(&[Ok(0x1234_5678)], 0xFF), Ok(0x1234_5678));
    }

    #[test]
    fn each_sick_bus_is_told_from_the_others() {
        let waits = [Err(BusError::WaitState)];
        assert_eq!(seen(&[Ok(u32::MAX)], 0xFF), Err(Diagnosis::High));
        assert_eq!(seen(&[Ok(0)], 0xFF), Err(Diagnosis::Zeros));
        assert_eq!(seen(&waits, 0x00), Err(Diagnosis::Shorted));
        assert_eq!(seen(&waits, 0xFF), Err(Diagnosis::Waiting));
        assert_eq!(
            seen(&[Err(BusError::Overrun)], 0xFF),
            Err(Diagnosis::Bus(BusError::Overrun))
        );
        assert_eq!(
            seen(&[Ok(SLB9672), Ok(SLB9672), Ok(u32::MAX)], 0xFF),
            Err(Diagnosis::Unsteady(SLB9672, u32::MAX))
        );
    }

    #[test]
    fn a_wrong_mode_and_a_wrong_order_of_bits_are_known_by_what_they_do_to_a_known_chip() {
        // D1 15 1D 00 on the wire, sampled one clock late (the first bit lost), and one early.
        let wire: u32 = 0xD115_1D00;
        for moved in [wire << 1, wire << 1 | 1, wire >> 1, wire >> 1 | 1 << 31] {
            let id = moved.swap_bytes();
            assert_eq!(seen(&[Ok(id)], 0xFF), Err(Diagnosis::Shifted(id)), "{id:x}");
        }
        let reversed = u32::from_le_bytes([0x8B, 0xA8, 0xB8, 0x00]);
        assert_eq!(
            seen(&[Ok(reversed)], 0xFF),
            Err(Diagnosis::Reversed(reversed))
        );
    }
}
