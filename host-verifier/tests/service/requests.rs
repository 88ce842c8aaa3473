//! Logins over requests: the state travels with the agent, and any verifier of the trust domain takes it.

use std::time::Duration;

use assay_common::protocol::DenyCode;
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::config::Config;
use assay_host_verifier::login::Verifier;
use assay_host_verifier::server::{Live, MAX_KEPT, Reply, RequestLogins};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::agent::{Agent, Answer, Asked, Opened};
use crate::desk::{Desk, asked_of, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;

async fn turn(desk: &Desk, logins: &RequestLogins, state: &[u8], message: &[u8]) -> Reply {
    let blobs = Blobs::default();
    logins
        .turn(&desk.server, "https:192.0.2.1", state, &blobs, message)
        .await
}

fn desk(tpm: &FakeTpm) -> Desk {
    Desk::new(&ek_and_quote(&[tpm]))
}

/// Goes through a login; `replicas` take its messages in turn.
async fn login(desk: &Desk, tpm: &FakeTpm, replicas: &[RequestLogins]) -> (Agent, Opened) {
    let mut agent = desk.agent();
    let mut message = agent.hello();
    let mut state = Vec::new();
    for logins in replicas.iter().cycle() {
        let reply = turn(desk, logins, &state, &message).await;
        match agent.hear(&reply.message) {
            Answer::Asked(asked) => message = agent.answer(tpm, &asked),
            other => return (agent, granted(other)),
        }
        state = reply.state;
    }
    unreachable!("a cycle has no end");
}

/// A login whose last proofs are ready: (the state they go with, the proofs).
async fn at_the_end(desk: &Desk, tpm: &FakeTpm, logins: &RequestLogins) -> (Vec<u8>, Vec<u8>) {
    let mut agent = desk.agent();
    let hello = agent.hello();
    let first = turn(desk, logins, &[], &hello).await;
    let asked = asked_of(agent.hear(&first.message));
    let proofs = agent.answer(tpm, &asked);
    let second = turn(desk, logins, &first.state, &proofs).await;
    let asked: Asked = asked_of(agent.hear(&second.message));
    (second.state, agent.answer(tpm, &asked))
}

fn code(reply: &Reply) -> Option<DenyCode> {
    reply.denied.as_ref().map(|denied| denied.code)
}

#[tokio::test]
async fn one_verifier_or_another_for_each_message_makes_no_difference() {
    let tpm = FakeTpm::new();
    for replicas in 1..=3 {
        let desk = desk(&tpm);
        let replicas: Vec<_> = (0..replicas).map(|_| RequestLogins::default()).collect();
        login(&desk, &tpm, &replicas).await;
        assert_eq!(desk.sessions().await, 1);
    }
}

#[tokio::test]
async fn a_login_goes_on_where_its_verifier_died() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let died = RequestLogins::default();
    let (state, proofs) = at_the_end(&desk, &tpm, &died).await;
    drop(died);
    let reply = turn(&desk, &RequestLogins::default(), &state, &proofs).await;
    assert_eq!((code(&reply), reply.state.len()), (None, 0));
    assert_eq!(desk.sessions().await, 1);
}

#[tokio::test]
async fn an_answer_is_taken_once_whoever_it_is_told_to() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let (one, other) = (RequestLogins::default(), RequestLogins::default());
    let (state, proofs) = at_the_end(&desk, &tpm, &one).await;
    assert_eq!(code(&turn(&desk, &one, &state, &proofs).await), None);
    for logins in [&one, &other] {
        let reply = turn(&desk, logins, &state, &proofs).await;
        assert_eq!(code(&reply), Some(DenyCode::REFUSED));
    }
    assert_eq!(desk.sessions().await, 1);
}

