//! Public areas.

use assay_common::tpm::alg::{AlgId, EccCurve};
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::codec::{DecodeError, EncodeError, Reader, Writer};
use assay_common::tpm::public::{
    Parameters, Public, PublicError, Scheme, Symmetric, Unique, templates,
};

use crate::fixtures::{assert_exact, assert_returns_on_mutations, fixture, hex, sized_fixture};

pub(crate) const KEYS: &[&str] = &[
    "ek_l1",
    "ek_l2",
    "ek_h1",
    "ek_h2",
    "ek_h3",
    "ak_p256",
    "ak_p384",
    "ak_rsa2048",
    "ak_rsapss",
    "storage_p256",
];

#[test]
fn refuses_public_areas_cut_or_extended_anywhere() {
    for key in KEYS {
        assert_exact(key, &sized_fixture(&format!("{key}.public")), |b| {
            Public::parse(b).map(|_| ())
        });
        assert_exact(key, &fixture(&format!("{key}.public")), |b| {
            Public::parse_tpm2b(b).map(|_| ())
        });
        assert_exact(key, &fixture(&format!("{key}.template")), |b| {
            Public::parse(b).map(|_| ())
        });
    }
}

#[test]
fn returns_on_public_areas_with_any_byte_changed() {
    for key in KEYS {
        assert_returns_on_mutations(&sized_fixture(&format!("{key}.public")), |b| {
            Public::parse(b).is_ok()
        });
    }
}

#[test]
fn real_keys_have_the_sizes_of_their_algorithms() {
    for key in KEYS {
        let bytes = sized_fixture(&format!("{key}.public"));
        let public = Public::parse(&bytes).unwrap();
        assert_eq!(public.raw(), bytes);
        match (public.parameters, public.unique) {
            (Parameters::Rsa { key_bits, .. }, Unique::Rsa(n)) => {
                assert_eq!(n.len() * 8, usize::from(key_bits), "{key}");
            }
            (Parameters::Ecc { curve, .. }, Unique::Ecc { x, y }) => {
                // A coordinate with a leading zero byte would be shorter; these have none.
                assert_eq!(Some(x.len()), curve.field_len(), "{key}");
                assert_eq!(Some(y.len()), curve.field_len(), "{key}");
            }
            _ => panic!("{key}: parameters and unique of different types"),
        }
    }
    assert_eq!(sized_fixture("ak_p256.public").len(), 88);
    assert_eq!(sized_fixture("ak_rsa2048.public").len(), 280);
}

#[test]
fn read_leaves_what_follows_and_raw_does_not_hold_it() {
    let mut bytes = sized_fixture("ak_p256.public");
    let len = bytes.len();
    bytes.extend([1, 2, 3]);
    let mut r = Reader::new(&bytes);
    let public = Public::read(&mut r).unwrap();
    assert_eq!(public.raw(), &bytes[..len]);
    assert_eq!(r.rest(), &[1, 2, 3]);
}

#[test]
fn refuses_a_tpm2b_whose_content_is_shorter_than_its_length() {
    let mut bytes = fixture("ak_p256.public");
    // Length says one byte less than the structure has; the byte is still there.
    bytes[1] -= 1;
    assert_eq!(
        Public::parse_tpm2b(&bytes),
        Err(PublicError::Decode(DecodeError::Trailing))
    );
    bytes[1] += 2;
    assert_eq!(
        Public::parse_tpm2b(&bytes),
        Err(PublicError::Decode(DecodeError::Truncated))
    );
}

#[test]
fn object_types_without_a_reader_are_refused_with_their_number() {
    let hmac_key = sized_fixture("hmac.public");
    assert_eq!(
        Public::parse(&hmac_key),
        Err(PublicError::Unsupported(AlgId::KEYEDHASH))
    );
    let mut bytes = templates::AK_P256;
    for number in [0x0000, 0x0025, 0x1234, 0xffff] {
        bytes[..2].copy_from_slice(&u16::to_be_bytes(number));
        assert_eq!(
            Public::parse(&bytes),
            Err(PublicError::Unsupported(AlgId(number)))
        );
    }
}

