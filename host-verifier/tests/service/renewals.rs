//! Renewals of live sessions: what prolongs one, and everything that does not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use assay_common::login::{RenewDigest, renewal_message, renewal_nonce};
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{AgentMessage, DenyCode, Renew, Renewal, VerifierMessage, decode};
use assay_host_verifier::audit::{AuditLog, Disk, Folder, Settings};
use assay_host_verifier::login::Verifier;
use assay_host_verifier::server::Live;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::{Ban, Lifecycle, Store};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::agent::{Opened, encode, quote_payload_with};
use crate::desk::{Desk, ek_and_quote, ek_only, granted, say};
use crate::fake_tpm::FakeTpm;

const HOUR: u64 = 3600;
/// PCRs 0 and 7 of the SHA-256 bank, as the policy asks.
const BANKS: [(u16, u32); 1] = [(0x000b, 0x81)];

/// A session, and what its node remembers of it.
struct Node {
    desk: Desk,
    tpm: FakeTpm,
    session: Opened,
    nonce: [u8; 32],
}

impl Node {
    async fn new() -> Self {
        let tpm = FakeTpm::new();
        let desk = Desk::new(&ek_and_quote(&[&tpm]));
        let session = granted(desk.login(&tpm).await);
        let nonce = session.renewal.as_ref().unwrap().1;
        Self {
            desk,
            tpm,
            session,
            nonce,
        }
    }

    /// Time goes by, for the verifier and for the TPM.
    fn wait(&mut self, seconds: u64) {
        self.desk.clock.advance(Duration::from_secs(seconds));
        self.tpm.clock += seconds * 1000;
    }

    fn renew(&self) -> Vec<u8> {
        self.renew_over(&self.tpm, &self.nonce, &BANKS)
    }

    fn renew_over(&self, tpm: &FakeTpm, nonce: &[u8; 32], banks: &[(u16, u32)]) -> Vec<u8> {
        let agent_nonce = [9; 32];
        let over = renewal_nonce(&self.session.session_id, nonce, &agent_nonce);
        encode(&AgentMessage::Renew(Renew {
            session_id: self.session.session_id,
            agent_nonce,
            quote: &quote_payload_with(tpm, banks, &over),
        }))
    }

    async fn ask(&self, message: &[u8]) -> Result<(u64, u64, [u8; 32]), DenyCode> {
        let answer = say(&mut self.desk.link(), message).await.unwrap();
        match decode::<VerifierMessage<'_>>(&answer).unwrap() {
            VerifierMessage::Renewed(signed) => {
                let text = renewal_message(&RenewDigest::of(message), signed.body).concat();
                let verifier = self.desk.server.verifier.current();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, verifier.key.public())
                    .verify(&text, signed.signature)
                    .expect("signed by the pinned key over this renewal");
                let renewal: Renewal<'_> = decode(signed.body).unwrap();
                assert_eq!(renewal.session_id, self.session.session_id);
                Ok((
                    renewal.expires_at,
                    renewal.renew_after,
                    renewal.renewal_nonce,
                ))
            }
            VerifierMessage::Denied(denied) => Err(denied.code),
            other => panic!("{other:?}"),
        }
    }

    async fn expires_at(&self) -> i64 {
        let session = self.desk.store.session(SessionId(self.session.session_id));
        session.await.unwrap().unwrap().expires_at.as_second()
    }
}

#[tokio::test]
async fn a_session_is_renewed_in_one_round_trip_again_and_again() {
    let mut node = Node::new().await;
    let (renew_after, _, svid) = node.session.renewal.clone().unwrap();
    assert_eq!(renew_after, node.session.issued_at + HOUR / 2);
    assert!(svid.is_empty(), "no key was named");
    for round in 1..=3 {
        node.wait(HOUR / 2);
        let (expires_at, renew_after, nonce) = node.ask(&node.renew()).await.unwrap();
        let now = node.session.issued_at + round * HOUR / 2;
        assert_eq!((expires_at, renew_after), (now + HOUR, now + HOUR / 2));
        assert_eq!(node.expires_at().await, i64::try_from(expires_at).unwrap());
        assert_ne!(nonce, node.nonce);
        node.nonce = nonce;
    }
}

