//! The TPM's key derivation functions, [TPM2.0 1.83 Part 1] 11.4.10.

use zeroize::Zeroizing;

use crate::crypto::HashAlgorithm;

/// KDFa: SP 800-108 in counter mode over HMAC.
///
/// `HMAC(key, counter ‖ label ‖ 00 ‖ context_u ‖ context_v ‖ bits)`, blocks concatenated, `bits / 8`
/// bytes of it. `label` comes without its terminating zero; `bits` must be a multiple of 8.
#[must_use]
pub fn kdf_a(
    hash: HashAlgorithm,
    key: &[u8],
    label: &[u8],
    context_u: &[u8],
    context_v: &[u8],
    bits: u32,
) -> Zeroizing<Vec<u8>> {
    expand(hash, bits, |counter| {
        let tag = hash.hmac(
            key,
            &[
                &counter,
                label,
                &[0],
                context_u,
                context_v,
                &bits.to_be_bytes(),
            ],
        );
        Zeroizing::new(tag.as_ref().to_vec())
    })
}

/// KDFe: the one-step function of SP 800-56A over a plain hash.
///
/// `H(counter ‖ z ‖ label ‖ 00 ‖ party_u ‖ party_v)`. All three coordinates at the field's full
/// length. The specification's prose of revision 1.85 says HMAC where its equation has the hash;
/// real TPMs take the hash.
#[must_use]
pub fn kdf_e(
    hash: HashAlgorithm,
    z: &[u8],
    label: &[u8],
    party_u: &[u8],
    party_v: &[u8],
    bits: u32,
) -> Zeroizing<Vec<u8>> {
    expand(hash, bits, |counter| {
        let digest = hash.hash(&[&counter, z, label, &[0], party_u, party_v]);
        Zeroizing::new(digest.as_ref().to_vec())
    })
}

fn expand(
    hash: HashAlgorithm,
    bits: u32,
    block: impl Fn([u8; 4]) -> Zeroizing<Vec<u8>>,
) -> Zeroizing<Vec<u8>> {
    let len = bits as usize / 8;
    // Full capacity from the start: growing would leave a copy of the key behind.
    let mut out = Zeroizing::new(Vec::with_capacity(len + hash.digest_len()));
    let mut counter = 1u32;
    while out.len() < len {
        out.extend_from_slice(&block(counter.to_be_bytes()));
        counter += 1;
    }
    out.truncate(len);
    out
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
        );
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
        );
        assert_eq!(*key, hex(SESSION_KEY));
    }

    #[test]
    fn lengths_beyond_one_block_continue_the_counter() {
        let long = kdf_a(HashAlgorithm::Sha256, b"k", b"L", b"u", b"v", 512);
        assert_eq!(long.len(), 64);
        assert_ne!(long.get(..32), long.get(32..));
        // The length is part of the input, so a short key is no prefix of a long one.
        let short = kdf_a(HashAlgorithm::Sha256, b"k", b"L", b"u", b"v", 256);
        assert_ne!(long.get(..32), Some(short.as_slice()));
    }
}
