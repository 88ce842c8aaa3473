//! SVID keys: their templates, their certification, and the request for a certificate.

use assay_common::method::svid_key::SvidKeyRequest;
use assay_common::protocol::MessageWriter;
use assay_common::tpm::attributes::ObjectAttributes;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::public::{Public, Unique};
use assay_firmware::keys::{KeyError, SvidKey, SvidKeyTemplate, csr};
use assay_firmware::tpm::{Malformed, Tpm, TpmError};
use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p256::ecdsa::{DerSignature, Signature, SigningKey};
use sha2::{Digest, Sha256};

use crate::bytes::{authorized, created, hex, tpm2b};
use crate::chip::{Chip, tpm};
use crate::scripted::{Scripted, by, code};

const BOTH: [u8; 2] = [SvidKeyRequest::ECDSA_P256, SvidKeyRequest::RSA_2048];
const DISTINCT: [u8; 32] = [0xD1; 32];
const MALFORMED: KeyError = KeyError::Tpm(TpmError::Malformed(Malformed::Value));

#[test]
fn a_key_is_free_to_sign_and_bound_to_its_tpm_and_its_login() {
    let (mut tpm, journal, chip) = tpm(Chip::default());
    let mut public = Vec::new();
    let mut keep = |area: &[u8]| public.extend_from_slice(area);
    let key = SvidKey::create(&mut tpm, &BOTH, &DISTINCT, &mut keep).unwrap();
    assert_eq!(key.template(), SvidKeyTemplate::P256);
    let template = chip.borrow().templates[0].clone();
    assert_eq!(public, template, "handed on as the TPM returned it");
    let template = Public::parse(&template).unwrap();
    assert_eq!(template.attributes, ObjectAttributes::SVID_KEY);
    assert!(!template.attributes.contains(ObjectAttributes::RESTRICTED));
    let expected = Unique::Ecc {
        x: &DISTINCT,
        y: &[0; 32],
    };
    assert_eq!(template.unique, expected);
    // In the hierarchy that nobody can close.
    let command = journal.borrow().sent[0].clone();
    assert_eq!(command[10..14], Handle::NULL.0.to_be_bytes());
    key.flush(&mut tpm).unwrap();
    assert!(chip.borrow().loaded.is_empty());
}

#[test]
fn the_verifiers_preference_decides_among_what_the_tpm_can_do() {
    let rsa = [SvidKeyRequest::RSA_2048, SvidKeyRequest::ECDSA_P256];
    let no_p256 = vec![(3, 0x2E6)];
    let no_rsa = vec![(2048, 0x2C7)];
    for (algorithms, refuses, expected) in [
        (&BOTH[..], vec![], Some(SvidKeyTemplate::P256)),
        (&rsa, vec![], Some(SvidKeyTemplate::Rsa2048)),
        (&BOTH, no_p256.clone(), Some(SvidKeyTemplate::Rsa2048)),
        (&rsa, no_rsa, Some(SvidKeyTemplate::P256)),
        (&[0, 3, 255, 1], vec![], Some(SvidKeyTemplate::P256)),
        (&[1], no_p256, None),
        (&[77], vec![], None),
        (&[], vec![], None),
    ] {
        let (mut tpm, _, chip) = tpm(Chip {
            refuses,
            ..Chip::default()
        });
        let key = SvidKey::create(&mut tpm, algorithms, &DISTINCT, &mut |_| {});
        match expected {
            Some(template) => assert_eq!(key.unwrap().template(), template),
            None => {
                assert_eq!(key.unwrap_err(), KeyError::NoTemplate, "{algorithms:?}");
                assert!(chip.borrow().loaded.is_empty());
            }
        }
    }
}

#[test]
fn an_rsa_key_has_room_for_a_whole_modulus_in_its_template() {
    let (mut tpm, _, chip) = tpm(Chip::default());
    let algorithms = [SvidKeyRequest::RSA_2048];
    SvidKey::create(&mut tpm, &algorithms, &DISTINCT, &mut |_| {}).unwrap();
    let template = chip.borrow().templates[0].clone();
    let template = Public::parse(&template).unwrap();
    let modulus = [&DISTINCT[..], &[0; 224]].concat();
    assert_eq!(template.unique, Unique::Rsa(&modulus));
}

