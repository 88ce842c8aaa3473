//! What `assay evidence verify` reads besides TPM structures: PCR values as text, and a bare public key; and the login
//! that `assay audit evidence` takes files out of, as a list of pieces: a byte that says what, a length in two bytes, the
//! bytes.
#![no_main]

use std::fmt::Write;

use assay_host_verifier::attestor::tpm_quote::files::{Evidence, Piece};
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
    let mut pieces = Vec::new();
    let mut rest = data;
    while let Some(([what, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (bytes, after) = after.split_at(len);
        rest = after;
        pieces.push(match what % 4 {
            0 => Piece::Agent(bytes),
            1 => Piece::Verifier(bytes),
            2 => Piece::Chunk(bytes),
            _ => Piece::Blob(usize::from(*what) / 4, bytes),
        });
    }
    if let Ok(evidence) = Evidence::of(pieces) {
        assert!(!evidence.attest.is_empty());
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
