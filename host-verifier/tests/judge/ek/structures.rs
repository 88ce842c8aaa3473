//! What a public area must say, bit by bit.

use super::*;

fn with_attributes(public: &[u8], change: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut out = public.to_vec();
    let attributes = u32::from_be_bytes(out[4..8].try_into().unwrap());
    out[4..8].copy_from_slice(&change(attributes).to_be_bytes());
    out
}

#[test]
fn every_attribute_of_the_ek_counts() {
    for bit in [
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::ADMIN_WITH_POLICY,
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::DECRYPT,
        ObjectAttributes::SIGN,
    ] {
        let sent = Sent {
            ek: with_attributes(&keys().ek_ecc, |a| a ^ bit.0),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ek-attributes");
    }
}

#[test]
fn every_attribute_of_the_ak_counts() {
    for bit in [
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::SIGN,
        ObjectAttributes::DECRYPT,
    ] {
        let sent = Sent {
            ak: with_attributes(&keys().ak, |a| a ^ bit.0),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ak-attributes");
    }
}

/// The bits that [TPM2.0 1.83 Part 2] 8.3 reserves, written out: 8 and 9 have a meaning since that revision.
const RESERVED: [u32; 18] = [
    0, 3, 12, 13, 14, 15, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
];

#[test]
fn a_reserved_attribute_of_the_ek_or_the_ak_is_refused() {
    for bit in RESERVED {
        let sent = Sent {
            ek: with_attributes(&keys().ek_ecc, |a| a | 1 << bit),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ek-reserved-attributes");
        let sent = Sent {
            ak: with_attributes(&keys().ak, |a| a | 1 << bit),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ak-reserved-attributes");
    }
}

#[test]
fn attributes_of_the_newest_revision_are_carried() {
    let newer = ObjectAttributes::FIRMWARE_LIMITED | ObjectAttributes::SVN_LIMITED;
    let sent = Sent {
        ek: with_attributes(&keys().ek_ecc, |a| a | newer.0),
        ak: with_attributes(&keys().ak, |a| a | newer.0),
        ..Sent::bare()
    };
    judge(listed(), &sent).unwrap();
}

/// Replaces the first occurrence of `from`, of the same length.
fn patched(public: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = public.windows(from.len()).position(|w| w == from).unwrap();
    let mut out = public[..at].to_vec();
    out.extend(to);
    out.extend(&public[at + from.len()..]);
    out
}

#[test]
fn an_ek_without_a_cipher_or_with_another_is_refused() {
    let aes = [0x00, 0x06, 0x00, 0x80, 0x00, 0x43];
    for cipher in [
        &[0x00, 0x10][..],
        &[0x00, 0x06, 0x00, 0x80, 0x00, 0x42],
        &[0x00, 0x06, 0x00, 0xc0, 0x00, 0x43],
        &[0x00, 0x13, 0x00, 0x80, 0x00, 0x43],
    ] {
        let sent = Sent {
            ek: patched(&keys().ek_ecc, &aes, cipher),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ek-symmetric");
    }
}

#[test]
fn an_ek_with_a_weak_or_unknown_name_algorithm_is_refused() {
    for name_alg in [[0x00, 0x04], [0x00, 0x12], [0x00, 0x10]] {
        let mut ek = keys().ek_ecc.clone();
        ek[2..4].copy_from_slice(&name_alg);
        refused(listed(), &Sent { ek, ..Sent::bare() }, "ek-name-alg");
    }
}

#[test]
fn an_ek_that_is_no_point_or_no_modulus_is_refused() {
    let mut ek = keys().ek_ecc.clone();
    *ek.last_mut().unwrap() ^= 1;
    refused(listed(), &Sent { ek, ..Sent::bare() }, "ek-key");
    let mut ek = keys().ek_rsa.clone();
    *ek.last_mut().unwrap() ^= 1;
    refused(listed(), &Sent { ek, ..Sent::bare() }, "ek-key");
}

#[test]
fn an_ak_without_a_signing_scheme_is_refused() {
    for scheme in [
        &[0x00, 0x10][..],
        &[0x00, 0x18, 0x00, 0x04],
        &[0x00, 0x1b, 0x00, 0x0b],
    ] {
        let sent = Sent {
            ak: patched(&keys().ak, &[0x00, 0x18, 0x00, 0x0b], scheme),
            ..Sent::bare()
        };
        refused(listed(), &sent, "ak-scheme");
    }
}
