//! Servers that are slow, lie, break off, send somebody elsewhere or are somebody else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use assay_host_verifier::outside::client::Client;
use assay_host_verifier::outside::{ErrorKind, Fetch, Header, Reach, Request, TlsFault};
use tokio::io::AsyncWriteExt;

use super::dns;
use super::upstream::{Piece, Upstream, answer, certificate, say};

/// Text that no error may repeat.
const CANARY: &str = "c4n4ry";

fn asks(upstream: &Upstream) -> Request {
    Request {
        roots: Some(upstream.authority.clone()),
        content_types: &["application/json"],
        max_body: 1000,
        ..Request::get(upstream.url("/keys?a=1"), Reach::PUBLIC)
    }
}

fn client() -> Client {
    dns::shared().client(true)
}

/// What comes of one request to a server that says this.
async fn kind(pieces: Vec<Piece>) -> ErrorKind {
    let upstream = Upstream::tls(Arc::new(move |_| pieces.clone())).await;
    let error = client().fetch(&asks(&upstream)).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains(CANARY), "{told}");
    assert!(!told.contains("127.0.0.1"), "{told}");
    assert_eq!(error.to, format!("https://up.assay.test:{}", upstream.port));
    error.kind
}

#[tokio::test]
async fn a_request_is_plain_and_its_answer_whole() {
    let upstream = Upstream::tls(Arc::new(|_| {
        answer("application/json; charset=utf-8", "{\"a\":1}")
    }))
    .await;
    let mut request = asks(&upstream);
    request
        .headers
        .push(Header::new("authorization", "Bearer t"));
    let response = client().fetch(&request).await.unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (200, &b"{\"a\":1}"[..])
    );
    let seen = upstream.requests().remove(0);
    let mut lines: Vec<_> = seen.trim_end().split("\r\n").collect();
    lines.sort_unstable();
    let agent = format!("user-agent: assay/{}", env!("CARGO_PKG_VERSION"));
    let host = format!("host: up.assay.test:{}", upstream.port);
    let mut expected = vec![
        "GET /keys?a=1 HTTP/1.1",
        "accept-encoding: identity",
        "authorization: Bearer t",
        "connection: close",
        &host,
        &agent,
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected, "no cookie, no referrer, nothing else");
}

#[tokio::test]
async fn a_body_is_sent_with_its_length_and_chunks_are_read() {
    let chunks = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let upstream = Upstream::tls(Arc::new(move |_| say(chunks))).await;
    let mut request = Request::post_json(upstream.url("/"), Reach::PUBLIC, b"{\"q\":1}".to_vec());
    request.roots = Some(upstream.authority.clone());
    let response = client().fetch(&request).await.unwrap();
    assert_eq!(
        (response.status, response.body.as_slice()),
        (201, &b"{}"[..])
    );
    let seen = upstream.requests().remove(0);
    assert!(
        seen.starts_with("POST / HTTP/1.1\r\n") && seen.ends_with("\r\n\r\n{\"q\":1}"),
        "{seen}"
    );
    assert!(seen.contains("content-length: 7\r\n"), "{seen}");
}

#[tokio::test]
async fn nobody_is_followed_and_only_success_is_an_answer() {
    for status in [300, 301, 302, 303, 307, 308] {
        let elsewhere = Upstream::tls(Arc::new(|_| answer("application/json", "{}"))).await;
        let to = format!(
            "HTTP/1.1 {status} {CANARY}\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            elsewhere.url("/")
        );
        assert_eq!(kind(say(&to)).await, ErrorKind::Redirect(status));
        assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
    }
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let body = format!("HTTP/1.1 {status} {CANARY}\r\ncontent-length: 6\r\n\r\n{CANARY}");
        assert_eq!(kind(say(&body)).await, ErrorKind::Status(status));
    }
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let flood = Piece::Flood(vec![b'a'; 65536]);
    let begins = |rest: &str| {
        vec![
            Piece::Say(format!("{head}{rest}").into_bytes()),
            flood.clone(),
        ]
    };
    // It says so; it does not say so; it says so piece by piece.
    assert_eq!(
        kind(begins("content-length: 1001\r\n\r\n")).await,
        ErrorKind::TooLarge
    );
    assert_eq!(kind(begins("\r\n")).await, ErrorKind::TooLarge);
    let chunk = format!("400\r\n{}\r\n", "a".repeat(1024)).into_bytes();
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    assert_eq!(
        kind(vec![Piece::Say(chunked), Piece::Flood(chunk)]).await,
        ErrorKind::TooLarge
    );
    // Headers without end, and too many.
    let endless = vec![
        Piece::Say(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Piece::Flood(format!("x: {CANARY}\r\n").into_bytes()),
    ];
    assert_eq!(kind(endless).await, ErrorKind::TooLarge);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(65));
    assert_eq!(kind(say(&many)).await, ErrorKind::TooLarge);
    // Just short enough is an answer.
    let upstream = Upstream::tls(Arc::new(|_| answer("application/json", &"a".repeat(1000)))).await;
    assert_eq!(
        client().fetch(&asks(&upstream)).await.unwrap().body.len(),
        1000
    );
}

