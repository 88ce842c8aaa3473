//! TLS and passwords between the verifier and PostgreSQL, with certificates that OpenSSL makes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use assay_host_verifier::config::{Config, Datastore};
use assay_host_verifier::store::{PostgresStore, StoreError};

use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::postgres::{Database, Server};
use crate::processes::{assayd, text};
use crate::site::Site;

const PASSWORD: &str = "correct horse: \"battery\" %40 staple";

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl: install the package `openssl`");
    assert!(output.status.success(), "{arguments}: {output:?}");
}

/// An authority, another one, and a certificate of the first for 127.0.0.1 alone.
fn certificates(dir: &Path) {
    for name in ["ca", "other"] {
        openssl(
            dir,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem -subj /CN={name} -days 36500"
            ),
        );
    }
    openssl(
        dir,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr -subj /CN=db",
    );
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days 36500 -out server.pem",
    );
}

/// A server that takes a user `assay` by password and over TLS only, and its port.
fn secured(dir: &Path) -> (Server, u16) {
    certificates(dir);
    let mut server = Server::make();
    for name in ["server.key", "server.pem"] {
        server.write(name, &std::fs::read(dir.join(name)).unwrap());
    }
    server.write(
        "data/pg_hba.conf",
        b"local all all trust\nhostssl all assay 127.0.0.1/32 scram-sha-256\n",
    );
    // Somebody else may take the port between this and the start; another is tried then by whoever runs the test again.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    server.set("ssl=on");
    for file in ["key", "pem"] {
        let setting = if file == "key" {
            "ssl_key_file"
        } else {
            "ssl_cert_file"
        };
        let path = server.dir.join(format!("server.{file}"));
        server.set(&format!("{setting}={}", path.display()));
    }
    server.listen(port);
    server.start();
    (server, port)
}

fn datastore(
    database: &Database<'_>,
    host: &str,
    port: u16,
    parameters: &str,
    file: &str,
) -> String {
    let name = &database.name;
    format!(
        "datastore:\n  postgres:\n    url: postgres://assay@{host}:{port}/{name}{parameters}\n    passwordFile: {file}\n"
    )
}

fn password_file(dir: &Path, name: &str, password: &str) {
    let path = dir.join(name);
    std::fs::write(&path, format!("{password}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn sslmode_and_password_are_honoured_and_the_password_is_never_shown() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let dir = site.dir.path();
    let (server, port) = secured(dir);
    let database = server.database();
    let name = &database.name;
    database.sql(&format!(
        "CREATE ROLE assay LOGIN PASSWORD '{PASSWORD}'; ALTER DATABASE {name} OWNER TO assay; ALTER SCHEMA public OWNER TO assay"
    ));
    password_file(dir, "password", PASSWORD);
    password_file(dir, "wrong", "correct horse");
    let written = std::fs::read_to_string(site.path("assayd.yaml")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = |host: &str, parameters: &str, file: &str| {
        let text = written.clone() + &datastore(&database, host, port, parameters, file);
        let config = Config::parse("assayd.yaml", &text, dir).unwrap();
        let Datastore::Postgres(settings) = config.datastore else {
            panic!("{text}")
        };
        let store = runtime.block_on(PostgresStore::open(&settings));
        let told = format!("{settings:?} {store:?}");
        assert!(!told.contains("horse"), "{told}");
        store.map(drop)
    };
    let hint = |result: Result<(), StoreError>| {
        let error = result.expect_err("refused");
        let told = format!("{error} {}", error.hint().unwrap());
        assert!(!told.contains("horse"), "{told}");
        told
    };

    open("127.0.0.1", "?sslrootcert=ca.pem", "password").unwrap();
    open("127.0.0.1", "?sslmode=require", "password").unwrap();
    open("127.0.0.1", "?sslmode=prefer", "password").unwrap();
    open(
        "localhost",
        "?sslmode=verify-ca&sslrootcert=ca.pem",
        "password",
    )
    .unwrap();
    for (host, parameters) in [
        // By default, an authority that web browsers trust must vouch for the host.
        ("127.0.0.1", ""),
        ("127.0.0.1", "?sslrootcert=other.pem"),
        ("127.0.0.1", "?sslmode=verify-ca&sslrootcert=other.pem"),
        // The certificate has no name.
        ("localhost", "?sslrootcert=ca.pem"),
    ] {
        let told = hint(open(host, parameters, "password"));
        assert!(told.contains("sslrootcert"), "{host}{parameters}: {told}");
    }
    let told = hint(open("127.0.0.1", "?sslmode=disable", "password"));
    assert!(told.contains("pg_hba.conf"), "{told}");
    let told = hint(open("127.0.0.1", "?sslrootcert=ca.pem", "wrong"));
    assert!(told.contains("check the user"), "{told}");

    // The service: what it says, at every level of its log, and what the server sees.
    let wrong =
        written.clone() + &datastore(&database, "127.0.0.1", port, "?sslrootcert=ca.pem", "wrong");
    std::fs::write(site.path("assayd.yaml"), wrong).unwrap();
    let output = assayd(&["--config", "assayd.yaml"], dir);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("hint: check the user"),
        "{output:?}"
    );
    assert!(!text(&output.stderr).contains("horse"), "{output:?}");
    let right = written.clone()
        + &datastore(
            &database,
            "127.0.0.1",
            port,
            "?sslrootcert=ca.pem",
            "password",
        );
    std::fs::write(site.path("assayd.yaml"), right).unwrap();
    let daemon = site.serve_logging("trace");
    granted(site.login(&tpm));
    let encrypted = database.sql(
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'assayd'",
    );
    assert_eq!(encrypted, "t");
    let (status, events, log) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    let told = format!("{events:?}{log:?}");
    assert!(log.len() > 20, "a log of every level");
    assert!(!told.contains("horse"), "the password is in the log");
}