#[test]
fn unknown_name_algorithm_cipher_curve_and_kdf_are_carried_as_numbers() {
    let bytes = hex("0023 4321 00050472 0000  1234 0080 5678  0010  9abc  def0 1111  0001 07 0000");
    let public = Public::parse(&bytes).unwrap();
    assert_eq!(public.name_alg, AlgId(0x4321));
    assert_eq!(
        public.parameters,
        Parameters::Ecc {
            symmetric: Symmetric {
                alg: AlgId(0x1234),
                key_bits: 128,
                mode: AlgId(0x5678),
            },
            scheme: Scheme::NULL,
            curve: EccCurve(0x9abc),
            kdf: Scheme::new(AlgId(0xdef0), AlgId(0x1111)),
        }
    );
    assert_eq!(public.unique, Unique::Ecc { x: &[7], y: &[] });
}

#[test]
fn schemes_of_unknown_shape_are_refused_with_their_number() {
    let mut bytes = templates::AK_P256;
    for number in [0x001a, 0x0005, 0x7777] {
        bytes[12..14].copy_from_slice(&u16::to_be_bytes(number));
        assert_eq!(
            Public::parse(&bytes),
            Err(PublicError::Unsupported(AlgId(number)))
        );
    }
    // XOR has a hash where ciphers have size and mode.
    let mut bytes = templates::AK_P256;
    bytes[10..12].copy_from_slice(&AlgId::XOR.0.to_be_bytes());
    assert_eq!(
        Public::parse(&bytes),
        Err(PublicError::Unsupported(AlgId::XOR))
    );
}

#[test]
fn a_scheme_without_a_hash_takes_no_hash() {
    // RSAES, then 2048 bits, exponent 3, no modulus.
    let bytes = hex("0001 000b 00020472 0000 0010 0015 0800 00000003 0000");
    let public = Public::parse(&bytes).unwrap();
    assert_eq!(
        public.parameters.scheme(),
        Scheme::new(AlgId::RSAES, AlgId::NULL)
    );
    assert_eq!(public.parameters.rsa_exponent(), Some(3));
}

#[test]
fn refuses_fields_above_their_limits() {
    let too_long = Err(PublicError::Decode(DecodeError::TooLong));
    let policy = [hex("0001 000b 00050472 0041"), vec![0; 200]].concat();
    assert_eq!(Public::parse(&policy), too_long);
    let modulus = [
        hex("0001 000b 00050472 0000 0010 0010 0800 00000000 0201"),
        vec![0; 513],
    ];
    assert_eq!(Public::parse(&modulus.concat()), too_long);
    let head = hex("0023 000b 00050472 0000 0010 0010 0003 0010");
    let x = [head.clone(), hex("0043"), vec![0; 67], hex("0000")].concat();
    assert_eq!(Public::parse(&x), too_long);
    let y = [head, hex("0000 0043"), vec![0; 67]].concat();
    assert_eq!(Public::parse(&y), too_long);
}

#[test]
fn cannot_encode_a_modulus_with_curve_parameters() {
    let ak = Public::parse(&templates::AK_P256).unwrap();
    let mut buf = [0; 64];
    let mut w = Writer::new(&mut buf);
    let unique = Unique::Rsa(&[]);
    Public::encode(
        AlgId::SHA256,
        ObjectAttributes::AK,
        &[],
        &ak.parameters,
        &unique,
        &mut w,
    );
    assert_eq!(w.finish(), Err(EncodeError::Value));
}

// Found by the fuzz target tpm_public: the writer left out the hash that the reader expects.
#[test]
fn a_kdf_with_the_number_of_rsaes_keeps_its_hash_when_written() {
    let bytes = hex("0023 000b 00050472 0000 0010 0010 0003 0015 000b 0000 0000");
    let public = Public::parse(&bytes).unwrap();
    let mut buf = [0; 64];
    let mut w = Writer::new(&mut buf);
    Public::encode(
        public.name_alg,
        public.attributes,
        public.auth_policy,
        &public.parameters,
        &public.unique,
        &mut w,
    );
    assert_eq!(w.finish().unwrap(), bytes);
}
