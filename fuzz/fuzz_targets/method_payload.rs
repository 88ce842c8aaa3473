//! Payloads of every method that is no TPM's, and the answers that are kept: nobody is let in whose key is not the seeds'.
//!
//! The first byte says which method; where the payload leads to a question, what is behind the first zero byte is the answer.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use assay_common::login::{Direction, LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{Attestor, Facts, Judged, LoginContext, registry};
use assay_host_verifier::blobs::Blobs;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde::de::IntoDeserializer;

/// Settings of each method, in JSON: the seeds' authorities, whose keys are gone.
const SETTINGS: &str = include_str!("../corpus/method_payload/seed-settings.json");

static ATTESTORS: LazyLock<Vec<Arc<dyn Attestor>>> = LazyLock::new(|| {
    let settings: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(SETTINGS).expect("the settings are JSON");
    let built = settings.into_iter().map(|(name, config)| {
        let kind = AttestorKind::from_name(&name).expect("a method");
        let config = registry::deserialize_config(kind, config.into_deserializer());
        let config = config.expect("settings of the method");
        config.build(Path::new("/nonexistent")).expect("settings")
    });
    built.collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((which, rest)) = data.split_first() else {
        return;
    };
    let attestor = &ATTESTORS[usize::from(*which) % ATTESTORS.len()];
    let mut parts = rest.splitn(2, |byte| *byte == 0);
    let payload = parts.next().unwrap_or_default();
    let context = LoginContext {
        now: Timestamp::from_second(1_800_000_000).expect("a time"),
        transcript: &Transcript::new().then(Direction::Agent, b"hello"),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([7; 32]),
    };
    match attestor.judge(&context, payload) {
        // The login is another than the seeds were made for, so not even those pass.
        Ok(Judged::Proven(claims)) => panic!("nobody has the key: {claims:?}"),
        Ok(Judged::Challenge(_)) => {}
        Ok(Judged::Errand(errand)) => {
            if let Err(error) = errand.judge(&context, parts.next().unwrap_or_default()) {
                assert!(!error.check.is_empty() && !error.detail.is_empty());
            }
        }
        Err(error) => assert!(!error.check.is_empty() && !error.detail.is_empty()),
    }
});
