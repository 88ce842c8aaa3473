//! Register access to a TPM that speaks the FIFO interface of the PC Client Platform TPM Profile.
//!
//! The seam of the driver is here, at the register, and not at the SPI byte: the state machine in
//! [`tis`](crate::tis) then runs unchanged over SPI ([`SpiTis`]), over memory-mapped registers
//! ([`MmioTis`]) and through middleware ([`Tracer`], [`Fault`]).
//!
//! This module moves bytes and knows register offsets. It does not know what the bits mean, it
//! does not retry and it keeps no time.

#[cfg(feature = "async")]
pub mod asynchronous;
mod blocking;
mod fault;
mod mmio;
mod tracer;

pub use blocking::{SpiTis, TisBus};
pub use fault::{Action, Direction, Fault, Rule};
pub use mmio::MmioTis;
pub use tracer::{Access, TraceSink, Tracer};

/// Most data bytes one SPI frame can carry (`[PTP 1.05]` 6.4.6: the length field has six bits).
pub const SPI_MAX_TRANSFER: usize = 64;

/// Wait bytes after which a frame is given up.
///
/// Linux and wolfTPM stop at 50, U-Boot at 100, tpm2-tss at 256. Twice the largest of these is
/// 0.4 ms at 10 MHz, and still a bound when MISO is stuck low.
pub const MAX_WAIT_BYTES: u16 = 512;

/// Offset of a register inside one locality's 4 KiB window. Values of registers are little-endian.
///
/// Offsets from `[PTP 1.05]` "Allocation of register space"; only those the driver uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reg(u16);

impl Reg {
    /// `TPM_ACCESS`, 1 byte: who owns the locality.
    pub const ACCESS: Self = Self(0x000);
    /// `TPM_INTF_CAPABILITY`, 4 bytes.
    pub const INTF_CAPABILITY: Self = Self(0x014);
    /// `TPM_STS`, 4 bytes: status, burstCount (16 bit), cancel and family.
    pub const STS: Self = Self(0x018);
    /// The last byte of `TPM_STS`, which holds commandCancel, so that a cancel is one byte long.
    pub const STS_CANCEL: Self = Self(0x01B);
    /// `TPM_DATA_FIFO`: commands in, responses out. The address does not advance in a transfer.
    pub const DATA_FIFO: Self = Self(0x024);
    /// `TPM_INTERFACE_ID`, 4 bytes.
    pub const INTERFACE_ID: Self = Self(0x030);
    /// `TPM_DID_VID`, 4 bytes: vendor in the low half, device in the high half.
    pub const DID_VID: Self = Self(0xF00);
    /// `TPM_RID`, 1 byte: revision.
    pub const RID: Self = Self(0xF04);

    /// A register by its offset; `None` at or above 0x1000, where the next locality begins.
    pub const fn new(offset: u16) -> Option<Self> {
        if offset < 0x1000 {
            Some(Self(offset))
        } else {
            None
        }
    }

    /// Offset in bytes, always below 0x1000.
    pub const fn offset(self) -> u16 {
        self.0
    }

    /// True for the FIFO, which is read and written byte by byte on a memory bus.
    pub const fn is_fifo(self) -> bool {
        self.0 == Self::DATA_FIFO.0
    }
}

/// The locality (0 to 4) whose registers a bus addresses. The agent uses 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Locality(u8);

impl Locality {
    /// Locality 0, the one of ordinary software.
    pub const ZERO: Self = Self(0);

    /// A locality by its number; `None` above 4.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 4 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number, 0 to 4.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Why a register access did not happen. Nothing is known about its effect on the TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)]
pub enum BusError {
    /// The SPI peripheral lost received data.
    Overrun = 1,
    /// Another master was seen on the SPI bus.
    ModeFault = 2,
    /// The SPI peripheral saw a malformed frame.
    FrameFormat = 3,
    /// Any other fault that the SPI peripheral reported.
    Spi = 4,
    /// The chip-select pin could not be driven.
    ChipSelect = 5,
    /// The TPM inserted more than [`MAX_WAIT_BYTES`] wait bytes. A bus that is stuck low ends here.
    WaitState = 6,
    /// A transfer of no bytes or of more than the bus takes at once was asked for: a fault of the caller.
    Length = 7,
}

impl core::fmt::Display for BusError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Overrun => "SPI receive overrun",
            Self::ModeFault => "SPI mode fault",
            Self::FrameFormat => "SPI frame format",
            Self::Spi => "SPI peripheral fault",
            Self::ChipSelect => "chip select could not be driven",
            Self::WaitState => "TPM holds the bus in wait states",
            Self::Length => "transfer length out of range",
        })
    }
}

impl core::error::Error for BusError {}

/// What went over the bus since it was made. Counters wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Traffic {
    /// Bytes clocked: headers, wait bytes and data on SPI; data only on a memory bus.
    pub bytes: u32,
    /// Chip selects on SPI, register accesses on a memory bus.
    pub frames: u32,
}

impl Traffic {
    /// What was added since `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes.wrapping_sub(earlier.bytes),
            frames: self.frames.wrapping_sub(earlier.frames),
        }
    }

    const fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.wrapping_add(bytes as u32);
        self.frames = self.frames.wrapping_add(1);
    }
}