#[tokio::test]
async fn a_renewal_is_good_once_and_its_answer_is_told_again_for_a_while() {
    let mut node = Node::new().await;
    node.wait(HOUR / 2);
    let message = node.renew();
    let renewed = node.ask(&message).await.unwrap();
    let end = node.expires_at().await;
    // The answer was lost: the same message has the same outcome, and prolongs nothing.
    for _ in 0..4 {
        node.wait(30);
        assert_eq!(node.ask(&message).await, Ok(renewed));
        assert_eq!(node.expires_at().await, end);
    }
    // Another message over the nonce that was taken has none, from the same TPM and of this moment as it is.
    let over = renewal_nonce(&node.session.session_id, &node.nonce, &[8; 32]);
    let other = encode(&AgentMessage::Renew(Renew {
        session_id: node.session.session_id,
        agent_nonce: [8; 32],
        quote: &quote_payload_with(&node.tpm, &BANKS, &over),
    }));
    assert_eq!(node.ask(&other).await, Err(DenyCode::LOGIN_REQUIRED));
    node.wait(1);
    assert_eq!(node.ask(&message).await, Err(DenyCode::LOGIN_REQUIRED));
    assert_eq!(node.expires_at().await, end);
    // What was told is what the next renewal is over; after that, the first is nobody's any more.
    node.nonce = renewed.2;
    node.ask(&node.renew()).await.unwrap();
    assert_eq!(node.ask(&message).await, Err(DenyCode::LOGIN_REQUIRED));
}

#[tokio::test]
async fn an_answer_is_told_again_only_while_the_session_stands_as_it_did() {
    type End = fn(&mut Node);
    let ends: [End; 2] = [
        |node| {
            let id = SessionId(node.session.session_id);
            let now = node.desk.server.clock.now().wall;
            let store = node.desk.store.clone();
            let revoked = futures_of(async move { store.revoke_session(id, now).await });
            assert!(revoked.unwrap());
        },
        |node| {
            let mut verifier = Verifier::clone(&node.desk.server.verifier.current());
            let other = Desk::new(&ek_only("other", &[&node.tpm]));
            let clusters = &other.server.verifier.current().clusters;
            verifier.clusters.clone_from(clusters);
            node.desk.server.verifier = Live::from(verifier);
        },
    ];
    for end in ends {
        let mut node = Node::new().await;
        node.wait(HOUR / 2);
        let message = node.renew();
        node.ask(&message).await.unwrap();
        node.ask(&message).await.unwrap();
        end(&mut node);
        assert_eq!(node.ask(&message).await, Err(DenyCode::LOGIN_REQUIRED));
    }
}

/// A disk that may be full.
struct Brim {
    folder: Folder,
    full: Arc<AtomicBool>,
}

impl Disk for Brim {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.full.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.folder.append(bytes),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.folder.truncate(len)
    }
}

#[tokio::test]
async fn a_renewal_that_could_not_be_recorded_is_asked_for_again_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let trail = dir.path().join("audit.jsonl");
    let full = Arc::new(AtomicBool::new(false));
    let mut node = Node::new().await;
    let disk = |folder| Brim {
        folder,
        full: full.clone(),
    };
    node.desk.server.audit = AuditLog::through(&trail, Settings::default(), disk).unwrap();
    node.wait(HOUR / 2);
    let message = node.renew();
    full.store(true, Ordering::Relaxed);
    assert_eq!(node.ask(&message).await, Err(DenyCode::UNAVAILABLE));
    let end = node.expires_at().await;
    full.store(false, Ordering::Relaxed);
    node.desk.server.audit.tend().await.unwrap();
    let (expires_at, _, nonce) = node.ask(&message).await.unwrap();
    assert_eq!(i64::try_from(expires_at).unwrap(), end);
    assert_eq!(node.expires_at().await, end);
    let kept = std::fs::read_to_string(&trail).unwrap();
    let records: Vec<serde_json::Value> = kept
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &serde_json::Value| record["session_id"].is_string())
        .collect();
    assert_eq!(records.len(), 1, "{kept}");
    assert_eq!(records[0]["kind"], "repeat");
    assert_eq!(records[0]["outcome"], "renewed");
    // And the node goes on from there.
    node.nonce = nonce;
    node.wait(HOUR / 2);
    node.ask(&node.renew()).await.unwrap();
}

