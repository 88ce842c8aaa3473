//! RSA-OAEP encryption (RFC 8017 section 7.1.1) to an RSA-2048 endorsement key.
//!
//! Only the public operation is here: no private key is ever outside of a TPM. What is encrypted is a secret, though, and
//! takes the same time whatever it is. The exponent and the modulus are public.

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

/// Words of a number, the lowest first.
const WORDS: usize = MODULUS / size_of::<u32>();
type Words = [u32; WORDS];

/// The number in `number` to the power of 65,537.
///
/// # Why not crypto-bigint
///
/// Its numbers of 2,048 bits are values: with the division that makes their Montgomery form they need more than 15 KB of
/// stack, more than a login besides has. Here they stay where they are, and four of them are a kilobyte.
#[inline(never)]
fn power(modulus: &[u8], number: &mut [u8; MODULUS]) -> Option<()> {
    // Odd, and of all bits; below, the number is smaller, since its first byte is 0.
    if modulus.first()? & 0x80 == 0 || modulus.last()? & 1 == 0 {
        return None;
    }
    let n = words(modulus.try_into().ok()?);
    let inverse = negative_inverse(n.first()?);
    let mut base = words(number);
    // R = 2^2048, modulo n: below 2n, since n has all its bits. 32 doublings give R·2^32; the square of R·2^k is R·2^2k.
    let mut square = [0; WORDS];
    subtract(&mut square, &n);
    for _ in 0..u32::BITS {
        double(&mut square, &n);
    }
    for _ in 0..WORDS.ilog2() {
        let same = square;
        multiply(&mut square, &same, &n, inverse);
    }
    // From here on the number is a secret, and so is what becomes of it up to the end.
    let mut result = base;
    multiply(&mut result, &square, &n, inverse);
    for _ in 0..16 {
        square = result;
        multiply(&mut result, &square, &n, inverse);
    }
    // The one factor that is not in Montgomery form takes the other out of it.
    multiply(&mut result, &base, &n, inverse);
    base.zeroize();
    square.zeroize();
    for (to, word) in number.as_chunks_mut().0.iter_mut().zip(result.iter().rev()) {
        *to = word.to_be_bytes();
    }
    Some(())
}

