//! Credential activation: the proof that an AK and an EK are in one TPM.
//!
//! The verifier seals a secret to the EK's public key and the AK's Name; the TPM opens it only when
//! both keys are loaded. An EK of the low range answers to nothing but a policy session, and one of the
//! high range answers to it as well, so there is one path. It also keeps EKs, which lack noDA, away
//! from the dictionary-attack counter that a password would touch.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::templates::{
    POLICY_A_SHA256, POLICY_A_SHA384, POLICY_A_SHA512, POLICY_B_SHA256, POLICY_B_SHA384,
    POLICY_C_SHA256, POLICY_C_SHA384,
};
use zeroize::Zeroize;

use super::{Ak, Ek, KeyError};
use crate::tpm::{PolicySession, PublicHead, Tpm, TpmTransport};

/// Longest secret: SHA-512.
const MAX_SECRET: usize = 64;

/// An activated secret. Wiped when dropped; never printed.
pub struct Secret {
    len: u8,
    bytes: [u8; MAX_SECRET],
}

impl Secret {
    /// The secret, 0 to 64 bytes; the verifier chose the length.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

/// What opens an EK: a policy session of this hash that went through its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    name_alg: AlgId,
    /// `None` for one that isn't of the EK profile.
    policy: Option<Policy>,
}

impl Opening {
    /// Of a key with this `TPMT_PUBLIC`.
    pub(super) fn of(public: &[u8]) -> Result<Self, KeyError> {
        let head = PublicHead::read(public)?;
        Ok(Self {
            name_alg: head.name_alg,
            policy: policy(head.auth_policy),
        })
    }
}

/// What the policy session must go through besides PolicySecret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// PolicyA: nothing.
    Secret,
    /// PolicyB of SHA-256: PolicyOR of its two branches.
    Or256,
    /// PolicyB of SHA-384.
    Or384,
}

/// Opens what the verifier sealed to `ek` and the Name of `ak`.
///
/// `credential_blob` and `encrypted_secret` are the contents of a `TPM2B_ID_OBJECT` and of a
/// `TPM2B_ENCRYPTED_SECRET`. The session that this takes is gone afterwards, whatever happens; both
/// keys stay.
///
/// # Errors
/// [`KeyError::UnknownPolicy`] for an EK whose template came from NV and has a policy of its own;
/// [`KeyError::Tpm`] with `TPM_RC_INTEGRITY` when the credential is for another pair of keys.
pub fn activate<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    ek: &Ek,
    ak: &Ak,
    credential_blob: &[u8],
    encrypted_secret: &[u8],
) -> Result<Secret, KeyError> {
    let Opening { name_alg, policy } = ek.opening();
    let policy = policy.ok_or(KeyError::UnknownPolicy)?;
    let session = tpm.start_policy_session(name_alg)?;
    let result = satisfy(tpm, &session, policy).and_then(|()| {
        let secret = tpm.activate_credential(
            ak.handle(),
            ek.handle(),
            &session,
            credential_blob,
            encrypted_secret,
        )?;
        let mut bytes = [0; MAX_SECRET];
        for (to, from) in bytes.iter_mut().zip(secret) {
            *to = *from;
        }
        // At most 64, which the command checks.
        let len = secret.len() as u8;
        Ok(Secret { len, bytes })
    });
    tpm.wipe_response();
    // The session ended with success; after anything else it may still be there. An error of the
    // flush says less than the first one.
    if result.is_err() {
        let _ = tpm.end_session(session);
    }
    result
}

fn satisfy<T: TpmTransport>(
    tpm: &mut Tpm<T>,
    session: &PolicySession,
    policy: Policy,
) -> Result<(), KeyError> {
    tpm.policy_secret(Handle::ENDORSEMENT, session)?;
    let branches: [&[u8]; 2] = match policy {
        Policy::Secret => return Ok(()),
        Policy::Or256 => [&POLICY_A_SHA256, &POLICY_C_SHA256],
        Policy::Or384 => [&POLICY_A_SHA384, &POLICY_C_SHA384],
    };
    Ok(tpm.policy_or(session, branches)?)
}

/// Which of the EK profile's policies a digest is ([EK Profile 2.6] annex B.6).
fn policy(digest: &[u8]) -> Option<Policy> {
    const SECRET: [&[u8]; 3] = [&POLICY_A_SHA256, &POLICY_A_SHA384, &POLICY_A_SHA512];
    if SECRET.contains(&digest) {
        Some(Policy::Secret)
    } else if digest == POLICY_B_SHA256 {
        Some(Policy::Or256)
    } else if digest == POLICY_B_SHA384 {
        Some(Policy::Or384)
    } else {
        None
    }
}
