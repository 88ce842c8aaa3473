//! OpenSSH's revocation lists: read in bounded time, and the same certificate is on the same list twice.
#![no_main]

use std::sync::LazyLock;

use assay_host_verifier::ssh::{Certificate, Krl};
use libfuzzer_sys::fuzz_target;

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let blob = include_bytes!("../corpus/ssh_certificate/seed-host.blob");
    Certificate::from_blob(blob).expect("the seed is a certificate")
});

fuzz_target!(|data: &[u8]| {
    match Krl::from_bytes(data) {
        Ok(krl) => {
            let listed = krl.revokes(&CERTIFICATE);
            assert_eq!(krl.revokes(&CERTIFICATE), listed);
            assert!(listed.is_none_or(|how| !how.is_empty()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
