//! The agent's own ECDSA against the `p256` crate, at random and where implementations are known to go wrong.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise, and fixed inputs are in range"
)]

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::ff::PrimeField;
use p256::elliptic_curve::group::Group;
use p256::elliptic_curve::ops::Reduce;
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, U256};
use proptest::prelude::*;

use super::{PinnedKey, UntrustedVerifier, ecdsa};

/// n, big-endian.
const N: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6,
    0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
];
/// p, big-endian.
const P: [u8; 32] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
];

fn sec1(point: &ProjectivePoint) -> [u8; 65] {
    let point = point.to_affine();
    let mut out = [4; 65];
    out[1..33].copy_from_slice(&point.x());
    out[33..].copy_from_slice(&point.y());
    out
}

fn ours(key: &[u8], digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
    let key = PinnedKey::from_sec1(key).unwrap().point().unwrap();
    ecdsa::verify(&key, digest, r, s)
}

fn theirs(key: &[u8], digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(key).unwrap();
    Signature::from_scalars(*r, *s)
        .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
}

/// Both must say the same; what they say.
fn agreed(key: &[u8], digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> bool {
    let (ours, theirs) = (ours(key, digest, r, s), theirs(key, digest, r, s));
    assert_eq!(
        ours, theirs,
        "key {key:02x?} digest {digest:02x?} r {r:02x?} s {s:02x?}"
    );
    ours
}

fn signed(key: &SigningKey, digest: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    let signature: Signature = key.sign_prehash(digest).unwrap();
    let (r, s) = signature.split_bytes();
    (r.into(), s.into())
}

/// x of a point, modulo n.
fn r_of(point: &ProjectivePoint) -> Scalar {
    <Scalar as Reduce<FieldBytes>>::reduce(&point.to_affine().x())
}

fn scalar(value: u64) -> Scalar {
    Scalar::from(value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agrees_with_p256(seed: [u8; 32], digest: [u8; 32], flip in 0..96usize * 8) {
        let Ok(key) = SigningKey::from_slice(&seed) else { return Ok(()) };
        let public = sec1(&key.verifying_key().as_affine().into());
        let (r, s) = signed(&key, &digest);
        prop_assert!(agreed(&public, &digest, &r, &s));
        let mut fields = [digest, r, s];
        fields.as_flattened_mut()[flip / 8] ^= 1 << (flip % 8);
        let [digest, r, s] = fields;
        prop_assert!(!agreed(&public, &digest, &r, &s));
    }

    #[test]
    fn agrees_with_p256_on_any_numbers(seed: [u8; 32], digest: [u8; 32], r: [u8; 32], s: [u8; 32]) {
        let Ok(key) = SigningKey::from_slice(&seed) else { return Ok(()) };
        let public = sec1(&key.verifying_key().as_affine().into());
        prop_assert!(!agreed(&public, &digest, &r, &s));
    }

    #[test]
    fn agrees_with_p256_on_which_points_are_on_the_curve(mut point: [u8; 65], exact: bool) {
        if exact {
            point[0] = 4;
        }
        prop_assert_eq!(
            PinnedKey::from_sec1(&point).is_ok(),
            VerifyingKey::from_sec1_bytes(&point).is_ok()
        );
    }
}

#[test]
fn keys_with_special_relations_to_the_base_point_are_handled() {
    // Sum and doublings then meet equal and opposite points and the point at infinity.
    let half = scalar(2).invert().unwrap();
    for d in [scalar(1), scalar(2), scalar(3), half, scalar(5)]
        .into_iter()
        .flat_map(|d| [d, -d])
    {
        let key = SigningKey::from_bytes(&d.to_repr()).unwrap();
        let public = sec1(&(ProjectivePoint::GENERATOR * d));
        for digest in [[0; 32], [1; 32], [0xFF; 32], N, P] {
            let (r, s) = signed(&key, &digest);
            assert!(agreed(&public, &digest, &r, &s));
            assert!(!agreed(&public, &[0x55; 32], &r, &s));
        }
    }
}

#[test]
fn every_small_pair_of_multipliers_is_computed_right() {
    // With s = 1 the sum is e·G + r·Q; R is chosen, and Q made to fit.
    for k in 1..=8u64 {
        for e in 0..=8u64 {
            let point = ProjectivePoint::GENERATOR * scalar(k);
            let r = r_of(&point);
            let key = (point - ProjectivePoint::GENERATOR * scalar(e)) * r.invert().unwrap();
            if bool::from(key.is_identity()) {
                continue;
            }
            let digest = scalar(e).to_repr().into();
            let one = Scalar::ONE.to_repr().into();
            assert!(
                agreed(&sec1(&key), &digest, &r.to_repr().into(), &one),
                "{k} {e}"
            );
        }
    }
}

#[test]
fn an_x_above_the_order_is_reduced() {
    // Coordinates between n and p are so rare (2^-32) that only a chosen point has one.
    let n = U256::from_be_slice(&N);
    let (r, point) = (1u64..)
        .find_map(|r| {
            let x = n.wrapping_add(&U256::from_u64(r)).to_be_bytes();
            let point: Option<AffinePoint> = AffinePoint::decompress(
                &FieldBytes::from(<[u8; 32]>::try_from(x.as_ref()).unwrap()),
                0.into(),
            )
            .into();
            point.map(|point| (scalar(r), ProjectivePoint::from(point)))
        })
        .unwrap();
    let key = (point - ProjectivePoint::GENERATOR * scalar(7)) * r.invert().unwrap();
    let digest = scalar(7).to_repr().into();
    let one = Scalar::ONE.to_repr().into();
    assert!(agreed(&sec1(&key), &digest, &r.to_repr().into(), &one));
    // r + 1 is no such x.
    let other = (r + Scalar::ONE).to_repr().into();
    assert!(!agreed(&sec1(&key), &digest, &other, &one));
}

#[test]
fn a_sum_at_infinity_is_refused_for_every_r() {
    // u1·G = -u2·Q: then there is no x to compare with, and 0 must not pass for one.
    let d = scalar(0x1234_5678);
    let public = sec1(&(ProjectivePoint::GENERATOR * d));
    for r in [scalar(1), scalar(2), -scalar(1), d] {
        let digest = (-(r * d)).to_repr().into();
        let one = Scalar::ONE.to_repr().into();
        assert!(!agreed(&public, &digest, &r.to_repr().into(), &one));
    }
}

#[test]
fn r_and_s_must_lie_between_zero_and_the_order() {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let public = sec1(&key.verifying_key().as_affine().into());
    let digest = [9; 32];
    let (r, s) = signed(&key, &digest);
    assert!(agreed(&public, &digest, &r, &s));
    for bad in [[0; 32], N, P, [0xFF; 32]] {
        assert!(!agreed(&public, &digest, &bad, &s));
        assert!(!agreed(&public, &digest, &r, &bad));
        assert!(!agreed(&public, &digest, &bad, &bad));
    }
}

#[test]
fn r_plus_the_order_is_not_r() {
    // s + n and r + n fit 32 bytes only for small values, so they are made small.
    let r = r_of(&ProjectivePoint::GENERATOR);
    let one: [u8; 32] = Scalar::ONE.to_repr().into();
    let key = ProjectivePoint::GENERATOR * r.invert().unwrap();
    assert!(agreed(&sec1(&key), &[0; 32], &r.to_repr().into(), &one));
    let mut more = N;
    more[31] += 1;
    assert!(
        !agreed(&sec1(&key), &[0; 32], &r.to_repr().into(), &more),
        "1 + n is not 1"
    );
}

#[test]
fn both_values_of_s_are_accepted() {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let public = sec1(&key.verifying_key().as_affine().into());
    let (r, s) = signed(&key, &[9; 32]);
    let other = (-Scalar::from_repr(s.into()).unwrap()).to_repr().into();
    assert!(agreed(&public, &[9; 32], &r, &s));
    assert!(agreed(&public, &[9; 32], &r, &other));
}

#[test]
fn a_digest_above_the_order_is_reduced() {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let public = sec1(&key.verifying_key().as_affine().into());
    let (r, s) = signed(&key, &[0; 32]);
    assert!(agreed(&public, &N, &r, &s), "n is 0");
    let mut one_more = N;
    one_more[31] += 1;
    assert!(!agreed(&public, &one_more, &r, &s));
}

#[test]
fn a_key_must_be_a_whole_uncompressed_point_of_the_curve() {
    let point = ProjectivePoint::GENERATOR * scalar(99);
    let good = sec1(&point);
    assert!(PinnedKey::from_sec1(&good).is_ok());
    let refused = |bytes: &[u8]| {
        assert_eq!(
            PinnedKey::from_sec1(bytes).err(),
            Some(UntrustedVerifier),
            "{bytes:02x?}"
        );
    };
    for len in 0..good.len() {
        refused(&good[..len]);
    }
    refused(&[good.as_slice(), &[0]].concat());
    for tag in (0..=255).filter(|tag| *tag != 4) {
        let mut bad = good;
        bad[0] = tag;
        refused(&bad);
    }
    for bit in 8..good.len() * 8 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        refused(&bad);
    }
    refused(&[[4].as_slice(), &[0; 64]].concat());
    // The same point with p added to a coordinate, which its residue would hide. x = 5 is on the curve.
    let x: [u8; 32] = FieldBytes::from(U256::from_u8(5).to_be_bytes()).into();
    let small: Option<AffinePoint> = AffinePoint::decompress(&x.into(), 0.into()).into();
    let mut bytes = sec1(&small.unwrap().into());
    assert!(PinnedKey::from_sec1(&bytes).is_ok());
    let big = U256::from_be_slice(&P).wrapping_add(&U256::from_u8(5));
    bytes[1..33].copy_from_slice(big.to_be_bytes().as_ref());
    refused(&bytes);
}
