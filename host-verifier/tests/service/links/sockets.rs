//! Sockets: several agents at once, places that are taken, files that a crash left, addresses.

use assay_common::protocol::FrameKind;
use assay_host_verifier::transport::memory;
use assay_host_verifier::transport::socket::{TcpAccept, TcpDial, UnixAccept, UnixDial};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::{Line, PATIENCE, Running};
use crate::agent::Answer;
use crate::desk::{Desk, ek_only, granted};
use crate::fake_tpm::FakeTpm;

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
