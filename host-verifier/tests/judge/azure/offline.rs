//! `assay evidence verify azure_msi` and `azure_imds`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::documents::{Azure, config, document, login, now, payload};
use super::entra::{Entra, PRINCIPAL, SUBSCRIPTION, TENANT, but, claims, machine};

fn verify(dir: &Path, more: &[&str]) -> (Option<i32>, Value) {
    verify_at(dir, "azure_msi", "2026-11-22T12:00:00Z", more)
}

fn verify_at(dir: &Path, method: &str, at: &str, more: &[&str]) -> (Option<i32>, Value) {
    let Output { status, stdout, .. } = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["evidence", "verify", method, "--payload", "payload.json"])
        .args(["--config", "config.yaml", "--at", at, "--json"])
        .args(more)
        .current_dir(dir)
        .output()
        .unwrap();
    (
        status.code(),
        serde_json::from_slice(&stdout).unwrap_or_default(),
    )
}

fn prepare(dir: &Path, claims: &Value, lists: &str) {
    let payload = json!({"token": Entra::own().token(claims)}).to_string();
    std::fs::write(dir.join("payload.json"), payload + "\n").unwrap();
    let config = format!("tenants:\n  - tenantID: {TENANT}\n    principalID: {PRINCIPAL}\n{lists}");
    std::fs::write(dir.join("config.yaml"), config).unwrap();
    let keys = json!({"keys": [Entra::own().jwk()]}).to_string();
    std::fs::write(dir.join("keys.json"), keys).unwrap();
}

#[test]
fn a_token_is_judged_by_keys_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir, &claims(), "");
    let (status, report) = verify(dir, &["--keys", "keys.json"]);
    assert_eq!(status, Some(0), "{report}");
    let text = report.to_string();
    assert!(text.contains("azure_msi.tenant.id"), "{text}");
    let (status, _) = verify(dir, &[]);
    assert_eq!(status, Some(2), "there are no keys");
    prepare(dir, &but("oid", SUBSCRIPTION), "");
    let (status, report) = verify(dir, &["--keys", "keys.json"]);
    assert_eq!(status, Some(1), "{report}");
    assert!(
        report.to_string().contains("principal-not-allowed"),
        "{report}"
    );
}

#[test]
fn what_the_cloud_said_stands_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    prepare(dir, &claims(), "vmSizes: [Standard_D2s_v3]\n");
    let (status, _) = verify(dir, &["--keys", "keys.json"]);
    assert_eq!(status, Some(2), "nobody says what size it is");
    for (size, expected) in [("Standard_D2s_v3", 0), ("Standard_D4s_v3", 1)] {
        let found = json!({"method": "azure_msi", "api": {"asked": "https://management.azure.com", "machine": {
            "id": machine("spire-agent-7"), "vmId": null, "name": "spire-agent-7", "resourceGroup": "rg-spire-prod",
            "scaleSet": null, "location": "eastus", "size": size, "interfaces": [], "tags": {}, "principals": [PRINCIPAL],
        }}});
        std::fs::write(dir.join("cloud.json"), found.to_string()).unwrap();
        let (status, report) = verify(
            dir,
            &["--keys", "keys.json", "--cloud-answers", "cloud.json"],
        );
        assert_eq!(status, Some(expected), "{report}");
    }
}

#[test]
fn a_document_is_judged_by_roots_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let azure = Azure::own();
    let content = document(&login());
    let nonce = content["nonce"].as_str().unwrap();
    let signed = azure.sign("leaf", content.to_string().as_bytes(), "sha256");
    std::fs::write(dir.join("payload.json"), payload(&signed, json!({}))).unwrap();
    std::fs::write(dir.join("config.yaml"), config().to_string()).unwrap();
    std::fs::write(
        dir.join("azure.pem"),
        azure.pem("root") + &azure.pem("issuing"),
    )
    .unwrap();
    let at = now().to_string();
    let verify = |more: &[&str]| verify_at(dir, "azure_imds", &at, more);
    let (status, report) = verify(&["--nonce", nonce, "--keys", "azure.pem"]);
    assert_eq!(status, Some(0), "{report}");
    let (status, report) = verify(&["--nonce", &"0".repeat(32), "--keys", "azure.pem"]);
    assert_eq!(status, Some(1), "{report}");
    let (status, report) = verify(&["--nonce", nonce]);
    // The system's store may have Azure's roots, of which this signer has none, or none of them.
    let told = report.to_string();
    match status {
        Some(1) => assert_eq!(report["check"], "unknown-issuer", "{told}"),
        Some(2) => assert!(told.contains("no roots are given"), "{told}"),
        _ => panic!("nobody vouches for the signer: {told}"),
    }
    let hint = report["hint"].as_str().unwrap_or_default();
    assert!(
        hint.contains("--keys") && !hint.contains("clouds.azure"),
        "{report}"
    );
    assert_eq!(verify(&["--keys", "azure.pem"]).0, Some(2));
}
