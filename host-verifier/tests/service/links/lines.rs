//! What comes over one line: garbage, single bytes, frames cut anywhere, chunks, trouble, a port that goes away.

use std::time::Duration;

use assay_common::method::tpm_ek::EkPayload;
use assay_common::protocol::{
    AgentMessage, BlobRef, Chunk, FrameKind, MAX_CHUNK, Trouble, TroubleCode,
};
use assay_host_verifier::transport::socket::UnixDial;
use assay_host_verifier::transport::{Link, LinkSource};
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::{Line, PATIENCE, Running, frame};
use crate::agent::{Answer, EK, ek_payload, encode};
use crate::desk::{Desk, ek_and_quote, ek_only, granted};
use crate::fake_tpm::{FakeTpm, sha256};

#[tokio::test]
async fn a_login_goes_through_with_garbage_before_every_message() {
    let tpm = FakeTpm::new();
    let (running, mut line) = Running::over_memory(Desk::new(&ek_and_quote(&[&tpm]))).await;
    let mut agent = running.desk.agent();
    let garbage = |seed: u8| -> Vec<u8> {
        (0..700u16)
            .map(|i| (i as u8).wrapping_mul(37) ^ seed)
            .collect()
    };
    let whole = frame(FrameKind::MESSAGE, b"half of this frame");
    line.raw(&garbage(1)).await;
    line.raw(&whole[..whole.len() / 2]).await;
    let hello = agent.hello();
    line.frame(FrameKind::MESSAGE, &hello).await;
    let mut answer = agent.hear(&line.message().await);
    let mut seed = 2;
    while let Answer::Asked(asked) = answer {
        line.raw(&garbage(seed)).await;
        line.raw(&[0, 0, 0]).await;
        line.raw(&vec![0xAA; 5000]).await;
        line.frame(FrameKind(77), b"a kind from the future").await;
        let proofs = agent.answer(&tpm, &asked);
        let mut flipped = frame(FrameKind::MESSAGE, &proofs);
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x40;
        line.raw(&flipped).await;
        line.frame(FrameKind::MESSAGE, &proofs).await;
        answer = agent.hear(&line.message().await);
        seed += 1;
    }
    granted(answer);
    running.stop().await;
}

#[tokio::test]
async fn a_message_may_come_one_byte_at_a_time() {
    let tpm = FakeTpm::new();
    let (running, mut line) = Running::over_memory(Desk::new(&ek_only("rack", &[&tpm]))).await;
    let mut agent = running.desk.agent();
    let hello = agent.hello();
    for byte in frame(FrameKind::MESSAGE, &hello) {
        line.raw(&[byte]).await;
    }
    assert!(matches!(
        agent.hear(&line.message().await),
        Answer::Asked(_)
    ));
    running.stop().await;
}

#[tokio::test]
async fn the_verifier_never_speaks_first_nor_to_noise() {
    let tpm = FakeTpm::new();
    let (running, mut line) = Running::over_memory(Desk::new(&ek_only("rack", &[&tpm]))).await;
    line.silence(Duration::from_millis(600)).await;
    line.raw(b"\r\nlogin: root\r\n\0\0").await;
    line.frame(FrameKind::MESSAGE, b"\xff\xff\xff").await;
    line.frame(FrameKind::CHUNK, b"\x01").await;
    line.frame(FrameKind::PANIC, b"panicked at main.rs:1").await;
    let trouble = Trouble {
        code: TroubleCode::TPM_ABSENT,
        detail: 0,
        command: 0,
        attempt: 1,
        retry_in_ms: 9,
    };
    line.frame(FrameKind::MESSAGE, &encode(&AgentMessage::Trouble(trouble)))
        .await;
    line.silence(Duration::from_millis(600)).await;
    granted(line.login(&mut running.desk.agent(), &tpm).await);
    running.stop().await;
}

#[tokio::test]
async fn trouble_and_panics_reach_the_event_stream() {
    let tpm = FakeTpm::new();
    let (mut running, mut line) = Running::over_memory(Desk::new(&ek_only("rack", &[&tpm]))).await;
    let hello = running.desk.agent().hello();
    line.frame(FrameKind::MESSAGE, &hello).await;
    line.message().await;
    line.frame(FrameKind::PANIC, b"panicked at tis.rs:7\xff")
        .await;
    let mut seen = Vec::new();
    while !seen.iter().any(|s: &String| s.starts_with("denied")) {
        let event = tokio::time::timeout(PATIENCE, running.desk.events.recv())
            .await
            .unwrap()
            .unwrap();
        let event = serde_json::to_value(&event).unwrap();
        seen.push(format!(
            "{} {}",
            event["step"].as_str().unwrap(),
            event["detail"].as_str().unwrap_or_default()
        ));
    }
    assert!(
        seen.iter()
            .any(|s| s == "panic panicked at tis.rs:7\u{fffd}"),
        "{seen:?}"
    );
    assert_eq!(seen.last().unwrap(), "denied the agent panicked");
    running.stop().await;
}

