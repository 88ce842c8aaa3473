//! `assay audit` over the trail of a real service.

use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::site::Site;

#[test]
fn the_trail_of_a_service_is_verified_listed_and_shown_also_while_it_runs() {
    let (tpm, stranger) = (FakeTpm::new(), FakeTpm::new());
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    let opened = granted(site.login(&tpm));
    let verified = site.json(&["audit", "verify"]);
    assert_eq!(verified["records"], 1);
    assert_eq!(verified["unfinished_bytes"], 0);
    let head = verified["head"].as_str().unwrap().to_owned();

    assert!(matches!(site.login(&stranger), Answer::Denied(..)));
    let listed = site.json(&["audit", "list"]);
    assert_eq!(listed[0]["outcome"], "denied");
    // What failed is shown with what its method's document says about it.
    let denied = listed[0]["login_id"].as_str().unwrap();
    let text = site.assay(&["audit", "show", denied]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("hint: ek-not-allowed: compare with"),
        "{text}"
    );
    assert_eq!(listed[1]["session_id"], hex::encode(opened.session_id));
    assert!(listed[1].get("evidence").is_none());
    let login = listed[1]["login_id"].as_str().unwrap();
    let shown = site.json(&["audit", "show", login]);
    assert_eq!(shown[0]["policy"], "rack");
    assert!(shown[0]["evidence"].as_array().unwrap().len() >= 5);
    let text = site.assay(&["audit", "list", "--limit", "1"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("denied") && !text.contains("rack"), "{text}");
    let text = site.assay(&["audit", "show", login]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("tpm_ek.public_hash") && text.contains("about "),
        "{text}"
    );

    // What was judged then is judged again, without the service.
    let written = site.json(&["audit", "evidence", login, "--out", "kept"]);
    let nonce = written["nonce"].as_str().unwrap();
    let file = |name: &str| site.path("kept").join(name).to_str().unwrap().to_owned();
    let judged = |nonce: &str| {
        let (attest, signature) = (file("attest.bin"), file("signature.bin"));
        let (ak, pcrs) = (file("ak.pub"), file("pcrs.txt"));
        let mut arguments = vec!["evidence", "verify", "tpm_quote", "--nonce", nonce];
        arguments.extend(["--attest", &attest, "--signature", &signature]);
        arguments.extend(["--ak", &ak, "--pcrs", &pcrs]);
        site.assay(&arguments).status.code()
    };
    assert_eq!(judged(nonce), Some(0));
    assert_eq!(judged(&"00".repeat(32)), Some(1));

    // The head of the first record is still in it, also after a restart.
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let daemon = site.serve();
    granted(site.login(&tpm));
    let verified = site.json(&["audit", "verify", "--head", &head]);
    assert_eq!(verified["records"], 3);
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[test]
fn a_trail_that_was_changed_is_named_by_its_check_and_stops_the_service() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let missing = site.assay(&["audit", "verify"]);
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    let daemon = site.serve();
    for _ in 0..2 {
        granted(site.login(&tpm));
    }
    assert_eq!(daemon.terminate().0.code(), Some(0));

    let trail = site.path("data/audit.jsonl");
    let text = std::fs::read_to_string(&trail).unwrap();
    std::fs::write(&trail, text.replacen("granted", "denied", 1)).unwrap();
    let copy = trail.to_str().unwrap();
    let verified = site.assay(&["audit", "verify", "--file", copy]);
    assert_eq!(verified.status.code(), Some(1));
    let said = String::from_utf8(verified.stderr).unwrap();
    assert!(said.starts_with("error: chain: "), "{said}");
    assert!(said.contains("line 2") && said.contains("hint: "), "{said}");

    let started = std::process::Command::new(env!("CARGO_BIN_EXE_assayd"))
        .arg("--config")
        .arg(site.path("assayd.yaml"))
        .output()
        .unwrap();
    assert_eq!(started.status.code(), Some(1));
    let said = String::from_utf8(started.stderr).unwrap();
    assert!(said.contains("assay audit verify"), "{said}");
}

#[test]
fn the_evidence_of_a_login_is_an_archive_that_tar_and_tpm2_tools_read() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    granted(site.login(&tpm));
    let login = site.json(&["audit", "list"])[0]["login_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let export =
        |out: &str| ["evidence", "export", "--login", &login, "--out", out].map(str::to_owned);
    let run = |out: &str| {
        let arguments = export(out);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        site.assay(&[&arguments[..], &["--json"]].concat())
    };
    let first = run("one.tar");
    assert!(first.status.success(), "{first:?}");
    let told: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    let again = run("one.tar");
    assert_eq!(again.status.code(), Some(1), "what is there stays");
    assert!(run("two.tar").status.success());
    let read = |name: &str| std::fs::read(site.path(name)).unwrap();
    assert_eq!(read("one.tar"), read("two.tar"));

    let tool = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program)
            .args(arguments)
            .current_dir(site.dir.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = tool("tar", &["--list", "--file", "one.tar"]);
    let listed: Vec<_> = listed.lines().collect();
    let files: Vec<_> = told["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f.as_str().unwrap())
        .collect();
    assert_eq!(listed, files);
    assert!(
        listed.contains(&format!("{login}/record.json").as_str()),
        "{listed:?}"
    );
    tool("tar", &["--extract", "--file", "one.tar"]);
    // The same files as a folder has that the trail wrote.
    site.json(&["audit", "evidence", &login, "--out", "kept"]);
    let mut count = 0;
    for file in std::fs::read_dir(site.path("kept")).unwrap() {
        let name = file.unwrap().file_name();
        let unpacked = site.path(&login).join(&name);
        let kept = std::fs::read(site.path("kept").join(&name)).unwrap();
        assert_eq!(std::fs::read(unpacked).unwrap(), kept, "{name:?}");
        count += 1;
    }
    assert_eq!(count, files.len());
    let file = |name: &str| format!("{login}/{name}");
    tool(
        "tpm2_print",
        &["-t", "TPM2B_PUBLIC", "-f", "pem", &file("ak.pub")],
    );
    let ak = file("ak.pub");
    let (attest, signature, pcrs) = (file("attest.bin"), file("signature.bin"), file("pcrs.bin"));
    let nonce = told["nonce"].as_str().unwrap();
    let check = [
        "-u", &ak, "-g", "sha256", "-m", &attest, "-s", &signature, "-f", &pcrs,
    ];
    tool("tpm2_checkquote", &[&check[..], &["-q", nonce]].concat());
    // And judged again, without the service and its trail.
    let judged = site.assay(&[
        "evidence",
        "verify",
        "--evidence",
        &login,
        "--policy",
        "lab.yaml",
    ]);
    assert!(judged.status.success(), "{judged:?}");
    assert_eq!(daemon.terminate().0.code(), Some(0));
}
