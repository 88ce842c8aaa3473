//! Ten thousand connections to the API that do nothing, requests that do not come to their end, and a node that logs in
//! beside them.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::{ClientConnection, StreamOwned};

use super::house::{House, Replica, Wire};
use crate::api::client_config;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;

/// Connections.
const IDLE: usize = 10_000;
/// Threads that open them.
const OPENERS: usize = 4;
/// Most memory of the service per idle connection, bytes. The debug build, whose futures are larger, took 24 KiB.
const PER_CONNECTION: usize = 64 * 1024;

/// Memory of a process that is in RAM, bytes.
pub(super) fn resident(replica: &Replica) -> usize {
    let path = format!("/proc/{}/status", replica.process.id());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

/// A file descriptor each, at both ends.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(
        limit.maximum.is_none_or(|most| most >= IDLE as u64 + 2000),
        "at most {:?} open files: raise the hard limit (ulimit -Hn)",
        limit.maximum
    );
}

/// Connections whose handshake is over.
fn connections(replica: &Replica) -> Vec<StreamOwned<ClientConnection, TcpStream>> {
    // One configuration, so that all but the first resume a session, as agents do.
    let config = Arc::new(client_config("http/1.1"));
    let open = || -> Vec<_> {
        let each = (0..IDLE / OPENERS).map(|_| {
            let tcp = TcpStream::connect(replica.address).unwrap();
            tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
            let connection = ClientConnection::new(config.clone(), name).unwrap();
            let mut stream = StreamOwned::new(connection, tcp);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).unwrap();
            }
            stream
        });
        each.collect()
    };
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(open)).collect();
        let opened = openers.into_iter().map(|opener| opener.join().unwrap());
        opened.flatten().collect()
    })
}

#[test]
fn a_node_logs_in_beside_ten_thousand_connections_that_do_nothing() {
    raise_file_limit();
    let mut tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let all = format!("limits.api.connections={}", IDLE + 1);
    let replica = house.serve(&[
        &all,
        "limits.api.connectionsPerPeer=20000",
        "limits.api.requestsPerSecond=1000000",
        "limits.api.idleTimeout=600s",
    ]);
    granted(house.login(&replica, &tpm));
    let before = resident(&replica);
    let began = Instant::now();
    let idle = connections(&replica);
    let after = resident(&replica);
    println!(
        "{IDLE} idle connections in {:?}: {} KiB before, {} KiB after, {} bytes each",
        began.elapsed(),
        before / 1024,
        after / 1024,
        after.saturating_sub(before) / IDLE
    );
    assert!(after < before + IDLE * PER_CONNECTION, "{before} {after}");

    // The last place is enough for a login.
    tpm.clock += 1;
    let wire = Wire::connect(replica.address).unwrap();
    granted(house.login_over(wire, &tpm));
    // With it taken, the next one is closed before anything is said.
    let _last = place(&replica);
    let mut refused = TcpStream::connect(replica.address).unwrap();
    assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)), "let in");
    // None of the ten thousand was closed for it.
    for mut stream in idle {
        stream.sock.set_nonblocking(true).unwrap();
        let error = stream.read(&mut [0]).expect_err("nothing was sent");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

/// A place comes back when the service has noticed that its connection was closed.
fn place(replica: &Replica) -> Wire {
    let began = Instant::now();
    loop {
        match Wire::connect(replica.address) {
            Ok(wire) => return wire,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(60), "{error}"),
        }
    }
}

/// Places for bodies on their way, and those that one peer may have.
const PLACES: (usize, usize) = (8, 2);
/// Who sends what does not come to its end. More than are needed to take every place.
const ATTACKERS: [&str; 5] = [
    "127.0.0.2:0",
    "127.0.0.3:0",
    "127.0.0.4:0",
    "127.0.0.5:0",
    "127.0.0.6:0",
];

/// A body of which one byte comes. What the service answers to its head.
fn half_a_body(source: &str, replica: &Replica) -> (Wire, String) {
    let mut wire = Wire::connect_from(source.parse().unwrap(), replica.address).unwrap();
    wire.raw(
        b"POST /v1/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
          content-length: 1000\r\nexpect: 100-continue\r\n\r\n",
    )
    .unwrap();
    // "Continue" says that the body has its place and is waited for.
    let line = wire.line().unwrap();
    // Who was turned away may have been closed, too.
    let _ = wire.raw(b"{");
    (wire, line)
}

#[test]
fn heads_and_bodies_that_do_not_come_leave_room_for_others() {
    let mut tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let places = format!("limits.api.requestsInFlight={}", PLACES.0);
    let replica = house.serve(&[
        &places,
        "limits.api.requestTimeout=60s",
        "limits.api.headerTimeout=60s",
    ]);
    let mut slow = Vec::new();
    for round in 0..3 {
        for attacker in ATTACKERS {
            for number in 0..PLACES.1 + 1 {
                let source = attacker.parse().unwrap();
                let mut head = Wire::connect_from(source, replica.address).unwrap();
                head.raw(b"POST /v1/login HTTP/1.1\r\nhost: localh")
                    .unwrap();
                let (body, line) = half_a_body(attacker, &replica);
                // Each gets its share, unless others have taken all; nobody more.
                let told = ["100", "429", "503"].map(|status| format!("HTTP/1.1 {status}"));
                assert!(told.iter().any(|told| line.starts_with(told)), "{line}");
                let continued = line.starts_with("HTTP/1.1 100");
                assert!(!continued || round > 0 || number < PLACES.1, "{number}");
                slow.push((head, body, continued));
            }
        }
        // Everything is taken, and the node is served, at once and every time.
        tpm.clock += 1;
        granted(house.login(&replica, &tpm));
    }
    // Who was let in is told in the end that it was too slow, or made room; nobody is forgotten.
    let mut told = [0, 0];
    for (_, mut body, _) in slow.into_iter().filter(|(.., continued)| *continued) {
        assert_eq!(body.line().unwrap(), "\r\n");
        let line = body.line().unwrap();
        told[usize::from(line.starts_with("HTTP/1.1 503"))] += 1;
        assert!(
            line.starts_with("HTTP/1.1 408") || line.starts_with("HTTP/1.1 503"),
            "{line}"
        );
    }
    assert!(told[0] > 0 && told[1] > 0, "{told:?}");
    // Its places come back to a peer, too.
    let mut wire = Wire::connect_from(ATTACKERS[0].parse().unwrap(), replica.address).unwrap();
    let heard = wire.turn(&[], &house.agent().hello()).unwrap();
    assert_eq!(heard.status, 200);
}

#[test]
fn a_body_that_is_slow_and_comes_is_read() {
    let tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let replica = house.serve(&[]);
    let mut wire = Wire::connect(replica.address).unwrap();
    let body = br#"{"message":{"hello":{"versions":{"min":1,"max":2},"cluster":"lab","methods":["tpm_ek","tpm_quote"],"agentNonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}}"#;
    let head = format!(
        "POST /v1/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    wire.raw(head.as_bytes()).unwrap();
    // Each byte is a TLS record of its own.
    for byte in body {
        wire.raw(&[*byte]).unwrap();
    }
    let (status, body) = wire.answer().unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
}
