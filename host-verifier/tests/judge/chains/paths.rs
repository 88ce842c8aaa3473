//! Which chains are found: issuers by signature, in any order, within bounds, up to an anchor that was meant.

use assay_host_verifier::x509::{TrustStore, decode};

use super::{judge, judge_at, refused};
use crate::pki::{CA, EK_EC, EK_RSA, Pki, now};

#[test]
fn accepts_every_supported_key_and_signature() {
    let pki = Pki::new();
    for (i, (ca, options)) in [
        ("p256", "-sha256"),
        ("p256", "-sha384"),
        ("p256", "-sha512"),
        ("p384", "-sha256"),
        ("p384", "-sha384"),
        ("p521", "-sha512"),
        ("rsa2048", "-sha256"),
        ("rsa2048", "-sha384"),
        ("rsa3072", "-sha512"),
        (
            "rsa2048",
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
        ),
        (
            "rsa2048",
            "-sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (root, leaf) = (format!("root{i}"), format!("ek{i}"));
        let anchor = pki.root(&root, ca, CA);
        let leaf = pki.issue_as(&leaf, "", "p256", &root, EK_EC, options);
        let verified = judge(&leaf, &[anchor]).unwrap_or_else(|e| panic!("{ca} {options}: {e}"));
        assert_eq!(
            verified.identity().manufacturer.as_deref(),
            Some("id:4E544300")
        );
        assert_eq!(verified.identity().model.as_deref(), Some("NPCT75x"));
        assert_eq!(
            verified.identity().firmware_version.as_deref(),
            Some("id:00070002")
        );
    }
}

#[test]
fn accepts_ek_keys_of_every_type() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    for (kind, extensions) in [
        ("p256", EK_EC),
        ("p384", EK_EC),
        ("rsa2048", EK_RSA),
        ("rsa3072", EK_RSA),
        ("rsa4096", EK_RSA),
    ] {
        let leaf = pki.issue_as(kind, "", kind, "root", extensions, "-sha256");
        assert!(judge(&leaf, core::slice::from_ref(&root)).is_ok(), "{kind}");
    }
}

#[test]
fn accepts_a_chain_of_intermediates_in_any_order_of_the_list() {
    let pki = Pki::new();
    let root = pki.root("root", "p384", CA);
    let first = pki.issue("first", "root", CA);
    let second = pki.issue("second", "first", CA);
    let leaf = pki.issue("leaf", "second", EK_EC);
    let verified = judge(&leaf, &[second, root.clone(), first.clone()]).unwrap();
    assert_eq!(verified.chain().issuers().len(), 3);
    assert_eq!(verified.chain().leaf().der(), leaf.der());
    refused(&leaf, &[root, first], "unknown-issuer");
}

#[test]
fn names_the_issuer_that_is_missing_at_the_far_end() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    pki.issue("first", "root", CA);
    let second = pki.issue("second", "first", CA);
    let leaf = pki.issue("leaf", "second", EK_EC);
    let store = TrustStore::new([root], [second]);
    let error = judge_at(&leaf, &[], &store, now()).unwrap_err();
    assert!(error.to_string().contains("CN=first"), "{error}");
}

#[test]
fn chains_by_signature_when_several_cas_share_a_name() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let real = pki.issue("real", "root", CA);
    let leaf = pki.issue("leaf", "real", EK_EC);
    pki.root("otherroot", "p256", CA);
    let fake = pki.issue_as("fake", "real", "p256", "otherroot", CA, "-sha256");
    // The impostor first, then the real one: both orders lead to the real one.
    assert!(judge(&leaf, &[root.clone(), fake.clone(), real.clone()]).is_ok());
    assert!(judge(&leaf, &[real, fake.clone(), root.clone()]).is_ok());
    refused(&leaf, &[root, fake], "bad-signature");
}

#[test]
fn refuses_a_leaf_of_an_unknown_issuer() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    let other = pki.root("other", "p256", CA);
    let leaf = pki.issue("leaf", "root", EK_EC);
    refused(&leaf, &[other], "unknown-issuer");
}

#[test]
fn refuses_a_chain_that_is_too_long() {
    let pki = Pki::new();
    let mut list = vec![pki.root("ca0", "p256", CA)];
    for i in 1..9 {
        list.push(pki.issue(&format!("ca{i}"), &format!("ca{}", i - 1), CA));
    }
    let fits = pki.issue("fits", "ca6", EK_EC);
    assert!(judge(&fits, &list).is_ok());
    let leaf = pki.issue("leaf", "ca8", EK_EC);
    refused(&leaf, &list, "chain-too-long");
}

