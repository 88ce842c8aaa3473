//! `mcu_key`: the microcontroller signs the login, and the quote that it passes on.

use assay_common::login::proof_nonce;
use assay_common::method::mcu_key::{McuKeyPayload, message};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{MessageWriter, TroubleCode, WriteFields};
use sha2::{Digest, Sha256};

use super::{ProofError, TpmEvidence};
use crate::evidence::Request;
use crate::keys::McuKey;
use crate::tpm::TpmTransport;

/// A board's own.
pub(super) struct KeyStore(pub(super) &'static mut (dyn McuKey + Send));

impl core::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeyStore")
    }
}

impl<T: TpmTransport> TpmEvidence<T> {
    /// Signs this login and the quote in it, and writes a `McuKeyPayload`.
    // Apart from the caller, whose frame lies under the deepest stack of a login: a signature is as deep as its check.
    #[inline(never)]
    pub(super) fn sign_by_mcu(
        &mut self,
        request: &Request<'_>,
        out: &mut MessageWriter<'_>,
    ) -> Result<(), ProofError> {
        let key: &mut dyn McuKey = match (&mut self.key_store, &mut self.mcu_key) {
            (Some(KeyStore(key)), _) => *key,
            (None, Some(key)) => key,
            (None, None) => return Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST)),
        };
        let nonce = proof_nonce(AttestorKind::MCU_KEY, request.transcript);
        let mut hash = Sha256::new();
        for part in message(&nonce, &self.quoted) {
            hash.update(part);
        }
        let digest = hash.finalize().into();
        let (Some(public), Some(signature)) = (key.public(), key.sign(&digest)) else {
            return Err(ProofError::new(TroubleCode::UNSUPPORTED_REQUEST));
        };
        let payload = McuKeyPayload {
            public: &public,
            signature: &signature,
        };
        payload.write_fields(out);
        Ok(())
    }
}
