//! `tpm_ek` payloads: whatever comes, an EK is accepted only by its hash, and only as an EK.
#![no_main]

use std::collections::BTreeSet;

use assay_common::{
    method::tpm_ek::EkPayload,
    tpm::{codec::Reader, public::Public},
};
use assay_host_verifier::{
    attestor::{
        AttestError,
        tpm_ek::{
            Require,
            certificate::Dangers,
            payload,
            verify::{EK_ATTRIBUTES, Rules, verify},
        },
    },
    blobs::Blobs,
    random::SeededRandom,
    tpm::{attestation_key, key::public_key, make_credential},
    x509::UnixTime,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    judge(data);
    let _ = payload::parse_response(data);
    // Two sized public areas, put into a well-formed message so that the checks behind it are reached.
    let mut parts = Reader::new(data);
    if let (Ok(ek_public), Ok(ak_public)) = (parts.tpm2b(), parts.tpm2b()) {
        let payload = EkPayload {
            ek_public,
            ak_public,
            ek_certificate: None,
            ek_chain: Default::default(),
        };
        let mut buffer = vec![0; data.len() + 64];
        let message = postcard::to_slice(&payload, &mut buffer).expect("it fits");
        judge(message);
    }
});

fn judge(message: &[u8]) {
    let blobs = Blobs::default();
    let untrusted = match payload::parse(message, &blobs) {
        Ok(untrusted) => untrusted,
        Err(error) => {
            let error = AttestError::from(error);
            return assert!(!error.check.is_empty() && !error.detail.is_empty());
        }
    };
    // The list has exactly this EK, so that everything behind the list is reached.
    let allowed: BTreeSet<[u8; 32]> = public_key(&untrusted.ek)
        .map(|key| key.spki_sha256())
        .into_iter()
        .collect();
    let mut rules = Rules {
        require: Require::Either,
        allowed_hashes: Some(&allowed),
        manufacturers: None,
        dangers: Dangers::default(),
    };
    let accepted = verify(&untrusted, &rules, UnixTime(0));
    rules.allowed_hashes = None;
    assert!(verify(&untrusted, &rules, UnixTime(0)).is_err());
    let Ok(accepted) = accepted else { return };

    assert!(untrusted.ek.attributes.contains(EK_ATTRIBUTES));
    assert!(untrusted.ak.attributes.contains(attestation_key::REQUIRED));
    assert!(accepted.certificate().is_none());
    assert!(allowed.contains(&accepted.ek_hash()));
    assert_eq!(accepted.ak_public(), untrusted.ak.raw());
    assert!(Public::parse(accepted.ak_public()).is_ok());
    let name = accepted.ak().name().expect("it was computed");
    let random = SeededRandom::new(7);
    let credential = make_credential(accepted.ek(), name.as_bytes(), &[0x5a; 32], &random)
        .expect("an accepted EK can be challenged");
    assert!(!credential.id_object.is_empty() && !credential.encrypted_secret.is_empty());
}
