//! What only a technician asks a TPM: to test itself in full.

use super::exchange::{HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

const SELF_TEST: Op = Op::new(0x143, DurationClass::Crypto);

const _: () = assert!(HEADER < COMMAND_MAX - MAKING_ROOM);

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_SelfTest` (10.2) of everything, tested before or not. A TPM may test in the background:
    /// [`test_result`](Self::test_result) says when it is done.
    ///
    /// # Errors
    /// [`TpmError::FailureMode`] when a test fails, [`TpmError::Busy`] while the TPM tests.
    pub fn self_test_all(&mut self) -> Result<(), TpmError> {
        /// `fullTest` = YES.
        const EVERYTHING: u8 = 1;
        self.begin(SELF_TEST, &[]).put(&[EVERYTHING]);
        self.run();
        self.finish()
    }
}
