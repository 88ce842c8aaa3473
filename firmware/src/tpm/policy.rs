//! Chapter 23: what is proven in a policy session.

use assay_common::tpm::handle::Handle;

use super::exchange::{AUTH, AUTH_AREA, HANDLE, HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, PolicySession, Tpm, TpmError, TpmTransport};

const POLICY_SECRET: Op = Op::new(0x151, DurationClass::Medium).authorized(1);
const POLICY_OR: Op = Op::new(0x171, DurationClass::Medium);

/// Branches of the policies used here.
const BRANCHES: usize = 2;

const _: () =
    assert!(HEADER + 2 * HANDLE + AUTH_AREA + AUTH + 2 + 2 + 2 + 4 <= COMMAND_MAX - MAKING_ROOM);
const _: () = assert!(HEADER + HANDLE + 4 + BRANCHES * (2 + 64) <= COMMAND_MAX - MAKING_ROOM);

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_PolicySecret` (23.4): proves in `session` that `entity`'s authorization is known, which
    /// for the hierarchies of an unprovisioned TPM is the empty one.
    ///
    /// # Errors
    /// [`TpmError::Rc`] with base `BAD_AUTH` when `entity` has a password.
    pub fn policy_secret(
        &mut self,
        entity: Handle,
        session: &PolicySession,
    ) -> Result<(), TpmError> {
        self.begin(POLICY_SECRET, &[entity, session.handle(), Handle::PW])
            // nonceTPM, cpHashA and policyRef: none. expiration: never.
            .put(&[0; 2 + 2 + 2 + 4]);
        self.run();
        let x = &mut self.exchange;
        x.tpm2b(8);
        x.ticket();
        self.finish()
    }

    /// `TPM2_PolicyOR` (23.6) of two branches, one of which `session` must have reached.
    ///
    /// # Errors
    /// [`TpmError::Rc`] with base `VALUE` when it reached neither.
    pub fn policy_or(
        &mut self,
        session: &PolicySession,
        branches: [&[u8]; BRANCHES],
    ) -> Result<(), TpmError> {
        let x = self.begin(POLICY_OR, &[session.handle()]);
        x.put_u32(BRANCHES as u32);
        for branch in branches {
            x.put_tpm2b(branch);
        }
        self.run();
        self.finish()
    }
}
