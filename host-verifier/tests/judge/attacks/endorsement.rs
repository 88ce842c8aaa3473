//! Attacks on endorsement keys, their certificates, and the binding of the attestation key.

use assay_common::tpm::public::{
    Public,
    templates::{AK_RSA2048, EK_RSA2048_L1},
};
use assay_host_verifier::{
    attestor::tpm_ek::certificate::{self, Dangers},
    crypto::{Legacy, PublicKey, RsaPublicKey},
    tpm::AttestationKey,
    x509::{Certificate, TrustStore, decode},
};
use serde_json::json;

use crate::{
    ek::{Sent, claims, hash_of, judge, keys, listed, refused},
    pki::{CA, EK_EC, EK_RSA, Pki, now},
};

fn ek(leaf: &Certificate, list: &[Certificate]) -> Result<(), String> {
    let store = TrustStore::from_mixed(list.to_vec());
    certificate::verify(leaf, &[], &store, Dangers::default(), now())
        .map(drop)
        .map_err(|error| error.check().to_owned())
}

/// CVE-2021-3406: the certificate is for another EK than the one that is challenged.
#[test]
fn a18_the_ek_is_the_certified_one_and_no_other() {
    let pki = Pki::new();
    pki.root("vendor", "p256", CA);
    let genuine = pki.issue("genuine", "vendor", EK_EC);
    let anchor = String::from_utf8(pki.pem("vendor")).unwrap();
    let sent = Sent::with_certificate(genuine.der());
    let config = json!({"manufacturerCAs": [anchor], "require": "certificate"});
    refused(config, &sent, "key-mismatch");
}

/// Vendors' intermediates carry the EK usage themselves.
#[test]
fn a24_a_ca_is_never_an_ek() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let extensions =
        format!("{CA},keyAgreement\nextendedKeyUsage=2.23.133.8.1\nsubjectAltName=dirName:tpm");
    let intermediate = pki.issue("intermediate", "root", &extensions);
    assert_eq!(ek(&intermediate, &[root]), Err("leaf-is-ca".into()));
}

/// Cloud machines have certificates for a signing key beside the EK's, with the EK usage.
#[test]
fn a25_a_signing_certificate_with_the_ek_usage_is_no_ek() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let signing = EK_RSA.replace("keyEncipherment", "digitalSignature");
    let leaf = pki.issue_as("sign", "", "rsa2048", "root", &signing, "-sha256");
    assert_eq!(ek(&leaf, &[root]), Err("key-usage".into()));
}

/// An intermediate made by the attacker under a vendor's name.
#[test]
fn a26_chains_are_found_by_signature_not_by_name() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let real = pki.issue("real", "root", CA);
    // The forger's root has the vendor root's name, its intermediate that of the vendor's.
    pki.key("forger", "p256");
    pki.self_sign("forger", "root", CA, "-sha256");
    let forged = pki.issue_as("forged", "real", "p256", "forger", CA, "-sha256");
    let genuine = pki.issue("genuine", "real", EK_EC);
    let fake = pki.issue("fake", "forged", EK_EC);
    for list in [
        [root.clone(), real.clone(), forged.clone()],
        [forged.clone(), real.clone(), root.clone()],
    ] {
        assert_eq!(ek(&genuine, &list), Ok(()));
        assert_eq!(ek(&fake, &list), Err("bad-signature".into()));
    }
}

/// SHA-1 chains of old chips.
#[test]
fn a27_a_sha_1_chain_needs_an_explicit_switch() {
    let pki = Pki::new();
    let root = pki.root("root", "rsa2048", CA);
    let middle = pki.issue_as("middle", "middle", "rsa2048", "root", CA, "-sha1");
    let leaf = pki.issue("leaf", "middle", EK_EC);
    let list = [root, middle];
    assert_eq!(ek(&leaf, &list), Err("weak-hash".into()));
    let dangers = Dangers {
        legacy: Legacy {
            danger_allow_sha1: true,
            danger_allow_small_rsa: false,
        },
        danger_allow_roca: false,
    };
    let store = TrustStore::from_mixed(list);
    assert!(certificate::verify(&leaf, &[], &store, dangers, now()).is_ok());
}

/// Critical extensions that nobody read.
#[test]
fn a28_a_critical_extension_counts_only_when_it_was_understood() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    assert_eq!(
        ek(
            &pki.issue("good", "root", EK_EC),
            core::slice::from_ref(&root)
        ),
        Ok(())
    );
    let mail = EK_EC.replace("dirName:tpm", "email:a@example.org");
    let leaf = pki.issue("mail", "root", &mail);
    assert_eq!(
        ek(&leaf, core::slice::from_ref(&root)),
        Err("critical-extension".into())
    );
    let policy = format!("{EK_EC}\npolicyConstraints=critical,requireExplicitPolicy:0");
    let leaf = pki.issue("policy", "root", &policy);
    assert_eq!(ek(&leaf, &[root]), Err("critical-extension".into()));
}

