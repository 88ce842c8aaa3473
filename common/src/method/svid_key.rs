//! The node's SVID key: the key that the verifier certifies, and that it lives in the node's TPM.
//!
//! Not a method: it satisfies no policy ([`AttestorKind::SVID_KEY`](crate::policy::AttestorKind::SVID_KEY)). It travels as an
//! item like one, from protocol version 2 on.
//!
//! Round 0: the verifier asks with an [`SvidKeyRequest`], together with `tpm_ek`, so that everything signed or keyed later in
//! the login covers the CSR; the agent answers with an [`SvidKeyPayload`]. The verifier asks only an agent whose hello
//! names [`SVID_KEY`](crate::policy::AttestorKind::SVID_KEY).

use serde::{Deserialize, Serialize};

use crate::protocol::{MessageReader, ReadFields};

/// Which keys the verifier would certify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SvidKeyRequest<'a> {
    /// In order of preference; an agent takes the first that it can make, and passes over numbers it does not know.
    pub algorithms: &'a [u8],
}

impl SvidKeyRequest<'_> {
    /// A P-256 key that signs by ECDSA with SHA-256.
    pub const ECDSA_P256: u8 = 1;
    /// An RSA key of 2,048 bits that signs by PKCS #1 v1.5 with SHA-256.
    pub const RSA_2048: u8 = 2;
    /// No algorithm: the verifier reads [`Held::Signed`], and wants it of a key that no TPM certifies. An agent answers a
    /// verifier of before, which does not send it, with [`Held::Unshown`].
    pub const POSSESSION: u8 = 0x80;
}

/// The key, and what shows that the node holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SvidKeyPayload<'a> {
    /// PKCS #10 certification request (RFC 2986), DER: empty subject, no attributes, signed by the key. The name in the SVID
    /// is the verifier's decision, so nothing is asked for.
    pub csr: &'a [u8],
    /// What shows that whoever logs in holds the key now.
    #[serde(borrow)]
    pub held: Held<'a>,
}

/// What shows that the key is held in this login. The CSR does not: it is signed once, and could be somebody else's copy.
///
/// The first two are the `None` and `Some` of an `Option` in their encoding, which is what they were before the third.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Held<'a> {
    /// Nothing.
    Unshown,
    /// The key lives in the TPM of the login.
    #[serde(borrow)]
    Certified(Residence<'a>),
    /// The key itself signed: ECDSA in DER, or RSASSA-PKCS1-v1_5, with SHA-256, over
    /// [`svid_key_possession`](crate::login::svid_key_possession). For keys that no TPM certifies.
    Signed(&'a [u8]),
}

/// `TPM2_Certify` of the SVID key by the AK of the same login.
///
/// What the verifier checks: that the signature is the AK's, that `attest` is a certification of the Name of `public` with
/// [`svid_key_nonce`](crate::login::svid_key_nonce) as its `extraData`, that `public` has fixedTPM, fixedParent and
/// sensitiveDataOrigin, and that the CSR's key is that of `public`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residence<'a> {
    /// The key's public area (TPMT_PUBLIC) as the TPM returned it.
    pub public: &'a [u8],
    /// TPMS_ATTEST as the TPM returned it.
    pub attest: &'a [u8],
    /// TPMT_SIGNATURE by the AK, as the TPM returned it.
    pub signature: &'a [u8],
}

impl<'a> ReadFields<'a> for SvidKeyRequest<'a> {
    fn read_fields(r: &mut MessageReader<'a>) -> Self {
        Self {
            algorithms: r.bytes(),
        }
    }
}
