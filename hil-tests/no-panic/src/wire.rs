//! Hardware of which the compiler knows nothing: every answer may be any value of its type.

use core::convert::Infallible;
use core::hint::black_box;

use assay_common::login::LoginKeys;
use assay_common::policy::AttestorSet;
use assay_common::protocol::MessageWriter;
use assay_firmware::bus::{BusError, Reg, SpiTis, TisBus};
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::evidence::{EvidenceError, EvidenceSource, Request};
use assay_firmware::link::BlobSink;
use assay_firmware::platform::Platform;
use assay_firmware::tis::Tis;
use assay_firmware::tpm::{DurationClass, TpmTransport, TransportError};
use embedded_hal::delay::DelayNs;
use embedded_hal::{digital, spi};
use embedded_storage::nor_flash::{self, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Anything that an image may have below the agent or above it.
#[derive(Debug, Clone, Copy)]
pub struct Wire;

/// How it fails.
#[derive(Debug, Clone, Copy)]
pub struct Broken;

/// A TPM on SPI, as boards have it.
pub type Driver = Tis<SpiTis<Wire, Wire>, Wire>;
/// What such a TPM proves.
pub type Evidence = TpmEvidence<Driver>;

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("broken")
    }
}

impl core::error::Error for Broken {}

/// Done, or not.
pub(crate) fn perhaps() -> Result<(), Broken> {
    black_box(Ok(()))
}

/// As above, with any bytes in `words`.
pub(crate) fn filled<W>(words: &mut [W]) -> Result<(), Broken> {
    black_box(words);
    perhaps()
}

/// As above, when somebody else has seen `words`.
pub(crate) fn seen<W>(words: &[W]) -> Result<(), Broken> {
    black_box(words);
    perhaps()
}

impl spi::Error for Broken {
    fn kind(&self) -> spi::ErrorKind {
        black_box(spi::ErrorKind::Other)
    }
}

impl spi::ErrorType for Wire {
    type Error = Broken;
}

impl spi::SpiBus for Wire {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Broken> {
        filled(words)
    }
    fn write(&mut self, words: &[u8]) -> Result<(), Broken> {
        seen(words)
    }
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Broken> {
        seen(write)?;
        filled(read)
    }
    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Broken> {
        filled(words)
    }
    fn flush(&mut self) -> Result<(), Broken> {
        perhaps()
    }
}

impl digital::Error for Broken {
    fn kind(&self) -> digital::ErrorKind {
        black_box(digital::ErrorKind::Other)
    }
}

impl digital::ErrorType for Wire {
    type Error = Broken;
}

impl digital::OutputPin for Wire {
    fn set_low(&mut self) -> Result<(), Broken> {
        perhaps()
    }
    fn set_high(&mut self) -> Result<(), Broken> {
        perhaps()
    }
}

// All three, as a board's timer has them: embedded-hal's own loops are not this project's.
impl DelayNs for Wire {
    fn delay_ns(&mut self, ns: u32) {
        black_box(ns);
    }
    fn delay_us(&mut self, us: u32) {
        black_box(us);
    }
    fn delay_ms(&mut self, ms: u32) {
        black_box(ms);
    }
}

impl embedded_io::Error for Broken {
    fn kind(&self) -> embedded_io::ErrorKind {
        black_box(embedded_io::ErrorKind::Other)
    }
}

impl embedded_io::ErrorType for Wire {
    type Error = Broken;
}

// Both may say that they moved more than there was, which no port does.
impl embedded_io::Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Broken> {
        filled(buf)?;
        Ok(black_box(0))
    }
}

impl embedded_io::ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, Broken> {
        perhaps()?;
        Ok(black_box(true))
    }
}

impl embedded_io::Write for Wire {
    fn write(&mut self, buf: &[u8]) -> Result<usize, Broken> {
        seen(buf)?;
        Ok(black_box(0))
    }
    fn flush(&mut self) -> Result<(), Broken> {
        perhaps()
    }
}

impl NorFlashError for Broken {
    fn kind(&self) -> NorFlashErrorKind {
        black_box(NorFlashErrorKind::Other)
    }
}

impl nor_flash::ErrorType for Wire {
    type Error = Broken;
}

impl ReadNorFlash for Wire {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Broken> {
        black_box(offset);
        filled(bytes)
    }
    fn capacity(&self) -> usize {
        black_box(0x4_0000)
    }
}

impl NorFlash for Wire {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 0x2_0000;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Broken> {
        black_box((from, to));
        perhaps()
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Broken> {
        black_box(offset);
        seen(bytes)
    }
}

impl core::hash::Hasher for Wire {
    fn finish(&self) -> u64 {
        black_box(0)
    }
    fn write(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }
}

impl From<Broken> for BusError {
    fn from(_: Broken) -> Self {
        black_box(Self::Spi)
    }
}

impl TisBus for Wire {
    type Error = Broken;
    const MAX_TRANSFER: usize = 64;

    fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), Broken> {
        black_box(reg);
        filled(buf)
    }
    fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), Broken> {
        black_box(reg);
        seen(data)
    }
}

impl From<Broken> for TransportError {
    fn from(_: Broken) -> Self {
        black_box(Self::Tis(assay_firmware::tis::TisError::from(
            BusError::Spi,
        )))
    }
}

impl TpmTransport for Wire {
    type Error = Broken;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        class: DurationClass,
    ) -> Result<&'r [u8], Broken> {
        black_box(class);
        seen(command)?;
        filled(response)?;
        response.get(..black_box(0)).ok_or(Broken)
    }
    fn pause_ms(&mut self, ms: u32) {
        black_box(ms);
    }
}

impl Platform for Wire {
    fn now_us(&mut self) -> u64 {
        black_box(0)
    }
    fn idle(&mut self) {
        black_box(());
    }
    fn kick_watchdog(&mut self) {
        black_box(());
    }
}

impl EvidenceSource for Wire {
    fn kinds(&self) -> AttestorSet {
        black_box(AttestorSet::default())
    }
    fn begin(&mut self) -> Result<(), EvidenceError> {
        black_box(Ok(()))
    }
    fn random(&mut self, out: &mut [u8; 32]) -> Result<(), EvidenceError> {
        black_box(out);
        black_box(Ok(()))
    }
    fn prove(
        &mut self,
        request: &Request<'_>,
        blobs: &mut dyn BlobSink,
        out: &mut MessageWriter<'_>,
    ) -> Result<Option<LoginKeys>, EvidenceError> {
        black_box((request, blobs, out));
        black_box(Ok(None))
    }
    fn end(&mut self) {
        black_box(());
    }
}

impl assay_firmware::run::Observer for Wire {
    fn granted(&mut self, session: &assay_firmware::agent::Session<'_>) {
        black_box(session);
    }
}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
