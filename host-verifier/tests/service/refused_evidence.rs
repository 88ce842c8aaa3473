//! What a login that was refused leaves on the disk, and what a state that was used before costs.

use assay_common::protocol::DenyCode;
use assay_host_verifier::audit::budget::PEER_BYTES;
use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::server::{Reply, RequestLogins};
use assay_host_verifier::telemetry::metrics::names;
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::{EK, QUOTE};
use crate::desk::{Desk, asked_of, ek_and_quote, granted};
use crate::fake_tpm::{FakeTpm, sha256};
use crate::metrics::page::Page;

const LINK: &str = "https:192.0.2.1";

fn office(tpm: &FakeTpm) -> (Desk, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(&ek_and_quote(&[tpm]));
    desk.server.audit = AuditLog::open(&folder.path().join(audit::FILE)).unwrap().0;
    (desk, folder)
}

fn lines(folder: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path().join(audit::FILE)).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// As many and as long as there can be, each of its own bytes.
fn all_blobs() -> (Blobs, Vec<u8>) {
    let (mut blobs, mut digests) = (Blobs::default(), Vec::new());
    for number in 0..8_u8 {
        let bytes = vec![number + 1; 16 * 1024];
        blobs.put(number, &bytes).unwrap();
        digests.extend(sha256(&[&bytes]));
    }
    (blobs, digests)
}

async fn turn(
    desk: &Desk,
    logins: &RequestLogins,
    state: &[u8],
    blobs: &Blobs,
    message: &[u8],
) -> Reply {
    logins.turn(&desk.server, LINK, state, blobs, message).await
}

#[tokio::test]
async fn who_has_proven_nothing_leaves_hashes_and_lengths() {
    let tpm = FakeTpm::new();
    let (desk, folder) = office(&tpm);
    let logins = RequestLogins::default();
    let (blobs, digests) = all_blobs();
    // Once with fields that nothing names, once with a payload that names them all.
    for (payload, pieces) in [(b"x".to_vec(), 3), (digests, 11)] {
        let mut agent = desk.agent();
        let hello = agent.hello();
        let asked = turn(&desk, &logins, &[], &Blobs::default(), &hello).await;
        let challenge = asked_of(agent.hear(&asked.message));
        let proofs = agent.proofs(&challenge, &[(EK, payload)]);
        let reply = turn(&desk, &logins, &asked.state, &blobs, &proofs).await;
        assert!(reply.denied.is_some());
        let line = lines(&folder).pop().unwrap();
        assert!(line.len() < 5000, "{} bytes: {line}", line.len());
        let record: Value = serde_json::from_str(&line).unwrap();
        let said = record["evidence"].as_array().unwrap();
        assert_eq!(said.len(), pieces, "{line}");
        for piece in said {
            assert!(piece.get("base64").is_none(), "{piece}");
        }
        let last = said.last().unwrap();
        assert_eq!(last["len"], proofs.len());
        assert_eq!(last["sha256"], hex::encode(sha256(&[&proofs])));
        assert_eq!(last["from"], "agent");
    }
}

#[tokio::test]
async fn a_peer_has_a_share_of_the_disk_for_refusals_and_their_records_go_on_without_it() {
    let tpm = FakeTpm::new();
    let (desk, folder) = office(&tpm);
    let logins = RequestLogins::default();
    let (blobs, digests) = all_blobs();
    let mut whole = 0;
    for _ in 0..8 {
        let mut agent = desk.agent();
        let hello = agent.hello();
        let asked = turn(&desk, &logins, &[], &Blobs::default(), &hello).await;
        let challenge = asked_of(agent.hear(&asked.message));
        let proofs = agent.answer(&tpm, &challenge);
        let asked = turn(&desk, &logins, &asked.state, &Blobs::default(), &proofs).await;
        let challenge = asked_of(agent.hear(&asked.message));
        // The TPM is proven, and its quote is none.
        let response = agent.ek_response(&tpm, challenge.item(EK));
        let proofs = agent.proofs(&challenge, &[(EK, response), (QUOTE, digests.clone())]);
        let reply = turn(&desk, &logins, &asked.state, &blobs, &proofs).await;
        assert!(reply.denied.is_some());
        let line = lines(&folder).pop().unwrap();
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["outcome"], "denied");
        let kept = record["evidence"][0].get("base64").is_some();
        whole += usize::from(kept);
        assert_eq!(line.len() > 100_000, kept, "{} bytes", line.len());
    }
    assert!((4..8).contains(&whole), "{whole} were kept whole");
    let total: usize = lines(&folder).iter().map(String::len).sum();
    assert!(total < PEER_BYTES + 8 * 10_000, "{total} bytes");
    // A login that is granted has a record with all that was said, whatever went before.
    granted(desk.login(&tpm).await);
    let record: Value = serde_json::from_str(&lines(&folder).pop().unwrap()).unwrap();
    assert!(record["evidence"][0]["base64"].is_string());
}

