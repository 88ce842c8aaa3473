//! Rego modules in logins: what the operator learns of them, and the node does not.

use assay_common::protocol::DenyCode;
use assay_host_verifier::audit::kept::Kept;

use super::{judge, last_record, office, verdict};
use crate::agent::Answer;
use crate::desk::{ek_and_quote, ek_only, granted, policies};
use crate::fake_tpm::FakeTpm;

const MODULE: &str = "package lab\nimport rego.v1\ndefault allow := false\nallow if input.methods.tpm_quote.reset_count < 5\n\
                      reasons contains \"the TPM was reset too often\" if true\n";

fn narrowed(tpm: &FakeTpm) -> String {
    let module: String = MODULE
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    format!(
        "{}  rego:\n    timeout: 1s\n    module: |\n{module}{}",
        ek_and_quote(&[tpm]),
        ""
    )
}

#[tokio::test]
async fn a_module_decides_a_login_and_only_the_operator_learns_why() {
    let mut tpm = FakeTpm::new();
    tpm.reset_count = 4;
    let (mut desk, folder) = office(&narrowed(&tpm));
    granted(desk.login(&tpm).await);
    let record = last_record(&folder);
    let module = &record["explanation"][0]["modules"][0];
    assert_eq!(
        (module["outcome"].as_str(), module["entrypoint"].as_str()),
        (Some("allow"), Some("data.lab.allow"))
    );

    tpm.reset_count = 5;
    match desk.login(&tpm).await {
        Answer::Denied(code, reason) => {
            assert_eq!(code, DenyCode::NO_POLICY);
            assert!(!reason.contains("reset"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(desk.last_denial().contains("the TPM was reset too often"));
    let record = last_record(&folder);
    let module = &record["explanation"][0]["modules"][0];
    assert_eq!(module["outcome"], "deny");
    let digest = sha256_hex(MODULE);
    assert_eq!(module["digest"], digest);
    // And again from the record: the module sees the same.
    let kept = Kept::of(&record).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let why = verdict(judge(&kept, &policies(&narrowed(&tpm)), kept.time, &key)).unwrap_err();
    assert!(why.contains("the TPM was reset too often"), "{why}");
}

fn sha256_hex(text: &str) -> String {
    hex::encode(crate::fake_tpm::sha256(&[text.as_bytes()]))
}

#[tokio::test]
async fn the_next_policy_is_tried_when_a_module_says_no() {
    let mut tpm = FakeTpm::new();
    tpm.reset_count = 5;
    let entries = narrowed(&tpm) + &ek_only("fallback", &[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    assert_eq!(last_record(&folder)["policy"], "fallback");
}
