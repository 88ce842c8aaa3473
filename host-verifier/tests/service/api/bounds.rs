//! Bytes, time and numbers: what a peer may make the service keep.

use std::time::Duration;

use assay_host_verifier::store::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Api, bearer};

/// Longer than anything here may take; a test that reaches it has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// Everything that comes until the other side closes.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = timeout(LIMIT, stream.read_to_end(&mut bytes))
        .await
        .expect("closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

const BUNDLE: &[u8] = b"GET /v1/bundle HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_or_a_body_that_is_too_long_is_refused() {
    let served = Api::with("", "headerBytes: 8192, bodyBytes: 65536", &[])
        .serve()
        .await;
    let admin = bearer(&served.api.token(Role::Admin).await);
    let long = format!("x-long: {}", "x".repeat(9000));
    let (_, words) = served
        .get("/v1/bundle", &["--http1.1", "--header", &long])
        .await;
    assert_eq!(words, "1.1 431");
    let (_, words) = served
        .get("/v1/bundle", &["--http2", "--header", &long])
        .await;
    assert_eq!(words, "2 431");
    let fields: Vec<String> = (0..70).map(|n| format!("x-{n}: x")).collect();
    let fields: Vec<&str> = fields
        .iter()
        .flat_map(|field| ["--header", field])
        .collect();
    let (_, words) = served
        .get("/v1/bundle", &[&["--http1.1"][..], &fields].concat())
        .await;
    assert_eq!(words, "1.1 431");

    let file = served.api.path("body");
    std::fs::write(&file, format!("{{\"name\":\"{}\"}}", "x".repeat(65536))).unwrap();
    let data = format!("@{}", file.display());
    let authorization = format!("authorization: {admin}");
    for version in ["--http1.1", "--http2"] {
        let arguments = [
            version,
            "--data-binary",
            &data,
            "--header",
            "content-type: application/json",
            "--header",
            &authorization,
        ];
        let (body, words) = served.get("/v1/tokens", &arguments).await;
        assert!(words.ends_with(" 413"), "{words}");
        assert!(body.contains("body-too-long"), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a64_who_does_not_come_to_the_point_is_dropped() {
    let limits = "handshakeTimeout: 1s, headerTimeout: 1s, requestTimeout: 1s, idleTimeout: 2s";
    let served = Api::with("", limits, &[]).serve().await;
    let admin = bearer(&served.api.token(Role::Admin).await);

    let mut silent = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, "", "no handshake");

    for protocol in ["http/1.1", "h2"] {
        let mut idle = served.connect(protocol).await.unwrap();
        let said = rest(&mut idle).await;
        assert!(!said.contains("HTTP/1.1"), "{protocol}: {said}");
    }

    let mut slow = served.connect("http/1.1").await.unwrap();
    slow.write_all(&BUNDLE[..20]).await.unwrap();
    assert_eq!(rest(&mut slow).await, "", "half a head");

    // A connection that has worked may rest, and then ends.
    let mut resting = served.connect("http/1.1").await.unwrap();
    resting.write_all(BUNDLE).await.unwrap();
    assert!(rest(&mut resting).await.starts_with("HTTP/1.1 200"));

    let mut slow = served.connect("http/1.1").await.unwrap();
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: localhost\r\nauthorization: {admin}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "half a body: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a64_hundreds_of_idle_connections_keep_nobody_from_being_answered() {
    let served = Api::with("", "connectionsPerPeer: 301, requestsPerSecond: 10000", &[])
        .serve()
        .await;
    let mut idle = Vec::new();
    for number in 0..300 {
        // Half of them do not even begin a handshake.
        match number % 2 {
            0 => idle.push((Some(served.connect("h2").await.unwrap()), None)),
            _ => idle.push((
                None,
                Some(TcpStream::connect(served.address).await.unwrap()),
            )),
        }
    }
    let mut last = served.connect("http/1.1").await.unwrap();
    last.write_all(BUNDLE).await.unwrap();
    let mut status = [0; 12];
    timeout(LIMIT, last.read_exact(&mut status))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    // One more is one too many for this peer, and is closed before anything is said.
    let mut refused = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(rest(&mut refused).await, "");
    drop(idle);
    // Places come back with the connections.
    let began = std::time::Instant::now();
    while served.connect("http/1.1").await.is_err() {
        assert!(began.elapsed() < LIMIT, "no place comes back");
    }
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The next frame of this kind with these flags; `None` when the connection ends without one.
async fn next(stream: &mut (impl AsyncReadExt + Unpin), kind: u8, flags: u8) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        timeout(LIMIT, stream.read_exact(&mut head))
            .await
            .expect("in time")
            .ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        timeout(LIMIT, stream.read_exact(&mut payload))
            .await
            .expect("in time")
            .ok()?;
        if (head[3], head[4] & flags) == (kind, flags) {
            return Some(payload);
        }
    }
}

/// The error of the GOAWAY that comes; `None` when the connection ends without one.
async fn goaway(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<u32> {
    let payload = next(stream, 7, 0).await?;
    Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()))
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `:method GET`, `:scheme https`, `:path /`, `:authority localhost` (RFC 7541).
const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";
const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a54_requests_that_are_reset_at_once_end_the_connection_cve_2023_44487() {
    let served = Api::with("", "requestsPerSecond: 100000", &[])
        .serve()
        .await;
    let stream = served.connect("h2").await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let flood = tokio::spawn(async move {
        let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
        for number in 0..5000 {
            let stream = 2 * number + 1;
            bytes.extend(frame(1, 5, stream, GET));
            bytes.extend(frame(3, 0, stream, &8u32.to_be_bytes()));
        }
        // The other side closes before it has read all of it.
        let _ = writing.write_all(&bytes).await;
    });
    assert_eq!(goaway(&mut reading).await, Some(ENHANCE_YOUR_CALM));
    let _ = timeout(LIMIT, flood).await.unwrap();
    assert_eq!(
        served.get("/v1/bundle", &[]).await.1,
        "2 200",
        "others go on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a54_headers_that_never_end_end_the_connection_cve_2023_45288() {
    let served = Api::new().serve().await;
    let stream = served.connect("h2").await.unwrap();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let flood = tokio::spawn(async move {
        let mut bytes = [PREFACE, &frame(4, 0, 0, &[]), &frame(1, 1, 1, GET)].concat();
        // Literal fields without indexing: 8 KiB each, 8 MiB in all.
        let field = [&b"\x00\x01x\x7f\x81\x3f"[..], &[b'x'; 8192]].concat();
        for _ in 0..1000 {
            bytes.extend(frame(9, 0, 1, &field));
        }
        let _ = writing.write_all(&bytes).await;
    });
    assert!(goaway(&mut reading).await.is_none_or(|error| error != 0));
    let _ = timeout(LIMIT, flood).await.unwrap();
    assert_eq!(
        served.get("/v1/bundle", &[]).await.1,
        "2 200",
        "others go on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_is_answered_when_the_service_stops() {
    let served = Api::new().serve().await;
    let admin = bearer(&served.api.token(Role::Admin).await);
    let body = "{\"name\":\"late\",\"role\":\"viewer\"}";
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: localhost\r\nauthorization: {admin}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut working = served.connect("http/1.1").await.unwrap();
    working.write_all(head.as_bytes()).await.unwrap();
    let mut goes_on = [0; 25];
    timeout(LIMIT, working.read_exact(&mut goes_on))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        &goes_on, b"HTTP/1.1 100 Continue\r\n\r\n",
        "the handler waits for the body"
    );
    let mut idle = served.connect("h2").await.unwrap();
    idle.write_all(&[PREFACE, &frame(4, 0, 0, &[])].concat())
        .await
        .unwrap();
    next(&mut idle, 4, 1).await.expect("our settings are read");

    served.stop.send(true).unwrap();
    assert_eq!(
        goaway(&mut idle).await,
        Some(0),
        "told to go, without an error"
    );
    drop(idle);
    let began = std::time::Instant::now();
    while TcpStream::connect(served.address).await.is_ok() {
        assert!(began.elapsed() < LIMIT, "the port stays open");
    }
    // Health is told until the last request is answered.
    let mut health = TcpStream::connect(served.health).await.unwrap();
    health
        .write_all(b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut health).await.starts_with("HTTP/1.1 "));

    working.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(&mut working).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    timeout(LIMIT, served.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.metrics).await.is_err());
}
