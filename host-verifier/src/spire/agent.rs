//! An agent's configuration: `agent.yaml`.

use core::time::Duration;
use std::net::SocketAddr;

use super::Import;
use super::hcl::Value;
use super::methods::{AUDIENCE_NOTE, SPIRES_AUDIENCE};
use super::out::Node;
use super::server::{listener, socket};
use super::settings::{Settings, texts};
use super::spans;

const AGENT: &str = "agent.yaml";
/// Where what ties the node to its verifier is put.
const RECORD: &str = "record.bin";
/// What the agent's settings of a metadata service may be.
const TIMEOUTS: spans::Limits = (Duration::from_millis(100), Duration::from_secs(120));
const DELAYS: spans::Limits = (Duration::from_millis(1), Duration::from_secs(30));
const MOST_RETRIES: u8 = 10;
/// Methods whose nodes are bound to their first key.
const FIRST_USE: [&str; 4] = ["aws_iid", "azure_imds", "azure_msi", "gcp_iit"];

pub(super) fn import(mut agent: Settings, root: &mut Settings, import: &mut Import) {
    let mut node = Node::map();
    agent.carry("trust_domain", &["agent", "trustDomain"], &mut node, import);
    let cluster = Node::Text("default".to_owned());
    node.put(&["agent", "auth", "clusterId"], cluster);
    import.note(
        "agent.auth.clusterId: SPIRE has no clusters; name the one whose policies are for this agent",
    );
    let record = Node::Text(RECORD.to_owned());
    node.put(&["agent", "provisioningRecord"], record);
    import.note(format!(
        "agent.provisioningRecord: {RECORD}, by which the agent knows its verifier, is written by `assay provision record --cluster default --out {RECORD}` beside assayd.yaml"
    ));
    if let Some(host) = agent.peek("server_address").map(ToOwned::to_owned) {
        let port = agent.peek("server_port").unwrap_or("8081").to_owned();
        let to = "agent.server.addresses";
        agent.take("server_address", to, import);
        agent.take("server_port", to, import);
        let url = format!("https://{}", socket(&host, &port));
        node.put(&["agent", "server", "addresses"], Node::texts([url]));
    }
    let data_dir = agent.peek("data_dir").map(ToOwned::to_owned);
    let mut offers = Vec::new();
    let plugins = root.block("plugins").map(|mut block| {
        let plugins = block.plugins();
        block.finish(import);
        plugins
    });
    let mut keys = None;
    for (kind, name, mut data) in plugins.unwrap_or_default() {
        if !data.is_enabled(import) {
            continue;
        }
        match (kind.as_str(), name.as_str()) {
            ("NodeAttestor", _) => {
                for key in ["tpm_path", "tpm_device_path"] {
                    if let Some(path) = data.take(key, "agent.tpm.tcti", import) {
                        let tcti = format!("device:{}", texts(&path).concat());
                        node.put(&["agent", "tpm", "tcti"], Node::Text(tcti));
                    }
                }
                if name == "join_token" {
                    join_token(&mut agent, &mut offers, import);
                } else {
                    offers.extend(offer(&name, &mut data, import));
                }
            }
            ("KeyManager", "disk") => {
                let directory = data.take("directory", "agent.keyFile", import);
                keys = Some(directory.as_ref().map(texts).unwrap_or_default().concat());
            }
            ("KeyManager", "memory") => {}
            ("KeyManager", _) => {
                let reason = "the SVID's key is in memory, in a file (agent.keyFile), or in the TPM: this key service is not asked";
                data.leave_all(reason, "agent.keyFile: FILE", import);
            }
            _ => {}
        }
        data.finish(import);
    }
    if agent.has("join_token_file") {
        join_token(&mut agent, &mut offers, import);
    }
    key_file((keys, data_dir), &offers, &mut node, import);
    if offers.is_empty() {
        import.note(
            "agent.auth.attestors: no method came over; name at least one that the node can prove",
        );
    } else {
        node.put(&["agent", "auth", "attestors"], Node::List(offers));
    }
    endpoints(root, &mut node, import);
    agent.finish(import);
    let head = "# Imported from SPIRE's agent configuration. `assay agent doctor` checks it on its machine.\n";
    import.document(AGENT, head, &node);
}

