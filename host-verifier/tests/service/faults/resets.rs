//! HTTP/2 requests that are taken back as soon as they are made, on one connection after the other, and a node that logs in
//! beside them (CVE-2023-44487). `api::bounds` has what ends one connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::telemetry::metrics::names;
use rustls::{ClientConnection, StreamOwned};

use super::house::{House, Replica};
use super::idle::resident;
use crate::api::client_config;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::metrics::page::Page;

/// Connections, and requests that each makes and takes back at once.
const CONNECTIONS: usize = 200;
const REQUESTS: u32 = 2000;
/// Threads that make them.
const FLOODERS: usize = 4;
/// Most requests of a connection that are begun: those that may be open at once, and those that may be reset unseen.
const BEGUN: usize = 64 + 20;
/// Most memory that stays, bytes. A debug build took 1 MiB.
const MEMORY: usize = 16 * 1024 * 1024;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The preface, and all requests with their resets.
fn flood() -> Vec<u8> {
    // `:method GET`, `:scheme https`, `:path /`, `:authority localhost` (RFC 7541).
    const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";
    const CANCEL: u32 = 8;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for number in 0..REQUESTS {
        let stream = 2 * number + 1;
        bytes.extend(frame(1, 5, stream, GET));
        bytes.extend(frame(3, 0, stream, &CANCEL.to_be_bytes()));
    }
    bytes
}

/// Floods one connection; the error that it is ended with, if the end says one.
fn reset_all(replica: &Replica, config: &Arc<rustls::ClientConfig>, flood: &[u8]) -> Option<u32> {
    let tcp = TcpStream::connect(replica.address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    tcp.set_write_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(config.clone(), name).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    // The other side closes before it has read all of it, and a reset may overtake its last words.
    let _ = stream.write_all(flood).and_then(|()| stream.flush());
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    let mut rest = heard.as_slice();
    while let Some((head, after)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, next) = after.split_at_checked(length)?;
        if head[3] == 7 {
            return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        rest = next;
    }
    None
}

#[test]
fn requests_that_are_taken_back_cost_next_to_nothing_and_keep_nobody_out() {
    let mut tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let replica = house.serve(&[
        "limits.api.requestsPerSecond=1000000",
        "listeners.metrics.address=127.0.0.1:0",
    ]);
    granted(house.login(&replica, &tpm));
    let before = resident(&replica);
    let (config, flood) = (Arc::new(client_config("h2")), flood());
    let ends: Vec<_> = std::thread::scope(|scope| {
        let one = || -> Vec<_> {
            let each = 0..CONNECTIONS / FLOODERS;
            each.map(|_| reset_all(&replica, &config, &flood)).collect()
        };
        let flooders: Vec<_> = (0..FLOODERS).map(|_| scope.spawn(one)).collect();
        // Amid the flood.
        tpm.clock += 1;
        granted(house.login(&replica, &tpm));
        let ended = flooders.into_iter().map(|flooder| flooder.join().unwrap());
        ended.flatten().collect()
    });
    assert_eq!(ends.len(), CONNECTIONS);
    let calmed = ends.iter().flatten().count();
    assert!(
        ends.iter()
            .flatten()
            .all(|error| *error == ENHANCE_YOUR_CALM),
        "{ends:?}"
    );
    assert!(calmed > 0, "every end was lost on the way");
    let more = resident(&replica).saturating_sub(before);
    let url = format!("http://{}/metrics", replica.listens("metrics"));
    let page = Command::new("curl").args(["--silent", &url]).output();
    let page = String::from_utf8(page.expect("no curl: install the package `curl`").stdout);
    let page = Page::read(&page.unwrap());
    let answered = ["2xx", "4xx", "5xx"].map(|status| {
        let labels = [("route", "other"), ("status", status)];
        page.value(names::HTTP_REQUESTS, &labels).unwrap()
    });
    let answered: f64 = answered.iter().sum();
    println!(
        "{calmed} of {CONNECTIONS} ends heard; {answered} of {} requests answered; {} KiB more",
        CONNECTIONS as u32 * REQUESTS,
        more / 1024
    );
    assert!(answered <= (CONNECTIONS * BEGUN) as f64, "{answered}");
    assert!(more < MEMORY, "{more}");
    tpm.clock += 1;
    granted(house.login(&replica, &tpm));
}