#[tokio::test]
async fn a_state_that_was_changed_or_sealed_by_others_is_none() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let one = RequestLogins::default();
    let (state, proofs) = at_the_end(&desk, &tpm, &one).await;
    for at in [0, 7, 8, 39, 40, state.len() / 2, state.len() - 1] {
        let mut changed = state.clone();
        changed[at] ^= 1;
        assert_eq!(
            code(&turn(&desk, &one, &changed, &proofs).await),
            Some(DenyCode::MALFORMED)
        );
    }
    for cut in [0, 7, 8, 40, 56, state.len() - 1] {
        let reply = turn(&desk, &one, &state[..cut], &proofs).await;
        assert_eq!(code(&reply), Some(DenyCode::MALFORMED));
    }
    let keys = &desk.server.state_keys;
    let saved = keys.open_state(&state).await.expect("sealed by us");
    let foreign = Desk::new(&ek_and_quote(&[&tpm])).server.state_keys;
    let foreign = foreign.seal(&saved).unwrap();
    assert_eq!(
        code(&turn(&desk, &one, &foreign, &proofs).await),
        Some(DenyCode::MALFORMED)
    );
    // None of it used the login up.
    assert_eq!(code(&turn(&desk, &one, &state, &proofs).await), None);
}

#[tokio::test]
async fn a_state_holds_no_secret_that_can_be_read() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let (state, _) = at_the_end(&desk, &tpm, &RequestLogins::default()).await;
    // The hello is in it, and with it the cluster and the board.
    assert!(!state.windows(3).any(|window| window == b"lab"));
    let opened = desk.server.state_keys.open_state(&state).await.unwrap();
    assert!(!format!("{opened:?}").contains("keys"));
}

#[tokio::test]
async fn a_login_that_changes_its_verifier_has_no_more_time_for_it() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let (state, proofs) = at_the_end(&desk, &tpm, &RequestLogins::default()).await;
    desk.clock.advance(Duration::from_secs(301));
    let reply = turn(&desk, &RequestLogins::default(), &state, &proofs).await;
    assert_eq!(code(&reply), Some(DenyCode::EXPIRED));
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a_login_goes_on_under_the_policies_it_began_with_or_not_at_all() {
    let tpm = FakeTpm::new();
    let mut desk = desk(&tpm);
    let (state, proofs) = at_the_end(&desk, &tpm, &RequestLogins::default()).await;
    let other = Desk::new(&ek_and_quote(&[&tpm, &FakeTpm::new()]));
    let mut verifier = Verifier::clone(&desk.server.verifier.current());
    verifier
        .clusters
        .clone_from(&other.server.verifier.current().clusters);
    desk.server.verifier = Live::from(verifier);
    let reply = turn(&desk, &RequestLogins::default(), &state, &proofs).await;
    assert_eq!(code(&reply), Some(DenyCode::EXPIRED));
}

#[tokio::test]
async fn logins_that_were_begun_and_left_are_no_burden_and_stand_in_nobodys_way() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let logins = RequestLogins::default();
    let (state, proofs) = at_the_end(&desk, &tpm, &logins).await;
    for _ in 0..MAX_KEPT + 1 {
        let hello = desk.agent().hello();
        assert_eq!(code(&turn(&desk, &logins, &[], &hello).await), None);
    }
    // The first has been driven out of the memory, and goes on all the same.
    assert_eq!(code(&turn(&desk, &logins, &state, &proofs).await), None);
    desk.clock.advance(Duration::from_secs(301));
    logins.expire(&desk.server).await;
    assert!(format!("{logins:?}").len() < 500, "nothing is kept");
}

/// What the API answers to a login's body.
async fn post(desk: &Desk, media_type: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
    use assay_host_verifier::api::{ApiState, Peer, router};
    let text =
        "trustDomain: example.org\ndataDir: data\nlisteners: {health: {address: 127.0.0.1:0}}\n";
    let config = Config::parse("assayd.yaml", text, std::path::Path::new("")).unwrap();
    let state = ApiState::new(desk.server.clone(), &config, None);
    let request = Request::post("/v1/login")
        .header("content-type", media_type)
        .extension(Peer {
            address: "192.0.2.1:1000".parse().unwrap(),
            certificate: None,
        })
        .body(Body::from(body))
        .unwrap();
    let response = router(state).oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .unwrap();
    (status, body.to_vec())
}