#[tokio::test]
async fn what_breaks_off_or_is_no_http_is_no_answer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for broken in [
        String::new(),
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        format!("{head}content-length: 10\r\n\r\n{{}}"),
        format!("{head}content-length: 10\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!("{head}content-length: -1\r\n\r\n{{}}"),
        format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}"),
        format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n"),
        "HTTP/1.1 200".to_owned(),
        "HTTP/0.9 200 OK\r\n\r\n{}".to_owned(),
    ] {
        assert_eq!(kind(say(&broken)).await, ErrorKind::Malformed, "{broken:?}");
    }
}

#[tokio::test]
async fn another_content_or_a_compressed_one_is_no_answer() {
    for headers in [
        "",
        "content-type: text/html\r\n",
        "content-type: application/jsonp\r\n",
        "content-type: application/json\r\ncontent-type: application/json\r\n",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\n{{}}");
        assert_eq!(
            kind(say(&text)).await,
            ErrorKind::ContentType,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn one_deadline_ends_every_slowness() {
    let head =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n".to_vec();
    let half = [head.clone(), b"\r\n{}".to_vec()].concat();
    for pieces in [
        vec![Piece::Hang],
        vec![Piece::Say(head), Piece::Hang],
        vec![Piece::Say(half), Piece::Hang],
    ] {
        let upstream = Upstream::tls(Arc::new(move |_| pieces.clone())).await;
        let mut request = asks(&upstream);
        request.deadline = Duration::from_millis(700);
        let error = client().fetch(&request).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Deadline);
    }
    // Somebody who takes the connection, and never begins with TLS.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut request = Request::get(format!("https://up.assay.test:{port}/"), Reach::PUBLIC);
    request.roots = Some(certificate(&[], false).0);
    request.deadline = Duration::from_millis(300);
    let error = client().fetch(&request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Deadline);
    // A resolver that does not answer.
    let mute = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&assay_host_verifier::outside::Outbound {
        resolvers: vec![mute.local_addr().unwrap()],
        allow_loopback: true,
        ..Default::default()
    });
    let error = client.fetch(&request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Deadline);
}

#[tokio::test]
async fn a_slow_host_holds_up_its_own_askers_only() {
    let slow = Upstream::tls(Arc::new(|_| vec![Piece::Hang])).await;
    let quick = Upstream::with(
        &["node.assay.test"],
        false,
        Arc::new(|_| answer("application/json", "{}")),
    )
    .await;
    let client = Arc::new(client());
    let mut held = Vec::new();
    for _ in 0..32 {
        let (client, request) = (client.clone(), asks(&slow));
        held.push(tokio::spawn(async move { client.fetch(&request).await }));
    }
    while slow.requests().len() < 32 {
        tokio::task::yield_now().await;
    }
    let mut one_more = asks(&slow);
    one_more.deadline = Duration::from_millis(200);
    assert_eq!(
        client.fetch(&one_more).await.unwrap_err().kind,
        ErrorKind::Busy
    );
    assert_eq!(
        slow.connections.load(Ordering::SeqCst),
        32,
        "it was not even connected to"
    );
    let mut other = asks(&quick);
    other.url = format!("https://node.assay.test:{}/", quick.port);
    assert_eq!(client.fetch(&other).await.unwrap().status, 200);
    for task in held {
        task.abort();
    }
}

#[tokio::test]
async fn whoever_answers_must_be_whom_the_url_names() {
    let script = || -> super::upstream::Script { Arc::new(|_| answer("application/json", "{}")) };
    let fault = async |upstream: &Upstream, roots: Option<Arc<str>>| {
        let mut request = asks(upstream);
        request.roots = roots;
        let error = client().fetch(&request).await.unwrap_err();
        assert!(!error.to_string().contains(CANARY), "{error}");
        assert!(upstream.requests().is_empty(), "nothing was asked");
        error.kind
    };
    let good = Upstream::tls(script()).await;
    let (other, _) = certificate(&[], false);
    let unknown = ErrorKind::Tls(TlsFault::UnknownAuthority);
    assert_eq!(fault(&good, Some(other)).await, unknown);
    assert_eq!(
        fault(&good, None).await,
        unknown,
        "the system's authorities"
    );
    assert_eq!(fault(&good, Some("no PEM".into())).await, ErrorKind::Roots);
    let names = [CANARY, "assay.test", "*.up.assay.test"];
    let named = Upstream::with(&names, false, script()).await;
    assert_eq!(
        fault(&named, Some(named.authority.clone())).await,
        ErrorKind::Tls(TlsFault::Name)
    );
    let ended = Upstream::with(&["up.assay.test"], true, script()).await;
    assert_eq!(
        fault(&ended, Some(ended.authority.clone())).await,
        ErrorKind::Tls(TlsFault::Time)
    );
    // Somebody who answers a greeting in the clear, as web servers do.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut request = asks(&good);
    let port = plain.local_addr().unwrap().port();
    request.url = format!("https://up.assay.test:{port}/");
    let greeting = async {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream
            .write_all(format!("HTTP/1.1 400 {CANARY}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream
    };
    let client = client();
    let (answer, _stream) = tokio::join!(client.fetch(&request), greeting);
    assert_eq!(answer.unwrap_err().kind, ErrorKind::Tls(TlsFault::Protocol));
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_nobody_of_that_name() {
    // A port that was just given back: nobody listens on it.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let kind = async |name: &str| {
        let url = format!("https://{name}:{port}/");
        let mut request = Request::get(url, Reach::PUBLIC);
        request.roots = Some(certificate(&[], false).0);
        client().fetch(&request).await.unwrap_err().kind
    };
    assert_eq!(kind("up.assay.test").await, ErrorKind::Connect);
    assert_eq!(kind("nobody.assay.test").await, ErrorKind::NameNotFound);
}

#[tokio::test]
async fn who_cannot_be_reached_is_left_alone_for_a_while_by_those_who_ask_alike() {
    let upstream = Upstream::tls(Arc::new(|_| answer("application/json", "{}"))).await;
    let client = client();
    let mut wrong = asks(&upstream);
    wrong.roots = Some(certificate(&[], false).0);
    // Five questions; the repetitions of one are no more failures.
    for repeated in [
        false, true, true, true, true, true, false, false, false, false,
    ] {
        wrong.repeated = repeated;
        let error = client.fetch(&wrong).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Tls(TlsFault::UnknownAuthority));
    }
    let error = client.fetch(&wrong).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Open);
    assert_eq!(
        upstream.connections.load(Ordering::SeqCst),
        10,
        "it was not even connected to"
    );
    assert!(
        client.fetch(&asks(&upstream)).await.is_ok(),
        "another policy's wrong authorities are its own trouble"
    );
}

/// What is sent may be an agent's: were its answers counted, one agent could shut out all others.
#[tokio::test]
async fn whoever_answers_is_asked_again_whatever_it_answers() {
    for pieces in [
        say("HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n"),
        say("SSH-2.0-x\r\n"),
        vec![Piece::Hang],
    ] {
        let upstream = Upstream::tls(Arc::new(move |_| pieces.clone())).await;
        let client = client();
        let mut request = asks(&upstream);
        request.deadline = Duration::from_millis(500);
        for _ in 0..6 {
            let error = client.fetch(&request).await.unwrap_err();
            assert_ne!(error.kind, ErrorKind::Open);
        }
    }
}
