//! Chapter 12: keys that were made earlier, and kept outside the TPM under the key of a parent.

use assay_common::tpm::handle::{Handle, HandleKind};

use super::exchange::MAX_NAME;
use super::op::Op;
use super::{DurationClass, Tpm, TpmError, TpmTransport};

const LOAD: Op = Op::new(0x157, DurationClass::Crypto)
    .authorized(1)
    .returning_a_handle();

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_Load` (12.2): `private` and `public` are the contents of a `TPM2B_PRIVATE` and a `TPM2B_PUBLIC`. The handle is
    /// ours to flush.
    ///
    /// # Errors
    /// [`TpmError::Rc`] with base `INTEGRITY` when the key was made under another parent, [`TpmError::Lost`] when there is
    /// no such parent, [`TpmError::Slots`] when three objects of ours are loaded.
    pub fn load(
        &mut self,
        parent: Handle,
        private: &[u8],
        public: &[u8],
    ) -> Result<Handle, TpmError> {
        #[cfg(feature = "secure-bus")]
        if self.is_protected() && !self.secure.knows(parent) {
            // A persistent parent: its Name is in the command's HMAC, and one that is not its Name makes it fail.
            self.read_public_unguarded(parent)?;
        }
        let x = self.begin_loading(LOAD, &[parent, Handle::PW], HandleKind::TRANSIENT);
        x.put_tpm2b(private);
        x.put_tpm2b(public);
        let handle = self.run();
        let name = self.exchange.tpm2b(MAX_NAME);
        self.finish_loading(handle, HandleKind::TRANSIENT)?;
        self.learn(handle, name);
        Ok(handle)
    }
}