#[test]
fn certify_and_sign_are_what_the_specification_says() {
    let (mut tpm, journal) = by(|command| {
        let auths = if code(command) == 0x148 { 2 } else { 1 };
        let signature = hex("0018 000b 0001 07 0001 08");
        let attest = if auths == 2 { tpm2b(&[1, 2]) } else { vec![] };
        authorized(None, &[attest, signature].concat(), auths)
    });
    let (object, ak) = (Handle(0x8000_0002), Handle(0x8000_0001));
    let certified = tpm.certify(object, ak, &[0x51; 4]).unwrap();
    assert_eq!(certified.attest, [1, 2]);
    assert_eq!(certified.signature, hex("0018 000b 0001 07 0001 08"));
    let scheme = [
        assay_common::tpm::alg::AlgId::ECDSA,
        assay_common::tpm::alg::AlgId::SHA256,
    ];
    let signature = tpm.sign(object, &[0xD6; 32], scheme).unwrap();
    assert_eq!(signature, hex("0018 000b 0001 07 0001 08"));
    let sent = journal.borrow().sent.clone();
    // The object is certified under its own authorization and the AK's; the scheme is the AK's.
    assert_eq!(
        sent[0],
        hex(
            "8002 00000030 00000148 80000002 80000001 00000012 40000009 0000 01 0000 40000009 0000 01 0000 0004 51515151 0010"
        )
    );
    let digest = "d6".repeat(32);
    assert_eq!(
        sent[1],
        hex(&format!(
            "8002 00000049 0000015d 80000002 00000009 40000009 0000 01 0000 0020 {digest} 0018 000b 8024 40000007 0000"
        ))
    );
}

