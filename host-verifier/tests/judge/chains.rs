//! The path validator, one test per check, each failing only because of that check.

use assay_host_verifier::{
    attestor::tpm_ek::certificate::{self, Dangers, EkCertificateError, VerifiedEkCertificate},
    crypto::Legacy,
    x509::{Certificate, TrustStore, UnixTime, decode},
};

use crate::pki::{CA, EK_EC, EK_RSA, Pki, days_from_now, now};

/// Judges an EK certificate with nothing weakened.
fn judge_at(
    leaf: &Certificate,
    hints: &[Certificate],
    store: &TrustStore,
    at: UnixTime,
) -> Result<VerifiedEkCertificate, EkCertificateError> {
    certificate::verify(leaf, hints, store, Dangers::default(), at)
}

fn judge(leaf: &Certificate, list: &[Certificate]) -> Result<VerifiedEkCertificate, String> {
    let store = TrustStore::from_mixed(list.to_vec());
    judge_at(leaf, &[], &store, now()).map_err(|error| error.check().to_owned())
}

#[track_caller]
fn refused(leaf: &Certificate, list: &[Certificate], check: &str) {
    assert_eq!(judge(leaf, list).err().as_deref(), Some(check));
}

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
fn refuses_a_ca_as_a_leaf() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let both = format!("{CA},keyAgreement\nextendedKeyUsage=2.23.133.8.1");
    let intermediate = pki.issue("intermediate", "root", &both);
    refused(&intermediate, core::slice::from_ref(&root), "leaf-is-ca");
    // Without basicConstraints, the right to sign certificates makes a CA.
    let old = pki.issue("old", "root", "keyUsage=critical,keyCertSign,keyAgreement");
    refused(&old, &[root], "leaf-is-ca");
}

#[test]
fn refuses_an_issuer_that_is_no_ca() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let middle = pki.issue("middle", "root", "basicConstraints=critical,CA:FALSE");
    let leaf = pki.issue("leaf", "middle", EK_EC);
    refused(&leaf, &[root.clone(), middle], "issuer-not-ca");
    // Nor one that does not say.
    let silent = pki.issue(
        "silent",
        "root",
        "subjectKeyIdentifier=none\nkeyUsage=keyCertSign",
    );
    let leaf = pki.issue("leaf2", "silent", EK_EC);
    refused(&leaf, &[root, silent], "issuer-not-ca");
}

#[test]
fn refuses_an_issuer_that_may_not_sign_certificates() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let middle = pki.issue(
        "middle",
        "root",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign",
    );
    let leaf = pki.issue("leaf", "middle", EK_EC);
    refused(&leaf, &[root, middle], "key-usage");
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
fn refuses_the_key_usage_of_a_signing_key() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let signing = EK_EC.replace("keyAgreement", "digitalSignature");
    let leaf = pki.issue("leaf", "root", &signing);
    refused(&leaf, core::slice::from_ref(&root), "key-usage");
    // Each key type has its own usage.
    let crossed = pki.issue_as("crossed", "", "rsa2048", "root", EK_EC, "-sha256");
    refused(&crossed, core::slice::from_ref(&root), "key-usage");
    let silent = EK_EC.replace("keyUsage=critical,keyAgreement\n", "");
    assert!(judge(&pki.issue("silent", "root", &silent), &[root]).is_ok());
}

#[test]
fn refuses_an_extended_key_usage_without_the_ek_purpose() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let web = EK_EC.replace("2.23.133.8.1", "serverAuth,clientAuth");
    refused(
        &pki.issue("web", "root", &web),
        core::slice::from_ref(&root),
        "extended-key-usage",
    );
    let platform = EK_EC.replace("2.23.133.8.1", "2.23.133.8.2");
    refused(
        &pki.issue("platform", "root", &platform),
        core::slice::from_ref(&root),
        "extended-key-usage",
    );
    let silent = EK_EC.replace("extendedKeyUsage=2.23.133.8.1\n", "");
    assert!(judge(&pki.issue("silent", "root", &silent), &[root]).is_ok());
}

#[test]
fn any_extended_key_usage_is_enough_for_an_issuer_and_not_for_an_ek() {
    let pki = Pki::new();
    let any = "extendedKeyUsage=anyExtendedKeyUsage";
    let root = pki.root("root", "p256", &format!("{CA}\n{any}"));
    let middle = pki.issue("middle", "root", &format!("{CA}\n{any}"));
    let list = [root, middle];
    assert!(judge(&pki.issue("leaf", "middle", EK_EC), &list).is_ok());
    let leaf = EK_EC.replace("extendedKeyUsage=2.23.133.8.1", any);
    refused(
        &pki.issue("any", "middle", &leaf),
        &list,
        "extended-key-usage",
    );
}