/// Runs it beside the test's own runtime.
fn futures_of<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    })
    .join()
    .unwrap()
}

#[tokio::test]
async fn what_the_node_has_become_since_its_login_sends_it_back_to_one() {
    type Change = fn(&mut Node);
    let changes: [(&str, Change); 6] = [
        ("renewal-pcrs", |node| node.tpm.pcrs[7] = [1; 32]),
        ("renewal-boot", |node| node.tpm.reset_count += 1),
        ("renewal-boot", |node| node.tpm.restart_count += 1),
        ("renewal-boot", |node| node.tpm.firmware_version += 1),
        ("signature", |node| node.tpm.replace_ak()),
        // Half of the time that passed is 15 minutes; 10 seconds are given for the way.
        ("renewal-stale", |node| {
            node.tpm.clock -= (HOUR / 4 + 11) * 1000
        }),
    ];
    for (check, change) in changes {
        let mut node = Node::new().await;
        node.wait(HOUR / 2);
        change(&mut node);
        let end = node.expires_at().await;
        assert_eq!(
            node.ask(&node.renew()).await,
            Err(DenyCode::LOGIN_REQUIRED),
            "{check}"
        );
        let detail = node.desk.last_denial();
        assert!(detail.contains(check), "{check}: {detail}");
        assert_eq!(node.expires_at().await, end, "{check}");
    }
}

#[tokio::test]
async fn a_clock_within_its_tolerance_is_not_taken_for_an_old_quote() {
    let mut node = Node::new().await;
    node.wait(HOUR / 2);
    node.tpm.clock -= (HOUR / 4 + 9) * 1000;
    node.ask(&node.renew()).await.unwrap();
}

