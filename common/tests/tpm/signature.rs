//! Signatures.

use assay_common::tpm::alg::{AlgId, EccCurve};
use assay_common::tpm::codec::{DecodeError, Reader};
use assay_common::tpm::signature::{Signature, SignatureError};

use crate::fixtures::{assert_exact, assert_returns_on_mutations, fixture, hex};

const SIGNATURES: &[&str] = &[
    "quote_ak_p256",
    "quote_ak_p384",
    "quote_ak_rsa2048",
    "quote_ak_rsapss",
    "certify",
    "time",
    "nv",
    "session_audit",
];

fn signature(name: &str) -> Vec<u8> {
    fixture(&format!("{name}.signature"))
}

#[test]
fn refuses_signatures_cut_or_extended_anywhere() {
    for name in SIGNATURES {
        assert_exact(name, &signature(name), |b| Signature::parse(b).map(|_| ()));
    }
}

#[test]
fn returns_on_signatures_with_any_byte_changed() {
    for name in SIGNATURES {
        assert_returns_on_mutations(&signature(name), |b| Signature::parse(b).is_ok());
    }
}

#[test]
fn reads_what_each_kind_of_key_signs() {
    for (name, scheme, hash, len) in [
        ("quote_ak_p256", AlgId::ECDSA, AlgId::SHA256, 32),
        ("quote_ak_p384", AlgId::ECDSA, AlgId::SHA384, 48),
        ("quote_ak_rsa2048", AlgId::RSASSA, AlgId::SHA256, 256),
        ("quote_ak_rsapss", AlgId::RSAPSS, AlgId::SHA256, 256),
    ] {
        let bytes = signature(name);
        let signature = Signature::parse(&bytes).unwrap();
        assert_eq!(signature.scheme(), scheme, "{name}");
        assert_eq!(signature.hash(), hash, "{name}");
        match signature {
            Signature::Rsassa { sig, .. } | Signature::Rsapss { sig, .. } => {
                assert_eq!(sig.len(), len, "{name}");
            }
            Signature::Ecdsa { r, s, .. } => {
                // This TPM keeps leading zeros.
                assert_eq!((r.len(), s.len()), (len, len), "{name}");
            }
        }
    }
}

#[test]
fn other_schemes_are_refused_with_their_number() {
    // HMAC, NULL, SM2, ECDAA and two that do not exist.
    for number in [0x0005, 0x0010, 0x001b, 0x001a, 0x0000, 0xfffe] {
        let bytes = [&u16::to_be_bytes(number)[..], &hex("000b 0001 01 0001 01")].concat();
        assert_eq!(
            Signature::parse(&bytes),
            Err(SignatureError::Unsupported(AlgId(number)))
        );
    }
}

#[test]
fn unknown_hashes_are_carried_as_numbers() {
    let bytes = hex("0014 9999 0001 01");
    assert_eq!(Signature::parse(&bytes).unwrap().hash(), AlgId(0x9999));
}

#[test]
fn refuses_numbers_above_their_limits() {
    let too_long = Err(SignatureError::Decode(DecodeError::TooLong));
    assert_eq!(
        Signature::parse(&[hex("0014 000b 0201"), vec![1; 513]].concat()),
        too_long
    );
    assert_eq!(
        Signature::parse(&[hex("0018 000b 0043"), vec![1; 67]].concat()),
        too_long
    );
    assert_eq!(
        Signature::parse(&[hex("0018 000b 0001 01 0043"), vec![1; 67]].concat()),
        too_long
    );
}

#[test]
fn read_leaves_what_follows() {
    let mut bytes = signature("quote_ak_p256");
    bytes.push(0xaa);
    let mut r = Reader::new(&bytes);
    Signature::read(&mut r).unwrap();
    assert_eq!(r.rest(), &[0xaa]);
}

#[test]
fn fixed_form_is_r_and_s_at_full_width() {
    let bytes = signature("quote_ak_p256");
    let parsed = Signature::parse(&bytes).unwrap();
    let mut out = [0xee; 132];
    let fixed = parsed.ecdsa_fixed(EccCurve::NIST_P256, &mut out).unwrap();
    // 0018 000b 0020 r 0020 s
    assert_eq!(fixed, [&bytes[6..38], &bytes[40..]].concat());
}

#[test]
fn fixed_form_puts_dropped_leading_zeros_back() {
    let bytes = hex(
        "0018 000b 0001 05 001f 01020304050607080102030405060708010203040506070801020304050607",
    );
    let mut out = [0xee; 64];
    let fixed = Signature::parse(&bytes)
        .unwrap()
        .ecdsa_fixed(EccCurve::NIST_P256, &mut out)
        .unwrap();
    assert_eq!(fixed[..31], [0; 31]);
    assert_eq!(fixed[31], 5);
    assert_eq!(fixed[32], 0);
    assert_eq!(fixed[33..], bytes[9..]);
}

// A14: r or s of zero or of a wrong length.
#[test]
fn fixed_form_refuses_scalars_that_are_zero_or_too_long() {
    let one = [1];
    let zeros = [0; 32];
    let long = [1; 33];
    let hash = AlgId::SHA256;
    for (r, s) in [
        (&zeros[..], &one[..]),
        (&one, &zeros),
        (&[], &one),
        (&one, &[]),
        (&long, &one),
        (&one, &long),
    ] {
        let mut out = [0; 64];
        let signature = Signature::Ecdsa { hash, r, s };
        assert_eq!(
            signature.ecdsa_fixed(EccCurve::NIST_P256, &mut out),
            Err(SignatureError::Scalar)
        );
    }
}

#[test]
fn fixed_form_needs_an_ecdsa_signature_a_known_curve_and_room() {
    let scalar = Err(SignatureError::Scalar);
    let one = &[1][..];
    let ecdsa = Signature::Ecdsa {
        hash: AlgId::SHA256,
        r: one,
        s: one,
    };
    assert_eq!(ecdsa.ecdsa_fixed(EccCurve::NIST_P256, &mut [0; 63]), scalar);
    assert_eq!(ecdsa.ecdsa_fixed(EccCurve(0x10), &mut [0; 200]), scalar);
    let rsa = Signature::Rsassa {
        hash: AlgId::SHA256,
        sig: one,
    };
    assert_eq!(rsa.ecdsa_fixed(EccCurve::NIST_P256, &mut [0; 64]), scalar);
}
