//! Rotation by command, and its settings.

use std::path::Path;
use std::time::Duration;

use assay_host_verifier::config::{AuditFiles, Config, Keep};

use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::site::Site;

#[test]
fn a_rotation_is_asked_for_by_command_with_and_without_the_service() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    granted(site.login(&tpm));
    granted(site.login(&tpm));
    let rotated = site.json(&["audit", "rotate"]);
    assert_eq!(rotated["closed"], "audit-1-2.jsonl");
    assert!(site.json(&["audit", "rotate"])["closed"].is_null());
    granted(site.login(&tpm));
    let verified = site.json(&["audit", "verify"]);
    assert_eq!(
        (&verified["records"], &verified["files"]),
        (&3.into(), &2.into())
    );
    let head = verified["head"].as_str().unwrap().to_owned();
    let listed = site.json(&["audit", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(
        (&listed[0]["seq"], &listed[2]["seq"]),
        (&3.into(), &1.into())
    );
    let oldest = listed[2]["login_id"].as_str().unwrap();
    assert_eq!(site.json(&["audit", "show", oldest])[0]["seq"], 1);
    assert_eq!(daemon.terminate().0.code(), Some(0));

    assert_eq!(site.json(&["audit", "rotate"])["closed"], "audit-3-3.jsonl");
    let daemon = site.serve();
    granted(site.login(&tpm));
    let verified = site.json(&["audit", "verify", "--head", &head]);
    assert_eq!(
        (&verified["records"], &verified["files"]),
        (&4.into(), &3.into())
    );
    // A copy of a closed file alone lacks what is before it, unless it is the first.
    let data = site.path("data");
    let alone = |name: &str| {
        let copy = site.path("copy.jsonl");
        std::fs::copy(data.join(name), &copy).unwrap();
        let output = site.assay(&["audit", "verify", "--file", copy.to_str().unwrap()]);
        output.status.code()
    };
    assert_eq!(
        (alone("audit-1-2.jsonl"), alone("audit-3-3.jsonl")),
        (Some(0), Some(1))
    );
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_place() {
    let parse = |audit: &str| {
        let policy = "{section: AgentAttestation, schema: v1, spec: {policies: [{name: a, requiredAttestors: [{type: tpm_ek, config: {allowedHashes: [\"00\"]}}]}]}}".replace("\"00\"", &format!("\"{}\"", "00".repeat(32)));
        let text = format!(
            "trustDomain: example.org\ndataDir: data\nclusters:\n  lab: {policy}\naudit: {audit}\n"
        );
        Config::parse("assayd.yaml", &text, Path::new("")).map(|config| config.audit)
    };
    let default = parse("{}").unwrap();
    assert_eq!(
        default,
        AuditFiles {
            max_file_size: 256 << 20,
            keep: Keep::All
        }
    );
    let own = parse("{maxFileSize: 1GiB, keepFiles: 12}").unwrap();
    assert_eq!(
        own,
        AuditFiles {
            max_file_size: 1 << 30,
            keep: Keep::Files(12)
        }
    );
    let aged = parse("{keepFor: 2160h}").unwrap();
    assert_eq!(aged.keep, Keep::For(Duration::from_secs(2160 * 3600)));
    for (audit, said) in [
        ("{maxFileSize: 100}", "is no size"),
        ("{maxFileSize: 1MB}", "is no size"),
        ("{maxFileSize: 18446744073709551615GiB}", "is no size"),
        ("{maxFileSize: 1KiB}", "1KiB is out of range"),
        ("{keepFiles: 0}", "0 is out of range"),
        ("{keepFor: 10m}", "600s is out of range"),
        (
            "{keepFiles: 1, keepFor: 1h}",
            "keepFiles and keepFor together",
        ),
        ("{keepfiles: 1}", "unknown field"),
    ] {
        let error = parse(audit).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("assayd.yaml:5:") && text.contains(said),
            "{text}"
        );
    }
}
