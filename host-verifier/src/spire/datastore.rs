//! `DataStore "sql"`.

use std::collections::BTreeMap;

use super::Import;
use super::out::Node;
use super::settings::Settings;

/// What `datastore.postgres.maxConnections` may be.
const CONNECTIONS: core::ops::RangeInclusive<u32> = 1..=1000;

pub(super) fn import(data: &mut Settings, service: &mut Node, import: &mut Import) {
    match data.peek("database_type") {
        Some("sqlite3") => sqlite(data, import),
        Some("postgres") => postgres(data, service, import),
        _ => {}
    }
}

/// SQLite is what there is without a `datastore`. SPIRE's file is not taken: its tables are others.
fn sqlite(data: &mut Settings, import: &mut Import) {
    let to = "no `datastore`: SQLite, in assay.sqlite of dataDir";
    data.take("database_type", to, import);
    let reason = "the file is SPIRE's, and Assay makes one of its own";
    let instead = "datastore: {sqlite: {path: FILE}}; left out, it is assay.sqlite in dataDir";
    data.leave("connection_string", reason, instead, import);
    for key in [
        "max_open_connections",
        "max_open_conns",
        "max_idle_connections",
        "max_idle_conns",
    ] {
        data.leave(
            key,
            "SQLite's connections are the service's own affair",
            "",
            import,
        );
    }
}

/// `connection_string`, as libpq writes it.
fn postgres(data: &mut Settings, service: &mut Node, import: &mut Import) {
    let Some(string) = data.peek("connection_string").map(ToOwned::to_owned) else {
        return;
    };
    let mut words = BTreeMap::new();
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
        import.note("the password of the connection string is left out: write it into a file, and name that as datastore.postgres.passwordFile");
    }
    let others = words
        .keys()
        .filter(|key| !["host", "user", "dbname", "port", "sslmode", "password"].contains(key));
    let others: Vec<&str> = others.copied().collect();
    if !others.is_empty() {
        import.note(format!(
            "of the connection string these are left out: {}; datastore.postgres.url has `sslrootcert`",
            others.join(", ")
        ));
    }
    import.note("datastore.postgres.url names SPIRE's own database: make another for Assay and name that, for its tables are others");
    let to = "datastore.postgres.url";
    data.take("database_type", "datastore.postgres", import);
    data.take("connection_string", to, import);
    service.put(&["datastore", "postgres", "url"], Node::Text(url));
    for key in ["max_open_connections", "max_open_conns"] {
        let Some(number) = data.peek(key) else {
            continue;
        };
        let path = ["datastore", "postgres", "maxConnections"];
        match number.parse::<u32>() {
            Ok(number) if CONNECTIONS.contains(&number) => {
                data.take(key, &path.join("."), import);
                service.put(&path, Node::Plain(number.to_string()));
            }
            _ => {
                let instead = "datastore.postgres.maxConnections: 10";
                data.leave(key, "it is not from 1 to 1000", instead, import);
            }
        }
    }
}
