//! Certificates: what is read covers its input, and nothing that a fuzzer makes is ever vouched for.
#![no_main]

use std::sync::LazyLock;

use assay_fuzz::is_within;
use assay_host_verifier::{
    attestor::tpm_ek::certificate::{self, Dangers, TpmIdentity},
    crypto::Legacy,
    x509::{Certificate, TrustStore, UnixTime, decode},
};
use libfuzzer_sys::fuzz_target;

/// An anchor whose key nobody has any more.
static STORE: LazyLock<TrustStore> = LazyLock::new(|| {
    let anchor = include_bytes!("../corpus/x509_certificate/seed-root.der");
    TrustStore::from_mixed([Certificate::from_der(anchor).expect("the seed is a certificate")])
});

/// All certificates that this anchor ever signed.
const SIGNED: [&[u8]; 2] = [
    include_bytes!("../corpus/x509_certificate/seed-ek_p256.der"),
    include_bytes!("../corpus/x509_certificate/seed-intermediate.der"),
];

/// In the validity of the seeds.
const AT: UnixTime = UnixTime(1_800_000_000);

fuzz_target!(|data: &[u8]| {
    let Ok(certificate) = decode::certificate(data) else {
        return assert!(Certificate::from_der(data).is_err());
    };
    let der = certificate.der();
    assert!(is_within(certificate.tbs(), der));
    let again = Certificate::from_der(der).expect("what was read once is read again");
    assert_eq!(again.tbs(), certificate.tbs());
    assert!(Certificate::from_der(&der[..der.len() - 1]).is_err());

    let shown = format!("{certificate:?} {}", certificate.subject());
    assert!(!shown.contains('\x1b'), "control characters are escaped");
    let _ = TpmIdentity::of(&certificate);
    let _ = certificate.is_self_signed();
    if let Ok(key) = certificate.key() {
        assert_eq!(
            assay_host_verifier::x509::spki::from_der(&key.spki_der()).as_ref(),
            Ok(key)
        );
    }

    let dangers = Dangers {
        legacy: Legacy {
            danger_allow_sha1: true,
            danger_allow_small_rsa: true,
        },
        danger_allow_roca: true,
    };
    let hints = [certificate.clone(), certificate.clone()];
    if let Ok(verified) = certificate::verify(&certificate, &hints, &STORE, dangers, AT) {
        // The signed part, since an ECDSA signature has two forms.
        let tbs = verified.chain().leaf().tbs();
        let signed = SIGNED.iter().flat_map(|der| Certificate::from_der(der));
        assert!(signed.into_iter().any(|known| known.tbs() == tbs));
        assert_eq!(Ok(verified.key()), certificate.key());
    }
});