#[tokio::test]
async fn a_granted_login_keeps_no_field_that_it_did_not_name() {
    let tpm = FakeTpm::new();
    let (desk, folder) = office(&tpm);
    let logins = RequestLogins::default();
    let (blobs, _) = all_blobs();
    let mut agent = desk.agent();
    let hello = agent.hello();
    let mut reply = turn(&desk, &logins, &[], &Blobs::default(), &hello).await;
    while !reply.state.is_empty() {
        let challenge = asked_of(agent.hear(&reply.message));
        let proofs = agent.answer(&tpm, &challenge);
        reply = turn(&desk, &logins, &reply.state, &blobs, &proofs).await;
        // What travels with the agent does not grow either.
        assert!(reply.state.len() < 16 * 1024, "{}", reply.state.len());
    }
    granted(agent.hear(&reply.message));
    let line = lines(&folder).pop().unwrap();
    assert!(!line.contains("blob "), "{line}");
    assert!(line.len() < 16 * 1024, "{}", line.len());
}

fn calls(desk: &Desk, operation: &str) -> f64 {
    let page = Page::read(&desk.server.metrics.render());
    let outcomes = ["success", "failed"].into_iter();
    let calls = outcomes.filter_map(|outcome| {
        let labels = [("operation", operation), ("outcome", outcome)];
        page.value(names::STORE_CALLS, &labels)
    });
    calls.sum()
}

#[tokio::test]
async fn a_state_that_was_used_before_is_not_judged_again() {
    let tpm = FakeTpm::new();
    let (desk, folder) = office(&tpm);
    let (one, other) = (RequestLogins::default(), RequestLogins::default());
    let none = Blobs::default();
    let mut agent = desk.agent();
    let hello = agent.hello();
    let first = turn(&desk, &one, &[], &none, &hello).await;
    let challenge = asked_of(agent.hear(&first.message));
    let proofs = agent.answer(&tpm, &challenge);
    let second = turn(&desk, &one, &first.state, &none, &proofs).await;
    let challenge = asked_of(agent.hear(&second.message));
    let proofs = agent.answer(&tpm, &challenge);
    // Taking it up elsewhere means judging round 0 again, for which the node is looked up: that is what shows.
    let before = calls(&desk, "node");
    let reply = turn(&desk, &other, &second.state, &none, &proofs).await;
    granted(agent.hear(&reply.message));
    let after = calls(&desk, "node");
    assert!(after > before);
    for _ in 0..3 {
        let reply = turn(&desk, &other, &second.state, &none, &proofs).await;
        assert_eq!(reply.denied.unwrap().code, DenyCode::REFUSED);
    }
    assert_eq!(calls(&desk, "node"), after);
    // And leaves little.
    for line in &lines(&folder)[1..] {
        assert!(
            line.contains("\"kind\":\"replay\"") && line.len() < 2000,
            "{line}"
        );
    }
}

#[tokio::test]
async fn proofs_that_belong_to_no_login_are_counted_and_told() {
    let tpm = FakeTpm::new();
    let (mut desk, folder) = office(&tpm);
    let mut agent = desk.agent();
    let asked = {
        let hello = agent.hello();
        turn(
            &desk,
            &RequestLogins::default(),
            &[],
            &Blobs::default(),
            &hello,
        )
        .await
    };
    let challenge = asked_of(agent.hear(&asked.message));
    let proofs = agent.answer(&tpm, &challenge);
    let denied = |desk: &Desk| {
        let page = Page::read(&desk.server.metrics.render());
        let labels = [("outcome", "denied"), ("code", "malformed")];
        page.value(names::LOGINS, &labels).unwrap()
    };
    for (number, message) in [proofs.as_slice(), b"\xff\xff\xff"].into_iter().enumerate() {
        let logins = RequestLogins::default();
        let reply = turn(&desk, &logins, b"no state", &Blobs::default(), message).await;
        assert_eq!(reply.denied.unwrap().code, DenyCode::MALFORMED);
        assert_eq!(denied(&desk), (number + 1) as f64);
        assert!(!desk.last_denial().is_empty());
    }
    // It is no decision on a login.
    assert!(lines(&folder).is_empty());
}
