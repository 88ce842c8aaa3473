//! What holds of every certificate in a chain: its validity, its algorithms, every byte of it.

use assay_host_verifier::attestor::tpm_ek::certificate::{self, Dangers};
use assay_host_verifier::crypto::Legacy;
use assay_host_verifier::x509::{Certificate, TrustStore};

use super::{judge, judge_at, refused};
use crate::pki::{CA, EK_EC, EK_RSA, Pki, days_from_now, now};

#[test]
fn refuses_an_altered_certificate() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let leaf = pki.issue("leaf", "root", EK_EC);
    // The last byte of the model, inside the signed part.
    let mut der = leaf.der().to_vec();
    let at = der.windows(7).position(|w| w == b"NPCT75x").unwrap();
    der[at + 6] = b'y';
    refused(
        &Certificate::from_der(&der).unwrap(),
        &[root],
        "bad-signature",
    );
}

#[test]
fn refuses_every_element_outside_its_validity() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let middle = pki.issue_as("middle", "middle", "p256", "root", CA, "-sha256 -days 20");
    let leaf = pki.issue_as("leaf", "", "p256", "middle", EK_EC, "-sha256 -days 10");
    let store = TrustStore::from_mixed([root, middle]);
    let check = |days| {
        let judged = judge_at(&leaf, &[], &store, days_from_now(days));
        judged.map(drop).map_err(|e| (e.check(), e.to_string()))
    };
    assert_eq!(check(9), Ok(()));
    let (name, text) = check(11).unwrap_err();
    assert_eq!(name, "expired");
    assert!(text.contains("serial"), "{text}");
    assert_eq!(check(-1).unwrap_err().0, "not-yet-valid");
    // The chain is judged too, not only the leaf.
    let long = pki.issue_as("long", "", "p256", "middle", EK_EC, "-sha256 -days 30");
    let error = judge_at(&long, &[], &store, days_from_now(25)).unwrap_err();
    assert_eq!(error.check(), "expired");
    assert!(error.to_string().contains("CN=middle"), "{error}");
}

#[test]
fn refuses_an_anchor_outside_its_validity() {
    let pki = Pki::new();
    pki.key("root", "p256");
    let root = pki.self_sign("root", "root", CA, "-sha256 -days 5");
    let leaf = pki.issue("leaf", "root", EK_EC);
    let store = TrustStore::from_mixed([root]);
    let error = judge_at(&leaf, &[], &store, days_from_now(6)).unwrap_err();
    assert_eq!(error.check(), "expired");
    assert!(error.to_string().contains("CN=root"), "{error}");
}

#[test]
fn refuses_small_rsa_keys_unless_told_otherwise() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let leaf = pki.issue_as("leaf", "", "rsa1024", "root", EK_RSA, "-sha256");
    refused(&leaf, core::slice::from_ref(&root), "weak-key");
    let middle = pki.issue_as("middle", "middle", "rsa1024", "root", CA, "-sha256");
    let below = pki.issue("below", "middle", EK_EC);
    refused(&below, &[root.clone(), middle.clone()], "weak-key");

    let dangers = Dangers {
        legacy: Legacy {
            danger_allow_small_rsa: true,
            danger_allow_sha1: false,
        },
        danger_allow_roca: false,
    };
    let store = TrustStore::from_mixed([root, middle]);
    assert!(certificate::verify(&below, &[], &store, dangers, now()).is_ok());
}

#[test]
fn refuses_sha_1_unless_told_otherwise() {
    let pki = Pki::new();
    let root = pki.root("root", "rsa2048", CA);
    let leaf = pki.issue_as("leaf", "", "p256", "root", EK_EC, "-sha1");
    refused(&leaf, core::slice::from_ref(&root), "weak-hash");

    let dangers = Dangers {
        legacy: Legacy {
            danger_allow_sha1: true,
            danger_allow_small_rsa: false,
        },
        danger_allow_roca: false,
    };
    let store = TrustStore::from_mixed([root]);
    assert!(certificate::verify(&leaf, &[], &store, dangers, now()).is_ok());
}

#[test]
fn a_self_signed_anchor_may_have_signed_itself_with_sha_1() {
    let pki = Pki::new();
    pki.key("root", "rsa2048");
    let root = pki.self_sign("root", "root", CA, "-sha1");
    let leaf = pki.issue("leaf", "root", EK_EC);
    assert!(judge(&leaf, &[root]).is_ok());
}

#[test]
fn names_unsupported_algorithms() {
    let pki = Pki::new();
    let edwards = pki.root("edwards", "ed25519", CA);
    let leaf = pki.issue_as("leaf", "", "p256", "edwards", EK_EC, "");
    // The list cannot verify the root's own signature either, so it is named as an anchor.
    let store = TrustStore::new([edwards], []);
    let error = judge_at(&leaf, &[], &store, now()).unwrap_err();
    assert_eq!(error.check(), "unsupported-key");
    let root = pki.root("root", "p256", CA);
    let leaf = pki.issue_as("leaf2", "", "ed25519", "root", EK_EC, "-sha256");
    refused(&leaf, &[root], "unsupported-key");
}

#[test]
fn refuses_a_certificate_whose_two_algorithm_fields_differ() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    let leaf = pki.issue("leaf", "root", EK_EC);
    // ecdsa-with-SHA256 ends in 03 02; the outer field is the last one in the certificate.
    let mut der = leaf.der().to_vec();
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let at = der.windows(8).rposition(|w| w == oid).unwrap();
    der[at + 7] = 0x03;
    let error = Certificate::from_der(&der).unwrap_err();
    assert!(error.to_string().contains("differ"), "{error}");
}

#[test]
fn every_truncation_of_a_certificate_is_an_error() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    let leaf = pki.issue("leaf", "root", EK_EC);
    for n in 0..leaf.der().len() {
        assert!(Certificate::from_der(&leaf.der()[..n]).is_err(), "{n}");
    }
}

#[test]
fn every_altered_byte_is_an_error_or_refused() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let leaf = pki.issue("leaf", "root", EK_EC);
    let store = TrustStore::from_mixed([root]);
    for i in 0..leaf.der().len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut der = leaf.der().to_vec();
            der[i] ^= flip;
            if let Ok(altered) = Certificate::from_der(&der) {
                assert!(
                    judge_at(&altered, &[], &store, now()).is_err(),
                    "{i} {flip:#x}"
                );
            }
        }
    }
}
