//! ECDSA over P-256 with SHA-256 (FIPS 186-5 section 6.4.1), by a key of the node's own. In the same time for every secret.

use crypto_bigint::U256;
use zeroize::Zeroize;

use super::curve::{Curve, P256_N, P256Point, P256Prime, P256Scalar, invert};
use super::ecdh::{MAX_FIELD, affine, multiply, put};
use crate::entropy::Drbg;

/// Bytes of a scalar and of a coordinate.
const LEN: usize = 32;

/// The public half of `secret`, an uncompressed SEC1 point; `None` when the secret is not from 1 to n - 1.
pub(crate) fn public(secret: &[u8; LEN]) -> Option<[u8; 65]> {
    let [x, y] = times_generator(secret)?;
    let mut point = [4; 65];
    let (to_x, to_y) = point.get_mut(1..)?.split_at_mut(LEN);
    to_x.copy_from_slice(&x);
    to_y.copy_from_slice(&y);
    Some(point)
}

/// Signs `digest`: r and s. `None` when the secret is not from 1 to n - 1.
///
/// The nonce is the one of RFC 6979 (section 3.2), made of key and digest: a generator that fails, or that somebody else
/// feeds, cannot give the key away by repeating one.
pub(crate) fn sign(secret: &[u8; LEN], digest: &[u8; LEN]) -> Option<[u8; 64]> {
    let mut x = legal(secret)?;
    let h = P256Scalar::new(&U256::from_be_slice(digest));
    // Its generator is HMAC_DRBG, with key and reduced digest as entropy.
    let mut reduced = [0; MAX_FIELD];
    put(&h.retrieve(), &mut reduced);
    let mut nonces = Drbg::new();
    nonces.stir(&[secret, reduced.get(..LEN)?]);
    let mut nonce = [0; LEN];
    // A nonce out of range, or one that gives a zero, is as likely as a guess at the key: the loop ends before it matters.
    let signed = (0..8).find_map(|_| {
        nonces.fill(&mut nonce);
        let mut k = legal(&nonce)?;
        let [x1, _] = times_generator(&nonce)?;
        let r = P256Scalar::new(&U256::from_be_slice(&x1));
        let s = invert(&k).mul(&h.add(&r.mul(&x)));
        k.as_montgomery_mut().zeroize();
        let (r, s) = (r.retrieve(), s.retrieve());
        (r != U256::ZERO && s != U256::ZERO).then_some([r, s])
    });
    nonce.zeroize();
    x.as_montgomery_mut().zeroize();
    let mut signature = [0; 64];
    for (half, number) in signature.chunks_exact_mut(LEN).zip(signed?) {
        let mut bytes = [0; MAX_FIELD];
        put(&number, &mut bytes);
        half.copy_from_slice(bytes.get(..LEN)?);
    }
    Some(signature)
}

/// Whether a number is a scalar: from 1 to n - 1.
pub(crate) fn is_scalar(number: &[u8; LEN]) -> bool {
    let Some(mut scalar) = legal(number) else {
        return false;
    };
    scalar.as_montgomery_mut().zeroize();
    true
}

/// The scalar, if it is from 1 to n - 1.
fn legal(scalar: &[u8; LEN]) -> Option<P256Scalar> {
    let mut number = U256::from_be_slice(scalar);
    // That a scalar is refused says nothing of the one that takes its place.
    let is_legal = number != U256::ZERO && number < *P256_N;
    let scalar = P256Scalar::new(&number);
    number.zeroize();
    is_legal.then_some(scalar)
}

/// x and y of the scalar's multiple of the base point.
fn times_generator(scalar: &[u8; LEN]) -> Option<[[u8; LEN]; 2]> {
    if !is_scalar(scalar) {
        return None;
    }
    let mut point: P256Point = P256Prime::GENERATOR;
    multiply(&mut point, scalar);
    let coordinates = affine(&point).map(|number| {
        let mut bytes = [0; MAX_FIELD];
        put(&number, &mut bytes);
        let mut coordinate = [0; LEN];
        for (to, from) in coordinate.iter_mut().zip(bytes) {
            *to = from;
        }
        coordinate
    });
    Some(coordinates)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

    use p256::ecdsa::signature::hazmat::PrehashSigner;
    use p256::ecdsa::{Signature, SigningKey};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// RFC 6979 leaves no choice: both must make the same bytes.
        #[test]
        fn signs_as_the_crate_of_the_curve_does(secret: [u8; 32], digest: [u8; 32]) {
            let theirs = SigningKey::from_slice(&secret);
            prop_assume!(theirs.is_ok());
            let theirs = theirs.unwrap();
            let signature: Signature = theirs.sign_prehash(&digest).unwrap();
            let ours = sign(&secret, &digest).unwrap();
            let signature: [u8; 64] = signature.to_bytes().into();
            prop_assert_eq!(ours, signature);
            let point = theirs.verifying_key().to_sec1_point(false);
            let public = public(&secret).unwrap();
            prop_assert_eq!(public.as_slice(), point.as_bytes());
        }
    }

    /// RFC 6979 A.2.5, P-256 with SHA-256, message "sample".
    #[test]
    fn a_published_signature_comes_out() {
        let hex = |text: &str| -> Vec<u8> {
            let pairs = (0..text.len()).step_by(2);
            pairs
                .map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap())
                .collect()
        };
        let secret = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
        let digest = hex("AF2BDBE1AA9B6EC1E2ADE1D694F41FC71A831D0268E9891562113D8A62ADD1BF");
        let signature = sign(
            secret.as_slice().try_into().unwrap(),
            digest.as_slice().try_into().unwrap(),
        );
        let expected = hex(
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        );
        assert_eq!(signature.unwrap().as_slice(), expected);
    }

    #[test]
    fn a_secret_out_of_range_is_refused() {
        let n = p256_order();
        let mut below = n;
        below[31] -= 1;
        for (secret, is_legal) in [
            ([0; 32], false),
            (n, false),
            ([0xFF; 32], false),
            (below, true),
        ] {
            assert_eq!(public(&secret).is_some(), is_legal);
            assert_eq!(sign(&secret, &[7; 32]).is_some(), is_legal);
        }
    }

    fn p256_order() -> [u8; 32] {
        let mut bytes = [0; MAX_FIELD];
        put(P256_N, &mut bytes);
        *bytes.first_chunk().unwrap()
    }
}