#[test]
fn stops_at_the_signature_budget() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let mut list = vec![root];
    pki.issue("real", "root", CA);
    let leaf = pki.issue("leaf", "real", EK_EC);
    for i in 0..33 {
        list.push(pki.issue_as(&format!("twin{i}"), "real", "p256", "root", CA, "-sha256"));
    }
    refused(&leaf, &list, "signature-budget");
}

#[test]
fn a_chain_that_came_with_the_leaf_helps_and_is_never_trusted() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let middle = pki.issue("middle", "root", CA);
    let leaf = pki.issue("leaf", "middle", EK_EC);
    let store = TrustStore::from_mixed([root.clone()]);
    assert!(judge_at(&leaf, core::slice::from_ref(&middle), &store, now()).is_ok());
    let elsewhere = TrustStore::from_mixed([pki.root("elsewhere", "p256", CA)]);
    let error = judge_at(&leaf, &[middle, root], &elsewhere, now()).unwrap_err();
    assert_eq!(error.check(), "unknown-issuer");
}

#[test]
fn an_anchor_need_not_be_self_signed() {
    let pki = Pki::new();
    pki.root("unpublished", "p256", CA);
    let top = pki.issue("top", "unpublished", CA);
    let middle = pki.issue("middle", "top", CA);
    let leaf = pki.issue("leaf", "middle", EK_EC);
    // Nobody in the list bears the name of the top's issuer, so the top is the anchor.
    let list = [middle.clone(), top.clone()];
    assert!(judge(&leaf, &list).is_ok());
    let store = TrustStore::from_mixed(list);
    assert_eq!(store.anchors().len(), 1);
    assert_eq!(store.anchors()[0].der(), top.der());
    // Named apart, anything the operator calls an anchor is one.
    let store = TrustStore::new([middle], []);
    assert!(judge_at(&leaf, &[], &store, now()).is_ok());
}

#[test]
fn a_forged_intermediate_with_a_real_issuer_never_becomes_an_anchor() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    pki.key("forger", "p256");
    pki.self_sign("forger", "root", CA, "-sha256");
    let forged = pki.issue("forged", "forger", CA);
    let leaf = pki.issue("leaf", "forged", EK_EC);
    refused(&leaf, &[root, forged], "bad-signature");
}

#[test]
fn an_end_entity_in_a_mixed_list_never_becomes_an_anchor() {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    let leaf = pki.issue("leaf", "root", EK_EC);
    let store = TrustStore::from_mixed([leaf.clone()]);
    assert!(store.is_empty());
    assert_eq!(
        judge_at(&leaf, &[], &store, now()).unwrap_err().check(),
        "unknown-issuer"
    );
}

#[test]
fn a_chain_index_is_cut_at_the_lengths_of_its_certificates_and_nowhere_else() {
    let pki = Pki::new();
    let first = pki.root("first", "p256", CA);
    let second = pki.issue("second", "first", CA);
    let (a, b) = (first.der(), second.der());
    let both = [a, b].concat();
    let read = |blob: &[u8]| {
        decode::chain(blob).map(|all| all.iter().map(|c| c.der().to_vec()).collect::<Vec<_>>())
    };
    for padding in [&[][..], &[0; 300], &[0xff; 300]] {
        let blob = [&both, padding].concat();
        assert_eq!(read(&blob), Ok(vec![a.to_vec(), b.to_vec()]));
    }
    assert_eq!(read(&pki.pem("first")), Ok(vec![a.to_vec()]));
    for cut in 0..both.len() {
        // A cut that leaves a whole number of certificates shows nothing; every other is an error.
        assert_eq!(read(&both[..cut]).is_ok(), cut == a.len(), "{cut}");
    }
    for odd in [
        [a, &[0xff, 0]].concat(),
        [a, &[0; 8], b].concat(),
        [a, &[0xff; 8], b].concat(),
        [a, b, b"tail"].concat(),
        [a, b, &[0x30]].concat(),
        [a, b, &[0x30, 0]].concat(),
        vec![0xff; 64],
        Vec::new(),
    ] {
        assert!(read(&odd).is_err(), "{}", hex::encode(&odd));
    }
}
