//! Real certificates of vendors and chips. They are not part of this project: the tests read
//! them from the folder that `ASSAY_CORPUS` names, and say so when it is not set.

use std::path::PathBuf;

use assay_host_verifier::{
    crypto::Legacy,
    x509::{
        self, Certificate, Policy, TrustStore, UnixTime,
        policy::{ExtendedKeyUsageRule, KeyUsageRule, LeafRole, SubjectAltNameRule},
    },
};

/// The folder, or `None` after saying loudly that nothing was tested.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("ASSAY_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("NOT TESTED: ASSAY_CORPUS is not set, so no real vendor certificate was judged");
    }
    folder
}

fn vendor_cas(folder: &std::path::Path) -> Vec<Certificate> {
    let file = std::fs::read(folder.join("tpm-ca/vendor-cas.pem")).unwrap();
    x509::decode::certificates(&file).unwrap()
}

const AUTHORITY: Policy = Policy {
    role: LeafRole::Authority,
    extended_key_usage: ExtendedKeyUsageRule::Any,
    key_usage: KeyUsageRule::Any,
    subject_alt_name: SubjectAltNameRule::Any,
    legacy: Legacy {
        danger_allow_sha1: true,
        danger_allow_small_rsa: false,
    },
};

#[test]
fn reads_every_vendor_ca_and_chains_nearly_all_to_a_self_signed_root() {
    let Some(folder) = folder() else { return };
    let all = vendor_cas(&folder);
    assert_eq!(all.len(), 306);
    let roots = all.iter().filter(|c| c.is_self_signed()).cloned();
    let rest = all.iter().filter(|c| !c.is_self_signed()).cloned();
    let store = TrustStore::new(roots, rest);
    let mut chained = 0;
    for certificate in &all {
        // Issued while its issuers were valid: the first second of a certificate is a fair time.
        match x509::validate(
            certificate,
            &[],
            &store,
            &AUTHORITY,
            certificate.not_before(),
        ) {
            Ok(_) => chained += 1,
            Err(error) => eprintln!("{}: {error}", error.check()),
        }
    }
    eprintln!("{chained} chained");
    assert!(
        chained >= 290,
        "{chained} of 306 chain to a self-signed root"
    );
}
