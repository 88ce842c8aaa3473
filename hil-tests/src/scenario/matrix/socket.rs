//! The socket of a [`Bench`](super::Bench): the TPM in it, and the one that a swap puts there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use assay_spi_tpm::swtpm::SwtpmBackend;
use assay_spi_tpm::{BackendError, TpmBackend};

/// The first TPM. A power loss kills its process and starts it again; one in every frame is a reset instead, which
/// differs in nothing but the time it takes here, since a TPM's NV is written when it changes.
pub(super) struct Powered {
    pub(super) tpm: SwtpmBackend,
    /// Whether power is lost in every frame.
    pub(super) lasting: bool,
}

impl TpmBackend for Powered {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        self.tpm.execute(command, locality)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.tpm.reset()
    }

    fn power_cycle(&mut self) -> Result<(), BackendError> {
        if self.lasting {
            self.tpm.reset()
        } else {
            self.tpm.power_cycle()
        }
    }

    fn disconnect(&mut self) {
        self.tpm.disconnect();
    }
}

/// The other TPM as the model's spare. Once a swap has put it into the socket, the model cannot take it out again;
/// so this passes commands on to the first one when the test says that it is back.
#[derive(Clone)]
pub(super) struct Spare {
    place: Arc<AtomicU8>,
    pub(super) spare: SwtpmBackend,
    own: SwtpmBackend,
}

const IN_DRAWER: u8 = 0;
const IN_SOCKET: u8 = 1;
const OUT_AGAIN: u8 = 2;

impl Spare {
    /// `spare` beside `own`.
    pub(super) fn new(spare: SwtpmBackend, own: SwtpmBackend) -> Self {
        Self {
            place: Arc::default(),
            spare,
            own,
        }
    }

    /// As before the swap.
    pub(super) fn lay_ready(&self) {
        self.place.store(IN_DRAWER, Ordering::Relaxed);
    }

    /// Takes it out of the socket, if it is there.
    pub(super) fn take_out(&self) -> bool {
        self.place
            .compare_exchange(IN_SOCKET, OUT_AGAIN, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn current(&mut self) -> &mut SwtpmBackend {
        match self.place.load(Ordering::Relaxed) {
            OUT_AGAIN => &mut self.own,
            _ => &mut self.spare,
        }
    }
}

impl TpmBackend for Spare {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        // Only the TPM in the socket is asked anything.
        let _ =
            self.place
                .compare_exchange(IN_DRAWER, IN_SOCKET, Ordering::Relaxed, Ordering::Relaxed);
        self.current().execute(command, locality)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.current().reset()
    }
}
