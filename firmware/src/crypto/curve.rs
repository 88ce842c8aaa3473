//! P-256 and P-384: their prime fields, the one point operation that everything takes, and multiplication by a secret.
//!
//! # Why not the `p256` and `p384` crates
//!
//! They are made for speed: unrolled multiplications of their own for each field, windowed ladders, point decompression.
//! Linked in, `p256` alone takes 14.3 KB of the flash of a Cortex-M4, this module a fraction of it for both curves. The
//! integers and their Montgomery arithmetic are crypto-bigint's, on which those crates stand, too, and which takes the same
//! time for all values; ours is the formula, which has no case to tell apart. The tests compare with `p256` and `p384`.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U256, Uint, const_monty_params};

const_monty_params!(
    P256Prime,
    U256,
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "The prime p of P-256's coordinates (SP 800-186 section 3.2.1.3)."
);
const_monty_params!(
    P256Order,
    U256,
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "The prime n, order of P-256's group and modulus of its scalars (SP 800-186 section 3.2.1.3)."
);

/// A curve y² = x³ - 3x + b over a prime field, whose group has prime order: cofactor 1, so that every point on it is in
/// the group.
pub(crate) trait Curve<const L: usize>: ConstMontyParams<L> {
    /// b.
    const B: ConstMontyForm<Self, L>;
    /// The base point G.
    const GENERATOR: Point<Self, L>;
}

impl Curve<{ U256::LIMBS }> for P256Prime {
    const B: Coordinate<Self, { U256::LIMBS }> = Coordinate::new(&U256::from_be_hex(
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    ));
    const GENERATOR: Point<Self, { U256::LIMBS }> = Point {
        x: Coordinate::new(&U256::from_be_hex(
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        )),
        y: Coordinate::new(&U256::from_be_hex(
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        )),
        z: Coordinate::ONE,
    };
}

/// A coordinate: an integer modulo the curve's prime.
pub(crate) type Coordinate<C, const L: usize> = ConstMontyForm<C, L>;
/// A point of P-256.
pub(crate) type P256Point = Point<P256Prime, { U256::LIMBS }>;
/// A coordinate of P-256.
pub(crate) type P256Coordinate = Coordinate<P256Prime, { U256::LIMBS }>;
/// A scalar of P-256: an integer modulo n.
pub(crate) type P256Scalar = ConstMontyForm<P256Order, { U256::LIMBS }>;

/// p of P-256.
pub(crate) const P256_P: &U256 = P256Prime::PARAMS.modulus().as_ref();
/// n of P-256.
pub(crate) const P256_N: &U256 = P256Order::PARAMS.modulus().as_ref();

/// A point (x/z, y/z) of the curve; z is 0 for the point at infinity, the group's neutral element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point<C: ConstMontyParams<L>, const L: usize> {
    pub(crate) x: Coordinate<C, L>,
    pub(crate) y: Coordinate<C, L>,
    pub(crate) z: Coordinate<C, L>,
}

impl<C: Curve<L>, const L: usize> Point<C, L> {
    /// The neutral element.
    pub(crate) const INFINITY: Self = Self {
        x: Coordinate::ZERO,
        y: Coordinate::ONE,
        z: Coordinate::ZERO,
    };

    /// The point with these coordinates; `None` when a coordinate isn't below p or the point isn't on the curve. The
    /// point at infinity has no such coordinates.
    pub(crate) fn from_affine(x: &Uint<L>, y: &Uint<L>) -> Option<Self> {
        let p = C::PARAMS.modulus();
        if x >= p.as_ref() || y >= p.as_ref() {
            return None;
        }
        let (x, y) = (Coordinate::new(x), Coordinate::new(y));
        let cube = mul(&mul(&x, &x), &x);
        let right = add(&sub(&cube, &triple(&x)), &C::B);
        (mul(&y, &y) == right).then_some(Self {
            x,
            y,
            z: Coordinate::ONE,
        })
    }

    /// Adds `other`.
    ///
    /// The complete formula for a = -3 of Renes, Costello and Batina ("Complete addition formulas for prime
    /// order elliptic curves", 2015, algorithm 4): right for every two points, equal, opposite or at infinity, so
    /// there is no case to forget and none that a secret could decide, and doubling needs no code of its own. It takes 14
    /// multiplications where special formulas take 8; a verification is 0.2 s of a login that takes seconds.
    #[inline(never)]
    pub(crate) fn add(&mut self, other: &Self) {
        let xx = mul(&self.x, &other.x);
        let yy = mul(&self.y, &other.y);
        let zz = mul(&self.z, &other.z);
        // a1·b2 + a2·b1, out of the products a1·a2 and b1·b2 that are there already.
        let cross = |a1, b1, a2, b2, aa, bb| sub(&mul(&add(a1, b1), &add(a2, b2)), &add(aa, bb));
        let xy = cross(&self.x, &self.y, &other.x, &other.y, &xx, &yy);
        let yz = cross(&self.y, &self.z, &other.y, &other.z, &yy, &zz);
        let xz = cross(&self.x, &self.z, &other.x, &other.z, &xx, &zz);

        let zz3 = triple(&zz);
        let u = triple(&sub(&xz, &mul(&C::B, &zz)));
        let v = triple(&sub(&mul(&C::B, &xz), &add(&zz3, &xx)));
        let w = sub(&triple(&xx), &zz3);
        let (minus, plus) = (sub(&yy, &u), add(&yy, &u));

        self.x = sub(&mul(&plus, &xy), &mul(&yz, &v));
        self.y = add(&mul(&plus, &minus), &mul(&w, &v));
        self.z = add(&mul(&minus, &yz), &mul(&xy, &w));
    }
}

// Not inlined: some sixty calls, each of which would carry the modulus along.

#[inline(never)]
pub(crate) fn mul<C: ConstMontyParams<L>, const L: usize>(
    a: &Coordinate<C, L>,
    b: &Coordinate<C, L>,
) -> Coordinate<C, L> {
    a.mul(b)
}

#[inline(never)]
fn add<C: ConstMontyParams<L>, const L: usize>(
    a: &Coordinate<C, L>,
    b: &Coordinate<C, L>,
) -> Coordinate<C, L> {
    a.add(b)
}

#[inline(never)]
fn sub<C: ConstMontyParams<L>, const L: usize>(
    a: &Coordinate<C, L>,
    b: &Coordinate<C, L>,
) -> Coordinate<C, L> {
    a.sub(b)
}

fn triple<C: ConstMontyParams<L>, const L: usize>(a: &Coordinate<C, L>) -> Coordinate<C, L> {
    add(&add(a, a), a)
}

/// The inverse of an integer other than 0 modulo a prime: its power to p - 2 (Fermat). In variable time as to the
/// exponent alone, which is public.
pub(crate) fn invert<C: ConstMontyParams<L>, const L: usize>(
    a: &Coordinate<C, L>,
) -> Coordinate<C, L> {
    let exponent = C::PARAMS.modulus().as_ref().wrapping_sub(&Uint::from_u8(2));
    let mut power = Coordinate::ONE;
    for bit in (0..Uint::<L>::BITS).rev() {
        power = mul(&power, &power);
        if exponent.bit_vartime(bit) {
            power = mul(&power, a);
        }
    }
    power
}
