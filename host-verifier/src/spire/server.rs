//! A server's configuration: `assayd.yaml`, and the policies of its node attestors.

use super::Import;
use super::files::Part;
use super::hcl::Value;
use super::methods::{self, Method};
use super::out::Node;
use super::settings::{Settings, node_of, texts};

const SERVICE: &str = "assayd.yaml";
const POLICIES: &str = "attestation.yaml";

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
        match (kind.as_str(), name.as_str()) {
            ("NodeAttestor", _) => {
                let entries = methods::entries(&name, &mut data, &mut service, part, import);
                if !entries.is_empty() {
                    found.push((name, entries));
                }
            }
            ("DataStore", "sql") => datastore(&mut data, &mut service, import),
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
    let combined = policies(experimental, &found, import);
    if let [(_, entries)] = found.as_slice()
        && let Some(template) = entries.iter().find_map(|entry| entry.template)
    {
        let template = Node::Text(template.to_owned());
        service.put(&["session", "pathTemplate"], template);
    } else if !found.is_empty() {
        let note = "session.pathTemplate names nodes by what one method says; choose one that every policy's methods give, or write an SVIDIssuancePolicy";
        import.notes.push(note.to_owned());
    }
    authorities(&mut server, &mut service, import);
    endpoints(root, &mut service, import);
    server.finish(import);
    if !server_says(&service, "dataDir") {
        service.put(&["dataDir"], Node::Text("/var/lib/assay".to_owned()));
        import
            .notes
            .push("dataDir was not said: /var/lib/assay".to_owned());
    }
    if !server_says(&service, "trustDomain") {
        import
            .notes
            .push("trustDomain was not said, and assayd.yaml needs it".to_owned());
    }
    let head = "# Imported from SPIRE's server configuration. Agents log in over `listeners.api`, which needs a certificate.\n";
    import.document(SERVICE, head, &service);
    if let Some(policies) = combined {
        let mut document = Node::map();
        document.put(&["section"], Node::Text("AgentAttestation".to_owned()));
        document.put(&["schema"], Node::Text("v1".to_owned()));
        document.put(&["spec", "policies"], Node::List(policies));
        let head = "# Imported from SPIRE's node attestors. `assay config set cluster --id ID attestation.yaml` puts it in force.\n";
        import.document(POLICIES, head, &document);
    }
}

fn server_says(service: &Node, key: &str) -> bool {
    matches!(service, Node::Map(members) if members.iter().any(|(own, _)| own == key))
}

/// One policy for each node attestor, of which any is enough; or one in which several are combined.
fn policies(
    experimental: Option<Settings>,
    found: &[(String, Vec<Method>)],
    import: &mut Import,
) -> Option<Vec<Node>> {
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
        return None;
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
        return Some(policies.collect());
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
            None => import.notes.push(format!(
                "the combination {} is left out: a NodeAttestor of it is not configured, so it could not come about",
                combination.join(" and ")
            )),
        }
    }
    if !lists.is_empty() {
        policy.put(&["requiredAttestorCombinations"], Node::List(lists));
    }
    Some(vec![policy])
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

fn authorities(server: &mut Settings, service: &mut Node, import: &mut Import) {
    if let Some(mut subject) = server.block("ca_subject") {
        for (key, own) in [
            ("country", "country"),
            ("organization", "organization"),
            ("common_name", "commonName"),
        ] {
            let to = format!("ca.subject.{own}");
            // SPIRE's are lists; ours has one of each.
            if let Some(value) = subject.take(key, &to, import) {
                let mut all = texts(&value).into_iter();
                if let Some(first) = all.next() {
                    service.put(&["ca", "subject", own], Node::Text(first));
                }
                if all.next().is_some() {
                    import.notes.push(format!("{to} is the first of several"));
                }
            }
        }
        subject.finish(import);
    }
    for key in ["default_svid_ttl", "default_x509_svid_ttl"] {
        server.carry(key, &["svid", "x509Ttl"], service, import);
    }
    server.carry("default_jwt_svid_ttl", &["svid", "jwtTtl"], service, import);
    server.carry("ca_ttl", &["ca", "ttl"], service, import);
    server.carry("jwt_issuer", &["svid", "jwtIssuer"], service, import);
    let (address, port) = (server.peek("bind_address"), server.peek("bind_port"));
    let address = format!(
        "{}:{}",
        address.unwrap_or("0.0.0.0"),
        port.unwrap_or("8081")
    );
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

/// An address of two settings.
pub(super) fn listener(
    block: &mut Settings,
    to: &[&str],
    port: &str,
    node: &mut Node,
    import: &mut Import,
) {
    let name = to.join(".");
    let mut part = |key: &str, default: &str| {
        let value = block.take(key, &name, import);
        value.map_or_else(|| default.to_owned(), |value| texts(&value).concat())
    };
    let (host, port) = (part("bind_address", "localhost"), part("bind_port", port));
    let host = match host.as_str() {
        "localhost" => "127.0.0.1",
        other => other,
    };
    node.put(to, Node::Text(format!("{host}:{port}")));
}

/// `database_type` and `connection_string`, as libpq writes it.
fn datastore(data: &mut Settings, service: &mut Node, import: &mut Import) {
    if data.peek("database_type") != Some("postgres") {
        return;
    }
    let Some(string) = data.peek("connection_string").map(ToOwned::to_owned) else {
        return;
    };
    let mut words = std::collections::BTreeMap::new();
    for word in string.split_whitespace() {
        if let Some((key, value)) = word.split_once('=') {
            words.insert(key, value);
        }
    }
    let word = |key: &str| words.get(key).copied();
    let (Some(host), Some(user), Some(name)) = (word("host"), word("user"), word("dbname")) else {
        return;
    };
    let plain = |text: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        text.chars().all(legal)
    };
    if ![host, user, name].into_iter().all(plain) {
        return;
    }
    let mut url = format!("postgres://{user}@{host}");
    if let Some(port) = word("port") {
        url.push_str(&format!(":{port}"));
    }
    url.push_str(&format!("/{name}"));
    if let Some(mode) = word("sslmode") {
        url.push_str(&format!("?sslmode={mode}"));
    }
    if word("password").is_some() {
        let note = "the password of the connection string is left out: write it into a file, and name that as datastore.postgres.passwordFile";
        import.notes.push(note.to_owned());
    }
    let to = "datastore.postgres.url";
    data.take("database_type", "datastore.postgres", import);
    data.take("connection_string", to, import);
    service.put(&["datastore", "postgres", "url"], Node::Text(url));
    data.carry(
        "max_open_connections",
        &["datastore", "postgres", "maxConnections"],
        service,
        import,
    );
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
