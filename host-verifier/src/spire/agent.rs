//! An agent's configuration: `agent.yaml`.

use super::Import;
use super::hcl::Value;
use super::out::Node;
use super::server::listener;
use super::settings::{Settings, texts};

const AGENT: &str = "agent.yaml";

pub(super) fn import(mut agent: Settings, root: &mut Settings, import: &mut Import) {
    let mut node = Node::map();
    agent.carry("trust_domain", &["agent", "trustDomain"], &mut node, import);
    let cluster = Node::Text("default".to_owned());
    node.put(&["agent", "auth", "clusterId"], cluster);
    import.notes.push(
        "agent.auth.clusterId: SPIRE has no clusters; name the one whose policies are for this agent".to_owned(),
    );
    let (host, port) = (agent.peek("server_address"), agent.peek("server_port"));
    if let Some(host) = host.map(ToOwned::to_owned) {
        let port = port.unwrap_or("8081").to_owned();
        let to = "agent.server.addresses";
        agent.take("server_address", to, import);
        agent.take("server_port", to, import);
        let url = Node::Text(format!("https://{host}:{port}"));
        node.put(&["agent", "server", "addresses"], Node::List(vec![url]));
    }
    let mut offers = Vec::new();
    let plugins = root.block("plugins").map(|mut block| {
        let plugins = block.plugins();
        block.finish(import);
        plugins
    });
    for (kind, name, mut data) in plugins.unwrap_or_default() {
        if kind == "NodeAttestor" {
            if let Some(path) = data.take("tpm_path", "agent.tpm.tcti", import) {
                let tcti = format!("device:{}", texts(&path).concat());
                node.put(&["agent", "tpm", "tcti"], Node::Text(tcti));
            }
            offers.extend(offer(&name, &mut data, import));
        }
        data.finish(import);
    }
    if !offers.is_empty() {
        node.put(&["agent", "auth", "attestors"], Node::List(offers));
    }
    if let Some(mut health) = root.block("health_checks") {
        let on = health.take("listener_enabled", "agent.health", import);
        if on == Some(Value::Bool(true)) {
            let to = ["agent", "health", "address"];
            listener(&mut health, &to, "80", &mut node, import);
        }
        health.finish(import);
    }
    agent.finish(import);
    let head = "# Imported from SPIRE's agent configuration. `assay agent doctor` checks it on its machine.\n";
    import.document(AGENT, head, &node);
}

fn offer(name: &str, data: &mut Settings, import: &mut Import) -> Vec<Node> {
    let (kinds, pairs): (&[&str], &[(&str, &str)]) = match name {
        "aws_iid" => (
            &["aws_iid"],
            &[
                ("ec2_metadata_endpoint", "metadataEndpoint"),
                ("timeout", "timeout"),
                ("max_retries", "maxRetries"),
                ("retry_delay", "retryDelay"),
            ],
        ),
        "gcp_iit" => (
            &["gcp_iit"],
            &[
                ("audience", "audience"),
                ("service_account_email", "serviceAccount"),
                ("service_account", "serviceAccount"),
                ("metadata_endpoint", "metadataEndpoint"),
                ("timeout", "timeout"),
            ],
        ),
        "azure_msi" => (
            &["azure_msi"],
            &[
                ("tenant_id", "tenantId"),
                ("audience", "audience"),
                ("resource_id", "audience"),
                ("user_assigned_identity_client_id", "clientId"),
                ("metadata_endpoint", "metadataEndpoint"),
                ("timeout", "timeout"),
            ],
        ),
        "tpm" => (&["tpm_ek", "tpm_quote"], &[]),
        "k8s_psat" => (
            &["k8s_psat"],
            &[("cluster", "cluster"), ("token_path", "tokenPath")],
        ),
        _ => return Vec::new(),
    };
    let mut config = Node::map();
    for (key, own) in pairs {
        data.carry(key, &[own], &mut config, import);
    }
    // Said in so many words, it is what the agent does anyway.
    for (key, value) in [
        ("use_imdsv2", Value::Bool(true)),
        ("skip_verification", Value::Bool(false)),
        ("use_system_assigned_identity", Value::Bool(true)),
        ("token_type", Value::Text("id_token".to_owned())),
    ] {
        let is_default = match &value {
            Value::Text(text) => data.peek(key) == Some(text),
            other => data.is(key, other),
        };
        if is_default {
            data.take(key, "what the agent does anyway", import);
        }
    }
    let offers = kinds.iter().map(|kind| {
        let mut offer = Node::map();
        offer.put(&["type"], Node::Text((*kind).to_owned()));
        if !config.is_empty() {
            offer.put(&["config"], config.clone());
        }
        offer
    });
    offers.collect()
}