/// Sends a certificate in chunks and names it; returns what becomes of the EK's payload.
async fn with_blob(chunks: &[(u8, u32, Vec<u8>)], reference: BlobRef) -> String {
    let tpm = FakeTpm::new();
    let (mut running, mut line) = Running::over_memory(Desk::new(&ek_only("rack", &[&tpm]))).await;
    let mut agent = running.desk.agent();
    let hello = agent.hello();
    line.frame(FrameKind::MESSAGE, &hello).await;
    let Answer::Asked(asked) = agent.hear(&line.message().await) else {
        panic!("a challenge")
    };
    for (blob, offset, bytes) in chunks {
        let chunk = Chunk {
            blob: *blob,
            offset: *offset,
            bytes,
        };
        line.frame(FrameKind::CHUNK, &encode(&chunk)).await;
    }
    let payload = EkPayload {
        ek_public: &tpm.ek_public(),
        ak_public: &tpm.ak_public(),
        ek_certificate: Some(reference),
        ek_chain: Default::default(),
    };
    let message = agent.proofs(&asked, &[(EK, encode(&payload))]);
    line.frame(FrameKind::MESSAGE, &message).await;
    let answer = agent.hear(&line.message().await);
    let detail = running.desk.last_denial();
    running.stop().await;
    match answer {
        Answer::Asked(_) => "accepted".to_owned(),
        _ => detail,
    }
}

fn reference(blob: u8, bytes: &[u8]) -> BlobRef {
    BlobRef {
        blob,
        len: u32::try_from(bytes.len()).unwrap(),
        sha256: sha256(&[bytes]).try_into().unwrap(),
    }
}

#[tokio::test]
async fn a_certificate_in_chunks_arrives_whole_or_not_at_all() {
    let bytes: Vec<u8> = (0..1300u16).map(|i| i as u8).collect();
    let chunks: Vec<_> = bytes
        .chunks(MAX_CHUNK)
        .enumerate()
        .map(|(i, part)| (0u8, u32::try_from(i * MAX_CHUNK).unwrap(), part.to_vec()))
        .collect();
    // These bytes are no certificate: what matters is which error comes, that of the certificate or that of the blob.
    let whole = with_blob(&chunks, reference(0, &bytes)).await;
    assert!(!whole.contains("blob"), "{whole}");
    let missing = with_blob(&chunks[1..], reference(0, &bytes)).await;
    assert!(missing.contains("blob 0 was not sent"), "{missing}");
    let short = with_blob(&chunks[..2], reference(0, &bytes)).await;
    assert!(
        short.contains("blob of 1024 bytes where the message says 1300"),
        "{short}"
    );
    let other = with_blob(&chunks, reference(0, &[&bytes[..1299], &[0]].concat())).await;
    assert!(other.contains("wrong SHA-256"), "{other}");
    let number = with_blob(&chunks, reference(1, &bytes)).await;
    assert!(number.contains("blob 1 was not sent"), "{number}");
}

/// A source that counts how often it could not be opened.
struct Watched<S> {
    source: S,
    refused: watch::Sender<usize>,
}

impl<S: LinkSource> Watched<S> {
    fn new(source: S) -> (Self, watch::Receiver<usize>) {
        let (refused, seen) = watch::channel(0);
        (Self { source, refused }, seen)
    }
}

#[async_trait::async_trait]
impl<S: LinkSource> LinkSource for Watched<S> {
    fn name(&self) -> String {
        self.source.name()
    }

    fn exclusive(&self) -> bool {
        self.source.exclusive()
    }

    async fn open(&self) -> std::io::Result<Box<dyn Link>> {
        let opened = self.source.open().await;
        if opened.is_err() {
            self.refused.send_modify(|refused| *refused += 1);
        }
        opened
    }
}

#[tokio::test]
async fn a_port_that_goes_away_is_opened_again() {
    let tpm = FakeTpm::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("board.sock");
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    let (source, mut refused) = Watched::new(UnixDial { path: path.clone() });
    let running = Running::start(desk, vec![Box::new(source)]);
    // Nobody listens yet.
    let first = tokio::time::timeout(PATIENCE, refused.wait_for(|refused| *refused > 0));
    first.await.unwrap().unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    for _ in 0..2 {
        let (stream, _) = tokio::time::timeout(PATIENCE, listener.accept())
            .await
            .unwrap()
            .unwrap();
        let mut line = Line::new(stream);
        granted(line.login(&mut running.desk.agent(), &tpm).await);
        // In the middle of the next login the board loses power.
        let hello = running.desk.agent().hello();
        line.frame(FrameKind::MESSAGE, &hello).await;
        line.message().await;
    }
    running.stop().await;
}

#[tokio::test]
async fn frames_cut_at_any_byte_leave_the_link_in_step() {
    let tpm = FakeTpm::new();
    let (running, mut line) = Running::over_memory(Desk::new(&ek_only("rack", &[&tpm]))).await;
    let whole = frame(
        FrameKind::MESSAGE,
        &crate::agent::proofs([1; 16], 0, &[(EK, ek_payload(&tpm))]),
    );
    for cut in 1..whole.len() - 1 {
        line.raw(&whole[..cut]).await;
    }
    granted(line.login(&mut running.desk.agent(), &tpm).await);
    running.stop().await;
}
