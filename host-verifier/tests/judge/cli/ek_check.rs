//! `assay ek check`.

use std::{ffi::OsStr, path::PathBuf};

use super::{Run, assay};
use crate::pki::{CA, EK_EC, Pki};

struct EkCheck {
    pki: Pki,
}

impl EkCheck {
    fn new() -> Self {
        let pki = Pki::new();
        pki.root("vendor", "p256", CA);
        pki.issue("middle", "vendor", CA);
        pki.issue_as("ek", "", "p256", "middle", EK_EC, "-sha256");
        Self { pki }
    }

    fn run(&self, certificate: &str, cas: &[&str], more: &[&str]) -> Run {
        let mut args: Vec<PathBuf> = vec!["ek".into(), "check".into(), self.pki.path(certificate)];
        args.push("--manufacturer-cas".into());
        args.extend(cas.iter().map(|ca| self.pki.path(ca)));
        args.extend(more.iter().map(PathBuf::from));
        assay(&args)
    }
}

#[test]
fn ek_check_accepts_pem_der_and_nv_contents() {
    let files = EkCheck::new();
    let der = files.pki.read("ek").der().to_vec();
    files.pki.write("ek.der", &der);
    files.pki.write("ek.nv", [&der[..], &[0xff; 300]].concat());
    for file in ["ek.crt", "ek.der", "ek.nv"] {
        let run = files.run(file, &["vendor.crt", "middle.crt"], &[]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(run.stdout.starts_with("accepted: "), "{}", run.stdout);
        assert!(
            run.stdout
                .contains("manufacturer id:4E544300, model NPCT75x"),
            "{}",
            run.stdout
        );
        assert_eq!(run.stderr, "");
    }
    let json = files
        .run("ek.nv", &["vendor.crt", "middle.crt"], &["--json"])
        .json();
    assert_eq!(json["accepted"], true);
    assert_eq!(json["check"], serde_json::Value::Null);
    assert_eq!(json["chain"].as_array().unwrap().len(), 2);
    assert_eq!(json["key"], "ecc-p256");
    assert_eq!(json["ek_hash"].as_str().unwrap().len(), 64);
}

#[test]
fn ek_check_names_the_failed_check_and_what_to_do() {
    let files = EkCheck::new();
    let run = files.run("ek.crt", &["vendor.crt"], &[]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("refused: "), "{}", run.stdout);
    assert!(
        run.stderr.contains("error: unknown-issuer: "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    assert!(run.stderr.contains("CN=middle"), "{}", run.stderr);

    let json = files.run("ek.crt", &["vendor.crt"], &["--json"]);
    assert_eq!(json.status, 1);
    assert_eq!(json.json()["check"], "unknown-issuer");
    let leaf = files.run("middle.crt", &["vendor.crt"], &["--json"]);
    assert_eq!(
        (leaf.status, leaf.json()["check"].as_str()),
        (1, Some("leaf-is-ca"))
    );
}

#[test]
fn ek_check_judges_at_the_time_it_is_told() {
    let files = EkCheck::new();
    let cas = ["vendor.crt", "middle.crt"];
    for (at, check) in [
        ("2000-01-01T00:00:00Z", "not-yet-valid"),
        ("2300-01-01T00:00:00+01:00", "expired"),
    ] {
        let run = files.run("ek.crt", &cas, &["--at", at, "--json"]);
        assert_eq!(run.status, 1);
        assert_eq!(run.json()["check"], check);
    }
    assert_eq!(files.run("ek.crt", &cas, &["--at", "yesterday"]).status, 2);
}

#[test]
fn ek_check_exits_with_2_on_input_it_cannot_read() {
    let files = EkCheck::new();
    files.pki.write("text", "no certificate");
    files.pki.write("empty", "");
    files.pki.write("ff", [0xff; 100]);
    let both = [files.pki.pem("ek"), files.pki.pem("middle")].concat();
    files.pki.write("both", both);
    for file in ["missing", "text", "empty", "ff", "both"] {
        let run = files.run(file, &["vendor.crt"], &[]);
        assert_eq!(run.status, 2, "{file}: {}", run.stdout);
        assert!(run.stderr.starts_with("error: "), "{file}: {}", run.stderr);
        let json = files.run(file, &["vendor.crt"], &["--json"]).json();
        assert_eq!(json["accepted"], false, "{file}");
    }
    for cas in ["missing", "text", "ek.crt"] {
        assert_eq!(files.run("ek.crt", &[cas], &[]).status, 2, "{cas}");
    }
    assert_eq!(assay(&["ek", "check"]).status, 2);
}

#[test]
fn ek_check_finds_the_certificate_behind_the_manufacturers() {
    let files = EkCheck::new();
    let path = |name: &str| files.pki.path(name).into_os_string();
    let run = |words: &[&OsStr]| assay(&[&["ek".as_ref(), "check".as_ref()], words].concat());
    let (ek, root, middle) = (path("ek.crt"), path("vendor.crt"), path("middle.crt"));
    let cas = OsStr::new("--manufacturer-cas");
    for words in [
        &[cas, &root, &middle, &ek][..],
        &[cas, &root, &middle, &ek, "--json".as_ref()],
        &[cas, &root, cas, &middle, &ek],
        &[cas, &root, &middle, "--".as_ref(), &ek],
    ] {
        let run = run(words);
        assert_eq!(run.status, 0, "{words:?}: {}{}", run.stdout, run.stderr);
    }
    let none = run(&[cas, &root, "--json".as_ref()]);
    assert_eq!(none.status, 2);
    let reason = none.json()["reason"].to_string();
    assert!(reason.contains("no certificate to judge"), "{reason}");
    assert!(none.stderr.contains("put CERT before"), "{}", none.stderr);
}

#[test]
fn ek_check_answers_in_json_also_when_the_command_line_is_wrong() {
    let files = EkCheck::new();
    for format in [&["--json"][..], &["--output", "json"], &["--output=json"]] {
        let good = files.run("ek.crt", &["vendor.crt", "middle.crt"], format);
        assert_eq!(
            (good.status, good.json()["accepted"].as_bool()),
            (0, Some(true))
        );
        for wrong in [&["--at", "yesterday"][..], &["--what"]] {
            let run = files.run("ek.crt", &["vendor.crt"], &[wrong, format].concat());
            assert_eq!(run.status, 2, "{wrong:?} {format:?}");
            let json = run.json();
            assert_eq!(json["accepted"], false);
            assert_eq!(json["check"], "usage");
            let reason = json["reason"].as_str().unwrap();
            assert!(reason.contains(wrong[0]), "{reason}");
            assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
        }
    }
    let text = files.run("ek.crt", &["vendor.crt"], &["--at", "yesterday"]);
    assert_eq!((text.status, text.stdout.as_str()), (2, ""));
}
