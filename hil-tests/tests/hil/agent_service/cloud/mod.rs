//! Virtual machines of the clouds that log in at an `assayd`, with stand-ins for what a cloud has around both.

mod aws;
mod azure_imds;
mod azure_msi;
mod google;
mod lab;
mod token;

use serde_json::{Value, json};

use super::site::{Process, Site, agent_json};

/// A policy with one method.
fn policy(method: &str, config: &Value) -> String {
    json!({"section": "AgentAttestation", "schema": "v1", "spec": {"policies": [{
        "name": "cloud_policy",
        "requiredAttestors": [{"type": method, "config": config}],
    }]}})
    .to_string()
}

/// What the verifier's configuration has more: how nodes are named, the operator's settings for clouds, and that everything is on
/// this machine.
fn more(template: &str, clouds: &Value) -> String {
    format!(
        "session: {{pathTemplate: '{template}'}}\nclouds: {clouds}\noutbound: {{allowLoopback: true}}\n"
    )
}

/// What an agent offers: one method, which asks here and is quick to give up.
fn attestor(method: &str, endpoint: &str, more: &Value) -> String {
    let mut config = json!({"metadataEndpoint": endpoint, "timeout": "5s", "maxRetries": 0});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    json!([{"type": method, "config": config}]).to_string()
}

/// It logs in as this.
fn logs_in(site: &Site, assayd: &Process, attestors: &str, method: &str, id: &str) {
    let config = site.agent(attestors, "");
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 0, "{errors}\n{}", assayd.log());
    assert_eq!(answer["spiffeId"], id);
    assert_eq!(answer["proven"], json!([method]));
}

/// The verifier refuses, and says why in its log; the agent says where to look.
fn refused(site: &Site, assayd: &Process, attestors: &str, check: &str) {
    let before = assayd.log().len();
    let config = site.agent(attestors, "");
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 1, "{answer}");
    let log = assayd.log().split_off(before);
    assert!(log.contains(check), "{check}\n{log}");
    assert!(
        answer["hint"].is_string() && errors.contains("hint: "),
        "{errors}"
    );
}

/// The agent has nothing to offer, and says why and what to do.
fn told(site: &Site, attestors: &str, what: &str, hint: &str) {
    let config = site.agent(attestors, "");
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 1, "{answer}");
    let all = format!("{answer}{errors}");
    assert!(
        all.contains(what) && all.contains(hint),
        "{what}, {hint}:\n{all}"
    );
}

/// The attributes of the last login are these, among others.
fn attributes(assayd: &Process, wanted: &[&str]) {
    let line = assayd.said("Authorization received and verified").unwrap();
    let attributes = line["agentAttestationAttributes"].to_string();
    for one in wanted {
        assert!(attributes.contains(one), "{one}: {attributes}");
    }
}
