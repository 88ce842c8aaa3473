//! The seam below the commands: bytes of one command in, bytes of its response out.

use embedded_hal::delay::DelayNs;

use super::TransportError;
use crate::bus::{TisBus, Traffic};
use crate::tis::{Tis, TisError};

/// How long a command may take in the TPM, by what it makes the TPM do.
///
/// The first two are Linux's classes (`TPM2_DURATION_*`). Linux then jumps to 120 s; the slowest
/// measured ECC or RSA private operation is 0.6 s, so 5 s tells a stuck chip from a slow one, and
/// only the generation of RSA keys, where prime search is luck, gets the two minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DurationClass {
    /// Bookkeeping: 750 ms.
    Medium,
    /// NV, random numbers, self-test: 2 s.
    Long,
    /// One private-key operation, or the making of an ECC key, which is one multiplication: 5 s.
    Crypto,
    /// Creation of a primary key of another kind, so RSA: 120 s.
    KeyGeneration,
}

impl DurationClass {
    /// The limit in µs.
    pub const fn limit_us(self) -> u32 {
        match self {
            Self::Medium => 750_000,
            Self::Long => 2_000_000,
            Self::Crypto => 5_000_000,
            Self::KeyGeneration => 120_000_000,
        }
    }
}

/// Something that executes TPM commands.
pub trait TpmTransport {
    /// What this transport reports; it can always be told as a [`TransportError`].
    type Error: core::error::Error + Copy + Into<TransportError>;

    /// Sends `command` and waits for its response, which is put at the front of `response` and
    /// returned as a slice of it.
    ///
    /// `Ok` also when the response carries an error of the TPM. What is returned is exactly what
    /// arrived; nothing in it is checked.
    ///
    /// # Errors
    /// Only when no response was obtained.
    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        class: DurationClass,
    ) -> Result<&'r [u8], Self::Error>;

    /// Waits before a command is repeated.
    fn pause_ms(&mut self, ms: u32);

    /// Bytes and frames so far, where the transport counts them.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

impl<B: TisBus, D: DelayNs> TpmTransport for Tis<B, D> {
    type Error = TisError;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        class: DurationClass,
    ) -> Result<&'r [u8], TisError> {
        self.transmit(command, response, class.limit_us())
    }

    fn pause_ms(&mut self, ms: u32) {
        self.delay().delay_ms(ms);
    }

    fn traffic(&self) -> Traffic {
        Self::traffic(self)
    }
}

impl<T: TpmTransport + ?Sized> TpmTransport for &mut T {
    type Error = T::Error;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        class: DurationClass,
    ) -> Result<&'r [u8], T::Error> {
        (**self).transact(command, response, class)
    }

    fn pause_ms(&mut self, ms: u32) {
        (**self).pause_ms(ms);
    }

    fn traffic(&self) -> Traffic {
        (**self).traffic()
    }
}
