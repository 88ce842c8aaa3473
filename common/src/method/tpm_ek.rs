//! `tpm_ek`: which TPM this is, and that the attestation key lives in it.
//!
//! Round 0: the verifier asks with an empty payload, the agent answers with [`EkPayload`].
//! Round 1: the verifier sends [`EkChallenge`] (`TPM2_MakeCredential` over the EK and the AK's Name), the
//! agent activates it in the TPM and answers with [`EkResponse`].

use serde::{Deserialize, Serialize};

use crate::protocol::{BlobRef, MessageReader, ReadFields};

/// Most chain certificates taken from NV.
pub const MAX_CHAIN: usize = 6;
/// Length of the secret inside a credential. The digest of every EK template's nameAlg holds it.
pub const SECRET_LEN: usize = 32;

/// The EK, what vouches for it, and the AK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EkPayload<'a> {
    /// The EK's public area (TPMT_PUBLIC) as the TPM returned it.
    pub ek_public: &'a [u8],
    /// The AK's public area (TPMT_PUBLIC) as the TPM returned it.
    pub ak_public: &'a [u8],
    /// The EK certificate from NV, trimmed to its DER length; `None` when the TPM holds none.
    pub ek_certificate: Option<BlobRef>,
    /// Issuing certificates from NV. Hints: they are untrusted until they chain to a configured anchor.
    pub ek_chain: heapless::Vec<BlobRef, MAX_CHAIN>,
}

/// A credential that only the TPM with this EK opens, and only for the object with this AK's Name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EkChallenge<'a> {
    /// Contents of the TPM2B_ID_OBJECT.
    pub credential_blob: &'a [u8],
    /// Contents of the TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: &'a [u8],
}

/// Proof that the credential was opened; the secret itself never crosses the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EkResponse {
    /// [`LoginKeys::proof`](crate::login::LoginKeys::proof) over the transcript.
    pub mac: [u8; 32],
}

impl<'a> ReadFields<'a> for EkChallenge<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            credential_blob: r.bytes(),
            encrypted_secret: r.bytes(),
        }
    }
}
