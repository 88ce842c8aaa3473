//! The configuration's `datastore`: what is read, and every flaw at its place.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assay_host_verifier::config::{Config, Datastore, PostgresServer, PostgresSettings, TlsMode};
use assay_host_verifier::document::DocumentError;
use tempfile::TempDir;

const POLICY: &str = "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: rack\n      requiredAttestors:\n        - type: tpm_ek\n          config: {allowedHashes: [\"3f1b2c0f0d6e4c5a9b8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b\"]}\n";

/// A directory with a policy and files of the given modes.
fn place(files: &[(&str, &str, u32)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lab.yaml"), POLICY).unwrap();
    for (name, text, mode) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)).unwrap();
    }
    dir
}

/// `datastore` begins in line 4.
fn read(base: &Path, datastore: &str) -> Result<Config, DocumentError> {
    let text =
        format!("trustDomain: example.org\ndataDir: d\nclusters: {{lab: lab.yaml}}\n{datastore}\n");
    Config::parse("assayd.yaml", &text, base)
}

fn postgres(base: &Path, datastore: &str) -> PostgresSettings {
    match read(base, datastore).unwrap().datastore {
        Datastore::Postgres(settings) => settings,
        Datastore::Sqlite { path } => panic!("{path:?}"),
    }
}

#[test]
fn sqlite_in_the_data_directory_is_the_default() {
    let dir = place(&[]);
    let path = |datastore: &str| -> PathBuf {
        match read(dir.path(), datastore).unwrap().datastore {
            Datastore::Sqlite { path } => path,
            Datastore::Postgres(settings) => panic!("{settings}"),
        }
    };
    assert_eq!(path(""), dir.path().join("d/assay.sqlite"));
    assert_eq!(
        path("datastore: {sqlite: {path: db/a.sqlite}}"),
        dir.path().join("db/a.sqlite")
    );
}

#[test]
fn postgres_is_read_and_shown_without_its_password() {
    let dir = place(&[
        ("password", "hunter2\n", 0o640),
        ("spaces", " p w \r\n", 0o600),
        ("ca.pem", "any", 0o644),
    ]);
    let settings = postgres(
        dir.path(),
        "datastore:\n  postgres:\n    url: postgres://assay@db.example.org/fleet?sslrootcert=ca.pem\n    passwordFile: password\n    maxConnections: 25",
    );
    let server = PostgresServer::Tcp {
        host: "db.example.org".to_owned(),
        port: 5432,
    };
    assert_eq!(settings.server, server);
    assert_eq!(settings.tls, TlsMode::VerifyFull);
    assert_eq!(settings.root_certificate, Some(dir.path().join("ca.pem")));
    assert_eq!(settings.max_connections, 25);
    assert_eq!(settings.password.as_ref().unwrap().expose(), "hunter2");
    assert_eq!(
        settings.to_string(),
        "postgres://assay@db.example.org:5432/fleet"
    );
    assert!(!format!("{settings:?} {settings}").contains("hunter2"));

    let settings = postgres(
        dir.path(),
        "datastore: {postgres: {url: \"postgres://assay@/fleet?host=/run/postgresql\", passwordFile: spaces}}",
    );
    assert_eq!(settings.max_connections, 10);
    assert_eq!(settings.password.as_ref().unwrap().expose(), " p w ");
    assert_eq!(
        settings.to_string(),
        "postgres://assay@:5432/fleet?host=/run/postgresql"
    );
    let settings = postgres(
        dir.path(),
        "datastore: {postgres: {url: \"postgres://a@[::1]:7/b\"}}",
    );
    assert_eq!(settings.to_string(), "postgres://a@[::1]:7/b");
}

#[test]
fn every_flaw_of_a_datastore_is_reported_at_its_place() {
    let dir = place(&[
        ("open", "hunter2\n", 0o644),
        ("two", "hunter2\nhunter3\n", 0o600),
        ("empty", "\n", 0o600),
    ]);
    let url = "postgres://a@h/b";
    for (datastore, place, message, hint) in [
        (
            "datastore: {}".to_owned(),
            (4, 12),
            "either `sqlite` or `postgres`",
            "SQLite in dataDir",
        ),
        (
            format!("datastore: {{sqlite: {{path: a}}, postgres: {{url: \"{url}\"}}}}"),
            (4, 12),
            "either `sqlite` or `postgres`",
            "SQLite in dataDir",
        ),
        (
            "datastore: {postgresql: {}}".to_owned(),
            (4, 13),
            "unknown field `postgresql`",
            "did you mean `postgres`?",
        ),
        (
            "datastore: {sqlite: {path: \"\"}}".to_owned(),
            (4, 28),
            "datastore.sqlite.path is empty",
            "",
        ),
        (
            "datastore: {postgres: {password: hunter2}}".to_owned(),
            (4, 24),
            "unknown field `password`",
            "",
        ),
        (
            "datastore: {postgres: {}}".to_owned(),
            (4, 23),
            "missing field `url`",
            "",
        ),
        (
            "datastore:\n  postgres:\n    url: postgres://a:hunter2@h/b".to_owned(),
            (6, 10),
            "datastore.postgres.url: a password does not belong here",
            "passwordFile",
        ),
        (
            "datastore:\n  postgres:\n    url: postgres://a@h/b?sslmode=verify".to_owned(),
            (6, 10),
            "datastore.postgres.url: unknown sslmode",
            "verify-full",
        ),
        (
            "datastore:\n  postgres:\n    url: postgres://a@h/b?sslrootcert=none.pem".to_owned(),
            (6, 10),
            "sslrootcert: ",
            "",
        ),
        (
            format!("datastore:\n  postgres:\n    url: {url}\n    passwordFile: none"),
            (7, 19),
            "No such file",
            "",
        ),
        (
            format!("datastore:\n  postgres:\n    url: {url}\n    passwordFile: /dev/null"),
            (7, 19),
            "not a regular file",
            "",
        ),
        (
            format!("datastore:\n  postgres:\n    url: {url}\n    passwordFile: open"),
            (7, 19),
            "is open to everybody",
            "chmod 600",
        ),
        (
            format!("datastore:\n  postgres:\n    url: {url}\n    passwordFile: two"),
            (7, 19),
            "is not one line",
            "nothing else",
        ),
        (
            format!("datastore:\n  postgres:\n    url: {url}\n    passwordFile: empty"),
            (7, 19),
            "is not one line",
            "nothing else",
        ),
        (
            format!("datastore:\n  postgres:\n    url: {url}\n    maxConnections: 0"),
            (7, 21),
            "0 is out of range",
            "from 1 to 1000",
        ),
    ] {
        let error = read(dir.path(), &datastore).expect_err(&datastore);
        let told = format!("{error} {:?}", error.hint);
        assert_eq!((error.line, error.column), place, "{datastore}: {told}");
        assert!(error.message.contains(message), "{datastore}: {told}");
        let hinted = error.hint.as_deref().unwrap_or_default();
        assert!(hinted.contains(hint), "{datastore}: {told}");
        assert!(!told.contains("hunter"), "{told}");
    }
}
