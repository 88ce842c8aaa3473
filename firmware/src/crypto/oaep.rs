//! RSA-OAEP encryption (RFC 8017 section 7.1.1) to an RSA-2048 endorsement key.
//!
//! Only the public operation is here: no private key is ever outside of a TPM. What is encrypted is a secret, though, and
//! crypto-bigint's Montgomery arithmetic takes the same time for every one. The exponent and the modulus are public.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U2048};
use zeroize::Zeroize;

use super::hash::{Digest, Hash};

/// Bytes of a modulus and of what is encrypted.
pub(crate) const MODULUS: usize = 256;

/// Encrypts `message` to `modulus` with the exponent 65,537. `label` includes its final zero, as a TPM has it; `seed` is
/// random, new each time, and of the hash's length. The message is at most 256 - 2 - twice the hash long.
///
/// `None` for a modulus that is not of 2,048 bits or even, or for a message or seed of the wrong length.
#[inline(never)]
pub(crate) fn encrypt(
    hash: Hash,
    modulus: &[u8],
    label: &[u8],
    message: &[u8],
    seed: &Digest,
    out: &mut [u8; MODULUS],
) -> Option<()> {
    encode(hash, label, message, seed, out)?;
    let result = power(modulus, out);
    if result.is_none() {
        out.zeroize();
    }
    result
}

/// EME-OAEP: `0 ‖ seed ⊕ mask ‖ (hash of the label ‖ zeros ‖ 1 ‖ message) ⊕ mask`.
fn encode(
    hash: Hash,
    label: &[u8],
    message: &[u8],
    seed: &Digest,
    out: &mut [u8; MODULUS],
) -> Option<()> {
    out.fill(0);
    let (_, rest) = out.split_first_mut()?;
    let (masked_seed, block) = rest.split_at_mut_checked(hash.len())?;
    let (head, tail) = block.split_at_mut_checked(hash.len())?;
    let label = hash.digest(&[label]);
    if seed.as_bytes().len() != masked_seed.len() || label.as_bytes().len() != head.len() {
        return None;
    }
    head.copy_from_slice(label.as_bytes());
    let one = tail.len().checked_sub(message.len() + 1)?;
    let (mark, text) = tail.get_mut(one..)?.split_first_mut()?;
    *mark = 1;
    text.copy_from_slice(message);
    mask(hash, seed.as_bytes(), block);
    masked_seed.copy_from_slice(seed.as_bytes());
    mask(hash, block, masked_seed);
    Some(())
}

/// Adds MGF1 of `seed` (RFC 8017 appendix B.2.1) to `text`.
fn mask(hash: Hash, seed: &[u8], text: &mut [u8]) {
    for (counter, chunk) in (0u32..).zip(text.chunks_mut(hash.len())) {
        let digest = hash.digest(&[seed, &counter.to_be_bytes()]);
        for (byte, mask) in chunk.iter_mut().zip(digest.as_bytes()) {
            *byte ^= mask;
        }
    }
}

/// The number in `number` to the power of 65,537.
#[inline(never)]
fn power(modulus: &[u8], number: &mut [u8; MODULUS]) -> Option<()> {
    if modulus.len() != MODULUS || modulus.first()? & 0x80 == 0 {
        return None;
    }
    let modulus = Odd::new(U2048::from_be_slice(modulus)).into_option()?;
    let params = FixedMontyParams::new_vartime(modulus);
    // Below the modulus: its first byte is 0.
    let mut base = FixedMontyForm::new(&U2048::from_be_slice(number), &params);
    let mut result = base;
    for _ in 0..16 {
        result = result.mul(&result);
    }
    let product = result.mul(&base).retrieve();
    base.as_montgomery_mut().zeroize();
    result.as_montgomery_mut().zeroize();
    const LIMB: usize = size_of::<crypto_bigint::Word>();
    let words = product.as_words().iter().rev();
    for (to, word) in number.chunks_exact_mut(LIMB).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    Some(())
}