#[tokio::test]
async fn a_quote_for_something_else_renews_nothing() {
    let mut node = Node::new().await;
    node.wait(HOUR / 2);
    // Of another nonce, of other PCRs, of another TPM.
    let other = FakeTpm::new();
    for message in [
        node.renew_over(&node.tpm, &[0; 32], &BANKS),
        node.renew_over(&node.tpm, &node.nonce, &[(0x000b, 0x01)]),
        node.renew_over(&other, &node.nonce, &BANKS),
    ] {
        assert_eq!(node.ask(&message).await, Err(DenyCode::LOGIN_REQUIRED));
    }
    // The quote of the right nonce, in another session's name.
    let mut message = node.renew();
    message[5] ^= 1;
    assert_eq!(node.ask(&message).await, Err(DenyCode::LOGIN_REQUIRED));
    // And it was none of these that took the nonce.
    node.ask(&node.renew()).await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_quote_are_malformed() {
    let mut node = Node::new().await;
    node.wait(HOUR / 2);
    let message = encode(&AgentMessage::Renew(Renew {
        session_id: node.session.session_id,
        agent_nonce: [9; 32],
        quote: b"no quote",
    }));
    assert_eq!(node.ask(&message).await, Err(DenyCode::MALFORMED));
}

#[tokio::test]
async fn a_session_that_is_over_is_not_renewed() {
    let mut node = Node::new().await;
    node.wait(HOUR);
    assert_eq!(node.ask(&node.renew()).await, Err(DenyCode::LOGIN_REQUIRED));

    let mut node = Node::new().await;
    node.wait(HOUR / 2);
    let (id, now) = (SessionId(node.session.session_id), node.desk.clock_now());
    assert!(node.desk.store.revoke_session(id, now).await.unwrap());
    assert_eq!(node.ask(&node.renew()).await, Err(DenyCode::LOGIN_REQUIRED));

    let mut node = Node::new().await;
    node.wait(HOUR / 2);
    let ban = Ban {
        ek_hash: node.tpm.ek_hash(),
        banned_at: node.desk.clock_now(),
        banned_by: "test".to_owned(),
        reason: "stolen".to_owned(),
    };
    assert!(node.desk.store.ban(&ban).await.unwrap());
    assert_eq!(node.ask(&node.renew()).await, Err(DenyCode::LOGIN_REQUIRED));
    let login = node.desk.login(&node.tpm).await;
    assert!(
        matches!(login, crate::agent::Answer::Denied(DenyCode::REFUSED, _)),
        "{login:?}"
    );
}

#[tokio::test]
async fn renewals_end_where_a_full_login_is_due() {
    let mut node = Node::new().await;
    let due = node.session.issued_at + 24 * HOUR;
    let mut now = node.session.issued_at;
    loop {
        node.wait(HOUR / 2);
        now += HOUR / 2;
        let (expires_at, renew_after, nonce) = node.ask(&node.renew()).await.unwrap();
        assert_eq!(expires_at, due.min(now + HOUR));
        node.nonce = nonce;
        if renew_after == 0 {
            break;
        }
    }
    assert_eq!(now, due - HOUR, "the last one lasts until the login is due");
    node.wait(HOUR / 2);
    assert_eq!(node.ask(&node.renew()).await, Err(DenyCode::LOGIN_REQUIRED));
}

#[tokio::test]
async fn another_configuration_is_another_login() {
    let mut node = Node::new().await;
    node.wait(HOUR / 2);
    let renew = node.renew();
    let stricter = Desk::new(&ek_and_quote(&[&node.tpm]).replace("0: \"", "1: \""));
    let before = node.desk.server.verifier.clone();
    let mut verifier = Verifier::clone(&before.current());
    verifier
        .clusters
        .clone_from(&stricter.server.verifier.current().clusters);
    node.desk.server.verifier = Live::from(verifier);
    assert_eq!(node.ask(&renew).await, Err(DenyCode::LOGIN_REQUIRED));
    node.desk.server.verifier = before;
    node.ask(&renew).await.unwrap();
}

#[tokio::test]
async fn without_a_quote_or_with_an_old_agent_there_is_no_renewal() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let session = granted(desk.login(&tpm).await);
    assert_eq!(session.renewal.unwrap(), (0, [0; 32], Vec::new()));

    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut agent, mut link) = (desk.agent(), desk.link());
    agent.versions = VersionRange { min: 1, max: 1 };
    let session = granted(desk.login_over(&mut link, &mut agent, &tpm).await);
    assert_eq!(session.renewal, None);
    let stored = desk.store.session(SessionId(session.session_id)).await;
    assert_eq!(stored.unwrap().unwrap().renewal, None);
}

#[tokio::test]
async fn renewals_and_their_refusals_are_on_the_audit_trail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let mut node = Node::new().await;
    node.desk.server.audit = AuditLog::open(&path).unwrap().0;
    node.wait(HOUR / 2);
    let message = node.renew();
    node.ask(&message).await.unwrap();
    node.wait(1);
    node.ask(&node.renew()).await.unwrap_err();
    let text = std::fs::read_to_string(&path).unwrap();
    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let id = SessionId(node.session.session_id).to_string();
    let fields = |record: &serde_json::Value| {
        // The second was over a nonce that was used up: nothing says who sent it.
        let name = match record["outcome"].as_str() {
            Some("renewed") => "session_id",
            _ => "untrusted_session_id",
        };
        assert_eq!(record[name], id.as_str());
        (record["outcome"].clone(), record["code"].clone())
    };
    assert_eq!(
        records.iter().map(fields).collect::<Vec<_>>(),
        [
            ("renewed".into(), serde_json::Value::Null),
            ("denied".into(), "login-required".into())
        ]
    );
}
