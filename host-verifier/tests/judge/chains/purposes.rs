//! What a certificate says that it is for: CA or end entity, key usages, purposes, names, and what nobody knows.

use super::{judge, refused};
use crate::pki::{CA, EK_EC, Pki};

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
