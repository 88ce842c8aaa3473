//! P-256: its two prime fields, and the one point operation that checking a signature takes.
//!
//! # Why not the `p256` crate
//!
//! It is made for speed and for secrets: unrolled multiplications of its own for each field, a windowed
//! ladder, constant-time inversion, point decompression. Linked in, it takes 14.3 KB of the flash of a
//! Cortex-M4, almost a third of the image; this module and [`ecdsa`](super::ecdsa) take 3.2 KB. What
//! is checked here (a public key, a signature, the hash of a message) is all public, so nothing needs to take the
//! same time for all values. The integers and their Montgomery arithmetic are crypto-bigint's, on
//! which `p256` stands, too; ours is the formula. The tests compare with `p256`.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U256, const_monty_params};

const_monty_params!(
    FieldPrime,
    U256,
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "The prime p of the coordinates (SP 800-186 section 3.2.1.3)."
);
const_monty_params!(
    GroupOrder,
    U256,
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "The prime n, order of the group and modulus of the scalars (SP 800-186 section 3.2.1.3)."
);

/// A coordinate: an integer modulo p.
pub(super) type Coordinate = ConstMontyForm<FieldPrime, { U256::LIMBS }>;
/// A scalar: an integer modulo n.
pub(super) type Scalar = ConstMontyForm<GroupOrder, { U256::LIMBS }>;

/// p.
pub(super) const P: &U256 = FieldPrime::PARAMS.modulus().as_ref();
/// n.
pub(super) const N: &U256 = GroupOrder::PARAMS.modulus().as_ref();

/// The curve is y² = x³ - 3x + b.
static B: Coordinate = constant("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b");

/// The base point G.
pub(super) static GENERATOR: Point = Point {
    x: constant("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
    y: constant("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    z: Coordinate::ONE,
};

const fn constant(hex: &str) -> Coordinate {
    Coordinate::new(&U256::from_be_hex(hex))
}

/// A point (x/z, y/z) of the curve; z is 0 for the point at infinity, the group's neutral element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: Coordinate,
    pub(super) y: Coordinate,
    pub(super) z: Coordinate,
}

impl Point {
    /// The neutral element.
    pub(super) const INFINITY: Self = Self {
        x: Coordinate::ZERO,
        y: Coordinate::ONE,
        z: Coordinate::ZERO,
    };

    /// The point with these coordinates, 32 bytes each, big-endian; `None` when a coordinate isn't below p or the
    /// point isn't on the curve.
    ///
    /// The group's order is prime and its cofactor 1, so a point on the curve is in the group; and
    /// the point at infinity has no such coordinates.
    pub(super) fn from_affine(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let (x, y) = (U256::from_be_slice(x), U256::from_be_slice(y));
        if x >= *P || y >= *P {
            return None;
        }
        let (x, y) = (Coordinate::new(&x), Coordinate::new(&y));
        let cube = mul(&mul(&x, &x), &x);
        let right = add(&sub(&cube, &triple(&x)), &B);
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
    /// there is no case to forget, and doubling needs no code of its own. It takes 14
    /// multiplications where special formulas take 8; a verification is 0.2 s of a login that takes seconds.
    #[inline(never)]
    pub(super) fn add(&mut self, other: &Self) {
        let xx = mul(&self.x, &other.x);
        let yy = mul(&self.y, &other.y);
        let zz = mul(&self.z, &other.z);
        // a1·b2 + a2·b1, out of the products a1·a2 and b1·b2 that are there already.
        let cross = |a1, b1, a2, b2, aa, bb| sub(&mul(&add(a1, b1), &add(a2, b2)), &add(aa, bb));
        let xy = cross(&self.x, &self.y, &other.x, &other.y, &xx, &yy);
        let yz = cross(&self.y, &self.z, &other.y, &other.z, &yy, &zz);
        let xz = cross(&self.x, &self.z, &other.x, &other.z, &xx, &zz);

        let zz3 = triple(&zz);
        let u = triple(&sub(&xz, &mul(&B, &zz)));
        let v = triple(&sub(&mul(&B, &xz), &add(&zz3, &xx)));
        let w = sub(&triple(&xx), &zz3);
        let (minus, plus) = (sub(&yy, &u), add(&yy, &u));

        self.x = sub(&mul(&plus, &xy), &mul(&yz, &v));
        self.y = add(&mul(&plus, &minus), &mul(&w, &v));
        self.z = add(&mul(&minus, &yz), &mul(&xy, &w));
    }
}

// Not inlined: some sixty calls, each of which would carry the modulus along.

#[inline(never)]
pub(super) fn mul(a: &Coordinate, b: &Coordinate) -> Coordinate {
    a.mul(b)
}

#[inline(never)]
fn add(a: &Coordinate, b: &Coordinate) -> Coordinate {
    a.add(b)
}

#[inline(never)]
fn sub(a: &Coordinate, b: &Coordinate) -> Coordinate {
    a.sub(b)
}

fn triple(a: &Coordinate) -> Coordinate {
    add(&add(a, a), a)
}