/// CVE-2017-15361 (ROCA).
#[test]
fn a29_a_modulus_of_the_broken_generator_is_refused() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    // 65537^129 has the fingerprint by construction, and 2065 bits.
    let modulus = Pki::power_of_65537(129);
    let key = RsaPublicKey::new(&modulus, 65_537).unwrap();
    let spki = PublicKey::Rsa(key).spki_der();
    pki.write("roca.der", &spki);
    pki.openssl("pkey -pubin -inform DER -in roca.der -out roca.pem");
    let pem = std::fs::read(pki.path("roca.pem")).unwrap();
    let leaf = pki.certify("roca", &pem, "root", EK_RSA);
    assert_eq!(ek(&leaf, core::slice::from_ref(&root)), Err("roca".into()));
    let dangers = Dangers {
        danger_allow_roca: true,
        ..Dangers::default()
    };
    let store = TrustStore::from_mixed([root]);
    assert!(certificate::verify(&leaf, &[], &store, dangers, now()).is_ok());

    // Whoever can compute the private key has the listed EK too, and a listed EK must not outweigh a
    // certificate that was refused for it.
    let anchor = String::from_utf8(pki.pem("root")).unwrap();
    let ek = with_modulus(&EK_RSA2048_L1[..56], 50, &modulus);
    for (require, certificate) in [
        ("hash", None),
        ("either", None),
        ("either", Some(leaf.der().to_vec())),
        ("certificate", Some(leaf.der().to_vec())),
    ] {
        let sent = Sent {
            ek: ek.clone(),
            certificate,
            ..Sent::bare()
        };
        let mut config = json!({
            "require": require, "allowedHashes": [hash_of(&ek)], "manufacturerCAs": [&anchor],
        });
        refused(config.clone(), &sent, "roca");
        config["danger_allow_roca"] = json!(true);
        assert!(judge(config, &sent).is_ok(), "{require}");
    }
}

/// The same generator made attestation keys.
#[test]
fn a29_an_ak_of_the_broken_generator_is_refused() {
    let sent = Sent {
        ak: with_modulus(&AK_RSA2048[..22], 16, &Pki::power_of_65537(129)),
        ..Sent::bare()
    };
    refused(listed(), &sent, "ak-roca");
    let mut config = listed();
    config["danger_allow_roca"] = json!(true);
    assert!(judge(config, &sent).is_ok());
}

/// The public area that begins as `head` does, where `key_bits` stands at that offset, with this modulus.
fn with_modulus(head: &[u8], key_bits: usize, modulus: &[u8]) -> Vec<u8> {
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    let mut public = head.to_vec();
    public[key_bits..key_bits + 2].copy_from_slice(&(bits as u16).to_be_bytes());
    public.extend((modulus.len() as u16).to_be_bytes());
    public.extend(modulus);
    public
}

/// CVE-2026-40097: an empty extended key usage, read out of bounds.
#[test]
fn a31_an_empty_extended_key_usage_is_refused_without_a_panic() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let empty = EK_EC.replace("extendedKeyUsage=2.23.133.8.1", "2.5.29.37=DER:30:00");
    let leaf = pki.issue("leaf", "root", &empty);
    assert_eq!(
        ek(&leaf, core::slice::from_ref(&root)),
        Err("extended-key-usage".into())
    );
    for broken in ["05:00", "30:02:06:00", "30:80:00:00"] {
        let extension = format!("2.5.29.37=DER:{broken}");
        let broken = EK_EC.replace("extendedKeyUsage=2.23.133.8.1", &extension);
        // openssl writes whatever it is told.
        let broken = pki.issue_unread("broken", "root", &broken);
        assert!(decode::certificate(&broken).is_err());
    }
}

/// Odd wrappings of certificates, each undone by its own decoder.
#[test]
fn a33_wrappings_are_undone_explicitly_and_bounded() {
    let pki = Pki::new();
    let root = pki.root("root", "p256", CA);
    let leaf = pki.issue("leaf", "root", EK_EC);
    let der = leaf.der();
    let len = (der.len() as u16).to_be_bytes();
    let stored_len = (der.len() as u16 + 2).to_be_bytes();
    for wrapped in [
        [der, &[0xff; 500][..]].concat(),
        [der, &[0; 500][..]].concat(),
        [&[0x10, 1, 0][..], &len, der].concat(),
        [&[0x10, 1, 0][..], &stored_len, &[0x10, 2], der, &[0xff; 9]].concat(),
        [&[0x04, 0x82][..], &len, der].concat(),
        pki.pem("leaf"),
    ] {
        let certificate = decode::certificate(&wrapped).unwrap();
        assert_eq!(ek(&certificate, core::slice::from_ref(&root)), Ok(()));
    }
    for refused in [
        [der, b"trailing".as_slice()].concat(),
        [&[0x1f, 0x8b][..], der].concat(),
        [&[0x78, 0x9c][..], der].concat(),
        b"{\"certificate\":\"MIID\"}".to_vec(),
        [pki.pem("leaf"), pki.pem("root")].concat(),
        vec![0x30; decode::MAX_FILE_LEN + 1],
        [&[0x30, 0x83, 0x7f, 0xff, 0xff][..], &vec![0; 0x7f_ffff]].concat(),
    ] {
        assert!(decode::certificate(&refused).is_err());
    }
}

/// The rule behind them: the subject is computed from the key that is challenged, never sent.
#[test]
fn a00_the_identity_is_computed_from_the_challenged_key() {
    let proven = claims(listed(), &Sent::bare()).unwrap();
    assert_eq!(proven.facts.subject, Some(hash_of(&keys().ek_ecc)));
    let key = proven.facts.attestation_key.unwrap();
    let public = Public::parse(&key.public).unwrap();
    let name = AttestationKey::from_public(&public).unwrap();
    assert_eq!(name.name().unwrap().as_bytes(), key.name);
}
