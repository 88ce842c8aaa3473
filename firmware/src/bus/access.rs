//! The seam of the driver: one register access, blocking or not. Loaded once for each; see [`tis`](crate::tis).

use super::mode::both;
use crate::bus::{BusError, Reg, Traffic};

/// Access to the registers of one locality.
///
/// Each call is one register access: one SPI frame, or one run of loads or stores. A call that
/// fails leaves the bus idle (chip select high), so that the next call starts clean.
#[allow(
    async_fn_in_trait,
    reason = "the agent is one task of one core, and nothing of it is sent anywhere"
)]
#[both(AFIT)]
pub trait TisBus {
    /// What this bus reports; it can always be told apart as a [`BusError`].
    type Error: core::error::Error + Copy + Into<BusError>;

    /// Most bytes one access can move, at least 4.
    const MAX_TRANSFER: usize;

    /// Reads `buf.len()` bytes (1 to [`MAX_TRANSFER`](Self::MAX_TRANSFER)) that begin at `reg`.
    ///
    /// # Errors
    /// The bus's own; `buf` may be partly overwritten.
    async fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), Self::Error>;

    /// Writes `data` (1 to [`MAX_TRANSFER`](Self::MAX_TRANSFER) bytes) beginning at `reg`.
    ///
    /// # Errors
    /// The bus's own; how many bytes arrived is unknown.
    async fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), Self::Error>;

    /// Traffic so far; zero where a bus doesn't count.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

#[both(AFIT)]
impl<B: TisBus + ?Sized> TisBus for &mut B {
    type Error = B::Error;
    const MAX_TRANSFER: usize = B::MAX_TRANSFER;

    async fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(reg, buf).await
    }
    async fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), Self::Error> {
        (**self).write(reg, data).await
    }
    fn traffic(&self) -> Traffic {
        (**self).traffic()
    }
}
