//! Revocation lists: whatever comes, a list counts only if its issuer signed it.
#![no_main]

use std::sync::LazyLock;

use assay_host_verifier::crypto::Legacy;
use assay_host_verifier::x509::{Certificate, crl::Crl, revocation};
use libfuzzer_sys::fuzz_target;

/// All that this authority ever signed; its key is gone.
const SIGNED: &[&[u8]] = &[include_bytes!("../corpus/x509_crl/seed-crl.der")];

static ISSUER: LazyLock<Certificate> = LazyLock::new(|| {
    let der = include_bytes!("../corpus/x509_crl/seed-issuer.der");
    Certificate::from_der(der).expect("the seed is a certificate")
});

/// What is signed, without the signature: an ECDSA signature has two forms.
fn body(der: &[u8]) -> &[u8] {
    // Every seed has a length of two bytes, outside and inside.
    let len = usize::from(u16::from_be_bytes([der[6], der[7]]));
    &der[4..8 + len]
}

fuzz_target!(|data: &[u8]| {
    if let Ok(lists) = revocation::crls(data) {
        assert!(!lists.is_empty());
    }
    let Ok(list) = Crl::from_der(data) else {
        return;
    };
    for short in 0..data.len().min(256) {
        assert!(Crl::from_der(&data[..short]).is_err());
    }
    let issuer = ISSUER.key().expect("the seed's key");
    let is_signed = list.is_signed_by(issuer, Legacy::default());
    assert!(is_signed || !SIGNED.contains(&data));
    if is_signed {
        let own = SIGNED.iter().any(|seed| body(data) == body(seed));
        assert!(own, "a list that nobody signed");
    }
});
