//! One connection: what it does, and when it has done nothing for too long.
//!
//! hyper bounds what a connection may send; this bounds how long it may take. Three deadlines, of which the one that fits
//! holds: with nothing to do, the idle timeout; from the first byte of a request's head to its last (HTTP/1.1), the header
//! timeout; from there to the end of the answer, twice the request timeout.
//!
//! # Why hyper's own header timeout is off
//!
//! It runs between requests too, so that it would close every agent's connection after some seconds of rest.

use core::convert::Infallible;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower::Service as _;

use super::peer::Peer;
use crate::config::ApiLimits;

/// Streams that one HTTP/2 connection may have open.
const STREAMS: u32 = 64;
/// Streams that were reset and not yet looked at, and streams that we reset, before the connection is ended
/// (CVE-2023-44487, RUSTSEC-2024-0003).
const RESETS: usize = 20;
/// HTTP/2 receive windows, bytes: of a stream, and of a connection. Half a MiB is what a connection may make us keep.
const WINDOWS: (u32, u32) = (128 * 1024, 512 * 1024);
/// Longest HTTP/2 frame, bytes: the protocol's least.
const FRAME: u32 = 16 * 1024;
/// What may wait to be sent on an HTTP/2 stream, bytes.
const SEND: usize = 64 * 1024;
/// When nothing was heard for the first of these times, a PING is sent, and must be answered within the second.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));
/// Most header fields of an HTTP/1.1 request.
const FIELDS: usize = 64;

/// Serves a connection until it ends, its time is up, or `stop` and the requests in flight are done.
pub(super) async fn serve<S>(
    stream: S,
    http2: bool,
    peer: Peer,
    router: Router,
    limits: &ApiLimits,
    stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(limits));
    let service = Exchange {
        router,
        peer,
        activity: activity.clone(),
    };
    if http2 {
        let io = TokioIo::new(stream);
        let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .max_frame_size(FRAME)
            .max_send_buf_size(SEND)
            .max_header_list_size(header_bytes)
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
            .serve_connection(io, service);
        drive(connection, &activity, limits, stop).await;
    } else {
        let io = TokioIo::new(Heard {
            stream,
            activity: activity.clone(),
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(FIELDS)
            .max_header_size(limits.header_bytes)
            // The head, and as much of a body.
            .max_buf_size(limits.header_bytes.saturating_mul(2).max(8192))
            .serve_connection(io, service);
        drive(connection, &activity, limits, stop).await;
    }
}

/// A connection of either protocol.
trait Connection: Future<Output = hyper::Result<()>> {
    /// No more requests; those in flight are finished.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B> Connection for http1::Connection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: HttpBody + 'static,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B, E> Connection for http2::Connection<I, S, E>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: HttpBody + 'static,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn drive<C: Connection>(
    connection: C,
    activity: &Activity,
    limits: &ApiLimits,
    mut stop: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    let mut stopping = pin!(stop.wait_for(|stop| *stop));
    let mut sleep = pin!(sleep_until(activity.deadline().0));
    // Once the connection was asked to finish: until when it may take.
    let mut finishing = None;
    let mut stopped = false;
    core::future::poll_fn(|cx| {
        loop {
            // An error is the peer's: it sent what is no HTTP, or is gone.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !stopped && stopping.as_mut().poll(cx).is_ready() {
                stopped = true;
                finishing = Some(Instant::now() + limits.drain_timeout);
                connection.as_mut().finish();
                continue;
            }
            // What was polled may have changed what is waited for.
            let (at, idle) = match finishing {
                Some(at) => (at, false),
                None => activity.deadline(),
            };
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if !idle {
                return Poll::Ready(());
            }
            finishing = Some(Instant::now() + limits.request_timeout);
            connection.as_mut().finish();
        }
    })
    .await;
}

/// What a connection is doing.
struct Activity {
    idle: Duration,
    header: Duration,
    exchange: Duration,
    state: Mutex<State>,
}

struct State {
    next: u64,
    /// When each request that is not answered to the end arrived.
    running: BTreeMap<u64, Instant>,
    /// Since when there is none.
    idle_since: Instant,
    /// When the first byte of a request's head came, while the head is not whole.
    reading_since: Option<Instant>,
}

impl Activity {
    fn new(limits: &ApiLimits) -> Self {
        Self {
            idle: limits.idle_timeout,
            header: limits.header_timeout,
            exchange: limits.request_timeout * 2,
            state: Mutex::new(State {
                next: 0,
                running: BTreeMap::new(),
                idle_since: Instant::now(),
                reading_since: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when something must happen, and whether that is for want of anything to do.
    fn deadline(&self) -> (Instant, bool) {
        let state = self.state();
        match (state.running.values().next(), state.reading_since) {
            (Some(oldest), _) => (*oldest + self.exchange, false),
            (None, Some(since)) => (since + self.header, false),
            (None, None) => (state.idle_since + self.idle, true),
        }
    }

    fn heard(&self) {
        let mut state = self.state();
        if state.running.is_empty() && state.reading_since.is_none() {
            state.reading_since = Some(Instant::now());
        }
    }

    fn begin(self: &Arc<Self>) -> Running {
        let mut state = self.state();
        state.reading_since = None;
        let number = state.next;
        state.next += 1;
        state.running.insert(number, Instant::now());
        drop(state);
        Running {
            activity: self.clone(),
            number,
        }
    }
}

/// A request in flight.
struct Running {
    activity: Arc<Activity>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.running.remove(&self.number);
        state.idle_since = Instant::now();
    }
}

/// A stream that tells when bytes come.
struct Heard<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.heard();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Hands requests to the router, with who sent them.
#[derive(Clone)]
struct Exchange {
    router: Router,
    peer: Peer,
    activity: Arc<Activity>,
}

impl hyper::service::Service<Request<Incoming>> for Exchange {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let running = self.activity.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Answer {
                body,
                _running: running,
            }))
        })
    }
}

/// The body of an answer; its request is in flight until it is sent.
struct Answer {
    body: Body,
    _running: Running,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