async fn post_json(desk: &Desk, body: Value) -> (StatusCode, Value) {
    let (status, body) = post(
        desk,
        "application/json; charset=utf-8",
        body.to_string().into(),
    )
    .await;
    let value = serde_json::from_slice(&body);
    (
        status,
        value.unwrap_or_else(|error| panic!("{error}: {body:?}")),
    )
}

#[tokio::test]
async fn a_login_in_json_is_the_login_in_postcard() {
    let tpm = FakeTpm::new();
    let desk = desk(&tpm);
    let mut agent = desk.agent();
    agent.hello();
    let hello = json!({"message": {"hello": {
        "versions": {"min": agent.versions.min, "max": agent.versions.max},
        "cluster": "lab",
        "methods": ["tpm_ek", "tpm_quote"],
        "agentNonce": STANDARD.encode(agent.nonce),
        "board": "test",
        "version": "0",
    }}});
    let (status, mut answer) = post_json(&desk, hello).await;
    for _ in 0..2 {
        assert_eq!(status, StatusCode::OK, "{answer}");
        let bytes = STANDARD
            .decode(answer["postcard"].as_str().unwrap())
            .unwrap();
        // The signature over the transcript fits: both sides mean the same bytes.
        let asked = asked_of(agent.hear(&bytes));
        let shown = &answer["message"]["challenge"];
        assert_eq!(shown["loginId"], hex::encode(asked.login_id));
        let items = agent.prove(&tpm, &asked);
        agent.proofs(&asked, &items);
        let items: Vec<_> = items
            .iter()
            .map(|(kind, payload)| json!({"method": kind.to_string(), "payload": STANDARD.encode(payload)}))
            .collect();
        let proofs = json!({"state": answer["state"], "message": {"proofs": {
            "loginId": shown["loginId"], "round": shown["round"], "items": items,
        }}});
        (_, answer) = post_json(&desk, proofs).await;
    }
    let bytes = STANDARD
        .decode(answer["postcard"].as_str().unwrap())
        .unwrap();
    granted(agent.hear(&bytes));
    assert!(
        answer["message"]["svidGranted"]["tag"].is_string(),
        "{answer}"
    );
    assert_eq!(answer["state"], "");
}

#[tokio::test]
async fn what_is_no_login_is_told_what_it_is() {
    let desk = desk(&FakeTpm::new());
    let hello = |cluster: &str, methods: Value| {
        json!({"message": {"hello": {
            "versions": {"min": 1, "max": 2}, "cluster": cluster, "methods": methods,
            "agentNonce": STANDARD.encode([0; 32]),
        }}})
    };
    let (status, answer) = post_json(&desk, hello("other", json!(["tpm_ek"]))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(answer["message"]["denied"]["code"], "unknown-cluster");
    let (status, answer) = post_json(&desk, hello("lab", json!(["ssh_pop"]))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["message"]["denied"]["code"], "no-policy");
    let (status, answer) = post_json(&desk, hello("lab", json!(["tpm-ek"]))).await;
    assert_eq!(
        (status, answer["code"].as_str()),
        (StatusCode::BAD_REQUEST, Some("login-envelope"))
    );
    for (media_type, body, wanted) in [
        ("text/plain", vec![], StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/postcard", vec![], StatusCode::BAD_REQUEST),
        (
            "application/postcard",
            vec![0, 0, 0, 7],
            StatusCode::BAD_REQUEST,
        ),
        (
            "application/json",
            b"{\"message\":{\"hello\":{}}}".to_vec(),
            StatusCode::BAD_REQUEST,
        ),
        (
            "application/json",
            b"[".repeat(10_000),
            StatusCode::BAD_REQUEST,
        ),
        (
            "application/json",
            vec![b' '; assay_host_verifier::config::ApiLimits::default().body_bytes + 1],
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        let (status, body) = post(&desk, media_type, body).await;
        assert_eq!(status, wanted, "{}", String::from_utf8_lossy(&body));
    }
}
