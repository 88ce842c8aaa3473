//! `assayd.yaml`.

use std::path::Path;
use std::time::Duration;

use assay_host_verifier::config::{Config, Listener, SocketMode};
use assay_host_verifier::document::DocumentError;
use assay_host_verifier::transport::serial::SerialSource;

use super::good;

// ---------------------------------------------------------------------------------------------------------------

fn config(text: &str) -> Result<Config, DocumentError> {
    Config::parse("assayd.yaml", text, Path::new("/etc/assay"))
}

fn config_error(text: &str) -> DocumentError {
    match config(text) {
        Err(error) => error,
        Ok(config) => panic!("accepted: {config:?}\n{text}"),
    }
}

fn full() -> String {
    let inline: String = good().lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "trustDomain: example.org\ndataDir: /var/lib/assay\nlisteners:\n  serial:\n    - path: /dev/ttyUSB0\n      baud: 921600\n    - path: tty1\n  unix:\n    - path: agent.sock\n    - path: /run/qemu.sock\n      mode: connect\n  tcp:\n    - address: 127.0.0.1:7070\nclusters:\n  lab:\n{inline}session:\n  ttl: 1h 30m\n  pathTemplate: /n/{{{{tpm_ek.public_hash}}}}\nlimits:\n  loginsInFlight: 8\n  loginTimeout: 90s\n"
    )
}

#[test]
fn a_full_configuration_is_read() {
    let config = config(&full()).unwrap();
    assert_eq!(config.trust_domain, "example.org");
    assert_eq!(config.data_dir, Path::new("/var/lib/assay"));
    assert_eq!(
        config.listeners,
        [
            Listener::Serial(SerialSource {
                path: "/dev/ttyUSB0".to_owned(),
                baud: 921_600
            }),
            Listener::Serial(SerialSource {
                path: "/etc/assay/tty1".to_owned(),
                baud: 115_200
            }),
            Listener::Unix {
                path: "/etc/assay/agent.sock".into(),
                mode: SocketMode::Listen
            },
            Listener::Unix {
                path: "/run/qemu.sock".into(),
                mode: SocketMode::Connect
            },
            Listener::Tcp {
                address: "127.0.0.1:7070".parse().unwrap(),
                mode: SocketMode::Listen
            },
        ]
    );
    assert_eq!(config.clusters.keys().collect::<Vec<_>>(), ["lab"]);
    assert_eq!(config.session_ttl, Duration::from_secs(5400));
    assert_eq!(config.login_timeout, Duration::from_secs(90));
    assert_eq!(config.logins_in_flight, 8);
    assert_eq!(
        config.path_template.attributes().collect::<Vec<_>>(),
        ["tpm_ek.public_hash"]
    );
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = full();
    let (head, _) = text.split_once("session:\n  ttl").unwrap();
    let config = config(head).unwrap();
    assert_eq!(config.session_ttl, Duration::from_secs(3600));
    assert_eq!(config.login_timeout, Duration::from_secs(300));
    assert_eq!(config.logins_in_flight, 64);
}

#[test]
fn every_flaw_of_a_configuration_is_reported_at_its_place() {
    for (from, to, place, message) in [
        (
            "trustDomain: example.org",
            "trustDomain: Example.org",
            (1, 14),
            "trustDomain: a trust domain has only",
        ),
        (
            "trustDomain: example.org",
            "trustDomain: \"\"",
            (1, 14),
            "empty trust domain",
        ),
        (
            "trustDomain: example.org",
            "trustDomain: spiffe://example.org",
            (1, 14),
            "trustDomain",
        ),
        (
            "trustDomain:",
            "trustdomain:",
            (1, 1),
            "unknown field `trustdomain`",
        ),
        (
            "dataDir: /var/lib/assay",
            "dataDir: \"\"",
            (2, 10),
            "dataDir is empty",
        ),
        ("baud: 921600", "baud: 300", (6, 13), "300 is out of range"),
        ("baud: 921600", "baud: fast", (6, 13), ""),
        (
            "mode: connect",
            "mode: dial",
            (11, 13),
            "unknown variant `dial`",
        ),
        (
            "127.0.0.1:7070",
            "0.0.0.0:7070",
            (13, 16),
            "not a loopback address",
        ),
        ("127.0.0.1:7070", "localhost:7070", (13, 16), ""),
        (
            "path: tty1",
            "path: /dev/ttyUSB0\n      baud: 921600",
            (7, 13),
            "listed twice",
        ),
        ("  lab:", "  l/b:", (16, 5), "cluster `l/b`"),
        (
            "ttl: 1h 30m",
            "ttl: 3600",
            (26, 8),
            "`3600` is no span of time",
        ),
        ("ttl: 1h 30m", "ttl: 1s", (26, 8), "1s is out of range"),
        ("ttl: 1h 30m", "ttl: -1h", (26, 8), "no span of time"),
        (
            "/n/{{tpm",
            "n/{{tpm",
            (27, 17),
            "a path template begins with `/`",
        ),
        (
            "loginsInFlight: 8",
            "loginsInFlight: 0",
            (29, 19),
            "0 is out of range",
        ),
        (
            "loginTimeout: 90s",
            "loginTimeout: 1h",
            (30, 17),
            "3600s is out of range",
        ),
        (
            "allowedHashes",
            "allowedHashs",
            (24, 17),
            "unknown field `allowedHashs`",
        ),
    ] {
        let text = full().replacen(from, to, 1);
        assert_ne!(text, full(), "{from}");
        let error = config_error(&text);
        assert!(error.message.contains(message), "{from} -> {to}: {error}");
        assert_eq!(
            (error.line, error.column),
            place,
            "{from} -> {to}: {error}\n{text}"
        );
    }
}

#[test]
fn clusters_may_be_left_to_the_store_but_not_be_an_empty_mapping() {
    let error = config_error("trustDomain: example.org\ndataDir: d\nclusters: {}\n");
    assert!(error.message.contains("no clusters"), "{error}");
    assert_eq!((error.line, error.column), (3, 11));
    let text = "trustDomain: example.org\ndataDir: d\n";
    let config = Config::parse("assayd.yaml", text, Path::new("")).unwrap();
    assert!(config.clusters.is_empty());
}

#[test]
fn a_policy_file_is_read_from_beside_the_configuration_and_its_errors_name_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    let file = dir.path().join("policies/lab.yaml");
    let path = dir.path().join("assayd.yaml");
    std::fs::write(
        &path,
        "trustDomain: example.org\ndataDir: d\nclusters:\n  lab: policies/lab.yaml\n",
    )
    .unwrap();
    let error = Config::load(&path).unwrap_err();
    assert_eq!((error.line, error.column), (4, 8), "{error}");
    assert!(error.message.contains("lab.yaml"), "{error}");

    std::fs::create_dir(&file).unwrap();
    let error = Config::load(&path).unwrap_err();
    assert!(error.message.contains("not a regular file"), "{error}");
    std::fs::remove_dir(&file).unwrap();

    std::fs::write(&file, good().replacen("type: tpm_ek", "type: tpm", 1)).unwrap();
    let error = Config::load(&path).unwrap_err();
    assert_eq!(error.file, file.display().to_string());
    assert_eq!((error.line, error.column), (7, 17), "{error}");

    std::fs::write(&file, good()).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.data_dir, dir.path().join("d"));
    assert_eq!(config.clusters["lab"].policies.policies()[0].name(), "rack");
}

#[test]
fn the_example_configuration_is_accepted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml");
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    assert!(!config.listeners.is_empty());
}
