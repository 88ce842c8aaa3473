//! A server's configuration: `assayd.yaml`, and the policies of its node attestors.

use std::net::SocketAddr;

use super::Import;
use super::files::Part;
use super::hcl::Value;
use super::methods::{self, Method};
use super::out::Node;
use super::settings::{Settings, node_of, texts};
use super::{authorities, datastore, paths};

const SERVICE: &str = "assayd.yaml";
const POLICIES: &str = "attestation.yaml";
const ISSUANCE: &str = "issuance.yaml";

pub(super) fn import(mut server: Settings, root: &mut Settings, part: &Part, import: &mut Import) {
    let mut service = Node::map();
    server.carry("trust_domain", &["trustDomain"], &mut service, import);
    server.carry("data_dir", &["dataDir"], &mut service, import);
    let mut plugins = root.block("plugins").map(|mut block| {
        let plugins = block.plugins();
        block.finish(import);
        plugins
    });
    let mut found = Vec::new();
    for (kind, name, mut data) in plugins.take().unwrap_or_default() {
        if !data.is_enabled(import) {
            continue;
        }
        match (kind.as_str(), name.as_str()) {
            ("NodeAttestor", _) => {
                let entries = methods::entries(&name, &mut data, &mut service, part, import);
                if !entries.is_empty() {
                    found.push((name, entries));
                }
            }
            ("DataStore", "sql") => datastore::import(&mut data, &mut service, import),
            ("KeyManager", "memory") => {
                service.put(&["keyManager"], Node::Text("memory".to_owned()));
            }
            ("UpstreamAuthority", "disk") => {
                for (key, own) in [
                    ("cert_file_path", "certFilePath"),
                    ("key_file_path", "keyFilePath"),
                    ("bundle_file_path", "bundleFilePath"),
                ] {
                    let path = ["upstreamAuthority", "disk", own];
                    data.carry(key, &path, &mut service, import);
                }
            }
            _ => {}
        }
        data.finish(import);
    }
    let experimental = server.block("experimental");
    let (policies, is_combined) = policies(experimental, &found, import);
    let issuance = paths::import(&found, is_combined, &mut service, import);
    authorities::import(&mut server, &mut service, import);
    address(&mut server, import);
    endpoints(root, &mut service, import);
    server.finish(import);
    if !server_says(&service, "dataDir") {
        service.put(&["dataDir"], Node::Text("/var/lib/assay".to_owned()));
        import.note("dataDir was not said: /var/lib/assay");
    }
    if !server_says(&service, "trustDomain") {
        import.note("trustDomain was not said, and assayd.yaml needs it");
    }
    let head = "# Imported from SPIRE's server configuration. Agents log in over `listeners.api`, which needs a certificate.\n";
    import.document(SERVICE, head, &service);
    if let Some(policies) = policies {
        let mut document = Node::map();
        document.put(&["section"], Node::Text("AgentAttestation".to_owned()));
        document.put(&["schema"], Node::Text("v1".to_owned()));
        document.put(&["spec", "policies"], Node::List(policies));
        let head = "# Imported from SPIRE's node attestors. `assay config set cluster --id ID attestation.yaml` puts it in force.\n";
        import.document(POLICIES, head, &document);
    }
    if let Some(document) = issuance {
        let head = "# Imported: each method's nodes keep the paths that SPIRE gives them. Set it together with attestation.yaml:\n# `assay config set cluster --id ID attestation.yaml issuance.yaml`.\n";
        import.document(ISSUANCE, head, &document);
    }
}

fn server_says(service: &Node, key: &str) -> bool {
    matches!(service, Node::Map(members) if members.iter().any(|(own, _)| own == key))
}

/// One policy for each node attestor, of which any is enough; or one in which several are combined, and whether it is so.
fn policies(
    experimental: Option<Settings>,
    found: &[(String, Vec<Method>)],
    import: &mut Import,
) -> (Option<Vec<Node>>, bool) {
    let mut experimental = experimental;
    let combinations = experimental
        .as_mut()
        .and_then(|block| combined(block, import));
    let (wanted, min) = match combinations {
        Some((wanted, min)) => (wanted, min),
        None => (Vec::new(), None),
    };
    if let Some(block) = experimental {
        block.finish(import);
    }
    if found.is_empty() {
        return (None, false);
    }
    let entry = |method: &Method| {
        let mut node = Node::map();
        node.put(&["type"], Node::Text(method.kind.to_owned()));
        if !method.config.is_empty() {
            node.put(&["config"], method.config.clone());
        }
        node
    };
    if wanted.is_empty() && min.is_none() {
        let policies = found.iter().map(|(name, methods)| {
            let mut policy = Node::map();
            policy.put(&["name"], Node::Text(name.clone()));
            let entries = Node::List(methods.iter().map(entry).collect());
            policy.put(&["requiredAttestors"], entries);
            policy
        });
        return (Some(policies.collect()), false);
    }
    let mut policy = Node::map();
    policy.put(&["name"], Node::Text("combined".to_owned()));
    let all = found.iter().flat_map(|(_, methods)| methods.iter());
    policy.put(&["anyOf"], Node::List(all.map(entry).collect()));
    if let Some(min) = min {
        policy.put(&["minAttestors"], Node::Plain(min));
    }
    let mut lists = Vec::new();
    for combination in &wanted {
        let methods: Option<Vec<&Vec<Method>>> = combination
            .iter()
            .map(|name| {
                found
                    .iter()
                    .find(|(own, _)| own == name)
                    .map(|(_, all)| all)
            })
            .collect();
        match methods {
            Some(methods) => {
                let kinds = methods.into_iter().flatten();
                let kinds = kinds.map(|method| Node::Text(method.kind.to_owned()));
                lists.push(Node::List(kinds.collect()));
            }
            None => import.note(format!(
                "the combination {} is left out: a NodeAttestor of it is not configured, so it could not come about",
                combination.join(" and ")
            )),
        }
    }
    if !lists.is_empty() {
        policy.put(&["requiredAttestorCombinations"], Node::List(lists));
    }
    (Some(vec![policy]), true)
}

