//! The event stream of a login that succeeds and of one that does not.

use crate::agent::Answer;
use crate::desk::{Desk, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;

#[tokio::test]
async fn the_event_stream_tells_every_step_in_order_and_ends_with_the_session() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let opened = granted(desk.login(&tpm).await);
    let mut steps = Vec::new();
    let mut last = serde_json::Value::Null;
    while let Ok(event) = desk.events.try_recv() {
        last = serde_json::to_value(&event).unwrap();
        steps.push(last["step"].as_str().unwrap().to_owned());
        assert_eq!(last["outcome"], "ok", "{last}");
        assert_eq!(last["link"], "desk");
    }
    let expected = [
        "hello",
        "challenge",
        "proofs",
        "evidence",
        "challenge",
        "proofs",
        "response",
        "evidence",
        "policy",
        "session",
        "granted",
    ];
    assert_eq!(steps, expected);
    assert_eq!(last["policy"], "rack");
    assert_eq!(last["spiffe_id"], opened.spiffe_id);
    assert_eq!(last["session"]["id"], hex::encode(opened.session_id));
    assert_eq!(last["session"]["expires_at"], "2026-01-01T01:00:00Z");
    assert_eq!(last["attributes"]["tpm_ek.public_hash"], tpm.ek_hash());
}

#[tokio::test]
async fn the_event_stream_of_a_refused_login_says_which_check_failed_and_ends_once() {
    let mut tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    tpm.pcrs[7] = [9; 32];
    let Answer::Denied(..) = desk.login(&tpm).await else {
        panic!("granted");
    };
    let mut failed = Vec::new();
    while let Ok(event) = desk.events.try_recv() {
        let event = serde_json::to_value(&event).unwrap();
        if event["outcome"] == "failed" {
            failed.push((event["step"].as_str().unwrap().to_owned(), event));
        }
    }
    let steps: Vec<_> = failed.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(steps, ["evidence", "policy", "denied"]);
    assert_eq!(failed[0].1["method"], "tpm_quote");
    assert_eq!(failed[2].1["code"], "refused");
}
