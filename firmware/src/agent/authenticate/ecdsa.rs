//! ECDSA verification over P-256 (FIPS 186-5 section 6.4.2), in variable time: everything it sees is public.

use crypto_bigint::U256;

use crate::crypto::curve::{
    Curve, P256_N, P256_P, P256Coordinate, P256Point, P256Prime, P256Scalar, invert, mul,
};

/// Whether `r` and `s`, 32 bytes each, big-endian, sign `digest` under `key`.
///
/// `s` above n/2 is accepted: a transcript holds the signature's bytes, so nothing depends on there being
/// one signature only.
pub(super) fn verify(key: &P256Point, digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
    let (r, s) = (U256::from_be_slice(r), U256::from_be_slice(s));
    if !in_range(&r) || !in_range(&s) {
        return false;
    }
    let w = invert(&P256Scalar::new(&s));
    // The digest has as many bits as n, so all of them count; `new` reduces it.
    let u1 = P256Scalar::new(&U256::from_be_slice(digest))
        .mul(&w)
        .retrieve();
    let u2 = P256Scalar::new(&r).mul(&w).retrieve();

    // u1·G + u2·Q, both ladders in one (Shamir's trick).
    const GENERATOR: P256Point = P256Prime::GENERATOR;
    let mut both = GENERATOR;
    both.add(key);
    let mut sum = P256Point::INFINITY;
    for bit in (0..U256::BITS).rev() {
        let twice = sum;
        sum.add(&twice);
        let next = match (u1.bit_vartime(bit), u2.bit_vartime(bit)) {
            (true, true) => &both,
            (true, false) => &GENERATOR,
            (false, true) => key,
            (false, false) => continue,
        };
        sum.add(next);
    }
    // The point at infinity has no x. Below, 0 = r·0 would hold for any r.
    if sum.z == P256Coordinate::ZERO {
        return false;
    }
    // r must be x = sum.x / sum.z modulo n. x is below p, which is less than 2n, so x is r or r + n. Compared
    // as r·z = sum.x, since a division would cost another exponentiation.
    let is_x = |x: &U256| mul(&P256Coordinate::new(x), &sum.z) == sum.x;
    is_x(&r) || (r < P256_P.wrapping_sub(P256_N) && is_x(&r.wrapping_add(P256_N)))
}

/// 0 < `x` < n.
fn in_range(x: &U256) -> bool {
    *x != U256::ZERO && x < P256_N
}
