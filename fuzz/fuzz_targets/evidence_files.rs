//! What `assay evidence verify` reads besides TPM structures: PCR values as text, and a bare public key.
#![no_main]

use std::fmt::Write;

use assay_host_verifier::tpm::pcr_text;
use assay_host_verifier::x509::spki;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(values) = pcr_text::parse(text)
    {
        assert!(!values.is_empty() && values.len() <= 24);
        let mut again = String::new();
        for (index, value) in &values {
            assert!((1..=64).contains(&value.len()));
            writeln!(again, "{} {}", index.get(), hex::encode(value)).expect("memory");
        }
        assert_eq!(pcr_text::parse(&again).as_ref(), Ok(&values));
    }
    if let Ok(key) = spki::from_der(data) {
        // Two files never name one key by two hashes: what is read again from our own encoding is the same key.
        let der = key.spki_der();
        let again = spki::from_der(&der).expect("our own encoding");
        assert_eq!(again.spki_sha256(), key.spki_sha256());
        for short in 0..data.len().min(64) {
            assert!(spki::from_der(&data[..short]).is_err());
        }
    }
});
