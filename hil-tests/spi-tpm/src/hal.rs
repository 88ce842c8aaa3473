//! embedded-hal 1.0 on the model: bus, chip select, reset line and a delay that only moves
//! virtual time. A firmware driver links against these in plain `cargo test`.
//!
//! The bus buffers writes until it is flushed or read, as `SpiBus` allows real ones to do. Chip
//! select that rises before the flush cuts the buffered bytes off: a driver that forgets to flush
//! loses them here, as it would with a DMA controller.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{self, OutputPin};
use embedded_hal::spi::{self, SpiBus};

use crate::clock::VirtualClock;
use crate::slave::SpiTpm;

/// SPI clock of the model unless told otherwise, Hz.
pub const DEFAULT_SPI_HZ: u32 = 10_000_000;

struct Wire {
    tpm: SpiTpm,
    buffered: Vec<u8>,
    byte_ns: u64,
    unflushed: u64,
}

impl Wire {
    fn clock(&mut self, byte: u8) -> u8 {
        self.tpm.clock().advance_ns(self.byte_ns);
        self.tpm.xfer(byte)
    }

    fn drain(&mut self) {
        for byte in std::mem::take(&mut self.buffered) {
            self.clock(byte);
        }
    }
}

/// A model and the wires to it. Clones share it.
#[derive(Clone)]
pub struct SharedTpm(Arc<Mutex<Wire>>);

impl SharedTpm {
    /// Puts `tpm` on a bus of [`DEFAULT_SPI_HZ`].
    #[must_use]
    pub fn new(tpm: SpiTpm) -> Self {
        Self::with_clock(tpm, DEFAULT_SPI_HZ)
    }

    /// Puts `tpm` on a bus of `hz` (at least 1).
    #[must_use]
    pub fn with_clock(tpm: SpiTpm, hz: u32) -> Self {
        let byte_ns = 8_000_000_000u64.checked_div(u64::from(hz)).unwrap_or(0);
        Self(Arc::new(Mutex::new(Wire {
            tpm,
            buffered: Vec::new(),
            byte_ns,
            unflushed: 0,
        })))
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> ModelBus {
        ModelBus(self.clone())
    }

    /// Chip select.
    #[must_use]
    pub fn chip_select(&self) -> ModelCs {
        ModelCs(self.clone())
    }

    /// The reset line, active low.
    #[must_use]
    pub fn reset_pin(&self) -> ModelReset {
        ModelReset(self.clone())
    }

    /// A delay on the model's clock.
    #[must_use]
    pub fn delay(&self) -> VirtualDelay {
        VirtualDelay(self.with(|tpm| tpm.clock()))
    }

    /// Works on the model itself.
    pub fn with<R>(&self, work: impl FnOnce(&mut SpiTpm) -> R) -> R {
        work(&mut self.lock().tpm)
    }

    /// Bytes that were written and never flushed before chip select rose.
    #[must_use]
    pub fn unflushed_bytes(&self) -> u64 {
        self.lock().unflushed
    }

    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bus of a [`SharedTpm`]. Never fails.
#[derive(Clone)]
pub struct ModelBus(SharedTpm);

impl spi::ErrorType for ModelBus {
    type Error = Infallible;
}

impl SpiBus for ModelBus {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        words.fill(0);
        self.transfer_in_place(words)
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
        self.0.lock().buffered.extend_from_slice(words);
        Ok(())
    }

    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
        let mut wire = self.0.lock();
        wire.drain();
        let mut out = write.iter();
        let mut into = read.iter_mut();
        for _ in 0..write.len().max(into.len()) {
            let miso = wire.clock(out.next().copied().unwrap_or(0));
            if let Some(slot) = into.next() {
                *slot = miso;
            }
        }
        Ok(())
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
        let mut wire = self.0.lock();
        wire.drain();
        for word in words {
            *word = wire.clock(*word);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.0.lock().drain();
        Ok(())
    }
}

/// Chip select of a [`SharedTpm`].
#[derive(Clone)]
pub struct ModelCs(SharedTpm);

impl digital::ErrorType for ModelCs {
    type Error = Infallible;
}

impl OutputPin for ModelCs {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.lock().tpm.cs(true);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        let mut wire = self.0.lock();
        let lost = std::mem::take(&mut wire.buffered).len();
        wire.unflushed = wire
            .unflushed
            .saturating_add(u64::try_from(lost).unwrap_or(u64::MAX));
        wire.tpm.cs(false);
        Ok(())
    }
}

/// The reset line of a [`SharedTpm`], active low.
#[derive(Clone)]
pub struct ModelReset(SharedTpm);

impl digital::ErrorType for ModelReset {
    type Error = Infallible;
}

impl OutputPin for ModelReset {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.lock().tpm.reset_line(true);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.lock().tpm.reset_line(false);
        Ok(())
    }
}

/// A delay that moves a [`VirtualClock`] and returns at once.
#[derive(Debug, Clone)]
pub struct VirtualDelay(VirtualClock);

impl VirtualDelay {
    /// A delay on `clock`.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self(clock)
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &VirtualClock {
        &self.0
    }
}

impl DelayNs for VirtualDelay {
    fn delay_ns(&mut self, ns: u32) {
        self.0.advance_ns(u64::from(ns));
    }
}
