//! Templates against the bytes of the specification and against what a TPM made from them.

use assay_common::tpm::alg::{AlgId, EccCurve};
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::codec::{EncodeError, Writer};
use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::templates::{self, EkTemplate};
use assay_common::tpm::public::{Parameters, Public, Scheme, Symmetric, Unique};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::fixtures::{fixture, sized_fixture};

/// Fixture, our bytes, length.
const TEMPLATES: &[(&str, &[u8], usize)] = &[
    ("ek_l1", &templates::EK_RSA2048_L1, 314),
    ("ek_l2", &templates::EK_P256_L2, 122),
    ("ek_h1", &templates::EK_RSA2048_H1, 58),
    ("ek_h2", &templates::EK_P256_H2, 58),
    ("ek_h3", &templates::EK_P384_H3, 74),
    ("ak_p256", &templates::AK_P256, 24),
    ("ak_p384", &templates::AK_P384, 24),
    ("ak_rsa2048", &templates::AK_RSA2048, 24),
    ("storage_p256", &templates::STORAGE_P256, 26),
];

#[test]
fn templates_are_the_bytes_of_the_specification() {
    for &(name, ours, len) in TEMPLATES {
        assert_eq!(ours.len(), len, "{name}");
        assert_eq!(ours, fixture(&format!("{name}.template")), "{name}");
    }
}

#[test]
fn a_tpm_keeps_every_field_of_a_template_but_the_key() {
    for &(name, ours, _) in TEMPLATES {
        let made = sized_fixture(&format!("{name}.public"));
        let made = Public::parse(&made).unwrap();
        let asked = Public::parse(ours).unwrap();
        assert_eq!(made.object_type, asked.object_type, "{name}");
        assert_eq!(made.name_alg, asked.name_alg, "{name}");
        assert_eq!(made.attributes, asked.attributes, "{name}");
        assert_eq!(made.auth_policy, asked.auth_policy, "{name}");
        assert_eq!(made.parameters, asked.parameters, "{name}");
        assert_ne!(made.unique, asked.unique, "{name}");
    }
}

#[test]
fn templates_parse_to_what_their_names_say() {
    let aes128 = Symmetric {
        alg: AlgId::AES,
        key_bits: 128,
        mode: AlgId::CFB,
    };
    let l1 = Public::parse(&templates::EK_RSA2048_L1).unwrap();
    assert_eq!(l1.attributes, ObjectAttributes::EK_LOW);
    assert_eq!(l1.auth_policy, templates::POLICY_A_SHA256);
    assert_eq!(l1.unique, Unique::Rsa(&[0; 256]));
    assert_eq!(
        l1.parameters,
        Parameters::Rsa {
            symmetric: aes128,
            scheme: Scheme::NULL,
            key_bits: 2048,
            exponent: 0,
        }
    );
    assert_eq!(l1.parameters.rsa_exponent(), Some(65_537));

    let h3 = Public::parse(&templates::EK_P384_H3).unwrap();
    assert_eq!(h3.name_alg, AlgId::SHA384);
    assert_eq!(h3.attributes, ObjectAttributes::EK_HIGH);
    assert_eq!(h3.auth_policy, templates::POLICY_B_SHA384);
    assert_eq!(h3.unique, Unique::Ecc { x: &[], y: &[] });
    assert_eq!(
        h3.parameters,
        Parameters::Ecc {
            symmetric: Symmetric {
                key_bits: 256,
                ..aes128
            },
            scheme: Scheme::NULL,
            curve: EccCurve::NIST_P384,
            kdf: Scheme::NULL,
        }
    );
    assert_eq!(h3.parameters.rsa_exponent(), None);

    let ak = Public::parse(&templates::AK_P256).unwrap();
    assert_eq!(ak.attributes, ObjectAttributes::AK);
    assert!(
        ak.attributes
            .contains(ObjectAttributes::RESTRICTED | ObjectAttributes::SIGN)
    );
    assert!(!ak.attributes.intersects(ObjectAttributes::DECRYPT));
    assert_eq!(
        ak.parameters.scheme(),
        Scheme::new(AlgId::ECDSA, AlgId::SHA256)
    );
    assert_eq!(ak.parameters.symmetric(), Symmetric::NULL);

    let ak = Public::parse(&templates::AK_RSA2048).unwrap();
    assert_eq!(
        ak.parameters.scheme(),
        Scheme::new(AlgId::RSASSA, AlgId::SHA256)
    );
}

/// Command codes of the policy commands, [TPM2.0 1.83 Part 2] 6.5.2.
const POLICY_SECRET: u32 = 0x151;
const POLICY_OR: u32 = 0x171;
const POLICY_AUTHORIZE_NV: u32 = 0x192;

fn policy_secret<D: Digest>() -> Vec<u8> {
    let zeros = vec![0; <D as Digest>::output_size()];
    let mut first = zeros;
    first.extend(POLICY_SECRET.to_be_bytes());
    first.extend(Handle::ENDORSEMENT.0.to_be_bytes());
    // The second hash is over the empty policyRef.
    D::digest(D::digest(first)).to_vec()
}

