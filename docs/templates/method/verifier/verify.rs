//! Every check of `raw_key`. Pure: bytes, settings and the nonce come in.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

use super::payload::Untrusted;
use crate::{
    attestor::{AttestError, Fault},
    crypto::sha256,
};

/// What the signature begins with, so that it is good for nothing else.
const LABEL: &[u8] = b"assay/raw-key/v1";

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The payload is not one whole message.
    #[error("payload cannot be read")]
    Payload,
    /// The signature was not made by this key, or not in this login.
    #[error("the signature is not by this key over this login")]
    Signature,
    /// The key is nobody's who is let in.
    #[error("key {0} is not on the list")]
    NotAllowed(String),
}

impl From<KeyError> for AttestError {
    fn from(error: KeyError) -> Self {
        let (fault, check) = match error {
            KeyError::Payload => (Fault::Malformed, "payload-malformed"),
            KeyError::Signature => (Fault::Refused, "raw-key-signature"),
            KeyError::NotAllowed(_) => (Fault::Refused, "raw-key-not-allowed"),
        };
        Self::new(fault, check, error.to_string())
    }
}

/// The settings, checked.
#[derive(Debug)]
pub struct Rules {
    /// SHA-256 of the keys that are let in.
    pub allowed: BTreeSet<[u8; 32]>,
}

/// A key whose holder takes part in this login: only [`possession`] makes one.
#[derive(Debug)]
pub struct Shown {
    hash: [u8; 32],
}

/// What the agent signs.
#[must_use]
pub fn message(nonce: &[u8; 32]) -> Vec<u8> {
    [LABEL, nonce].concat()
}

/// Does whoever answers hold the key, now?
///
/// # Errors
///
/// [`KeyError::Signature`].
pub fn possession(untrusted: &Untrusted, nonce: &[u8; 32]) -> Result<Shown, KeyError> {
    UnparsedPublicKey::new(&ED25519, untrusted.public_key)
        .verify(&message(nonce), &untrusted.signature)
        .map_err(|_| KeyError::Signature)?;
    Ok(Shown {
        hash: sha256(&[&untrusted.public_key]),
    })
}

/// Is it let in? The hash of the key, if so.
///
/// # Errors
///
/// [`KeyError::NotAllowed`].
pub fn decide(rules: &Rules, shown: &Shown) -> Result<[u8; 32], KeyError> {
    match rules.allowed.contains(&shown.hash) {
        true => Ok(shown.hash),
        false => Err(KeyError::NotAllowed(hex::encode(shown.hash))),
    }
}
