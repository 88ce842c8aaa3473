//! `assay agent run`: from before the verifier is there until it is told to stop.

use super::login::{tcti, with_tpm};
use super::site::{Site, eventually, page, run_agent, status};

const HEALTH: &str = "  health: {address: '127.0.0.1:0'}\n";
const METRICS: &str = "  metrics: {address: '127.0.0.1:0'}\n";

#[test]
fn an_agent_waits_for_its_verifier_renews_and_stops_cleanly() {
    let node = with_tpm();
    let more = format!("{}{HEALTH}  output: {{directory: svid}}\n", tcti(&node));
    let config = node
        .site
        .agent("[{type: tpm_ek}, {type: tpm_quote}]", &more);
    let mut agent = run_agent(&config);
    let listening = agent.wait_for("Listening");
    let health = listening["address"].as_str().unwrap().to_owned();
    // Nobody is there.
    let failed = agent.wait_for("Login failed");
    assert!(
        failed["hint"]
            .as_str()
            .unwrap()
            .contains("is assayd running"),
        "{failed}"
    );
    assert_eq!(status(&health, "/live"), Some(200));
    assert_eq!(status(&health, "/ready"), Some(503));
    assert_eq!(status(&health, "/other"), Some(404));
    // It comes, with sessions so short that they are renewed while somebody watches.
    let assayd = node.site.start(&["session.ttl=60s"]);
    let sending = agent.wait_for("Sending Login");
    assert_eq!(
        sending["attestors"],
        serde_json::json!(["tpm_ek", "tpm_quote"])
    );
    let connected = agent.wait_for("Connected to server");
    let id = connected["spiffe_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("spiffe://example.org/node/"), "{connected}");
    eventually("ready", || status(&health, "/ready") == Some(200));
    let files = node.site.folder().join("svid");
    eventually("files", || files.join("svid.pem").is_file());
    for file in ["bundle.pem", "bundle.json"] {
        assert!(files.join(file).is_file(), "{file}");
    }
    // Its key is in the TPM.
    assert!(!files.join("svid-key.pem").exists());
    let renewed = agent.wait_for("Session renewed");
    assert_eq!(
        renewed["session_id"],
        connected["session_id"],
        "{}",
        assayd.log()
    );
    assert_eq!(agent.stop(), 0, "{}", agent.log());
    assert!(agent.said("Stopping").is_some());
}

/// Whoever watches nodes sees which method fails, and where nothing was asked for yet.
#[test]
fn an_agent_counts_what_becomes_of_its_proofs() {
    const POLICY: &str = "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: first-login\n      \
        requiredAttestors:\n        - type: join_token\n";
    let site = Site::set_up_with(
        POLICY,
        "session: {pathTemplate: '/node/{{join_token.id}}'}\n",
    );
    let _assayd = site.start(&[]);
    site.write_token();
    let entries = "[{type: join_token, config: {joinTokenFile: token}}, {type: ssh_pop, config: {hostKeyPath: none}}]";
    let config = site.agent(entries, METRICS);
    let mut agent = run_agent(&config);
    let listening = agent.wait_for("Listening");
    assert_eq!(listening["listener"], "metrics");
    agent.wait_for("Connected to server");
    let address = listening["address"].as_str().unwrap();
    assert_eq!(status(address, "/ready"), Some(404));
    let page = page(address, "/metrics");
    assert!(page.contains("text/plain; version=0.0.4"), "{page}");
    for (method, outcome, count) in [
        ("join_token", "success", 1),
        ("join_token", "failed", 0),
        ("ssh_pop", "success", 0),
        // It could not be offered.
        ("ssh_pop", "failed", 1),
    ] {
        let line = format!(
            "spirl_attestation_agent_proof_total{{attestor_type=\"{method}\",outcome=\"{outcome}\"}} {count}\n"
        );
        assert!(page.contains(&line), "{line}{page}");
    }
    assert_eq!(agent.stop(), 0);
}
