//! `tpm_quote` payloads: no quote is accepted that the key did not sign, whatever it says of itself.
#![no_main]

use assay_common::tpm::{codec::Reader, pcr::PcrSelection, public::Public};
use assay_host_verifier::{
    attestor::tpm_quote::{
        payload,
        verify::{CHECKS, Untrusted, verify},
    },
    tpm::AttestationKey,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((payload, _)) = payload::parse(data) {
        let _ = Untrusted::parse(payload.attest, payload.signature);
    }
    if let Some(selection) = payload::parse_request(data) {
        // What was read is asked for again in the same words.
        let again = payload::encode_request(&selection).expect("it had no more banks");
        assert_eq!(payload::parse_request(&again), Some(selection));
    }

    // Sized key, attest, signature; the rest are the PCR values.
    let mut parts = Reader::new(data);
    let (Ok(key), Ok(attest), Ok(signature)) = (parts.tpm2b(), parts.tpm2b(), parts.tpm2b()) else {
        return;
    };
    let values = parts.rest();
    let untrusted = match Untrusted::parse(attest, signature) {
        Ok(untrusted) => untrusted,
        Err(error) => return assert!(!error.check().is_empty()),
    };
    let Ok(public) = Public::parse(key) else {
        return;
    };
    let Ok(key) = AttestationKey::from_public(&public) else {
        return;
    };
    // Nonce and selection as the quote itself states them: all that is left is the signature.
    let nonce = untrusted.attest().extra_data.to_vec();
    let selection: Vec<PcrSelection> = untrusted
        .attest()
        .quote()
        .into_iter()
        .flat_map(|quote| quote.selection.iter())
        .collect();
    match verify(&untrusted, &key, &nonce, &selection, values) {
        Ok(quote) => {
            let len: usize = quote.values().iter().map(|pcr| pcr.value.len()).sum();
            assert_eq!(len, values.len());
            assert!(len > 0);
            // Another nonce or selection would have been refused.
            let other = [&nonce[..], &[0]].concat();
            assert!(verify(&untrusted, &key, &other, &selection, values).is_err());
            assert!(verify(&untrusted, &key, &nonce, &[], values).is_err());
        }
        Err(error) => {
            assert!(error.position().is_some_and(|at| at < CHECKS.len()));
        }
    }
});
