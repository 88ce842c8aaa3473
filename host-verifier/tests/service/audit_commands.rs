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
