//! The service over real links: garbage, chunks, ports that go away, sockets, a true pseudo-terminal.

use std::os::fd::OwnedFd;
use std::time::Duration;

use assay_common::method::tpm_ek::EkPayload;
use assay_common::protocol::{
    AgentMessage, BlobRef, Chunk, FrameDecoder, FrameKind, MAX_CHUNK, MAX_VERIFIER_PACKET, Trouble,
    TroubleCode, write_frame,
};
use assay_host_verifier::server::Broken;
use assay_host_verifier::transport::serial::SerialSource;
use assay_host_verifier::transport::socket::{TcpAccept, TcpDial, UnixAccept, UnixDial};
use assay_host_verifier::transport::{Link, LinkSource, memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use crate::agent::{Agent, Answer, EK, ek_payload, encode};
use crate::desk::{Desk, ek_and_quote, ek_only, granted};
use crate::fake_tpm::{FakeTpm, sha256};

const PATIENCE: Duration = Duration::from_secs(20);

/// The agent's end of a link.
struct Line {
    link: Box<dyn Link>,
    decoder: FrameDecoder<MAX_VERIFIER_PACKET>,
    unread: Vec<u8>,
}

impl Line {
    fn new(link: impl Link + 'static) -> Self {
        Self {
            link: Box::new(link),
            decoder: FrameDecoder::new(),
            unread: Vec::new(),
        }
    }

    async fn raw(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).await.unwrap();
        self.link.flush().await.unwrap();
    }

    async fn frame(&mut self, kind: FrameKind, body: &[u8]) {
        self.raw(&frame(kind, body)).await;
    }

    async fn message(&mut self) -> Vec<u8> {
        tokio::time::timeout(PATIENCE, self.next())
            .await
            .expect("an answer in time")
    }

    async fn silence(&mut self, time: Duration) {
        if let Ok(message) = tokio::time::timeout(time, self.next()).await {
            panic!("the verifier spoke: {message:?}");
        }
    }

    async fn next(&mut self) -> Vec<u8> {
        loop {
            while !self.unread.is_empty() {
                let byte = self.unread.remove(0);
                if let Some(Ok(FrameKind::MESSAGE)) = self.decoder.push(byte) {
                    return self.decoder.body().to_vec();
                }
            }
            let mut buffer = [0; 512];
            let read = self.link.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the link ended");
            self.unread.extend_from_slice(&buffer[..read]);
        }
    }

    async fn login(&mut self, agent: &mut Agent, tpm: &FakeTpm) -> Answer {
        let hello = agent.hello();
        self.frame(FrameKind::MESSAGE, &hello).await;
        let mut answer = agent.hear(&self.message().await);
        while let Answer::Asked(asked) = answer {
            let proofs = agent.answer(tpm, &asked);
            self.frame(FrameKind::MESSAGE, &proofs).await;
            answer = agent.hear(&self.message().await);
        }
        answer
    }
}

fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let written: Result<(), core::convert::Infallible> = write_frame(kind, body, &mut |bytes| {
        out.extend_from_slice(bytes);
        Ok(())
    });
    written.unwrap();
    out
}

/// A service that runs until it is dropped.
struct Running {
    desk: Desk,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<(), Broken>>,
}

impl Running {
    fn start(desk: Desk, sources: Vec<Box<dyn LinkSource>>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let server = desk.server.clone();
        let task = tokio::spawn(async move { server.serve(sources, stopped).await });
        Self { desk, stop, task }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("a clean stop")
            .unwrap()
            .unwrap();
    }

    /// Until the service has a link open, and with it the terminal as it wants it.
    async fn until_a_link_is_open(&mut self) {
        let open = async {
            while let Some(event) = self.desk.events.recv().await {
                if serde_json::to_value(&event).unwrap()["step"] == "link_open" {
                    return;
                }
            }
            panic!("the service is gone");
        };
        tokio::time::timeout(PATIENCE, open).await.unwrap();
    }

    async fn over_memory(desk: Desk) -> (Self, Line) {
        let (dialer, source) = memory::pair();
        let running = Self::start(desk, vec![Box::new(source)]);
        (running, Line::new(dialer.dial().await.unwrap()))
    }
}

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
async fn several_agents_log_in_at_once_over_one_socket() {
    let tpms: Vec<_> = (0..3).map(|_| FakeTpm::new()).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agents.sock");
    let desk = Desk::new(&ek_only("rack", &tpms.iter().collect::<Vec<_>>()));
    let source = UnixAccept::bind(&path).await.unwrap();
    let running = Running::start(desk, vec![Box::new(source)]);
    let mut lines = Vec::new();
    for _ in &tpms {
        lines.push(Line::new(UnixStream::connect(&path).await.unwrap()));
    }
    for (line, tpm) in lines.iter_mut().zip(&tpms) {
        granted(line.login(&mut running.desk.agent(), tpm).await);
    }
    assert_eq!(running.desk.sessions().await, 3);
    running.stop().await;
    assert!(!path.exists(), "the socket is gone with the service");
}

