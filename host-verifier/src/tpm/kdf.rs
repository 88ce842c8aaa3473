//! The TPM's key derivation functions, [TPM2.0 1.83 Part 1] 11.4.10, which are instances of NIST's and
//! so of aws-lc's.

use aws_lc_rs::{
    error::Unspecified,
    kdf::{
        KbkdfCtrHmacAlgorithmId, SskdfDigestAlgorithmId, get_kbkdf_ctr_hmac_algorithm,
        get_sskdf_digest_algorithm, kbkdf_ctr_hmac, sskdf_digest,
    },
};
use zeroize::Zeroizing;

use crate::crypto::HashAlgorithm;

/// Longest key derived, in bytes: a digest of SHA-512.
const MAX_KEY: usize = 64;
/// Longest label with both contexts, in bytes: two Names or coordinates and a word.
const MAX_INFO: usize = 192;

/// A derived key; wiped when dropped.
#[derive(Clone, Debug)]
pub struct DerivedKey {
    bytes: Zeroizing<[u8; MAX_KEY]>,
    len: usize,
}

impl core::ops::Deref for DerivedKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A key was not derived: SHA-1, an empty secret, more bits than a digest of SHA-512, contexts
/// longer than two Names, or a failing library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key derivation failed")]
pub struct KdfError;

/// KDFa: SP 800-108 in counter mode over HMAC.
///
/// `HMAC(key, counter ‖ label ‖ 00 ‖ context_u ‖ context_v ‖ bits)`, blocks concatenated, `bits / 8`
/// bytes of it. `label` comes without its terminating zero; `bits` must be a multiple of 8.
///
/// # Errors
/// [`KdfError`].
pub fn kdf_a(
    hash: HashAlgorithm,
    key: &[u8],
    label: &[u8],
    context_u: &[u8],
    context_v: &[u8],
    bits: u32,
) -> Result<DerivedKey, KdfError> {
    let id = match hash {
        HashAlgorithm::Sha1 => return Err(KdfError),
        HashAlgorithm::Sha256 => KbkdfCtrHmacAlgorithmId::Sha256,
        HashAlgorithm::Sha384 => KbkdfCtrHmacAlgorithmId::Sha384,
        HashAlgorithm::Sha512 => KbkdfCtrHmacAlgorithmId::Sha512,
    };
    let algorithm = get_kbkdf_ctr_hmac_algorithm(id).ok_or(KdfError)?;
    let mut buffer = [0; MAX_INFO];
    let info = join(
        &mut buffer,
        &[label, &[0], context_u, context_v, &bits.to_be_bytes()],
    )?;
    derive(bits, |out| kbkdf_ctr_hmac(algorithm, key, info, out))
}

/// KDFe: the one-step function of SP 800-56C over a plain hash.
///
/// `H(counter ‖ z ‖ label ‖ 00 ‖ party_u ‖ party_v)`. All three coordinates at the field's full
/// length. The specification's prose of revision 1.85 says HMAC where its equation has the hash;
/// real TPMs take the hash.
///
/// # Errors
/// [`KdfError`].
pub fn kdf_e(
    hash: HashAlgorithm,
    z: &[u8],
    label: &[u8],
    party_u: &[u8],
    party_v: &[u8],
    bits: u32,
) -> Result<DerivedKey, KdfError> {
    let id = match hash {
        HashAlgorithm::Sha1 => return Err(KdfError),
        HashAlgorithm::Sha256 => SskdfDigestAlgorithmId::Sha256,
        HashAlgorithm::Sha384 => SskdfDigestAlgorithmId::Sha384,
        HashAlgorithm::Sha512 => SskdfDigestAlgorithmId::Sha512,
    };
    let algorithm = get_sskdf_digest_algorithm(id).ok_or(KdfError)?;
    let mut buffer = [0; MAX_INFO];
    let info = join(&mut buffer, &[label, &[0], party_u, party_v])?;
    derive(bits, |out| sskdf_digest(algorithm, z, info, out))
}

/// Puts the parts one after the other. On the stack: a login's cost is counted in single microseconds.
fn join<'a>(buffer: &'a mut [u8; MAX_INFO], parts: &[&[u8]]) -> Result<&'a [u8], KdfError> {
    let mut len = 0;
    for part in parts {
        buffer
            .get_mut(len..len + part.len())
            .ok_or(KdfError)?
            .copy_from_slice(part);
        len += part.len();
    }
    buffer.get(..len).ok_or(KdfError)
}

