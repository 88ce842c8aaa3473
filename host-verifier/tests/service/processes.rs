//! `assayd` and `assay` as an operator meets them: exit status, what is on stdout and stderr, signals, files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::site::{Daemon, Site};

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_login_at_the_real_service_is_logged_listed_and_survives_a_restart() {
    let mut tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    let opened = granted(site.login(&tpm));
    let id = hex::encode(opened.session_id);

    // The command line reads beside the running service.
    let sessions = site.json(&["session", "list"]);
    assert_eq!(sessions[0]["id"], id);
    assert_eq!(sessions[0]["spiffe_id"], opened.spiffe_id);
    let shown = site.json(&["session", "show", &id]);
    assert_eq!(shown["attributes"]["tpm_ek.public_hash"], tpm.ek_hash());
    assert!(!shown.to_string().contains(&hex::encode(opened.secret)));
    let nodes = site.json(&["node", "list"]);
    assert_eq!(nodes[0]["ek_hash"], tpm.ek_hash());
    assert_eq!(nodes[0]["boot"]["reset_count"], 7);

    let (status, events, log) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    let last = events
        .iter()
        .rev()
        .find(|event| event["step"] == "granted")
        .unwrap();
    assert_eq!(last["session"]["id"], id);
    assert_eq!(last["policy"], "rack");
    let message = |msg: &str| {
        log.iter()
            .find(|line| line["msg"] == msg)
            .unwrap_or_else(|| panic!("{msg}: {log:#?}"))
    };
    assert_eq!(
        message("Login started with multi-attestation support")["providedMethods"],
        serde_json::json!(["tpm_ek", "tpm_quote"])
    );
    let attributes = &message("Authorization received and verified")["agentAttestationAttributes"];
    let expected = format!("tpm_ek:tpm_ek.public_hash=\"{}\"", tpm.ek_hash());
    assert!(
        attributes
            .as_array()
            .unwrap()
            .contains(&Value::from(expected)),
        "{attributes}"
    );
    assert_eq!(message("Connected to agent")["session_id"], id);
    message("Stopped");
    let order: Vec<_> = log
        .iter()
        .map(|line| line["msg"].as_str().unwrap())
        .collect();
    let at = |msg| order.iter().position(|m| *m == msg).unwrap();
    assert!(
        at("Login started with multi-attestation support")
            < at("Authorization received and verified")
    );
    assert!(at("Authorization received and verified") < at("Connected to agent"));
    // No secret is in log or events.
    let told = format!("{log:?}{events:?}");
    assert!(!told.contains(&hex::encode(opened.secret)));
    assert!(!site.path("agent.sock").exists());

    // The key, the node and the session are there again, and a TPM that went back in time is still refused.
    let daemon = site.serve();
    tpm.reset_count -= 1;
    assert!(matches!(site.login(&tpm), Answer::Denied(..)));
    assert_eq!(site.json(&["session", "list"]).as_array().unwrap().len(), 1);
    let evicted = site.json(&["node", "evict", &tpm.ek_hash()]);
    assert_eq!(evicted["evicted"], tpm.ek_hash());
    granted(site.login(&tpm));
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn the_data_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new(&[&FakeTpm::new()]);
    let before = site.assay(&["bundle", "show"]);
    assert_eq!(before.status.code(), Some(1), "{before:?}");
    assert!(!site.path("data").exists(), "looking makes nothing");
    let daemon = site.serve();
    let bundle = site.json(&["bundle", "show"]);
    assert_eq!(bundle["trust_domain"], "example.org");
    assert_eq!(bundle["challenge_key"]["sec1"].as_str().unwrap().len(), 130);
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(site.path("data")), 0o700);
    assert_eq!(mode(site.path("data/challenge-key.p8")), 0o600);
    assert_eq!(mode(site.path("data/svid-keys")), 0o700);
    let trust = site.assay(&["bundle", "show", "--format", "spiffe"]);
    daemon.terminate();
    let daemon = site.serve();
    assert_eq!(site.json(&["bundle", "show"]), bundle, "the key stays");
    let again = site.assay(&["bundle", "show", "--format", "spiffe"]);
    assert_eq!(
        text(&again.stdout),
        text(&trust.stdout),
        "the authorities stay"
    );
    daemon.terminate();
}