#[test]
fn refuses_a_certificate_in_which_nothing_says_that_it_is_for_an_ek() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let usage = "\nextendedKeyUsage=2.23.133.8.1";
    let name = "\nsubjectAltName=critical,dirName:tpm";
    let silent = EK_EC.replace(usage, "").replace(name, "");
    let others =
        format!("{silent}\nsubjectAltName=DNS:tpm.example.org,dirName:other\n[other]\nCN=a\n");
    // Either mark will do.
    for (n, (extensions, wanted)) in [
        (&silent, Err("ek-mark".to_owned())),
        (&others, Err("ek-mark".to_owned())),
        (&EK_EC.replace(usage, ""), Ok(())),
        (&EK_EC.replace(name, ""), Ok(())),
    ]
    .into_iter()
    .enumerate()
    {
        let leaf = pki.issue(&format!("leaf{n}"), "root", extensions);
        let judged = judge(&leaf, core::slice::from_ref(&root));
        assert_eq!(judged.map(drop), wanted, "{extensions}");
    }
}

#[test]
fn lets_an_issuer_omit_the_extended_key_usage_but_not_contradict_it() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let web = pki.issue("web", "root", &format!("{CA}\nextendedKeyUsage=serverAuth"));
    let leaf = pki.issue("leaf", "web", EK_EC);
    refused(&leaf, &[root.clone(), web], "extended-key-usage");
    let ek = pki.issue(
        "ek",
        "root",
        &format!("{CA}\nextendedKeyUsage=2.23.133.8.1"),
    );
    let leaf = pki.issue("leaf2", "ek", EK_EC);
    assert!(judge(&leaf, &[root, ek]).is_ok());
}

#[test]
fn refuses_an_unknown_critical_extension_anywhere() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let odd = "1.2.3.4.5=critical,DER:05:00";
    let leaf = pki.issue("leaf", "root", &format!("{EK_EC}\n{odd}"));
    refused(&leaf, core::slice::from_ref(&root), "critical-extension");
    let middle = pki.issue("middle", "root", &format!("{CA}\n{odd}"));
    let leaf = pki.issue("leaf2", "middle", EK_EC);
    refused(&leaf, &[root.clone(), middle], "critical-extension");
    // The same, not critical, says nothing.
    let harmless = format!("{EK_EC}\n1.2.3.4.5=DER:05:00");
    assert!(judge(&pki.issue("leaf3", "root", &harmless), &[root]).is_ok());
}

#[test]
fn accepts_a_critical_subject_alternative_name_only_when_it_names_a_tpm() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let dns = EK_EC.replace("critical,dirName:tpm", "critical,DNS:tpm.example.org");
    refused(
        &pki.issue("dns", "root", &dns),
        core::slice::from_ref(&root),
        "critical-extension",
    );
    let other = EK_EC.replace("dirName:tpm", "dirName:other");
    let other = format!("{other}\n[other]\nCN=nobody\n");
    refused(
        &pki.issue("other", "root", &other),
        core::slice::from_ref(&root),
        "subject-alt-name",
    );
    // One multi-valued name instead of three.
    let multi = EK_EC.replace("dirName:tpm", "dirName:multi");
    let multi = format!(
        "{multi}\n[multi]\n0.2.23.133.2.1=id:49465800\n0.+2.23.133.2.2=SLB9670\n0.+2.23.133.2.3=id:0755\n"
    );
    let verified = judge(&pki.issue("multi", "root", &multi), &[root]).unwrap();
    assert_eq!(verified.identity().model.as_deref(), Some("SLB9670"));
}

#[test]
fn refuses_more_intermediates_than_a_ca_allows() {
    let pki = Pki::new();
    let limited = CA.replace("CA:TRUE", "CA:TRUE,pathlen:0");
    let root = pki.root("root", "p256", CA);
    let first = pki.issue("first", "root", &limited);
    let second = pki.issue("second", "first", CA);
    assert!(
        judge(
            &pki.issue("direct", "first", EK_EC),
            &[root.clone(), first.clone()]
        )
        .is_ok()
    );
    let leaf = pki.issue("leaf", "second", EK_EC);
    refused(&leaf, &[root, first, second], "path-length");
}

#[test]
fn enforces_the_path_length_of_an_anchor_too() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", &CA.replace("CA:TRUE", "CA:TRUE,pathlen:0"));
    let first = pki.issue("first", "root", CA);
    let leaf = pki.issue("leaf", "first", EK_EC);
    refused(&leaf, &[root, first], "path-length");
}

#[test]
fn enforces_name_constraints() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let only = format!("{CA}\nnameConstraints=critical,permitted;dirName:only\n[only]\nO=Vendor\n");
    let middle = pki.issue("middle", "root", &only);
    let leaf = pki.issue("leaf", "middle", EK_EC);
    refused(&leaf, &[root.clone(), middle], "name-constraints");
    let dns = format!("{CA}\nnameConstraints=critical,permitted;DNS:example.org\n");
    let middle = pki.issue("dnsonly", "root", &dns);
    assert!(judge(&pki.issue("leaf2", "dnsonly", EK_EC), &[root, middle]).is_ok());
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
