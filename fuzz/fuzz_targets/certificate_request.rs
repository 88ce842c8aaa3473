//! Certificate requests: what is accepted was signed as a whole by the one key in it, in its one form.
#![no_main]

use assay_host_verifier::{
    svid::{csr::MAX_CSR, verify_csr},
    x509::spki,
};
use libfuzzer_sys::fuzz_target;

/// All requests that anybody's key signed here. A fuzzer changes them and cannot sign.
const SIGNED: [&[u8]; 3] = [
    include_bytes!("../corpus/certificate_request/seed-p256.der"),
    include_bytes!("../corpus/certificate_request/seed-p384.der"),
    include_bytes!("../corpus/certificate_request/seed-rsa2048.der"),
];

fuzz_target!(|data: &[u8]| {
    let Ok(key) = verify_csr(data) else { return };
    assert!(data.len() <= MAX_CSR);
    assert_eq!(
        spki::from_der(key.spki_der()).as_ref(),
        Ok(key.public_key())
    );
    assert!(verify_csr(&data[..data.len() - 1]).is_err());
    // An ECDSA signature has two forms, so the bytes may differ; the key may not.
    assert!(
        SIGNED
            .iter()
            .any(|seed| verify_csr(seed).as_ref() == Ok(&key)),
        "a key that nobody signed with"
    );
});
