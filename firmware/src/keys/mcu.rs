//! The microcontroller's own key, which tells its board from every other one with the same TPM (`mcu_key`).

use zeroize::Zeroize;

use crate::crypto::sign;
use crate::entropy::Drbg;

/// What the key is made for, so that the device's secret serves other purposes as well.
const LABEL: &[u8] = b"assay/mcu-key/v1";

/// A key that signs for this microcontroller and no other. [`DerivedKey`] is the one that the agent makes of a record's secret;
/// a board with a key store (a secure element, a fused key) gives its own to
/// [`TpmEvidence::signing_with`](crate::evidence::tpm::TpmEvidence::signing_with).
pub trait McuKey {
    /// The public half, an uncompressed SEC1 P-256 point; `None` when there is no key now.
    fn public(&mut self) -> Option<[u8; 65]>;

    /// ECDSA over a SHA-256 digest: r and s, 32 bytes each. `None` when there is no key now. Whatever takes longer than the
    /// board's watchdog is patient kicks it.
    fn sign(&mut self, digest: &[u8; 32]) -> Option<[u8; 64]>;
}

/// A key made of a secret that only this microcontroller can read. It is as secret as that: in flash, as good as the chip's
/// read-out protection. Wiped when dropped; never printed.
pub struct DerivedKey([u8; 32]);

impl Drop for DerivedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DerivedKey")
    }
}

impl DerivedKey {
    /// The key of a device's secret, always the same one. Nothing of the secret can be told from the key.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut numbers = Drbg::new();
        numbers.stir(&[LABEL, secret]);
        let mut key = Self([0; 32]);
        // One number in 2^32 is no scalar of the curve.
        for _ in 0..8 {
            numbers.fill(&mut key.0);
            if sign::is_scalar(&key.0) {
                return key;
            }
        }
        key.0.zeroize();
        key
    }
}

impl McuKey for DerivedKey {
    fn public(&mut self) -> Option<[u8; 65]> {
        sign::public(&self.0)
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Option<[u8; 64]> {
        sign::sign(&self.0, digest)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use p256::ecdsa::{Signature, VerifyingKey};

    use super::*;

    #[test]
    fn a_secret_has_one_key_and_another_secret_another() {
        let public = |secret: [u8; 32]| DerivedKey::of(&secret).public().unwrap();
        assert_eq!(public([1; 32]), public([1; 32]));
        assert_ne!(public([1; 32]), public([2; 32]));
        assert_ne!(public([0; 32]), public([1; 32]));
    }

    #[test]
    fn what_it_signs_verifies_elsewhere() {
        let mut key = DerivedKey::of(&[9; 32]);
        let theirs = VerifyingKey::from_sec1_bytes(&key.public().unwrap()).unwrap();
        let signature = Signature::from_slice(&key.sign(&[7; 32]).unwrap()).unwrap();
        theirs.verify_prehash(&[7; 32], &signature).unwrap();
        assert!(theirs.verify_prehash(&[8; 32], &signature).is_err());
    }
}