/// Where the key is kept: where SPIRE's key manager keeps its own, and for methods whose nodes are bound to their first key
/// anywhere, for a new key would not be let in.
fn key_file(
    (directory, data_dir): (Option<String>, Option<String>),
    offers: &[Node],
    node: &mut Node,
    import: &mut Import,
) {
    let binds = offers.iter().any(|offer| {
        let kinds = offer.at(&["type"]).map(Node::all_texts);
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| FIRST_USE.contains(&kind.as_str())))
    });
    let on_disk = directory.is_some();
    if !on_disk && !binds {
        return;
    }
    let directory = directory.filter(|path| !path.is_empty());
    let directory = directory.or(data_dir);
    let directory = directory.unwrap_or_else(|| "/var/lib/assay-agent".to_owned());
    let file = format!("{}/svid.key", directory.trim_end_matches('/'));
    if !on_disk {
        import.note(format!(
            "agent.keyFile: {file}: the key would be in memory and another one at each login, and a verifier that binds a node to its first key (`tofu`, as SPIRE does) would refuse it"
        ));
    }
    node.put(&["agent", "keyFile"], Node::Text(file));
}

/// The token is SPIRE's, so another takes its place, in a file.
fn join_token(agent: &mut Settings, offers: &mut Vec<Node>, import: &mut Import) {
    let is_there = |offer: &Node| offer.at(&["type"]) == Some(&Node::Text("join_token".to_owned()));
    if offers.iter().any(is_there) {
        return;
    }
    let file = agent.take("join_token_file", "joinTokenFile", import);
    let file = file.map_or_else(|| "join-token".to_owned(), |file| texts(&file).concat());
    import.note(format!(
        "joinTokenFile: {file} has a token of `assay join-token create`; SPIRE's are not known to the verifier"
    ));
    let mut offer = Node::map();
    offer.put(&["type"], Node::Text("join_token".to_owned()));
    offer.put(&["config", "joinTokenFile"], Node::Text(file));
    offers.push(offer);
}

/// `health_checks` and `telemetry`, beside `agent`.
fn endpoints(root: &mut Settings, node: &mut Node, import: &mut Import) {
    if let Some(mut health) = root.block("health_checks") {
        let on = health.take("listener_enabled", "agent.health", import);
        if on == Some(Value::Bool(true)) {
            let to = ["agent", "health", "address"];
            listener(&mut health, &to, "80", node, import);
        }
        health.finish(import);
    }
    if let Some(mut telemetry) = root.block("telemetry") {
        if let Some(mut prometheus) = telemetry.block("Prometheus") {
            let to = ["agent", "metrics", "address"];
            listener(&mut prometheus, &to, "9988", node, import);
            prometheus.finish(import);
            on_loopback(&to, node, import);
        }
        telemetry.finish(import);
    }
}

/// The agent's metrics are for those on its machine.
fn on_loopback(to: &[&str], node: &mut Node, import: &mut Import) {
    let Some(Node::Text(text)) = node.at(to) else {
        return;
    };
    let Ok(address) = text.parse::<SocketAddr>() else {
        return;
    };
    if !address.ip().to_canonical().is_loopback() {
        import.note(format!(
            "{}: {address} there, on the loopback here: metrics are for those on the machine",
            to.join(".")
        ));
        let own = format!("127.0.0.1:{}", address.port());
        node.put(to, Node::Text(own));
    }
}

