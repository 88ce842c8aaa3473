//! What the key of a certificate signs to show that the node has it (`x509pop`, `ssh_pop`).
//!
//! Both sides contribute 32 bytes, so that neither gets a signature over what it chose alone:
//! SHA-256(verifier's nonce || agent's nonce). The form is SPIRE's.

use sha2::{Digest as _, Sha256};

/// Bytes of either nonce.
pub const NONCE_LEN: usize = 32;

/// The nonces as they are hashed, for signers that hash by themselves with SHA-256.
#[must_use]
pub fn nonces(verifier: &[u8; NONCE_LEN], agent: &[u8; NONCE_LEN]) -> [u8; 2 * NONCE_LEN] {
    let mut both = [0; 2 * NONCE_LEN];
    let (first, second) = both.split_at_mut(NONCE_LEN);
    first.copy_from_slice(verifier);
    second.copy_from_slice(agent);
    both
}

/// The digest of both.
#[must_use]
pub fn digest(verifier: &[u8; NONCE_LEN], agent: &[u8; NONCE_LEN]) -> [u8; 32] {
    Sha256::digest(nonces(verifier, agent)).into()
}

#[cfg(test)]
mod tests {
    use super::digest;

    /// Made with Go's crypto/sha256: the verifier's nonce is 00 to 1f, the agent's 20 to 3f.
    #[test]
    fn the_digest_is_that_of_other_implementations() {
        let verifier = core::array::from_fn(|i| i as u8);
        let agent = core::array::from_fn(|i| 32 + i as u8);
        assert_eq!(
            digest(&verifier, &agent),
            [
                0xfd, 0xea, 0xb9, 0xac, 0xf3, 0x71, 0x03, 0x62, 0xbd, 0x26, 0x58, 0xcd, 0xc9, 0xa2,
                0x9e, 0x8f, 0x9c, 0x75, 0x7f, 0xcf, 0x98, 0x11, 0x60, 0x3a, 0x8c, 0x44, 0x7c, 0xd1,
                0xd9, 0x15, 0x11, 0x08
            ]
        );
    }
}
