//! Chapter 11: sessions. Only policy sessions, which authorize by what was proven in them.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::{Handle, HandleKind};

use super::exchange::{HANDLE, HEADER, MAKING_ROOM, MAX_DIGEST};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

const START_AUTH_SESSION: Op = Op::new(0x176, DurationClass::Crypto).returning_a_handle();

/// Shortest `nonceCaller` that the command takes. The session is neither salted nor bound and makes
/// no HMAC, so the nonce enters no computation, and zeros serve.
const NONCE: [u8; 16] = [0; 16];
/// `TPM_SE_POLICY`.
const POLICY: u8 = 1;

const _: () =
    assert!(HEADER + 2 * HANDLE + (2 + NONCE.len()) + 2 + 1 + 2 + 2 <= COMMAND_MAX - MAKING_ROOM);

/// A policy session that was started and not yet used up. It must be used or flushed.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a session takes one of three places in the TPM until it is used or flushed"]
pub struct PolicySession(Handle);

impl PolicySession {
    /// Its handle.
    pub const fn handle(&self) -> Handle {
        self.0
    }
}

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_StartAuthSession` (11.1) of a policy session whose digest uses `hash`.
    ///
    /// # Errors
    /// [`TpmError::Slots`] when three sessions of ours are loaded; [`TpmError::Rc`] when the TPM doesn't
    /// have `hash`.
    pub fn start_policy_session(&mut self, hash: AlgId) -> Result<PolicySession, TpmError> {
        let x = self.begin_loading(
            START_AUTH_SESSION,
            &[Handle::NULL, Handle::NULL],
            HandleKind::POLICY_SESSION,
        );
        x.put_tpm2b(&NONCE);
        // No encryptedSalt, TPM_SE_POLICY, TPM_ALG_NULL for parameter encryption.
        let [null_high, null_low] = AlgId::NULL.0.to_be_bytes();
        x.put(&[0, 0, POLICY, null_high, null_low]);
        x.put_u16(hash.0);
        let handle = self.run();
        self.exchange.tpm2b(MAX_DIGEST);
        self.finish_loading(handle, HandleKind::POLICY_SESSION)?;
        Ok(PolicySession(handle))
    }

    /// Ends a session that isn't needed any more.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn end_session(&mut self, session: PolicySession) -> Result<(), TpmError> {
        self.flush(session.0)
    }
}
