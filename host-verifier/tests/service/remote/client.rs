//! The HTTP client against servers that are not ours, or not well.

use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::http::{Answer, Client, HttpError, Limits, Roots};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::api::pki;

/// Answers one request with these bytes, and then closes the connection or leaves it open; what it heard.
async fn served(
    answer: Vec<u8>,
    open: bool,
    limits: Limits,
) -> (Result<Answer, HttpError>, String) {
    let chain = vec![CertificateDer::from_pem_file(pki().join("server.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(pki().join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config))
            .accept(tcp)
            .await
            .unwrap();
        let mut heard = Vec::new();
        while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).await.unwrap();
            heard.extend_from_slice(&part[..read]);
        }
        // Whoever has hung up meanwhile is not told the rest.
        let _ = stream.write_all(&answer).await;
        let _ = stream.flush().await;
        if open {
            let _ = stream.read(&mut [0]).await;
        } else {
            let _ = stream.shutdown().await;
        }
        // A second connection would be a redirect that was followed.
        drop(listener);
        String::from_utf8(heard).unwrap()
    });
    let client = Client::new(&Roots::File(pki().join("ca.crt")), limits).unwrap();
    let url = format!("https://localhost:{port}/v1/nodes?limit=1");
    let answer = client
        .send(Request::get(url).body(Bytes::new()).unwrap())
        .await;
    (answer, server.await.unwrap())
}

const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(30),
    body: 1000,
};

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn an_answer_is_read_whole_and_a_request_says_what_it_must() {
    let (answered, heard) =
        served(answer("404 Not Found", "x-y: z\r\n", "no"), false, LIMITS).await;
    let answered = answered.unwrap();
    assert_eq!(
        (answered.status, &answered.body[..]),
        (StatusCode::NOT_FOUND, &b"no"[..])
    );
    assert_eq!(answered.headers["x-y"], "z");
    assert!(
        heard.starts_with("GET /v1/nodes?limit=1 HTTP/1.1\r\n"),
        "{heard}"
    );
    assert!(
        heard.contains("host: localhost:") && heard.contains("connection: close"),
        "{heard}"
    );
    // As long as it may be, and without a length.
    let whole = "x".repeat(LIMITS.body);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{whole}\r\n0\r\n\r\n",
        whole.len()
    );
    let (answered, _) = served(chunked.into_bytes(), true, LIMITS).await;
    assert_eq!(answered.unwrap().body, whole);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_goes_there() {
    let redirect = answer("302 Found", "location: https://localhost:1/\r\n", "");
    let (answered, _) = served(redirect, false, LIMITS).await;
    assert_eq!(answered.unwrap().status, StatusCode::FOUND);
}

#[tokio::test]
async fn an_answer_that_is_too_long_too_late_or_none_is_an_error() {
    let long = "x".repeat(LIMITS.body + 1);
    let (answered, _) = served(answer("200 OK", "", &long), false, LIMITS).await;
    assert!(
        matches!(answered, Err(HttpError::Body { limit: 1000, .. })),
        "{answered:?}"
    );
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec();
    let (answered, _) = served(half.clone(), false, LIMITS).await;
    assert!(
        matches!(answered, Err(HttpError::Body { .. })),
        "{answered:?}"
    );
    let (answered, _) = served(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), false, LIMITS).await;
    assert!(
        matches!(answered, Err(HttpError::Protocol { .. })),
        "{answered:?}"
    );
    // The rest does not come, and the connection stays open.
    let soon = Limits {
        deadline: Duration::from_millis(300),
        ..LIMITS
    };
    let (answered, _) = served(half, true, soon).await;
    assert!(
        matches!(answered, Err(HttpError::Late { .. })),
        "{answered:?}"
    );
}
