//! `join_token`: a token that an operator made, good for one login.
//!
//! Round 0: the verifier asks with an empty payload, the agent answers with JSON of two base64 strings, `publicKey` and
//! `signature`.
//!
//! # Why the token does not travel
//!
//! A token that is sent is known to whoever sees the line, the trail or a crash dump of the verifier, and is good there until
//! it is taken, which a login that fails for another reason never does. So the token is the seed of an Ed25519 key: the
//! verifier's store holds the SHA-256 of its public key, and the agent signs this login's nonce
//! ([`proof_nonce`](crate::login::proof_nonce)). Nothing that is sent, stored or recorded lets anybody in.

use sha2::{Digest, Sha256};

const KEY_LABEL: &[u8] = b"assay/join-token-key/v1";
const SIGNATURE_LABEL: &[u8] = b"assay/join-token/v1";

/// The seed of the token's Ed25519 key (RFC 8032 5.1.5). As secret as the token: the caller wipes it.
///
/// A token has 256 random bits, so a plain hash is all the stretching it needs.
#[must_use]
pub fn key_seed(token: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(KEY_LABEL);
    hash.update(token.as_bytes());
    hash.finalize().into()
}

/// What the key signs: the label, then the nonce. Two pieces, one after the other.
#[must_use]
pub const fn signed_message(nonce: &[u8; 32]) -> [&[u8]; 2] {
    [SIGNATURE_LABEL, nonce]
}
