//! OpenSSH's keys and certificates: what is read is all of the bytes, and nobody's certificate is vouched for but the seeds'.
#![no_main]

use assay_host_verifier::crypto::Seen;
use assay_host_verifier::ssh::certificate::{MAX_CERTIFICATE_LEN, MAX_PRINCIPALS};
use assay_host_verifier::ssh::{Certificate, HostKey};
use libfuzzer_sys::fuzz_target;

/// All that this authority ever signed; its key is gone.
const SIGNED: &[&[u8]] = &[include_bytes!("../corpus/ssh_certificate/seed-host.blob")];

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = HostKey::from_blob(data) {
        assert_eq!(key.blob(), data);
        for short in 0..data.len() {
            assert!(HostKey::from_blob(&data[..short]).is_err());
        }
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(key) = HostKey::from_line(text)
    {
        assert_eq!(
            HostKey::from_blob(key.blob())
                .expect("its own blob")
                .sha256(),
            key.sha256()
        );
    }
    let Ok(certificate) = Certificate::from_blob(data) else {
        return;
    };
    assert!(data.len() <= MAX_CERTIFICATE_LEN);
    assert_eq!(certificate.blob(), data);
    assert!(certificate.principals().len() <= MAX_PRINCIPALS);
    for short in 0..data.len() {
        assert!(Certificate::from_blob(&data[..short]).is_err());
    }
    // Another authority's own key may be anybody's; the seeds' authority signs no more.
    let is_signed = certificate
        .verify_signature(false, &Seen::default())
        .is_ok();
    assert!(is_signed || !SIGNED.contains(&data));
    let by_theirs = SIGNED.iter().any(|seed| {
        let seed = Certificate::from_blob(seed).expect("the seed is a certificate");
        seed.authority() == certificate.authority()
    });
    if is_signed && by_theirs {
        assert!(SIGNED.contains(&data), "a certificate that nobody signed");
    }
});