/// Combinations, and how many methods at least.
type Combined = (Vec<Vec<String>>, Option<String>);

fn combined(block: &mut Settings, import: &mut Import) -> Option<Combined> {
    const POLICY: &str = "attestation.yaml: spec.policies";
    let on = block.take("multi_attestor", POLICY, import);
    let min = block.take("min_attestor_count", "minAttestors", import);
    let to = "requiredAttestorCombinations";
    let wanted = block.take("required_attestor_combinations", to, import);
    if matches!(on, None | Some(Value::Bool(false))) {
        return None;
    }
    let wanted = match wanted {
        Some(Value::List(all)) => all.iter().map(texts).collect(),
        _ => Vec::new(),
    };
    let min = min.map(|value| texts(&value).concat());
    Some((wanted, min))
}

/// Where agents and operators come to needs a certificate, which SPIRE's configuration does not have.
fn address(server: &mut Settings, import: &mut Import) {
    let (address, port) = (server.peek("bind_address"), server.peek("bind_port"));
    let address = socket(address.unwrap_or("0.0.0.0"), port.unwrap_or("8081"));
    let instead = format!(
        "listeners: {{api: {{address: \"{address}\", tls: {{certificate: server.crt, key: server.key}}}}}}"
    );
    let reason = "agents and operators log in over HTTPS, with a certificate that SPIRE's configuration does not have";
    server.leave("bind_address", reason, &instead, import);
    server.leave("bind_port", reason, &instead, import);
}

/// `health_checks` and `telemetry`, beside `server`.
fn endpoints(root: &mut Settings, service: &mut Node, import: &mut Import) {
    if let Some(mut health) = root.block("health_checks") {
        let on = health.take("listener_enabled", "listeners.health", import);
        if on == Some(Value::Bool(true)) {
            let to = ["listeners", "health", "address"];
            listener(&mut health, &to, "80", service, import);
        }
        health.finish(import);
    }
    if let Some(mut telemetry) = root.block("telemetry") {
        if let Some(mut prometheus) = telemetry.block("Prometheus") {
            let to = ["listeners", "metrics", "address"];
            listener(&mut prometheus, &to, "9988", service, import);
            prometheus.finish(import);
        }
        telemetry.finish(import);
    }
}

/// An address of two settings: `bind_address` and `bind_port`, or `host` and `port`, as SPIRE's telemetry has them.
pub(super) fn listener(
    block: &mut Settings,
    to: &[&str],
    port: &str,
    node: &mut Node,
    import: &mut Import,
) {
    let name = to.join(".");
    let [host_key, port_key] = match block.has("host") || block.has("port") {
        true => ["host", "port"],
        false => ["bind_address", "bind_port"],
    };
    let host = block.peek(host_key).unwrap_or("localhost");
    let port = block.peek(port_key).unwrap_or(port);
    let address = socket(host, port);
    if address.parse::<SocketAddr>().is_err() {
        let reason = format!("`{address}` is no address with a port");
        let instead = format!("{name}: 127.0.0.1:8080");
        block.leave(host_key, &reason, &instead, import);
        block.leave(port_key, &reason, &instead, import);
        return;
    }
    block.take(host_key, &name, import);
    block.take(port_key, &name, import);
    node.put(to, Node::Text(address));
}

/// An address with its port.
pub(super) fn socket(host: &str, port: &str) -> String {
    match host {
        "localhost" => format!("127.0.0.1:{port}"),
        "" => format!("0.0.0.0:{port}"),
        v6 if v6.contains(':') && !v6.starts_with('[') => format!("[{v6}]:{port}"),
        other => format!("{other}:{port}"),
    }
}

/// A map's values, as YAML has them.
pub(super) fn lists_of(value: &Value) -> Node {
    match value {
        Value::Object(entries) => {
            let members = entries.iter().map(|entry| {
                let values = texts(&entry.value).into_iter().map(Node::Text);
                (entry.names.join("."), Node::List(values.collect()))
            });
            Node::Map(members.collect())
        }
        other => node_of(other),
    }
}