#[tokio::test]
async fn hellos_on_a_socket_take_no_place_from_a_board_on_a_line_of_its_own() {
    let tpm = FakeTpm::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("board.sock");
    let board = UnixListener::bind(&path).unwrap();
    let (dialer, shared) = memory::pair();
    let running = Running::start(
        Desk::new(&ek_only("rack", &[&tpm])),
        vec![Box::new(shared), Box::new(UnixDial { path })],
    );
    // As many as there are places, and one more, which shows that there are no more.
    let mut idle = Vec::new();
    for place in 0..5 {
        let mut line = Line::new(dialer.dial().await.unwrap());
        let mut agent = running.desk.agent();
        let hello = agent.hello();
        line.frame(FrameKind::MESSAGE, &hello).await;
        let answer = agent.hear(&line.message().await);
        assert_eq!(matches!(answer, Answer::Asked(_)), place < 4, "{answer:?}");
        idle.push(line);
    }
    let (stream, _) = tokio::time::timeout(PATIENCE, board.accept())
        .await
        .unwrap()
        .unwrap();
    let mut line = Line::new(stream);
    for _ in 0..2 {
        // Also one that was given up half-way does not keep the place of the next.
        let hello = running.desk.agent().hello();
        line.frame(FrameKind::MESSAGE, &hello).await;
        line.message().await;
        granted(line.login(&mut running.desk.agent(), &tpm).await);
    }
    drop(idle);
    running.stop().await;
}

#[tokio::test]
async fn a_socket_left_by_a_crash_is_replaced_and_one_in_use_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agents.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let held = UnixAccept::bind(&path).await.unwrap();
    assert!(UnixAccept::bind(&path).await.is_err());
    drop(held);
    std::fs::write(&path, b"a file").unwrap();
    assert!(UnixAccept::bind(&path).await.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"a file");
}

#[tokio::test]
async fn tcp_serves_loopback_and_nothing_else() {
    let tpm = FakeTpm::new();
    assert!(TcpAccept::bind("0.0.0.0:0".parse().unwrap()).await.is_err());
    let source = TcpAccept::bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let address = source.address();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dial = TcpDial {
        address: listener.local_addr().unwrap(),
    };
    let running = Running::start(
        Desk::new(&ek_only("rack", &[&tpm])),
        vec![Box::new(source), Box::new(dial)],
    );
    let mut line = Line::new(TcpStream::connect(address).await.unwrap());
    granted(line.login(&mut running.desk.agent(), &tpm).await);
    let (stream, _) = listener.accept().await.unwrap();
    granted(
        Line::new(stream)
            .login(&mut running.desk.agent(), &tpm)
            .await,
    );
    running.stop().await;
}

/// A pseudo-terminal: (the board's end, the path that the verifier opens).
fn pty() -> (OwnedFd, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&board).unwrap();
    unlockpt(&board).unwrap();
    let path = ptsname(&board, Vec::new()).unwrap().into_string().unwrap();
    // A board's UART has no line discipline.
    let mut modes = rustix::termios::tcgetattr(&board).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&board, rustix::termios::OptionalActions::Now, &modes).unwrap();
    (board, path)
}

/// The board's end as a stream: two threads, since a terminal's master is no socket.
fn board_link(board: OwnedFd) -> impl Link {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (mut read, mut write) = tokio::io::split(theirs);
    let mut input = std::fs::File::from(board.try_clone().unwrap());
    let mut output = std::fs::File::from(board);
    let runtime = tokio::runtime::Handle::current();
    let writer = runtime.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = std::io::Read::read(&mut input, &mut buffer) {
            if runtime.block_on(write.write_all(&buffer[..count])).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = writer.block_on(read.read(&mut buffer)) {
            if std::io::Write::write_all(&mut output, &buffer[..count]).is_err() {
                return;
            }
        }
    });
    ours
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_logs_in_over_a_true_serial_port() {
    let mut tpm = FakeTpm::new();
    let (board, path) = pty();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let source = SerialSource {
        path,
        baud: 115_200,
    };
    let mut running = Running::start(desk, vec![Box::new(source)]);
    let mut line = Line::new(board_link(board));
    // Every byte value crosses the terminal unharmed: control characters are in any login, here are all of them.
    running.until_a_link_is_open().await;
    let every: Vec<u8> = (0..=255).collect();
    line.raw(&every).await;
    for _ in 0..2 {
        granted(line.login(&mut running.desk.agent(), &tpm).await);
        tpm.clock += 1;
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
