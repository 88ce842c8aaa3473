//! Settings that would let something pass.

use assay_host_verifier::attestor::MethodConfig;
use assay_host_verifier::attestor::tpm_quote::Config;
use serde_json::json;

use super::{digest, wants};

#[test]
fn settings_that_would_let_something_pass_are_refused() {
    for (config, field) in [
        (
            json!({"eventLog": "accept", "requiredMeasurements": ["a"]}),
            "eventLog",
        ),
        (
            json!({"eventLog": "ignore", "requiredMeasurements": ["a"]}),
            "eventLog",
        ),
        (
            json!({"anyValue": [0], "resetWitness": "require"}),
            "eventLog",
        ),
        (
            json!({"anyValue": [0], "measurements": [
                {"name": "a", "version": "1.0.0", "digest": digest(b"a")}]}),
            "eventLog",
        ),
        (json!({"bank": "sha512", "eventLog": "require"}), "bank"),
        (wants(json!(["No Name"])), "requiredMeasurements[0]"),
        (
            wants(json!(["a", "sha256:abcd"])),
            "requiredMeasurements[1]",
        ),
        (
            wants(json!([{"image": "a", "version": "newest"}])),
            "requiredMeasurements[0].version",
        ),
        (
            json!({"eventLog": "require", "measurements": []}),
            "measurements",
        ),
        (
            json!({"eventLog": "require", "measurements": [
                {"name": "a", "version": "1", "digest": digest(b"a")}]}),
            "measurements[0].version",
        ),
        (
            json!({"eventLog": "require", "measurements": [
                {"name": "a", "version": "1.0.0", "digest": "abc"}]}),
            "measurements[0].digest",
        ),
        (
            json!({"eventLog": "require", "measurements": [
                {"name": "a", "version": "1.0.0", "digest": digest(b"a")},
                {"name": "b", "version": "1.0.0", "digest": digest(b"a")}]}),
            "measurements[1].digest",
        ),
    ] {
        let parsed: Config = serde_json::from_value(config.clone()).unwrap();
        let error = parsed
            .build(std::path::Path::new(""))
            .map(drop)
            .unwrap_err();
        assert_eq!(error.field, field, "{config}: {error}");
    }
}