#[test]
fn exit_status_and_hints_are_those_of_the_contract() {
    let site = Site::new(&[&FakeTpm::new()]);
    let unknown = "ab".repeat(16);
    let output = site.assay(&["session", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no database yet"),
        "{output:?}"
    );
    for format in [&["--json"][..], &["--output", "json"]] {
        let output = site.assay(&[&["session", "list"], format].concat());
        assert_eq!(output.status.code(), Some(1));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let error = json["error"].as_str().unwrap();
        assert!(error.contains("no database yet"), "{error}");
        let output = site.assay(&[&["session", "show", "x"], format].concat());
        assert_eq!(output.status.code(), Some(2));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            json["error"].is_string() && json.get("accepted").is_none(),
            "{json}"
        );
    }
    assert!(!site.path("data").exists(), "looking makes nothing");
    assert_eq!(site.serve().terminate().0.code(), Some(0));
    for (arguments, status, error, hint) in [
        (vec!["policy", "check", "lab.yaml"], 0, "", ""),
        (
            vec!["policy", "check", "none.yaml"],
            2,
            "none.yaml: No such file",
            "",
        ),
        (
            vec!["policy", "check", "assayd.yaml"],
            2,
            "unknown field `trustDomain`",
            "known here: section, schema, spec",
        ),
        (
            vec!["session", "show", &unknown],
            1,
            "there is no session",
            "assay session list",
        ),
        (
            vec!["session", "show", "xyz"],
            2,
            "a session id has 32 hex digits",
            "",
        ),
        (
            vec!["node", "evict", "00"],
            1,
            "there is no node 00",
            "assay node list",
        ),
        (
            vec!["provision", "record", "--cluster", "other", "--out", "r"],
            2,
            "cluster `other` is not configured",
            "configured: lab",
        ),
        (
            vec!["provision", "record", "--cluster", "lab", "--out", "none/r"],
            1,
            "none/r",
            "",
        ),
        (vec!["session", "lst"], 2, "unrecognized subcommand", ""),
    ] {
        let output = site.assay(&arguments);
        let stderr = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.contains(error), "{arguments:?}: {stderr}");
        assert!(stderr.contains(hint), "{arguments:?}: {stderr}");
        assert!(hint.is_empty() || stderr.contains("hint: "), "{stderr}");
        assert_eq!(
            output.stdout.is_empty(),
            status != 0,
            "answers on stdout, errors on stderr"
        );
    }
    let output = site.assay(&["policy", "check", "lab.yaml"]);
    assert_eq!(
        text(&output.stdout),
        "lab.yaml: ok\n  rack: tpm_ek and tpm_quote\n"
    );
    let output = site.assay(&["session", "list"]);
    assert_eq!(text(&output.stdout), "none\n");
}

pub(crate) fn assayd(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_assayd"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

#[test]
fn assayd_refuses_a_bad_configuration_before_it_touches_anything() {
    let site = Site::new(&[&FakeTpm::new()]);
    let directory = site.dir.path();
    let output = assayd(&["--config", "assayd.yaml", "--check"], directory);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), "assayd.yaml: ok\n")
    );
    assert!(!site.path("data").exists());

    let policy = std::fs::read_to_string(site.path("lab.yaml")).unwrap();
    std::fs::write(site.path("lab.yaml"), policy.replace("tpm_ek", "tpm_ekk")).unwrap();
    let output = assayd(&["--config", "assayd.yaml"], directory);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("lab.yaml:7:17: unknown attestor type `tpm_ekk`"),
        "{output:?}"
    );
    assert!(!site.path("data").exists());

    let output = assayd(&["--config", "none.yaml"], directory);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(assayd(&[], directory).status.code(), Some(2));
}

#[test]
fn assayd_without_a_listener_or_with_one_in_use_says_so() {
    let site = Site::new(&[&FakeTpm::new()]);
    let _held = std::os::unix::net::UnixListener::bind(site.path("agent.sock")).unwrap();
    let output = assayd(&["--config", "assayd.yaml"], site.dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("agent.sock"), "{output:?}");
    assert!(
        text(&output.stderr).contains("hint: is another assayd running"),
        "{output:?}"
    );

    std::fs::write(
        site.path("assayd.yaml"),
        "trustDomain: example.org\ndataDir: data\nclusters:\n  lab: lab.yaml\n",
    )
    .unwrap();
    let output = assayd(&["--config", "assayd.yaml"], site.dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("error: no listeners"),
        "{output:?}"
    );
}

#[test]
fn events_go_to_a_file_or_to_a_socket_that_somebody_listens_on() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let listener = std::os::unix::net::UnixListener::bind(site.path("events.sock")).unwrap();
    for target in ["events.jsonl", "events.sock"] {
        let process = Command::new(env!("CARGO_BIN_EXE_assayd"))
            .args(["--config", "assayd.yaml", "--events", target])
            .current_dir(site.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let daemon = Daemon { process };
        site.wait_for_socket();
        granted(site.login(&tpm));
        let (status, on_stdout, _) = daemon.terminate();
        assert_eq!((status.code(), on_stdout.len()), (Some(0), 0));
        let text = if target == "events.sock" {
            let (stream, _) = listener.accept().unwrap();
            std::io::read_to_string(stream).unwrap()
        } else {
            std::fs::read_to_string(site.path(target)).unwrap()
        };
        let steps: Vec<_> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["step"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert!(steps.contains(&"granted".to_owned()), "{target}: {steps:?}");
        assert_eq!(steps.first().map(String::as_str), Some("link_open"));
    }
}