fn derive(
    bits: u32,
    fill: impl FnOnce(&mut [u8]) -> Result<(), Unspecified>,
) -> Result<DerivedKey, KdfError> {
    let len = bits as usize / 8;
    // Filled in its place: no copy of a key is left behind.
    let mut key = DerivedKey {
        bytes: Zeroizing::new([0; MAX_KEY]),
        len,
    };
    let out = key.bytes.get_mut(..len).ok_or(KdfError)?;
    fill(out).map_err(|_| KdfError)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    // One salted session with swtpm, P-256: every value below was seen on the wire or accepted by
    // the TPM in an HMAC.
    const EK_X: &str = "1dc93105bc28290e4059355be9e934d589e98c830922fe50fb6465d3b0b204d5";
    const Q_X: &str = "210dca3acfb3d08cdb7f7f6a0992d47272c8448645435d92a4a37fe21ae069fe";
    const Z_X: &str = "821228c40bd22d5e3f69e4a113d0051b2c10651ed965be883ceb1a9df8f87bad";
    const SALT: &str = "1a6aac0dbdd968d68fa002ad14fdbc27d739067c4485dc69b513c5095a81abea";
    const NONCE_CALLER: &str = "a4e6b24b5a2ec2311bdf8f4bdf9adb481d3d388eedcb56afccf224e57066802b";
    const NONCE_TPM: &str = "238e7a4b78eb3b8f154e3cb9e9e8ddcd8bb69c924613c458eefe49d0cad07c39";
    const SESSION_KEY: &str = "ae8e1bd98f44ed634b83e00e67151de7c75d7f480c65a412a6fc19ea577edc81";

    #[test]
    fn kdf_e_derives_the_salt_of_a_real_session() {
        let salt = kdf_e(
            HashAlgorithm::Sha256,
            &hex(Z_X),
            b"SECRET",
            &hex(Q_X),
            &hex(EK_X),
            256,
        )
        .unwrap();
        assert_eq!(*salt, hex(SALT));
    }

    #[test]
    fn kdf_a_derives_the_key_of_a_real_session() {
        let key = kdf_a(
            HashAlgorithm::Sha256,
            &hex(SALT),
            b"ATH",
            &hex(NONCE_TPM),
            &hex(NONCE_CALLER),
            256,
        )
        .unwrap();
        assert_eq!(*key, hex(SESSION_KEY));
    }

    #[test]
    fn lengths_beyond_one_block_continue_the_counter() {
        let long = kdf_a(HashAlgorithm::Sha256, b"k", b"L", b"u", b"v", 512).unwrap();
        assert_eq!(long.len(), 64);
        assert_ne!(long.get(..32), long.get(32..));
        // The length is part of the input, so a short key is no prefix of a long one.
        let short = kdf_a(HashAlgorithm::Sha256, b"k", b"L", b"u", b"v", 256).unwrap();
        assert_ne!(long.get(..32), Some(&*short));
    }

    /// The definition spelled out, over HMAC and hash alone.
    #[test]
    fn both_are_what_the_specification_says() {
        let one = 1u32.to_be_bytes();
        for hash in [
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ] {
            let bits = 128u32;
            let block = hash.hmac(
                b"key",
                &[&one, b"LABEL", &[0], b"u", b"v", &bits.to_be_bytes()],
            );
            let derived = kdf_a(hash, b"key", b"LABEL", b"u", b"v", bits).unwrap();
            assert_eq!(Some(&*derived), block.as_ref().get(..16));

            let bits = hash.digest_len() as u32 * 8;
            let block = hash.hash(&[&one, b"z", b"LABEL", &[0], b"u", b"v"]);
            let derived = kdf_e(hash, b"z", b"LABEL", b"u", b"v", bits).unwrap();
            assert_eq!(&*derived, block.as_ref());
        }
    }

    #[test]
    fn refuses_sha_1_empty_secrets_and_overlong_keys() {
        assert!(kdf_a(HashAlgorithm::Sha1, b"k", b"L", b"", b"", 128).is_err());
        assert!(kdf_e(HashAlgorithm::Sha1, b"k", b"L", b"", b"", 128).is_err());
        assert!(kdf_e(HashAlgorithm::Sha256, b"", b"L", b"", b"", 128).is_err());
        assert!(kdf_a(HashAlgorithm::Sha256, b"k", b"L", b"", b"", 520).is_err());
        assert!(kdf_a(HashAlgorithm::Sha256, b"k", b"L", &[0; 192], b"", 128).is_err());
    }
}
