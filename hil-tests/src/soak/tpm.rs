//! What is in the TPM, asked past the driver that is under test.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use assay_spi_tpm::{BackendError, TpmBackend};
use serde::Serialize;

/// How many handles there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Census {
    /// Transient objects.
    pub objects: usize,
    /// Sessions that are loaded.
    pub sessions: usize,
    /// Sessions that were saved and are not loaded.
    pub saved: usize,
    /// Persistent objects.
    pub persistent: usize,
    /// NV indices.
    pub indices: usize,
}

impl Census {
    /// What a driver has loaded.
    #[must_use]
    pub const fn volatile(self) -> usize {
        self.objects + self.sessions + self.saved
    }

    /// What survives a loss of power.
    #[must_use]
    pub const fn lasting(self) -> (usize, usize) {
        (self.persistent, self.indices)
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            objects: self.objects.max(other.objects),
            sessions: self.sessions.max(other.sessions),
            saved: self.saved.max(other.saved),
            persistent: self.persistent.max(other.persistent),
            indices: self.indices.max(other.indices),
        }
    }
}

/// A TPM that can be asked while a model uses it.
#[derive(Debug)]
pub struct Counted<B>(Arc<Mutex<B>>);

impl<B> Clone for Counted<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: TpmBackend> Counted<B> {
    /// Shares `tpm`.
    #[must_use]
    pub fn new(tpm: B) -> Self {
        Self(Arc::new(Mutex::new(tpm)))
    }

    fn with<R>(&self, work: impl FnOnce(&mut B) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts what there is.
    ///
    /// # Errors
    ///
    /// When the TPM does not answer as `TPM2_GetCapability` is specified.
    pub fn census(&self) -> Result<Census> {
        Ok(Census {
            objects: self.count(0x8000_0000)?,
            // As lists go, the first kind of session is "loaded" and the second "saved".
            sessions: self.count(0x0200_0000)?,
            saved: self.count(0x0300_0000)?,
            persistent: self.count(0x8100_0000)?,
            indices: self.count(0x0100_0000)?,
        })
    }

    /// How many handles there are from `first` on. `[TPM2.0 1.85 Part 3] 30.2`
    fn count(&self, first: u32) -> Result<usize> {
        let mut command = vec![0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7A];
        for number in [1, first, 254] {
            command.extend(u32::to_be_bytes(number));
        }
        let response = self.with(|tpm| tpm.execute(&command, 0))?;
        let number = |at: usize| -> Result<u32> {
            let bytes = response.get(at..at + 4).context("a short response")?;
            Ok(u32::from_be_bytes(bytes.try_into()?))
        };
        let rc = number(6)?;
        if rc != 0 {
            bail!("TPM2_GetCapability: {rc:#x}");
        }
        Ok(usize::try_from(number(15)?)?)
    }
}

impl<B: TpmBackend> TpmBackend for Counted<B> {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        self.with(|tpm| tpm.execute(command, locality))
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.with(B::reset)
    }

    fn power_cycle(&mut self) -> Result<(), BackendError> {
        self.with(B::power_cycle)
    }

    fn cancel(&mut self) -> Result<(), BackendError> {
        self.with(B::cancel)
    }

    fn disconnect(&mut self) {
        self.with(B::disconnect);
    }
}