fn csr_of(tpm: &mut Tpm<Scripted>, algorithms: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut public = Vec::new();
    let mut keep = |area: &[u8]| public.extend_from_slice(area);
    let key = SvidKey::create(tpm, algorithms, &DISTINCT, &mut keep)?;
    let mut buffer = [0; 1024];
    let mut out = MessageWriter::new(&mut buffer);
    csr::write(tpm, &key, &public, &mut out)?;
    Ok(out.finish().unwrap().to_vec())
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// A TPM whose key is `key`, and which leaves out leading zeros wherever it may.
fn p256_tpm(key: SigningKey) -> Tpm<Scripted> {
    by(move |command| match code(command) {
        0x131 => {
            let point = key.verifying_key().to_sec1_point(false);
            let [x, y] = [&point.as_bytes()[1..33], &point.as_bytes()[33..]].map(without_zeros);
            let head = hex("0023 000b 00040472 0000 0010 0018 000b 0003 0010");
            let public = [head, tpm2b(x), tpm2b(y)].concat();
            authorized(Some(0x8000_0000), &created(&public), 1)
        }
        0x15D => {
            let digest = &command[29..61];
            let signature: Signature = key.sign_prehash(digest).unwrap();
            let bytes = signature.to_bytes();
            let [r, s] = [&bytes[..32], &bytes[32..]].map(without_zeros);
            let signature = [hex("0018 000b"), tpm2b(r), tpm2b(s)].concat();
            authorized(None, &signature, 1)
        }
        other => panic!("{other:x}"),
    })
    .0
}

#[test]
fn a_request_is_signed_by_its_key_whatever_zeros_the_chip_left_out() {
    let mut seen_short = [false; 2];
    // Among so many keys and signatures there are coordinates and numbers with a zero in front, and with a bit that
    // would make them negative.
    for seed in 1..=400u16 {
        let secret = [&[0; 30][..], &seed.to_be_bytes()].concat();
        let key = SigningKey::from_slice(&secret).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        seen_short[0] |= point.as_bytes()[1] == 0 || point.as_bytes()[33] == 0;
        let csr = csr_of(&mut p256_tpm(key.clone()), &BOTH).unwrap();
        // SEQUENCE of everything, with its length in one byte.
        assert_eq!(csr[..2], [0x30, 0x81]);
        assert_eq!(usize::from(csr[2]), csr.len() - 3);
        let (info, rest) = csr[3..].split_at(100);
        let expected = [
            hex("3062 020100 3000 3059 3013 0607 2a8648ce3d0201 0608 2a8648ce3d030107 0342 00"),
            point.as_bytes().to_vec(),
            hex("a000"),
        ]
        .concat();
        assert_eq!(info, expected);
        let (algorithm, bits) = rest.split_at(12);
        assert_eq!(algorithm, hex("300a 0608 2a8648ce3d040302"));
        assert_eq!(bits[..3], [0x03, bits.len() as u8 - 2, 0]);
        // A second implementation reads the signature, so it is DER.
        let signature = DerSignature::from_bytes(&bits[3..]).unwrap();
        seen_short[1] |= signature.as_bytes().len() < 70;
        let signature = Signature::try_from(signature).unwrap();
        let digest = Sha256::digest(info);
        key.verifying_key()
            .verify_prehash(&digest, &signature)
            .unwrap();
    }
    assert_eq!(seen_short, [true; 2], "the cases did not come up");
}

/// A TPM with an RSA key of this public area and these signatures.
fn rsa_tpm(public: Vec<u8>, signature: Vec<u8>) -> Tpm<Scripted> {
    by(move |command| match code(command) {
        0x131 => authorized(Some(0x8000_0000), &created(&public), 1),
        0x15D => authorized(None, &signature, 1),
        other => panic!("{other:x}"),
    })
    .0
}

fn rsa_public(exponent: &str, modulus: &[u8]) -> Vec<u8> {
    let head = hex("0001 000b 00040472 0000 0010 0010 0800");
    [head, hex(exponent), tpm2b(modulus)].concat()
}

const RSASSA: &str = "0014 000b";

#[test]
fn a_request_of_an_rsa_key_has_its_modulus_and_its_signature() {
    let algorithms = [SvidKeyRequest::RSA_2048];
    let signature = [hex(RSASSA), tpm2b(&[0x5A; 256])].concat();
    for exponent in ["00000000", "00010001"] {
        let public = rsa_public(exponent, &[0xC3; 256]);
        let csr = csr_of(&mut rsa_tpm(public, signature.clone()), &algorithms).unwrap();
        let expected = [
            hex("30820245 3082012d 020100 3000 30820122 300d 0609 2a864886f70d010101 0500"),
            hex("0382010f 00 3082010a 02820101 00"),
            vec![0xC3; 256],
            hex("0203 010001 a000 300d 0609 2a864886f70d01010b 0500 03820101 00"),
            vec![0x5A; 256],
        ];
        assert_eq!(csr, expected.concat());
    }
}

#[test]
fn a_public_area_that_was_not_asked_for_makes_no_request() {
    let signature = [hex(RSASSA), tpm2b(&[0x5A; 256])].concat();
    let long = rsa_public("00000000", &[0xC3; 257]);
    let mut followed = rsa_public("00000000", &[0xC3; 256]);
    followed.push(0);
    for public in [
        rsa_public("00000003", &[0xC3; 256]),
        rsa_public("00000000", &[0xC3; 255]),
        // Not 2,048 bits.
        rsa_public("00000000", &[0x43; 256]),
        long,
        followed,
        rsa_public("00000000", &[]),
        hex("0001"),
        // A key of the other kind.
        crate::bytes::p256_public(0x0004_0472, &[]),
    ] {
        let mut tpm = rsa_tpm(public, signature.clone());
        let csr = csr_of(&mut tpm, &[SvidKeyRequest::RSA_2048]);
        assert_eq!(csr, Err(MALFORMED));
    }
    let point = |x: &[u8], y: &[u8]| {
        let head = hex("0023 000b 00040472 0000 0010 0018 000b 0003 0010");
        [head, tpm2b(x), tpm2b(y)].concat()
    };
    let ecdsa = [hex("0018 000b"), tpm2b(&[1; 32]), tpm2b(&[1; 32])].concat();
    for public in [point(&[1; 33], &[1; 32]), point(&[1; 32], &[1; 33])] {
        let csr = csr_of(&mut rsa_tpm(public, ecdsa.clone()), &BOTH);
        assert_eq!(csr, Err(MALFORMED));
    }
    assert!(csr_of(&mut rsa_tpm(point(&[1; 32], &[1; 32]), ecdsa), &BOTH).is_ok());
}

#[test]
fn a_signature_of_another_kind_makes_no_request() {
    let rsa = rsa_public("00000000", &[0xC3; 256]);
    for signature in [
        // Too short, another hash, RSAPSS, ECDSA.
        [hex(RSASSA), tpm2b(&[0x5A; 255])].concat(),
        [hex("0014 000c"), tpm2b(&[0x5A; 256])].concat(),
        [hex("0016 000b"), tpm2b(&[0x5A; 256])].concat(),
        [hex("0018 000b"), tpm2b(&[1; 32]), tpm2b(&[1; 32])].concat(),
        vec![0xFF; 20],
    ] {
        let csr = csr_of(&mut rsa_tpm(rsa.clone(), signature), &[2]);
        assert_eq!(csr, Err(MALFORMED));
    }
    let point = hex("0023 000b 00040472 0000 0010 0018 000b 0003 0010");
    let point = [point, tpm2b(&[1; 32]), tpm2b(&[1; 32])].concat();
    for (r, s) in [
        (&[0; 32][..], &[1; 32][..]),
        (&[1; 32], &[]),
        (&[1; 33], &[1; 32]),
    ] {
        let signature = [hex("0018 000b"), tpm2b(r), tpm2b(s)].concat();
        let csr = csr_of(&mut rsa_tpm(point.clone(), signature), &BOTH);
        assert_eq!(csr, Err(MALFORMED));
    }
}