/// The method's name here, and its settings.
type Offers = (
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

const ASKING: [(&str, &str); 2] = [
    ("ec2_metadata_endpoint", "metadataEndpoint"),
    ("metadata_endpoint", "metadataEndpoint"),
];

fn known(name: &str) -> Option<Offers> {
    let offers: Offers = match name {
        "aws_iid" => (&["aws_iid"], &[]),
        "gcp_iit" => (
            &["gcp_iit"],
            &[
                ("audience", "audience"),
                ("service_account_email", "serviceAccount"),
                ("service_account", "serviceAccount"),
            ],
        ),
        "azure_msi" => (
            &["azure_msi"],
            &[
                ("tenant_id", "tenantId"),
                ("audience", "audience"),
                ("resource_id", "audience"),
                ("user_assigned_identity_client_id", "clientId"),
            ],
        ),
        "azure_imds" => (&["azure_imds"], &[("tenant_domain", "agentDomain")]),
        "tpm" => (&["tpm_ek", "tpm_quote"], &[]),
        "k8s_psat" => (
            &["k8s_psat"],
            &[("cluster", "cluster"), ("token_path", "tokenPath")],
        ),
        "x509pop" => (
            &["x509pop"],
            &[
                ("private_key_path", "privateKeyPath"),
                ("certificate_path", "certificatePath"),
                ("intermediates_path", "intermediatesPath"),
            ],
        ),
        "sshpop" => (
            &["ssh_pop"],
            &[
                ("host_key_path", "hostKeyPath"),
                ("host_cert_path", "hostCertPath"),
            ],
        ),
        "tpm_devid" => (
            &["tpm_devid"],
            &[
                ("devid_cert_path", "devidCertPath"),
                ("devid_pub_path", "devidPubPath"),
                ("devid_priv_path", "devidPrivPath"),
            ],
        ),
        "http_challenge" => (
            &["http_dns"],
            &[("hostname", "hostname"), ("agentname", "agentname")],
        ),
        _ => return None,
    };
    Some(offers)
}

fn offer(name: &str, data: &mut Settings, import: &mut Import) -> Vec<Node> {
    let Some((kinds, pairs)) = known(name) else {
        return Vec::new();
    };
    let mut config = Node::map();
    for (key, own) in pairs {
        data.carry(key, &[own], &mut config, import);
    }
    asking(data, &mut config, import);
    for (key, own) in [("port", "port"), ("advertised_port", "advertisedPort")] {
        let Some(port) = data.peek(key).map(str::parse::<u16>) else {
            continue;
        };
        match port {
            Ok(port) => {
                data.take(key, own, import);
                config.put(&[own], Node::Plain(port.to_string()));
            }
            Err(_) => data.leave(key, "it is no port", own, import),
        }
    }
    defaults(name, &mut config, import);
    // Said in so many words, it is what the agent does anyway.
    for (key, value) in [
        ("use_imdsv2", Value::Bool(true)),
        ("skip_verification", Value::Bool(false)),
        ("use_system_assigned_identity", Value::Bool(true)),
        ("token_type", Value::Text("id_token".to_owned())),
    ] {
        if data.is(key, &value) {
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

/// How a metadata service is asked, within what the agent takes.
fn asking(data: &mut Settings, config: &mut Node, import: &mut Import) {
    for (key, own) in ASKING {
        let is_origin = |url: &str| {
            let host = url.strip_prefix("http://").unwrap_or_default();
            !host.is_empty() && !host.trim_end_matches('/').contains('/')
        };
        match data.peek(key).map(is_origin) {
            None => {}
            Some(true) => data.carry(key, &[own], config, import),
            Some(false) => {
                let reason = "the metadata service is `http://` and a host, without a path";
                data.leave(key, reason, "metadataEndpoint: http://ADDRESS", import);
            }
        }
    }
    if let Some(host) = data.take("identity_token_host", "metadataEndpoint", import) {
        let url = format!("http://{}", texts(&host).concat());
        config.put(&["metadataEndpoint"], Node::Text(url));
    }
    let why = "a login does not wait longer";
    spans::carry(
        data,
        "timeout",
        &["timeout"],
        (TIMEOUTS, why),
        config,
        import,
    );
    spans::carry(
        data,
        "retry_delay",
        &["retryDelay"],
        (DELAYS, why),
        config,
        import,
    );
    if let Some(text) = data.peek("max_retries") {
        match text.parse::<u8>() {
            Ok(number) if number <= MOST_RETRIES => {
                data.take("max_retries", "maxRetries", import);
                config.put(&["maxRetries"], Node::Plain(number.to_string()));
            }
            _ => {
                let reason = format!("it is not from 0 to {MOST_RETRIES}");
                data.leave("max_retries", &reason, "maxRetries: 3", import);
            }
        }
    }
}

/// Where SPIRE has another default than this agent, it is said in so many words.
fn defaults(name: &str, config: &mut Node, import: &mut Import) {
    let has = |config: &Node, key: &str| config.at(&[key]).is_some();
    match name {
        "azure_msi" if !has(config, "audience") && !has(config, "tenantId") => {
            config.put(&["audience"], Node::Text(SPIRES_AUDIENCE.to_owned()));
            import.note(format!("azure_msi: {AUDIENCE_NOTE}"));
        }
        "sshpop" if !has(config, "hostKeyPath") => {
            let path = "/etc/ssh/ssh_host_rsa_key";
            config.put(&["hostKeyPath"], Node::Text(path.to_owned()));
        }
        "k8s_psat" if !has(config, "tokenPath") => {
            let path = "/var/run/secrets/tokens/spire-agent";
            config.put(&["tokenPath"], Node::Text(path.to_owned()));
        }
        _ => {}
    }
}
