//! Logins that were stored: explained, and judged again.

use std::time::{Duration, SystemTime};

use assay_common::protocol::DenyCode;
use assay_host_verifier::audit::again::{self, Check, Judgement, Question};
use assay_host_verifier::audit::kept::{Kept, Said};
use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::clock::Clock;
use assay_host_verifier::policy::PolicySet;
use assay_host_verifier::transport::connection::Conversation;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::agent::{Answer, EK};
use crate::desk::{Desk, asked_of, ek_and_quote, ek_only, granted, policies, tell};
use crate::fake_tpm::FakeTpm;
use crate::faults::renew;
use crate::site::Site;
use crate::vendor::{Vendor, certified_payload};

/// A desk with a trail on disk.
fn office(entries: &str) -> (Desk, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(entries);
    desk.server.audit = AuditLog::open(&folder.path().join(audit::FILE)).unwrap().0;
    (desk, folder)
}

fn last_record(folder: &TempDir) -> Map<String, Value> {
    let text = std::fs::read_to_string(folder.path().join(audit::FILE)).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn judged(kept: &Kept, policies: &PolicySet, at: Timestamp, key: &[u8]) -> Judgement {
    let question = Question {
        policies,
        at,
        challenge_key: Some(key),
    };
    again::judge(kept, &question)
}

/// The policy that wins, or everything that is said against it.
fn verdict(judgement: Judgement) -> Result<String, String> {
    match judgement.decision {
        Some(Ok(authorized)) => Ok(authorized.policy().to_owned()),
        Some(Err(refusal)) => Err(refusal.explanation.to_string()),
        None => Err(format!("{:?}", judgement.checks)),
    }
}

#[tokio::test]
async fn a_stored_login_is_judged_as_it_was_and_any_changed_byte_is_found() {
    let tpm = FakeTpm::new();
    let entries = ek_and_quote(&[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    let kept = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    let judge = |kept: &Kept| verdict(judged(kept, &set, kept.time, &key));
    assert_eq!(judge(&kept).as_deref(), Ok("rack"));

    let last = kept.said.len() - 1;
    let mut survived = Vec::new();
    for (n, said) in kept.said.iter().enumerate() {
        let len = match said {
            Said::Agent(bytes) | Said::Verifier(bytes) | Said::Blob(_, bytes) => bytes.len(),
        };
        for byte in 0..len {
            let mut changed = kept.clone();
            match &mut changed.said[n] {
                Said::Agent(bytes) | Said::Verifier(bytes) | Said::Blob(_, bytes) => {
                    bytes[byte] ^= 1
                }
            }
            if judge(&changed).is_ok() {
                survived.push((n, byte));
            }
        }
    }
    // The answer to the activation, in the last message, could be judged with the secret only, which is not kept: 32 bytes.
    // What protects them is the chain of the trail.
    assert!(survived.iter().all(|(n, _)| *n == last), "{survived:?}");
    assert_eq!(survived.len(), 32, "{survived:?}");
}

#[tokio::test]
async fn messages_that_do_not_follow_from_one_another_are_no_login() {
    let tpm = FakeTpm::new();
    let entries = ek_and_quote(&[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    let kept = Kept::of(&last_record(&folder)).unwrap();
    granted(desk.login(&tpm).await);
    let other = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    let failed = |kept: &Kept, key: &[u8]| {
        let judgement = judged(kept, &set, kept.time, key);
        assert!(judgement.decision.is_none());
        match judgement.checks.last().unwrap() {
            (name, Check::Failed(_)) => *name,
            other => panic!("{other:?}"),
        }
    };
    let bent = |bend: &dyn Fn(&mut Vec<Said>)| {
        let mut kept = kept.clone();
        bend(&mut kept.said);
        kept
    };
    assert_eq!(
        failed(&bent(&|said| said.swap(1, 3)), &key),
        "challenge-signature"
    );
    assert_eq!(
        failed(&bent(&|said| drop(said.remove(0))), &key),
        "challenge-signature"
    );
    assert_eq!(
        failed(&bent(&|said| drop(said.remove(1))), &key),
        "transcript"
    );
    let doubled = bent(&|said| said.push(said[said.len() - 1].clone()));
    assert_eq!(failed(&doubled, &key), "transcript");
    // A whole login under another's name, and under a key that did not sign it.
    let renamed = Kept {
        login_id: other.login_id.clone(),
        ..kept.clone()
    };
    assert_eq!(failed(&renamed, &key), "transcript");
    let stranger = Desk::new(&entries);
    let stranger = stranger.server.verifier.current();
    let stranger = stranger.key.public();
    assert_eq!(failed(&kept, stranger), "challenge-signature");
}

#[tokio::test]
async fn what_nobody_kept_is_taken_from_the_record_and_named() {
    let tpm = FakeTpm::new();
    let entries = ek_and_quote(&[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    let mut kept = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    let judgement = judged(&kept, &set, kept.time, &key);
    let skipped = judgement.checks.iter().any(|(name, check)| {
        *name == "activation" && matches!(check, Check::Skipped(why) if why.contains("never kept"))
    });
    assert!(skipped, "{:?}", judgement.checks);
    kept.answered.clear();
    let why = verdict(judged(&kept, &set, kept.time, &key)).unwrap_err();
    assert!(why.contains("tpm_ek failed: response-not-kept"), "{why}");
}

#[tokio::test]
async fn a_login_by_certificate_ends_with_its_certificate() {
    let vendor = Vendor::new("vendor");
    let tpm = FakeTpm::new();
    let entries = format!(
        "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{require: certificate, manufacturerCAs: [{}]}}\n",
        vendor.yaml()
    );
    let (desk, folder) = office(&entries);
    // The certificates begin now.
    let now = desk.clock.now().wall.as_second();
    let real = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let ahead = real.saturating_sub(now.unsigned_abs()) + 60;
    desk.clock.advance(Duration::from_secs(ahead));
    let (payload, blobs) = certified_payload(&tpm, &vendor.certify(&tpm));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    let message = agent.proofs(&asked, &[(EK, payload)]);
    let answer = link.message(&message, &blobs).await.unwrap();
    let asked = asked_of(agent.hear(&answer));
    let message = agent.answer(&tpm, &asked);
    granted(tell(&mut link, &mut agent, &message).await);

    let kept = Kept::of(&last_record(&folder)).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(&entries);
    assert_eq!(
        verdict(judged(&kept, &set, kept.time, &key)).as_deref(),
        Ok("rack")
    );
    for (at, why) in [
        ("2200-01-01T00:00:00Z", "expired at"),
        ("2001-01-01T00:00:00Z", "not-yet-valid"),
    ] {
        let said = verdict(judged(&kept, &set, at.parse().unwrap(), &key)).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    // Under another vendor's authority.
    let other = policies(&entries.replace(&vendor.yaml(), &Vendor::new("other").yaml()));
    assert!(verdict(judged(&kept, &other, kept.time, &key)).is_err());
    // Without the certificate that was sent ahead.
    let mut bare = kept.clone();
    bare.said.retain(|said| !matches!(said, Said::Blob(..)));
    assert!(verdict(judged(&bare, &set, kept.time, &key)).is_err());
}

const MODULE: &str = "package lab\nimport rego.v1\ndefault allow := false\nallow if input.methods.tpm_quote.reset_count < 5\n\
                      reasons contains \"the TPM was reset too often\" if true\n";

fn narrowed(tpm: &FakeTpm) -> String {
    let module: String = MODULE
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    format!(
        "{}  rego:\n    timeout: 1s\n    module: |\n{module}{}",
        ek_and_quote(&[tpm]),
        ""
    )
}

#[tokio::test]
async fn a_module_decides_a_login_and_only_the_operator_learns_why() {
    let mut tpm = FakeTpm::new();
    tpm.reset_count = 4;
    let (mut desk, folder) = office(&narrowed(&tpm));
    granted(desk.login(&tpm).await);
    let record = last_record(&folder);
    let module = &record["explanation"][0]["modules"][0];
    assert_eq!(
        (module["outcome"].as_str(), module["entrypoint"].as_str()),
        (Some("allow"), Some("data.lab.allow"))
    );

    tpm.reset_count = 5;
    match desk.login(&tpm).await {
        Answer::Denied(code, reason) => {
            assert_eq!(code, DenyCode::NO_POLICY);
            assert!(!reason.contains("reset"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(desk.last_denial().contains("the TPM was reset too often"));
    let record = last_record(&folder);
    let module = &record["explanation"][0]["modules"][0];
    assert_eq!(module["outcome"], "deny");
    let digest = sha256_hex(MODULE);
    assert_eq!(module["digest"], digest);
    // And again from the record: the module sees the same.
    let kept = Kept::of(&record).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let why = verdict(judged(&kept, &policies(&narrowed(&tpm)), kept.time, &key)).unwrap_err();
    assert!(why.contains("the TPM was reset too often"), "{why}");
}

fn sha256_hex(text: &str) -> String {
    hex::encode(crate::fake_tpm::sha256(&[text.as_bytes()]))
}

#[tokio::test]
async fn the_next_policy_is_tried_when_a_module_says_no() {
    let mut tpm = FakeTpm::new();
    tpm.reset_count = 5;
    let entries = narrowed(&tpm) + &ek_only("fallback", &[&tpm]);
    let (desk, folder) = office(&entries);
    granted(desk.login(&tpm).await);
    assert_eq!(last_record(&folder)["policy"], "fallback");
}

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
    // A second renewal over the same nonce is refused, and what it names proves nothing.
    site.ask(&message);
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
