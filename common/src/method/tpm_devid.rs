//! `tpm_devid`: a device identity that its owner certified (an LDevID), and that its key lives in a genuine TPM.
//!
//! Round 0: the verifier asks with an empty payload, the agent answers with [`DevidPayload`].
//! Round 1: as with `tpm_ek`: the verifier sends an [`EkChallenge`](super::tpm_ek::EkChallenge), the agent answers with an
//! [`EkResponse`](super::tpm_ek::EkResponse).
//!
//! The nonce is [`proof_nonce`](crate::login::proof_nonce) of this method. It does not travel and holds what both sides drew,
//! so that neither gets a signature over what it alone chose.

use serde::{Deserialize, Serialize};

use super::tpm_ek::EkPayload;
use crate::protocol::{BlobRef, MAX_BLOBS};

/// The number of the blob with the DevID certificates: behind those of `tpm_ek`, so that one login can have both.
pub const CERTIFICATES_BLOB: u8 = MAX_BLOBS as u8 - 1;
/// Most DevID certificates, the device's included.
pub const MAX_CERTIFICATES: usize = 5;

const POSSESSION_LABEL: &[u8] = b"assay/tpm-devid/v1";

/// The TPM, the DevID key in it, and what vouches for both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevidPayload<'a> {
    /// The TPM's own key and certificates, and the AK.
    #[serde(borrow)]
    pub endorsement: EkPayload<'a>,
    /// The DevID certificate and behind it the issuing ones, DER one after the other. The issuing ones are hints: they are
    /// untrusted until they chain to a configured anchor.
    pub devid_certificates: BlobRef,
    /// The DevID key's public area (TPMT_PUBLIC) as the TPM returned it.
    pub devid_public: &'a [u8],
    /// TPMS_ATTEST of `TPM2_Certify` of the DevID key, with the nonce as its `extraData`.
    pub attest: &'a [u8],
    /// TPMT_SIGNATURE over `attest` by the AK.
    pub attest_signature: &'a [u8],
    /// TPMT_SIGNATURE by the DevID key over [`possession_message`].
    pub possession: &'a [u8],
}

/// What the DevID key signs: the label, then the nonce. Two pieces to be hashed one after the other.
#[must_use]
pub const fn possession_message(nonce: &[u8; 32]) -> [&[u8]; 2] {
    [POSSESSION_LABEL, nonce]
}
