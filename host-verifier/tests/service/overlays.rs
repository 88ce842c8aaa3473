//! `--set key=value`: what it changes, and what is said when it cannot.

use std::path::Path;
use std::time::Duration;

use assay_host_verifier::config::{Config, Datastore, Listener, overlay};
use assay_host_verifier::document::DocumentError;

use crate::clusters::one_hash;

const FILE: &str = "trustDomain: example.org
dataDir: d
listeners:
  unix:
    - path: agent.sock
session:
  ttl: 1h
";

fn with(text: &str, sets: &[(&str, &str)]) -> Result<Config, DocumentError> {
    Config::parse_with("assayd.yaml", text, Path::new("/etc/assay"), sets)
}

fn wrong(text: &str, sets: &[(&str, &str)]) -> DocumentError {
    match with(text, sets) {
        Err(error) => error,
        Ok(config) => panic!("{sets:?}: {config:?}"),
    }
}

#[test]
fn a_value_takes_the_place_of_the_files_or_stands_where_it_has_none() {
    let config = with(
        FILE,
        &[
            ("trustDomain", "other.example"),
            ("session.ttl", "90s"),
            ("session.pathTemplate", "/n/{{tpm_ek.public_hash}}"),
            ("limits.loginsInFlight", "7"),
            (
                "listeners.tcp",
                "[{address: \"[::1]:0\"}, {address: 127.0.0.1:5, mode: connect}]",
            ),
            ("datastore.sqlite.path", "a b.sqlite"),
            ("limits.loginTimeout", "1m 30s"),
        ],
    )
    .unwrap();
    assert_eq!(config.trust_domain, "other.example");
    assert_eq!(config.session_ttl, Duration::from_secs(90));
    assert_eq!(config.login_timeout, Duration::from_secs(90));
    assert_eq!(config.logins_in_flight, 7);
    assert_eq!(config.listeners.len(), 3);
    assert!(
        matches!(&config.listeners[1], Listener::Tcp { address, .. } if address.to_string() == "[::1]:0")
    );
    assert!(
        matches!(&config.datastore, Datastore::Sqlite { path } if path == Path::new("/etc/assay/a b.sqlite"))
    );
    // What the file has beside it stays.
    assert!(matches!(&config.listeners[0], Listener::Unix { .. }));
    assert_eq!(config.data_dir, Path::new("/etc/assay/d"));
}

#[test]
fn the_file_need_not_be_whole_without_what_is_set() {
    let config = with(
        "dataDir: d\nsession:\nlimits: {}\n",
        &[
            ("trustDomain", "example.org"),
            ("session.ttl", "2m"),
            ("limits.loginsInFlight", "3"),
        ],
    );
    // Nothing after `session:` is no mapping, with a value set or without.
    let error = config.unwrap_err();
    assert_eq!(error.file, "assayd.yaml");
    let config = with(
        "dataDir: d\ndatastore:\nlimits: {}\n",
        &[
            ("trustDomain", "example.org"),
            ("datastore.sqlite.path", "x"),
            ("limits.loginsInFlight", "3"),
        ],
    )
    .unwrap();
    assert_eq!(
        (config.trust_domain.as_str(), config.logins_in_flight),
        ("example.org", 3)
    );
    assert!(matches!(&config.datastore, Datastore::Sqlite { path } if path.ends_with("x")));
    let null = with(FILE, &[("session.ttl", "null")]).unwrap();
    assert_eq!(null.session_ttl, Duration::from_secs(3600), "the default");
}

#[test]
fn what_the_file_says_is_read_as_without_it() {
    // Digits only: as a number it would be another hash.
    let digits = one_hash('1').replace('"', "");
    let inline: String = digits.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("{FILE}clusters:\n  lab:\n{inline}");
    assert!(text.contains("allowedHashes: [1111"));
    let config = with(&text, &[("session.ttl", "2m")]).unwrap();
    assert!(config.clusters.contains_key("lab"));
    // And an error in it has its place.
    let error = wrong(
        &format!("{FILE}limits: {{loginsInFlight: 0}}\n"),
        &[("session.ttl", "2m")],
    );
    assert_eq!(
        (error.file.as_str(), error.line, error.column),
        ("assayd.yaml", 8, 26)
    );
    let error = wrong(&format!("{FILE}limts: {{}}\n"), &[("session.ttl", "2m")]);
    assert_eq!(
        (error.file.as_str(), error.line, error.column),
        ("assayd.yaml", 8, 1)
    );
    assert_eq!(error.hint.as_deref(), Some("did you mean `limits`?"));
    // Even within what is set a value of the file may be wrong: it is gone, but it must be YAML.
    assert!(with(&FILE.replace("1h", "many"), &[("session.ttl", "2m")]).is_ok());
}

