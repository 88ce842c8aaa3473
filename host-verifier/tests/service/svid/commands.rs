//! `assay bundle show --format`, and the service's start, as processes.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Folder;
use crate::fake_tpm::FakeTpm;
use crate::processes::text;
use crate::site::Site;

#[test]
fn the_bundle_of_the_store_is_shown_in_every_form_with_and_without_the_service() {
    let site = Site::new(&[&FakeTpm::new()]);
    let show = |format: &str| site.assay(&["bundle", "show", "--format", format]);
    for format in ["spiffe", "pem", "jwks"] {
        let output = show(format);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            text(&output.stderr).contains("no database yet"),
            "{output:?}"
        );
        assert!(text(&output.stderr).contains("hint: "), "{output:?}");
    }
    assert!(!site.path("data").exists(), "looking makes nothing");
    let daemon = site.serve();
    let all = || ["spiffe", "pem", "jwks"].map(|format| text(&show(format).stdout).to_owned());
    let while_serving = all();
    daemon.terminate();
    assert_eq!(all(), while_serving);

    let [spiffe, pem, jwks] = while_serving;
    let spiffe: Value = serde_json::from_str(&spiffe).unwrap();
    assert_eq!(spiffe["spiffe_sequence"], 2);
    assert_eq!(spiffe["keys"].as_array().unwrap().len(), 2);
    let jwks: Value = serde_json::from_str(&jwks).unwrap();
    assert_eq!(jwks["keys"][0]["kid"], spiffe["keys"][1]["kid"]);
    let folder = Folder::new();
    folder.write("bundle.pem", pem);
    let subject = folder.openssl("x509 -in bundle.pem -noout -subject");
    assert!(subject.contains("O = SPIFFE, CN = Assay"), "{subject}");
    folder.openssl("verify -x509_strict -CAfile bundle.pem bundle.pem");
    let both = site.assay(&["bundle", "show", "--format", "pem", "--json"]);
    assert_eq!(both.status.code(), Some(2), "one form at a time");
}

#[test]
fn a_service_below_an_upstream_authority_starts_and_shows_its_root() {
    let folder = Folder::new();
    folder.key("ca", "p256", "");
    folder.openssl(
        "req -x509 -new -key ca.key -subj /CN=Upstream -days 30 -addext keyUsage=critical,keyCertSign -out ca.crt",
    );
    let keys = format!(
        "upstreamAuthority:\n  disk:\n    certFilePath: {0}/ca.crt\n    keyFilePath: {0}/ca.key\nkeyManager: memory\n",
        folder.0.path().display()
    );
    let site = Site::with(&[&FakeTpm::new()], &keys);
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("ca.key"), mode).unwrap();
    };
    // What does not work at the start is told at the start.
    mode(0o644);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_assayd"))
        .arg("--config")
        .arg(site.path("assayd.yaml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    assert!(
        told.contains("mode 644 lets everybody in\nhint: chmod 600"),
        "{told}"
    );
    mode(0o600);
    let daemon = site.serve();
    let pem = site.assay(&["bundle", "show", "--format", "pem"]);
    assert_eq!(
        text(&pem.stdout).trim().as_bytes(),
        folder.read("ca.crt").trim_ascii()
    );
    // What signs is noted after the first rotation, a moment behind the start.
    let began = Instant::now();
    let active = || {
        let all = site.json(&["authority", "list"]);
        let states = all.as_array().unwrap().iter().map(|one| &one["state"]);
        states.filter(|state| *state == "active").count()
    };
    while active() < 2 {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", active());
    }
    let (status, _, log) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    let said = |message: &str| log.iter().filter(|line| line["msg"] == message).count();
    assert_eq!(
        (said("Authority prepared"), said("Authority active")),
        (2, 2)
    );
    let secret = folder.openssl("pkey -in ca.key -outform DER -out ca.der");
    assert!(secret.is_empty());
    let log = format!("{log:?}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    assert!(!site.path("data/svid-keys").exists());
}

#[test]
fn an_exposed_key_keeps_the_service_from_starting_and_says_why() {
    let site = Site::new(&[&FakeTpm::new()]);
    site.serve().terminate();
    let dir = site.path("data/svid-keys");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_assayd"))
        .arg("--config")
        .arg(site.path("assayd.yaml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    assert!(
        told.contains("mode 755 lets others in\nhint: chmod 600"),
        "{told}"
    );
}
