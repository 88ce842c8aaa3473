//! ECDH over P-256 and P-384 (SP 800-56A section 5.7.1.2) with a scalar that is used once.

use crypto_bigint::modular::ConstMontyParams;
use crypto_bigint::{Choice, CtAssign, CtEq, U384, Uint, const_monty_params};
use zeroize::Zeroize;

use super::curve::{Coordinate, Curve, P256_N, P256Prime, Point, invert, mul};

const_monty_params!(
    P384Prime,
    U384,
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    "The prime p of P-384's coordinates (SP 800-186 section 3.2.1.4)."
);

/// n of P-384 (SP 800-186 section 3.2.1.4).
const P384_N: U384 = U384::from_be_hex(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
);

impl Curve<{ U384::LIMBS }> for P384Prime {
    const B: Coordinate<Self, { U384::LIMBS }> = Coordinate::new(&U384::from_be_hex(
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    ));
    const GENERATOR: Point<Self, { U384::LIMBS }> = Point {
        x: Coordinate::new(&U384::from_be_hex(
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
        )),
        y: Coordinate::new(&U384::from_be_hex(
            "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        )),
        z: Coordinate::ONE,
    };
}

/// Longest coordinate and scalar: P-384.
pub(crate) const MAX_FIELD: usize = 48;

/// A curve for which there is a key agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ecdh {
    P256,
    P384,
}

/// What a key agreement gives: our public point, and x of the shared one. Numbers are big-endian, as long as the field, at
/// the front of their arrays. Wiped when dropped.
pub(crate) struct Agreed {
    pub(crate) x: [u8; MAX_FIELD],
    pub(crate) y: [u8; MAX_FIELD],
    pub(crate) shared: [u8; MAX_FIELD],
}

impl Drop for Agreed {
    fn drop(&mut self) {
        self.shared.zeroize();
    }
}

impl Ecdh {
    /// Bytes of a coordinate and of a scalar.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    /// Agrees with the owner of the point `their`, coordinates of at most [`len`](Self::len) bytes; `scalar` is of exactly
    /// that length. `None` when the scalar is not from 1 to n - 1, or the point is not on the curve.
    pub(crate) fn agree(self, scalar: &[u8], their: [&[u8]; 2]) -> Option<Agreed> {
        match self {
            Self::P256 => agree::<P256Prime, _>(P256_N, scalar, their),
            Self::P384 => agree::<P384Prime, _>(&P384_N, scalar, their),
        }
    }
}

fn agree<C: Curve<L>, const L: usize>(
    order: &Uint<L>,
    scalar: &[u8],
    their: [&[u8]; 2],
) -> Option<Agreed> {
    let mut k = number::<L>(scalar)?;
    // That a scalar is refused says nothing of the one that takes its place.
    let is_legal = k != Uint::ZERO && k < *order;
    k.zeroize();
    let [x, y] = their;
    let their = Point::<C, L>::from_affine(&number(x)?, &number(y)?)?;
    if !is_legal {
        return None;
    }
    let mut agreed = Agreed {
        x: [0; MAX_FIELD],
        y: [0; MAX_FIELD],
        shared: [0; MAX_FIELD],
    };
    let mut ours = C::GENERATOR;
    multiply(&mut ours, scalar);
    let [x, y] = affine(&ours);
    put(&x, &mut agreed.x);
    put(&y, &mut agreed.y);
    let mut shared = their;
    multiply(&mut shared, scalar);
    let [mut x, _] = affine(&shared);
    put(&x, &mut agreed.shared);
    x.zeroize();
    wipe(&mut shared);
    Some(agreed)
}

/// Multiplies by a secret scalar, in the same time for every one: two doublings and one addition for every two bits, of one
/// of four points that all are read.
#[inline(never)]
pub(super) fn multiply<C: Curve<L>, const L: usize>(point: &mut Point<C, L>, scalar: &[u8]) {
    let mut twice = *point;
    twice.add(point);
    let mut thrice = twice;
    thrice.add(point);
    let multiples = [Point::INFINITY, *point, twice, thrice];
    let mut sum = Point::INFINITY;
    let mut chosen = Point::INFINITY;
    for byte in scalar {
        for shift in [6, 4, 2, 0] {
            for _ in 0..2 {
                let same = sum;
                sum.add(&same);
            }
            for (number, multiple) in (0u8..).zip(&multiples) {
                let is_it = (byte >> shift & 3).ct_eq(&number);
                assign(&mut chosen, multiple, is_it);
            }
            sum.add(&chosen);
        }
    }
    *point = sum;
    wipe(&mut sum);
    wipe(&mut chosen);
}

fn assign<C: ConstMontyParams<L>, const L: usize>(
    to: &mut Point<C, L>,
    from: &Point<C, L>,
    choice: Choice,
) {
    to.x.ct_assign(&from.x, choice);
    to.y.ct_assign(&from.y, choice);
    to.z.ct_assign(&from.z, choice);
}

fn wipe<C: ConstMontyParams<L>, const L: usize>(point: &mut Point<C, L>) {
    point.x.as_montgomery_mut().zeroize();
    point.y.as_montgomery_mut().zeroize();
    point.z.as_montgomery_mut().zeroize();
}

/// x and y of a point other than that at infinity.
pub(super) fn affine<C: Curve<L>, const L: usize>(point: &Point<C, L>) -> [Uint<L>; 2] {
    let z = invert(&point.z);
    [&point.x, &point.y].map(|number| mul(number, &z).retrieve())
}

/// A big-endian number; `None` for one that is longer than the field. A TPM may leave out leading zeros.
fn number<const L: usize>(bytes: &[u8]) -> Option<Uint<L>> {
    let mut whole = [0; MAX_FIELD];
    let whole = whole.get_mut(..Uint::<L>::BITS as usize / 8)?;
    let start = whole.len().checked_sub(bytes.len())?;
    whole.get_mut(start..)?.copy_from_slice(bytes);
    let number = Uint::from_be_slice(whole);
    whole.zeroize();
    Some(number)
}

/// Puts a number at the front of `out`, big-endian, all of its bytes.
pub(super) fn put<const L: usize>(number: &Uint<L>, out: &mut [u8; MAX_FIELD]) {
    const LIMB: usize = size_of::<crypto_bigint::Word>();
    for (to, limb) in out
        .chunks_exact_mut(LIMB)
        .zip(number.as_words().iter().rev())
    {
        to.copy_from_slice(&limb.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "tests stop at the first surprise"
    )]

    use p256::elliptic_curve::sec1::ToSec1Point;
    use proptest::prelude::*;

    use super::*;

    /// The same agreement by RustCrypto's own curves: our point, and x of the shared one.
    macro_rules! theirs {
        ($curve:ident, $scalar:expr, $other:expr) => {{
            let secret = $curve::SecretKey::from_slice($scalar).unwrap();
            let other = $curve::SecretKey::from_slice($other).unwrap();
            let public = secret.public_key().to_sec1_point(false);
            let their = other.public_key().to_sec1_point(false);
            let shared = $curve::ecdh::diffie_hellman(
                other.to_nonzero_scalar(),
                secret.public_key().as_affine(),
            );
            (public, their, shared)
        }};
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn agrees_with_the_crates_of_both_curves(scalar: [u8; 32], other: [u8; 32], wide: [u8; 16]) {
            let legal = p256::SecretKey::from_slice(&scalar).is_ok()
                && p256::SecretKey::from_slice(&other).is_ok();
            prop_assume!(legal);
            let (public, their, shared) = theirs!(p256, &scalar, &other);
            let [x, y] = [&their.as_bytes()[1..33], &their.as_bytes()[33..]];
            let agreed = Ecdh::P256.agree(&scalar, [x, y]).unwrap();
            prop_assert_eq!(&agreed.x[..32], &public.as_bytes()[1..33]);
            prop_assert_eq!(&agreed.y[..32], &public.as_bytes()[33..]);
            prop_assert_eq!(&agreed.shared[..32], &shared.raw_secret_bytes()[..]);

            let scalar = [&scalar[..], &wide].concat();
            let other = [&wide[..], &other].concat();
            prop_assume!(p384::SecretKey::from_slice(&scalar).is_ok() && p384::SecretKey::from_slice(&other).is_ok());
            let (public, their, shared) = theirs!(p384, &scalar, &other);
            let [x, y] = [&their.as_bytes()[1..49], &their.as_bytes()[49..]];
            let agreed = Ecdh::P384.agree(&scalar, [x, y]).unwrap();
            prop_assert_eq!(&agreed.x[..], &public.as_bytes()[1..49]);
            prop_assert_eq!(&agreed.y[..], &public.as_bytes()[49..]);
            prop_assert_eq!(&agreed.shared[..], &shared.raw_secret_bytes()[..]);
        }
    }

    fn base() -> [Vec<u8>; 2] {
        let one = [&[0; 31][..], &[1]].concat();
        let secret = p256::SecretKey::from_slice(&one).unwrap();
        let point = secret.public_key().to_sec1_point(false);
        [
            point.as_bytes()[1..33].to_vec(),
            point.as_bytes()[33..].to_vec(),
        ]
    }

    #[test]
    fn a_scalar_out_of_range_is_refused_and_the_ones_at_its_edges_are_not() {
        let [x, y] = base();
        let mut n = [0; MAX_FIELD];
        put(P256_N, &mut n);
        let n = &n[..32];
        let mut below = n.to_vec();
        below[31] -= 1;
        let one = [&[0; 31][..], &[1]].concat();
        let agree = |scalar: &[u8]| Ecdh::P256.agree(scalar, [&x, &y]);
        assert!(agree(&[0; 32]).is_none());
        assert!(agree(n).is_none());
        assert!(agree(&[0xFF; 32]).is_none());
        assert_eq!(agree(&one).unwrap().shared[..32], x);
        // n - 1 times a point is its opposite, with the same x.
        let opposite = agree(&below).unwrap();
        assert_eq!(opposite.shared[..32], x);
        assert_ne!(opposite.y[..32], y);
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let [x, y] = base();
        let scalar = [7; 32];
        let mut off = y.clone();
        off[31] ^= 1;
        assert!(Ecdh::P256.agree(&scalar, [&x, &off]).is_none());
        assert!(Ecdh::P256.agree(&scalar, [&[], &[]]).is_none());
        let long = [&[0][..], &x].concat();
        assert!(Ecdh::P256.agree(&scalar, [&long, &y]).is_none());
        assert!(Ecdh::P384.agree(&[7; 48], [&x, &y]).is_none());
        assert!(Ecdh::P256.agree(&scalar, [&x, &y]).is_some());
    }
}
