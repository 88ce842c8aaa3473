//! `/live`, `/ready` and `/metrics`, in the clear, for whoever starts and watches the agent.

use core::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::evidence::Proofs;
use crate::session::Shared;

/// Most connections at once: probes, and somebody with curl.
const CONNECTIONS: usize = 16;
/// A request that is not there after this never comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the port.
pub(super) async fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// An answer without a stream.
pub(super) type Whole = Response<Full<Bytes>>;

/// Answers `/live` and `/ready` for ever.
pub(super) async fn serve(listener: TcpListener, sessions: watch::Receiver<Shared>) {
    answer_by(listener, move |request| answer(request, &sessions)).await;
}

/// Answers `/metrics` for ever.
pub(super) async fn serve_metrics(listener: TcpListener, proofs: Proofs) {
    answer_by(listener, move |request| page(request, &proofs)).await;
}

async fn answer_by(
    listener: TcpListener,
    answer: impl Fn(&Request<Incoming>) -> Whole + Clone + Send + 'static,
) {
    let room = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request);
                async { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(PATIENCE * 2, connection).await;
            drop(permit);
        });
    }
}

fn page(request: &Request<Incoming>, proofs: &Proofs) -> Whole {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, proofs.render()),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let form = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(CONTENT_TYPE, form);
    response
}

fn answer(request: &Request<Incoming>, sessions: &watch::Receiver<Shared>) -> Whole {
    let ready = sessions
        .borrow()
        .as_ref()
        .is_some_and(|current| current.is_live());
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/live") => (StatusCode::OK, r#"{"live":true}"#),
        (&Method::GET | &Method::HEAD, "/ready") if ready => (StatusCode::OK, r#"{"ready":true}"#),
        (&Method::GET | &Method::HEAD, "/ready") => (
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"ready":false,"reason":"there is no session; the log says why"}"#,
        ),
        (_, "/live" | "/ready") => (StatusCode::METHOD_NOT_ALLOWED, "{}"),
        _ => (StatusCode::NOT_FOUND, "{}"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
