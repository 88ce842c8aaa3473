//! Every check of `mcu_key`. Pure: bytes, settings, the nonce and what others have proven come in.

use std::collections::{BTreeMap, BTreeSet};

use assay_common::method::mcu_key::message;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::payload::Untrusted;
use crate::{
    attestor::{AttestError, Fault},
    crypto::sha256,
};

/// What stands before an uncompressed P-256 point in a SubjectPublicKeyInfo (RFC 5480 2).
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The payload is not one whole message.
    #[error("payload cannot be read")]
    Payload,
    /// The signature was not made by this key, or not in this login, or not over its quote.
    #[error("the signature is not by this key over this login and its quote")]
    Signature,
    /// No method of this login has proven a TPM.
    #[error("no method of this login has proven which TPM it is")]
    NoTpm,
    /// The TPM belongs to another microcontroller.
    #[error("TPM {ek} is paired with microcontroller {expected}, and {found} signed")]
    OtherMcu {
        /// The TPM's EK.
        ek: String,
        /// Whose signature was wanted.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// The microcontroller belongs to another TPM.
    #[error("microcontroller {key} is paired with TPM {expected}, and not with {found}")]
    OtherTpm {
        /// Whose signature it is.
        key: String,
        /// Its TPM.
        expected: String,
        /// The TPM of this login.
        found: String,
    },
    /// Neither is listed.
    #[error("neither TPM {ek} nor microcontroller {key} is in `pairs`")]
    NotListed {
        /// The TPM.
        ek: String,
        /// The microcontroller.
        key: String,
    },
}

impl From<KeyError> for AttestError {
    fn from(error: KeyError) -> Self {
        let (fault, check) = match error {
            KeyError::Payload => (Fault::Malformed, "payload-malformed"),
            KeyError::Signature => (Fault::Refused, "mcu-key-signature"),
            KeyError::NoTpm => (Fault::Refused, "mcu-key-no-tpm"),
            KeyError::OtherMcu { .. } => (Fault::Refused, "mcu-key-other-mcu"),
            KeyError::OtherTpm { .. } => (Fault::Refused, "mcu-key-other-tpm"),
            KeyError::NotListed { .. } => (Fault::Refused, "mcu-key-not-listed"),
        };
        Self::new(fault, check, error.to_string())
    }
}

/// The settings, checked.
#[derive(Debug)]
pub enum Rules {
    /// The first login of a TPM and a microcontroller makes them a pair, which the store keeps.
    FirstLogin,
    /// These are the pairs, by the hashes of their public keys.
    Listed(Pairs),
}

/// TPMs and microcontrollers, each in at most one pair.
#[derive(Debug, Default)]
pub struct Pairs {
    mcu_of: BTreeMap<[u8; 32], [u8; 32]>,
    tpm_of: BTreeMap<[u8; 32], [u8; 32]>,
}

impl Pairs {
    /// Adds a pair; false when one of the two is in another already.
    pub fn add(&mut self, ek: [u8; 32], key: [u8; 32]) -> bool {
        let is_new = !self.mcu_of.contains_key(&ek) && !self.tpm_of.contains_key(&key);
        if is_new {
            self.mcu_of.insert(ek, key);
            self.tpm_of.insert(key, ek);
        }
        is_new
    }

    /// The microcontrollers.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<[u8; 32]> {
        self.tpm_of.keys().copied().collect()
    }
}

/// A key whose holder takes part in this login: only [`possession`] makes one.
#[derive(Debug)]
pub struct Shown {
    hash: [u8; 32],
}

impl Shown {
    /// SHA-256 of the key's SubjectPublicKeyInfo.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// Does whoever answers hold the key, now, beside this quote?
///
/// # Errors
///
/// [`KeyError::Signature`].
pub fn possession(
    untrusted: &Untrusted,
    nonce: &[u8; 32],
    quote: &[u8; 32],
) -> Result<Shown, KeyError> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, untrusted.public)
        .verify(&message(nonce, quote).concat(), &untrusted.signature)
        .map_err(|_| KeyError::Signature)?;
    Ok(Shown {
        hash: sha256(&[&SPKI_HEAD, &untrusted.public]),
    })
}

/// Do the two belong together, as far as the settings say? `ek` is the TPM's hash in hex.
///
/// # Errors
///
/// [`KeyError`]: all but the first two.
pub fn decide(rules: &Rules, shown: &Shown, ek: Option<&str>) -> Result<(), KeyError> {
    let mut hash = [0; 32];
    let ek = ek.filter(|ek| hex::decode_to_slice(ek, &mut hash).is_ok());
    let ek = ek.ok_or(KeyError::NoTpm)?;
    let Rules::Listed(pairs) = rules else {
        return Ok(());
    };
    let key = hex::encode(shown.hash);
    match (pairs.mcu_of.get(&hash), pairs.tpm_of.get(&shown.hash)) {
        (Some(expected), _) if *expected == shown.hash => Ok(()),
        (Some(expected), _) => Err(KeyError::OtherMcu {
            ek: ek.to_owned(),
            expected: hex::encode(expected),
            found: key,
        }),
        (None, Some(expected)) => Err(KeyError::OtherTpm {
            key,
            expected: hex::encode(expected),
            found: ek.to_owned(),
        }),
        (None, None) => Err(KeyError::NotListed {
            ek: ek.to_owned(),
            key,
        }),
    }
}