fn words(bytes: &[u8; MODULUS]) -> Words {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0.iter().rev()) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// -1/n modulo 2^32, by Newton's iteration: each step doubles the bits that are right, and three are at the start.
fn negative_inverse(n: &u32) -> u32 {
    let mut inverse = *n;
    for _ in 0..4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

/// Subtracts `b`; whether something was borrowed, as 1.
fn subtract(a: &mut Words, b: &Words) -> u32 {
    let mut borrow = 0;
    for (a, b) in a.iter_mut().zip(b) {
        let difference = u64::from(*a)
            .wrapping_sub(u64::from(*b))
            .wrapping_sub(borrow);
        *a = difference as u32;
        borrow = difference >> 63;
    }
    borrow as u32
}

/// Takes `n` once from the number `top`, `a`, which is below 2n, if it is not below n; in the same time either way.
fn reduce(a: &mut Words, top: u32, n: &Words) {
    let mut less = *a;
    let borrow = subtract(&mut less, n);
    // It was below n if something was borrowed that the top word did not have.
    let keep = (borrow & !top & 1).wrapping_neg();
    for (a, less) in a.iter_mut().zip(&less) {
        *a = *a & keep | *less & !keep;
    }
    less.zeroize();
}

/// Doubles a number below `n` modulo `n`.
fn double(a: &mut Words, n: &Words) {
    let mut carry = 0;
    for word in a.iter_mut() {
        let next = *word >> 31;
        *word = *word << 1 | carry;
        carry = next;
    }
    reduce(a, carry, n);
}

/// Montgomery multiplication `a·b/R` modulo `n` (Koç, Acar, Kaliski, "Analyzing and comparing Montgomery multiplication
/// algorithms", 1996, FIOS), of two numbers below `n`. No branch and no address depends on either.
#[inline(never)]
fn multiply(a: &mut Words, b: &Words, n: &Words, inverse: u32) {
    let mut sum = [0u32; WORDS];
    let mut top = 0u32;
    for factor in b {
        let factor = u64::from(*factor);
        let (mut carry_product, mut carry_multiple) = (0, 0);
        let mut multiple = None;
        for ((sum, a), n) in sum.iter_mut().zip(a.iter()).zip(n) {
            let product = u64::from(*sum) + u64::from(*a) * factor + carry_product;
            carry_product = product >> 32;
            // So much of n that the lowest word becomes 0.
            let multiple = *multiple.get_or_insert((product as u32).wrapping_mul(inverse));
            let cleared =
                u64::from(product as u32) + u64::from(multiple) * u64::from(*n) + carry_multiple;
            carry_multiple = cleared >> 32;
            *sum = cleared as u32;
        }
        let last = u64::from(top) + carry_product + carry_multiple;
        top = (last >> 32) as u32;
        // One word down: the lowest is 0 and falls out.
        let mut from_above = last as u32;
        for word in sum.iter_mut().rev() {
            core::mem::swap(word, &mut from_above);
        }
    }
    reduce(&mut sum, top, n);
    *a = sum;
    sum.zeroize();
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

    use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
    use crypto_bigint::{Odd, U2048, Uint};
    use proptest::prelude::*;

    use super::*;

    fn theirs(modulus: &[u8; MODULUS], number: &[u8; MODULUS]) -> [u8; MODULUS] {
        let n = Odd::new(U2048::from_be_slice(modulus))
            .into_option()
            .unwrap();
        let base = FixedMontyForm::new(
            &U2048::from_be_slice(number),
            &FixedMontyParams::new_vartime(n),
        );
        let power = base.pow(&Uint::<1>::from_u32(65_537)).retrieve();
        let mut out = [0; MODULUS];
        const LIMB: usize = size_of::<crypto_bigint::Word>();
        for (to, word) in out
            .chunks_exact_mut(LIMB)
            .zip(power.as_words().iter().rev())
        {
            to.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    fn bytes() -> impl Strategy<Value = [u8; MODULUS]> {
        // Runs of ones and zeros are where carries go wrong.
        let byte = prop_oneof![any::<u8>(), Just(0), Just(0xFF)];
        proptest::collection::vec(byte, MODULUS).prop_map(|bytes| bytes.try_into().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn powers_are_those_of_another_implementation(mut modulus in bytes(), mut number in bytes()) {
            modulus[0] |= 0x80;
            modulus[MODULUS - 1] |= 1;
            number[0] = 0;
            let expected = theirs(&modulus, &number);
            prop_assert!(power(&modulus, &mut number).is_some());
            prop_assert_eq!(number, expected);
        }
    }

    #[test]
    fn powers_at_the_edges_come_out() {
        let most = [0xFF; MODULUS];
        let mut least = [0; MODULUS];
        (least[0], least[MODULUS - 1]) = (0x80, 1);
        for modulus in [most, least] {
            for byte in [0, 1, 0xFF] {
                let mut number = [byte; MODULUS];
                number[0] = 0;
                let expected = theirs(&modulus, &number);
                power(&modulus, &mut number).unwrap();
                assert_eq!(number, expected);
            }
        }
    }

    #[test]
    fn what_is_no_modulus_of_2048_bits_is_refused() {
        let legal = [0xC3; MODULUS];
        let (mut even, mut short) = (legal, legal);
        even[MODULUS - 1] = 2;
        short[0] = 0x43;
        for modulus in [
            &even[..],
            &short,
            &legal[1..],
            &[legal.as_slice(), &[1]].concat(),
            &[],
        ] {
            assert!(power(modulus, &mut [0; MODULUS]).is_none());
        }
        assert!(power(&legal, &mut [0; MODULUS]).is_some());
    }

    #[test]
    fn a_message_that_does_not_fit_is_refused() {
        let modulus = [0xC3; MODULUS];
        let seed = Hash::Sha256.digest(&[b"seed"]);
        let run = |len: usize| {
            encrypt(
                Hash::Sha256,
                &modulus,
                b"L\0",
                &vec![1; len],
                &seed,
                &mut [0; MODULUS],
            )
        };
        assert!(run(256 - 2 - 64).is_some());
        assert!(run(256 - 1 - 64).is_none());
    }
}
