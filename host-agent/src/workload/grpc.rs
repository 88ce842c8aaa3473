//! gRPC over HTTP/2, from the server's side: one request message, and a stream of answers with a status at its end.

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::status::{Code, Status};

/// Longest request message, bytes: a token to be validated, and its audience.
const MAX_REQUEST: usize = 32 * 1024;
/// In front of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// A request whose message is not there after this never comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request that is refused is read to its end for so long, and up to so many bytes.
const GRACE: Duration = Duration::from_secs(2);
const MAX_REFUSED: usize = 1024 * 1024;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Shows that the caller is no browser and no confused proxy (SPIFFE Workload Endpoint, section 6.1).
const SECURITY: &str = "workload.spiffe.io";

/// Messages on their way to a workload; the way ends with a status.
pub(super) type Way = mpsc::Sender<Result<Vec<u8>, Status>>;

/// The body of an answer.
pub(super) struct Answers {
    coming: Option<mpsc::Receiver<Result<Vec<u8>, Status>>>,
}

impl Answers {
    /// A body, and the way into it. It holds one message: a workload that does not read is not written for.
    pub(super) fn new() -> (Way, Self) {
        let (way, coming) = mpsc::channel(1);
        let coming = Some(coming);
        (way, Self { coming })
    }
}

impl Body for Answers {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(coming) = &mut self.coming else {
            return Poll::Ready(None);
        };
        let frame = match ready!(coming.poll_recv(cx)) {
            Some(Ok(message)) => Frame::data(framed(&message)),
            Some(Err(status)) => {
                self.coming = None;
                Frame::trailers(trailers(status.code, &status.encoded()))
            }
            None => {
                self.coming = None;
                Frame::trailers(trailers(Code::Ok, ""))
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(PREFIX.saturating_add(message.len()));
    frame.push(0);
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    frame.extend(len.to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn trailers(code: Code, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from(code as u16));
    if let Ok(message) = HeaderValue::try_from(message)
        && !message.is_empty()
    {
        trailers.insert(GRPC_MESSAGE, message);
    }
    trailers
}

/// The answer whose messages come by a body.
pub(super) fn response(answers: Answers) -> Response<Answers> {
    let mut response = Response::new(answers);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// An answer that is a status alone.
pub(super) fn refusal(status: &Status) -> Response<Answers> {
    let mut response = response(Answers { coming: None });
    let trailers = trailers(status.code, &status.encoded());
    response.headers_mut().extend(trailers);
    response
}

/// Checks that a request is one of gRPC; the answer when it is none.
pub(super) fn check(request: &Parts) -> Result<(), Box<Response<Answers>>> {
    let content = request.headers.get(CONTENT_TYPE);
    let content = content.map_or(&b""[..], HeaderValue::as_bytes);
    let plain = |status| {
        let mut response = Response::new(Answers { coming: None });
        *response.status_mut() = status;
        Box::new(response)
    };
    if request.method != Method::POST {
        return Err(plain(StatusCode::METHOD_NOT_ALLOWED));
    }
    if content != b"application/grpc" && content != b"application/grpc+proto" {
        return Err(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let mut security = request.headers.get_all(SECURITY).iter();
    match (security.next(), security.next()) {
        (Some(value), None) if value == "true" => Ok(()),
        _ => {
            let message = format!("security header missing from request: {SECURITY}: true");
            Err(Box::new(refusal(&Status::new(
                Code::InvalidArgument,
                message,
            ))))
        }
    }
}

/// The one message of a request.
pub(super) async fn message(body: &mut Incoming) -> Result<Vec<u8>, Status> {
    let wrong = |what: &str| Status::new(Code::InvalidArgument, what);
    let whole = Limited::new(body, MAX_REQUEST).collect();
    let whole = tokio::time::timeout(PATIENCE, whole).await;
    let whole = whole.map_err(|_| wrong("no message in time"))?;
    let whole = whole.map_err(|_| Status::new(Code::ResourceExhausted, "a message too long"))?;
    let whole = whole.to_bytes();
    unframed(&whole).map(<[u8]>::to_vec).map_err(wrong)
}

/// Reads what is left of a request that is refused, and keeps nothing of it. After an answer before the request's end the
/// stream is reset (RFC 9113, section 8.1, and h2 does so), and clients that are sending still lose the answer with it, as
/// curl 7.88 does. One that does not end soon is answered all the same.
pub(super) async fn read_away(mut body: Incoming) {
    let rest = async {
        let mut read: usize = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if read > MAX_REFUSED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(GRACE, rest).await;
}

fn unframed(whole: &[u8]) -> Result<&[u8], &'static str> {
    let (prefix, message) = whole.split_first_chunk::<PREFIX>().ok_or("no message")?;
    let [compressed, len @ ..] = *prefix;
    if compressed != 0 {
        return Err("a compressed message");
    }
    match usize::try_from(u32::from_be_bytes(len)) {
        Ok(len) if len == message.len() => Ok(message),
        _ => Err("not one whole message"),
    }
}

#[cfg(test)]
mod tests {
    use super::{framed, unframed};

    #[test]
    fn one_whole_message_is_read_and_nothing_else() {
        assert_eq!(unframed(&framed(b"abc")), Ok(&b"abc"[..]));
        assert_eq!(unframed(&framed(b"")), Ok(&b""[..]));
        for bad in [
            &b""[..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 1],
            &[0, 0, 0, 0, 0, 1],
            &[1, 0, 0, 0, 0],
        ] {
            assert!(unframed(bad).is_err(), "{bad:?}");
        }
    }
}