#[test]
fn an_error_in_what_is_set_names_the_option_and_says_what_to_do() {
    for (key, value, message, hint) in [
        (
            "listeners.tpc",
            "[]",
            "unknown field `tpc`",
            "did you mean `tcp`?",
        ),
        (
            "limts.loginsInFlight",
            "1",
            "unknown field `limts`",
            "did you mean `limits`?",
        ),
        (
            "limits.loginsInFligth",
            "1",
            "unknown field `loginsInFligth`",
            "did you mean `loginsInFlight`?",
        ),
        (
            "datastore.sqlite.pth",
            "x",
            "unknown field `pth`",
            "did you mean `path`?",
        ),
        (
            "limits.loginsInFlight",
            "0",
            "0 is out of range",
            "choose something from 1 to 4096",
        ),
        (
            "limits.loginsInFlight",
            "many",
            "not a whole number in range",
            "write it in digits",
        ),
        ("session.ttl", "2", "`2` is no span of time", ""),
        (
            "session.pathTemplate",
            "node",
            "session.pathTemplate: ",
            "for example",
        ),
        (
            "listeners.tcp",
            "[{address: 192.0.2.1:1}]",
            "192.0.2.1:1 is not a loopback address",
            "127.0.0.1",
        ),
        (
            "listeners.tcp",
            "127.0.0.1:1",
            "a list is expected here",
            "",
        ),
        (
            "trustDomain.x",
            "1",
            "leads through a value without fields",
            "set the whole value",
        ),
        (
            "listeners.unix.0.path",
            "x",
            "leads through a value without fields",
            "a list as in [a, b]",
        ),
        (
            "listeners..unix",
            "x",
            "not the way to a field",
            "joined by dots",
        ),
        ("", "x", "not the way to a field", "joined by dots"),
        (
            "a.b.c.d.e.f.g.h.i",
            "x",
            "not the way to a field",
            "joined by dots",
        ),
        (
            "session.ttl",
            "1h\n",
            "neither one value nor a list",
            "one line",
        ),
        (
            "listeners.tcp",
            "[a], x: [b]",
            "neither one value nor a list",
            "a list as in",
        ),
    ] {
        let error = wrong(FILE, &[("dataDir", "e"), (key, value)]);
        let told = format!("{error} {:?}", error.hint);
        assert_eq!(
            (error.file.as_str(), error.line),
            (format!("--set {key}").as_str(), 0),
            "{told}"
        );
        assert!(error.message.contains(message), "{key}: {told}");
        assert!(
            error.hint.unwrap_or_default().contains(hint),
            "{key}: {told}"
        );
    }
    for (first, second) in [
        ("session.ttl", "session.ttl"),
        ("session", "session.ttl"),
        ("session.ttl", "session"),
    ] {
        let error = wrong(FILE, &[(first, "1h"), (second, "1h")]);
        assert_eq!(error.file, format!("--set {second}"));
        assert!(error.message.contains("set twice"), "{error}");
    }
    let many: Vec<_> = (0..65).map(|_| ("session.ttl", "1h")).collect();
    assert!(wrong(FILE, &many).message.contains("more than 64 values"));
}

/// Each of several that stand together is told by its own name.
#[test]
fn of_several_the_one_that_is_wrong_is_named() {
    let good = [
        ("limits.loginsInFlight", "1"),
        ("session.ttl", "2m"),
        ("limits.loginTimeout", "3s"),
        ("datastore.postgres.maxConnections", "5"),
        ("datastore.postgres.url", "postgres://a@b/c"),
    ];
    with("trustDomain: a\ndataDir: d\n", &good).unwrap();
    for (at, bad) in ["0", "1s", "1h", "0", "mysql://a"].iter().enumerate() {
        let mut sets = good;
        sets[at].1 = bad;
        let error = wrong("trustDomain: a\ndataDir: d\n", &sets);
        assert_eq!(error.file, format!("--set {}", good[at].0), "{error}");
    }
}

/// Also where the error is one of a reader of ours, and has no place by itself.
#[test]
fn a_field_that_no_reader_takes_is_named_among_its_neighbours() {
    let sets = [
        ("session.pathTemplate", "/x"),
        ("session.ttl", "2"),
        ("limits.loginsInFlight", "1"),
    ];
    let error = wrong("trustDomain: a\ndataDir: d\n", &sets);
    assert_eq!(error.file, "--set session.ttl", "{error}");
}

#[test]
fn options_come_as_they_are_typed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("assayd.yaml");
    std::fs::write(&path, FILE).unwrap();
    let sets = ["session.pathTemplate=/a=b/{{tpm_ek.public_hash}}".to_owned()];
    // An `=` in a value is a part of it, and no legal path.
    let error = overlay::load(&path, &sets).unwrap_err();
    assert!(error.message.contains("`a=b`"), "{error}");
    let config = overlay::load(&path, &["dataDir=e".to_owned()]).unwrap();
    assert_eq!(config.data_dir, dir.path().join("e"));
    let error = overlay::load(&path, &["dataDir".to_owned()]).unwrap_err();
    assert_eq!(error.to_string(), "--set dataDir: no `=`");
}
