//! Real certificates of vendors and chips. They are not part of this project: the tests read
//! them from the folder that `ASSAY_CORPUS` names. When it is not set they are ignored (`build.rs` tells), so that a run
//! without them is counted as one; when it is set and the folder is not there, they fail.

use std::path::{Path, PathBuf};

use assay_host_verifier::{
    attestor::tpm_ek::certificate::{self, Dangers},
    crypto::{Legacy, USUAL_MAX_RSA_BITS},
    x509::{
        self, Certificate, Policy, TrustStore,
        policy::{
            ExtendedKeyUsageRule, KeyUsageRule, LeafRole, MAX_INTERMEDIATES, Profile,
            SubjectAltNameRule,
        },
    },
};

use crate::cli::assay;

/// The folder.
fn folder() -> PathBuf {
    let folder = std::env::var_os("ASSAY_CORPUS").map(PathBuf::from);
    let folder = folder.expect("ASSAY_CORPUS names the folder with vendor material");
    assert!(
        folder.is_dir(),
        "ASSAY_CORPUS={}: no such folder",
        folder.display()
    );
    folder
}

fn vendor_cas(folder: &Path) -> Vec<Certificate> {
    let file = std::fs::read(folder.join("tpm-ca/vendor-cas.pem")).unwrap();
    x509::decode::certificates(&file).unwrap()
}

/// What is asked of a vendor's CA; many are old enough to be signed with SHA-1.
const AUTHORITY: Policy = Policy {
    role: LeafRole::Authority,
    extended_key_usage: ExtendedKeyUsageRule::Any,
    key_usage: KeyUsageRule::Any,
    subject_alt_name: SubjectAltNameRule::Any,
    profile: Profile::Lenient,
    max_rsa_bits: USUAL_MAX_RSA_BITS,
    allow_ed25519: false,
    max_intermediates: MAX_INTERMEDIATES,
    legacy: Legacy {
        danger_allow_sha1: true,
        danger_allow_small_rsa: false,
    },
};

#[test]
#[cfg_attr(
    not(assay_corpus),
    ignore = "ASSAY_CORPUS is not set: no folder with vendor material"
)]
fn reads_every_vendor_ca_and_chains_nearly_all_to_a_self_signed_root() {
    let folder = folder();
    let all = vendor_cas(&folder);
    assert_eq!(all.len(), 306);
    let (roots, rest): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(Certificate::is_self_signed);
    let store = TrustStore::new(roots, rest);
    let mut failures = Vec::new();
    for certificate in &all {
        // Every certificate was issued at some time: its first second is a fair one to judge at.
        let at = certificate.not_before();
        if let Err(error) = x509::validate(certificate, &[], &store, &AUTHORITY, at) {
            failures.push(format!("{}: {error}", error.check()));
        }
    }
    let chained = all.len() - failures.len();
    assert!(chained >= 290, "{chained} chain\n{}", failures.join("\n"));
}

#[test]
#[cfg_attr(
    not(assay_corpus),
    ignore = "ASSAY_CORPUS is not set: no folder with vendor material"
)]
fn every_vendor_ca_has_a_key_that_can_be_used() {
    let folder = folder();
    for certificate in vendor_cas(&folder) {
        let key = certificate
            .key()
            .unwrap_or_else(|e| panic!("{certificate:?}: {e}"));
        key.check()
            .unwrap_or_else(|e| panic!("{certificate:?}: {e}"));
        assert!(
            certificate.extensions().unknown_critical.is_empty(),
            "{certificate:?}"
        );
    }
}

#[test]
#[cfg_attr(
    not(assay_corpus),
    ignore = "ASSAY_CORPUS is not set: no folder with vendor material"
)]
fn no_vendor_ca_passes_for_an_ek() {
    let folder = folder();
    let all = vendor_cas(&folder);
    let store = TrustStore::from_mixed(all.clone());
    for certificate in &all {
        let at = certificate.not_before();
        let judged = certificate::verify(certificate, &[], &store, Dangers::default(), at);
        assert_eq!(judged.unwrap_err().check(), "leaf-is-ca", "{certificate:?}");
    }
}

#[test]
#[cfg_attr(
    not(assay_corpus),
    ignore = "ASSAY_CORPUS is not set: no folder with vendor material"
)]
fn certificates_of_real_chips_get_the_expected_verdicts() {
    let folder = folder();
    let cas = folder.join("tpm-ca/vendor-cas.pem");
    for (file, status, check) in [
        ("st33htph-rsa2048.der", 0, None),
        ("st33htph-p256.der", 0, None),
        ("st33htph-rsa2048-padded.der", 0, None),
        ("unknown-issuer.der", 1, Some("unknown-issuer")),
        ("nuvoton-root-not-a-leaf.der", 1, Some("leaf-is-ca")),
    ] {
        let certificate = folder.join("ek").join(file);
        let run = assay(&[
            "ek".as_ref(),
            "check".as_ref(),
            certificate.as_os_str(),
            "--manufacturer-cas".as_ref(),
            cas.as_os_str(),
            "--at".as_ref(),
            "2026-01-01T00:00:00Z".as_ref(),
            "--json".as_ref(),
        ]);
        assert_eq!(run.status, status, "{file}: {}", run.stderr);
        let json = run.json();
        assert_eq!(json["check"].as_str(), check, "{file}");
        assert_eq!(json["accepted"].as_bool(), Some(status == 0));
        if status == 0 {
            assert_eq!(json["manufacturer"].as_str(), Some("id:53544D20"));
            assert_eq!(json["model"].as_str(), Some("ST33HTPHAHB4"));
        }
    }
}
