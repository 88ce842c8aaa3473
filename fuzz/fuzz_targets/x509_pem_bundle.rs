//! Bundles of certificates: all or none are read, and sorting them makes no anchor out of nothing.
#![no_main]

use assay_host_verifier::{
    attestor::tpm_ek::certificate::{self, Dangers},
    x509::{TrustStore, UnixTime, decode},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let certificates = match decode::certificates(data) {
        Ok(certificates) => certificates,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(!certificates.is_empty());
    let store = TrustStore::from_mixed(certificates.clone());
    assert!(store.anchors().len() + store.intermediates().len() <= certificates.len());
    for anchor in store.anchors() {
        assert!(anchor.is_self_signed() || anchor.is_ca());
    }
    // Whoever writes the list may well vouch for himself; the work stays bounded all the same.
    for certificate in certificates.iter().take(8) {
        let at = UnixTime(certificate.not_before().0);
        let judged =
            certificate::verify(certificate, &certificates, &store, Dangers::default(), at);
        if let Ok(verified) = judged {
            assert!(!verified.chain().issuers().is_empty());
            assert!(!certificate.is_ca());
        }
    }
});
