//! `assay policy explain` and `assay evidence verify`, beside a running service.

use serde_json::Value;

use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::faults::renew;
use crate::site::Site;

#[test]
fn a_session_that_was_renewed_is_explained_by_its_login() {
    let mut tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    let opened = granted(site.login(&tpm));
    let session = hex::encode(opened.session_id);
    let (_, nonce, _) = opened.renewal.unwrap();
    tpm.clock += 1;
    let message = renew(&tpm, opened.session_id, &nonce);
    site.ask(&message);
    // Another message over the same nonce is refused, and what it names proves nothing.
    site.ask(&renew(&tpm, opened.session_id, &nonce));
    let listed = site.json(&["audit", "list"]);
    let outcomes: Vec<_> = (0..3).map(|at| listed[at]["outcome"].as_str()).collect();
    assert_eq!(outcomes, [Some("denied"), Some("renewed"), Some("granted")]);
    let login = listed[2]["login_id"].as_str().unwrap();
    for which in [["--session", &session], ["--login", login]] {
        let explained = site.json(&[&["policy", "explain"], &which[..]].concat());
        assert_eq!(explained["outcome"], "granted", "{which:?}");
        assert_eq!(explained["explanation"][0]["policy"], "rack", "{which:?}");
    }
    let judged = site.json(&["evidence", "verify", "--login", login]);
    assert_eq!(judged["accepted"], true, "{judged}");
    daemon.terminate();
}

#[test]
fn the_commands_explain_a_login_and_judge_it_again() {
    let (tpm, stranger) = (FakeTpm::new(), FakeTpm::new());
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    let opened = granted(site.login(&tpm));
    assert!(matches!(site.login(&stranger), Answer::Denied(..)));
    let listed = site.json(&["audit", "list"]);
    let denied = listed[0]["login_id"].as_str().unwrap().to_owned();
    let login = listed[1]["login_id"].as_str().unwrap().to_owned();
    let session = hex::encode(opened.session_id);

    let explained = site.json(&["policy", "explain", "--session", &session]);
    assert_eq!(explained["login_id"], login);
    assert_eq!(explained["policy"], "rack");
    assert!(explained.get("evidence").is_none() && explained.get("again").is_none());
    let text = |arguments: &[&str]| {
        let output = site.assay(arguments);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (status, told, _) = text(&["policy", "explain", "--login", &login]);
    assert_eq!(status, Some(0));
    for part in [
        "granted",
        "rack: satisfied, and the first: it won",
        "ok    requiredAttestors",
        "tpm_quote  requiredAttestors  satisfied",
        "tpm_ek.public_hash = ",
        "spiffe://example.org/node/",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (status, told, _) = text(&["policy", "explain", "--login", &denied]);
    assert_eq!(status, Some(0));
    for part in [
        "denied",
        "rack: not satisfied",
        "FAIL  requiredAttestors",
        "failed",
        "ek-not-allowed",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    // By another document.
    let strict = std::fs::read_to_string(site.path("lab.yaml")).unwrap();
    let strict = strict.replace(
        "anyValue: [0, 7]",
        &format!("pcrs: {{0: \"{}\"}}", "11".repeat(32)),
    );
    std::fs::write(site.path("strict.yaml"), strict).unwrap();
    let again = site.json(&[
        "policy",
        "explain",
        "--login",
        &login,
        "--policy",
        "strict.yaml",
    ]);
    assert_eq!(again["again"]["granted"], false);
    assert!(
        again["again"]["reason"]
            .as_str()
            .unwrap()
            .contains("tpm_quote failed"),
        "{again}"
    );
    // The login by itself, while the service runs and when it is gone.
    let verify = |arguments: &[&str]| text(&[&["evidence", "verify"], arguments].concat());
    let (status, told, said) = verify(&["--login", &login]);
    assert_eq!(status, Some(0), "{told}{said}");
    for part in [
        "accepted: login ",
        "ok    transcript",
        "ok    challenge-signature",
        "skip  activation",
        "ok    policy",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (status, told, _) = verify(&["--login", &denied]);
    assert_eq!(
        (status, told.contains("refused: ")),
        (Some(1), true),
        "{told}"
    );
    let (status, _, said) = verify(&["--login", &login, "--policy", "strict.yaml"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("tpm_quote failed"), "{said}");
    assert_eq!(daemon.terminate().0.code(), Some(0));

    site.json(&["audit", "evidence", &login, "--out", "kept"]);
    let (status, told, _) = verify(&["--evidence", "kept"]);
    assert_eq!(status, Some(0), "{told}");
    let record = site.path("kept/record.json");
    let text_of = std::fs::read_to_string(&record).unwrap();
    let hello = serde_json::from_str::<Value>(&text_of).unwrap()["evidence"][0]["base64"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut bent = hello.clone().into_bytes();
    let middle = bent.len() / 2;
    bent[middle] = if bent[middle] == b'A' { b'B' } else { b'A' };
    std::fs::write(
        &record,
        text_of.replace(&hello, &String::from_utf8(bent).unwrap()),
    )
    .unwrap();
    let (status, told, _) = verify(&["--evidence", "kept"]);
    assert_eq!(
        (status, told.contains("FAIL  challenge-signature")),
        (Some(1), true),
        "{told}"
    );

    // What is not there is said.
    for (arguments, expected) in [
        (vec!["--login", "00"], 1),
        (vec!["--evidence", "nowhere"], 2),
        (vec![], 2),
        (vec!["--login", "00", "--evidence", "kept"], 2),
        (vec!["--login", &login, "--at", "tomorrow"], 2),
    ] {
        let (status, _, said) = verify(&arguments);
        assert_eq!(status, Some(expected), "{arguments:?}: {said}");
    }
    let (status, _, said) = text(&["policy", "explain", "--session", &"0".repeat(32)]);
    assert_eq!(
        (status, said.contains("there is no session")),
        (Some(1), true),
        "{said}"
    );
}
