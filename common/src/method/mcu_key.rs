//! `mcu_key`: the microcontroller beside the TPM, by a key of its own.
//!
//! A TPM proves that it saw what was extended into it, and not by whom: put on another board, it is as genuine as before. So
//! a microcontroller that has a secret of its own (a protected key store, a fused key, or a seed in flash that nobody can read
//! out) signs the login as well, and the quote in it.
//!
//! Round 1, beside `tpm_quote`: the verifier asks with an empty payload, the agent answers with [`McuKeyPayload`].

use serde::{Deserialize, Serialize};

use crate::protocol::{MessageWriter, WriteFields};

const LABEL: &[u8] = b"assay/mcu-key/v1";

/// Length of the key: an uncompressed SEC1 P-256 point.
pub const KEY_LEN: usize = 65;
/// Length of the signature: r and s, 32 bytes each.
pub const SIGNATURE_LEN: usize = 64;

/// The key and its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct McuKeyPayload<'a> {
    /// The public key, [`KEY_LEN`] bytes.
    pub public: &'a [u8],
    /// ECDSA with SHA-256 over [`message`], [`SIGNATURE_LEN`] bytes.
    pub signature: &'a [u8],
}

impl WriteFields for McuKeyPayload<'_> {
    fn write_fields(&self, w: &mut MessageWriter<'_>) {
        w.bytes(self.public);
        w.bytes(self.signature);
    }
}

/// What the key signs: the label, the method's [`proof_nonce`](crate::login::proof_nonce), and the SHA-256 of the TPMS_ATTEST
/// that the same message carries for `tpm_quote`, or zeros where no quote was asked for. Three pieces to be hashed one after
/// the other.
#[must_use]
pub const fn message<'a>(nonce: &'a [u8; 32], quote: &'a [u8; 32]) -> [&'a [u8]; 3] {
    [LABEL, nonce, quote]
}