fn extend<D: Digest>(code: u32, parts: &[&[u8]]) -> Vec<u8> {
    let mut input = vec![0; <D as Digest>::output_size()];
    input.extend(code.to_be_bytes());
    parts.iter().for_each(|part| input.extend(*part));
    D::digest(input).to_vec()
}

#[test]
fn policies_are_what_the_policy_commands_compute() {
    use templates::*;
    assert_eq!(policy_secret::<Sha256>(), POLICY_A_SHA256);
    assert_eq!(policy_secret::<Sha384>(), POLICY_A_SHA384);
    assert_eq!(policy_secret::<Sha512>(), POLICY_A_SHA512);

    // Names of the policy indices, [EK Profile 2.6] annex B.
    let name1 = crate::fixtures::hex(
        "000b0c9d717e9c3fe69fda41769450bb145957f8b3610e084dbf65591a5d11ecd83f",
    );
    let name2 = crate::fixtures::hex(
        "000cdb62fca346612c976732ff4e8621fb4e858be82586486504f7d02e621f8d7d61ae32cfc60c4d120609ed6768afcf090c",
    );
    assert_eq!(
        extend::<Sha256>(POLICY_AUTHORIZE_NV, &[&name1]),
        POLICY_C_SHA256
    );
    assert_eq!(
        extend::<Sha384>(POLICY_AUTHORIZE_NV, &[&name2]),
        POLICY_C_SHA384
    );

    let b256 = extend::<Sha256>(POLICY_OR, &[&POLICY_A_SHA256, &POLICY_C_SHA256]);
    assert_eq!(b256, POLICY_B_SHA256);
    let b384 = extend::<Sha384>(POLICY_OR, &[&POLICY_A_SHA384, &POLICY_C_SHA384]);
    assert_eq!(b384, POLICY_B_SHA384);
}

#[test]
fn encode_without_a_nonce_writes_the_array() {
    for template in EkTemplate::ALL {
        let mut buf = [0xee; 512];
        let mut w = Writer::new(&mut buf);
        template.encode(&[], &mut w);
        assert_eq!(w.finish().unwrap(), template.bytes(), "{}", template.name());
    }
}

#[test]
fn a_nonce_fills_unique_from_the_left() {
    let nonce = [0xab; 20];
    for (template, len) in [(EkTemplate::L1, 256), (EkTemplate::L2, 32)] {
        let mut buf = [0xee; 512];
        let mut w = Writer::new(&mut buf);
        template.encode(&nonce, &mut w);
        let bytes = w.finish().unwrap();
        assert_eq!(bytes.len(), template.bytes().len());
        let public = Public::parse(bytes).unwrap();
        let mut padded = nonce.to_vec();
        padded.resize(len, 0);
        let expected = match template {
            EkTemplate::L1 => Unique::Rsa(&padded),
            _ => Unique::Ecc {
                x: &padded,
                y: &[0; 32],
            },
        };
        assert_eq!(public.unique, expected);
    }
}

#[test]
fn a_nonce_that_does_not_fit_is_refused() {
    for (template, len) in [
        (EkTemplate::L1, 257),
        (EkTemplate::L2, 33),
        (EkTemplate::H1, 1),
        (EkTemplate::H2, 1),
        (EkTemplate::H3, 1),
    ] {
        let mut buf = [0; 1024];
        let mut w = Writer::new(&mut buf);
        template.encode(&vec![1; len], &mut w);
        assert_eq!(w.finish(), Err(EncodeError::Value), "{}", template.name());
    }
}

#[test]
fn template_numbers_and_indices_are_their_own() {
    for template in EkTemplate::ALL {
        assert_eq!(EkTemplate::from_number(template.number()), Some(template));
        let public = Public::parse(template.bytes()).unwrap();
        assert_eq!(public.name_alg, template.name_alg());
        let opens_by_password = public.attributes.contains(ObjectAttributes::USER_WITH_AUTH);
        assert_eq!(template.needs_policy_session(), !opens_by_password);
    }
    assert_eq!(EkTemplate::from_number(0), None);
    assert_eq!(EkTemplate::from_number(0x14), None);
    // [EK Profile 2.6] 2.2.1.4 and 2.2.1.5.
    assert_eq!(EkTemplate::L1.certificate_index(), Handle(0x01C0_0002));
    assert_eq!(EkTemplate::L1.nonce_index(), Some(Handle(0x01C0_0003)));
    assert_eq!(EkTemplate::L1.template_index(), Handle(0x01C0_0004));
    assert_eq!(EkTemplate::L2.certificate_index(), Handle(0x01C0_000A));
    assert_eq!(EkTemplate::L2.nonce_index(), Some(Handle(0x01C0_000B)));
    assert_eq!(EkTemplate::L2.template_index(), Handle(0x01C0_000C));
    assert_eq!(EkTemplate::H1.certificate_index(), Handle(0x01C0_0012));
    assert_eq!(EkTemplate::H2.certificate_index(), Handle(0x01C0_0014));
    assert_eq!(EkTemplate::H3.certificate_index(), Handle(0x01C0_0016));
    assert_eq!(EkTemplate::H3.template_index(), Handle(0x01C0_0017));
    assert_eq!(EkTemplate::H3.nonce_index(), None);
}
