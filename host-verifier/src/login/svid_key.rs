//! The key that an SVID is asked for: who has it, and where it lives.
//!
//! It comes in the first round, so that every proof after it is made over a transcript that holds it. That alone binds it
//! to the login; that it lives in the node's TPM is shown by the attestation key, which certifies it over this very login.
//! A key in memory signs the login itself: its request for a certificate could be a copy out of another login.

use assay_common::login::{Transcript, svid_key_nonce, svid_key_possession};
use assay_common::method::svid_key::{Held, Residence, SvidKeyPayload, SvidKeyRequest};
use assay_common::protocol::decode;
use assay_common::tpm::attest::{Attest, AttestType};
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::name::Name;
use assay_common::tpm::public::Public;
use assay_common::tpm::signature::Signature;

use crate::attestor::{AttestError, BoundKey, Fault};
use crate::svid::{VerifiedKey, verify_csr};
use crate::tpm::AttestationKey;
use crate::tpm::key::public_key;
use crate::tpm::signature::verify_attest;

/// What the node is asked for, best first, and that a key in memory signs the login.
const ALGORITHMS: [u8; 3] = [
    SvidKeyRequest::ECDSA_P256,
    SvidKeyRequest::RSA_2048,
    SvidKeyRequest::POSSESSION,
];

/// What a key needs to be in one TPM and no other, from its making on.
const RESIDENT: ObjectAttributes = ObjectAttributes::FIXED_TPM
    .union(ObjectAttributes::FIXED_PARENT)
    .union(ObjectAttributes::SENSITIVE_DATA_ORIGIN);

/// The item that asks.
pub(super) fn request() -> Result<Vec<u8>, String> {
    let request = SvidKeyRequest {
        algorithms: &ALGORITHMS,
    };
    assay_common::protocol::encode(&request, &mut [0; 16])
        .map(<[u8]>::to_vec)
        .map_err(|error| error.to_string())
}

/// A key that signed its request, and perhaps the proof of where it lives, not judged yet.
#[derive(Debug)]
pub(crate) struct OfferedKey {
    key: VerifiedKey,
    held: Shown,
}

/// What was shown of its possession.
#[derive(Debug)]
enum Shown {
    /// Nothing but the request, which says nothing of this login.
    Nothing,
    /// A certification, as far as it can be judged without the key that signed it.
    Certified(Certified),
    /// It signed this login, which was verified.
    Signed,
}

/// A certification whose signer is not proven yet.
#[derive(Debug)]
struct Certified {
    attest: Vec<u8>,
    signature: Vec<u8>,
}

/// Judges the answer, all but the signature of a key that is not bound yet. `asked` includes the challenge that asked.
///
/// # Errors
///
/// The failed check.
pub(super) fn judge(asked: &Transcript, untrusted: &[u8]) -> Result<OfferedKey, AttestError> {
    let payload: SvidKeyPayload<'_> =
        decode(untrusted).map_err(|error| malformed("svid-key-malformed", error.to_string()))?;
    let key =
        verify_csr(payload.csr).map_err(|error| refused("svid-key-csr", error.to_string()))?;
    let held = match &payload.held {
        Held::Unshown => Shown::Nothing,
        Held::Certified(residence) => Shown::Certified(certified(asked, &key, residence)?),
        Held::Signed(signature) => {
            signed(asked, &key, signature)?;
            Shown::Signed
        }
    };
    Ok(OfferedKey { key, held })
}

/// Whether the key signed this login.
fn signed(asked: &Transcript, key: &VerifiedKey, signature: &[u8]) -> Result<(), AttestError> {
    let message = svid_key_possession(&svid_key_nonce(asked)).concat();
    key.verify(&message, signature).map_err(|error| {
        let detail = format!("the SVID's key did not sign this login: {error}");
        refused("svid-key-possession", detail)
    })
}

/// Everything that can be said of a certification without the key that signed it.
fn certified(
    asked: &Transcript,
    key: &VerifiedKey,
    residence: &Residence<'_>,
) -> Result<Certified, AttestError> {
    let public = Public::parse(residence.public)
        .map_err(|error| malformed("svid-key-public-malformed", error.to_string()))?;
    if public.attributes.reserved().0 != 0 || !public.attributes.contains(RESIDENT) {
        let detail = format!(
            "SVID key attributes {}, wanted {RESIDENT}",
            public.attributes
        );
        return Err(refused("svid-key-attributes", detail));
    }
    let in_tpm =
        public_key(&public).map_err(|error| refused("svid-key-public", error.to_string()))?;
    if in_tpm != *key.public_key() {
        let detail = "the certified key is not the one that signed the request";
        return Err(refused("svid-key-other", detail));
    }
    let attest = Attest::parse(residence.attest)
        .map_err(|error| malformed("svid-key-attest-malformed", error.to_string()))?;
    let Some(info) = attest
        .certify()
        .filter(|_| attest.kind == AttestType::CERTIFY)
    else {
        let detail = format!("attest is a {}, not a certification", attest.kind);
        return Err(refused("svid-key-attest-type", detail));
    };
    if attest.extra_data != svid_key_nonce(asked) {
        let detail = "the SVID key was certified for something else than this login";
        return Err(refused("svid-key-nonce", detail));
    }
    let name = Name::of(&public).map_err(|error| refused("svid-key-name", error.to_string()))?;
    if info.name != name.as_bytes() {
        let detail = "the certification is of another key";
        return Err(refused("svid-key-name", detail));
    }
    Ok(Certified {
        attest: residence.attest.to_vec(),
        signature: residence.signature.to_vec(),
    })
}

impl OfferedKey {
    /// The key, once it is shown to live where it must.
    ///
    /// Where the login bound an attestation key the SVID's key must live in the same TPM: a key in a file could be copied
    /// off the node that was attested. `bound` is that key; without one nothing could show it.
    ///
    /// # Errors
    ///
    /// The failed check.
    pub(super) fn resident(&self, bound: Option<&BoundKey>) -> Result<&VerifiedKey, AttestError> {
        let Some(bound) = bound else {
            return Ok(&self.key);
        };
        let Shown::Certified(certified) = &self.held else {
            let detail = "an SVID is issued only for a key that the attestation key certifies to live in its TPM";
            return Err(refused("svid-key-residence", detail));
        };
        let internal =
            |detail: String| AttestError::new(Fault::Internal, "ak-public-malformed", detail);
        let public = Public::parse(&bound.public).map_err(|error| internal(error.to_string()))?;
        let ak = AttestationKey::from_public(&public)?;
        let signature = Signature::parse(&certified.signature)
            .map_err(|error| malformed("svid-key-signature-malformed", error.to_string()))?;
        verify_attest(&ak, &certified.attest, &signature)
            .map_err(|error| refused("svid-key-signature", error.to_string()))?;
        Ok(&self.key)
    }

    /// Whether the key was shown to be held in this very login. `bound` is the attestation key of the policy that won; a
    /// certification by any other key shows nothing. Only after [`resident`](Self::resident), which verifies it.
    pub(super) const fn is_held(&self, bound: Option<&BoundKey>) -> bool {
        match self.held {
            Shown::Nothing => false,
            Shown::Certified(_) => bound.is_some(),
            Shown::Signed => true,
        }
    }
}

fn malformed(check: &'static str, detail: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Malformed, check, detail)
}

fn refused(check: &'static str, detail: impl Into<String>) -> AttestError {
    AttestError::new(Fault::Refused, check, detail)
}
