//! One request and one answer over a connection that stands.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    USER_AGENT,
};
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ErrorKind, Host, Request, Response, Target, times};
use crate::outside::{Method, TargetError, TlsFault};

/// How this program names itself.
const AGENT: &str = concat!("assay/", env!("CARGO_PKG_VERSION"));
/// Most bytes of an answer that are held at once; its status line and headers must fit in.
const BUFFER: usize = 16 * 1024;
/// Most headers of an answer.
const HEADERS: usize = 64;

pub(super) async fn handshake(
    config: Arc<ClientConfig>,
    tcp: TcpStream,
    target: &Target,
) -> Result<TlsStream<TcpStream>, ErrorKind> {
    let name = match &target.host {
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|_| ErrorKind::Url(TargetError::Host))?
        }
        Host::Address(address) => ServerName::from(*address),
    };
    let stream = TlsConnector::from(config).connect(name, tcp).await;
    stream.map_err(|error| ErrorKind::Tls(TlsFault::of(&error)))
}

/// Sends the request, reads the answer.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &Target,
    request: &Request,
) -> Result<Response, ErrorKind> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER).max_headers(HEADERS);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(broken)?;
    let answer = async {
        let answer = sender.send_request(framed(target, request)?).await;
        let (parts, body) = answer.map_err(broken)?.into_parts();
        look(parts.status, &parts.headers, request)?;
        // It says itself that it is too long.
        if body.size_hint().lower() > u64::try_from(request.max_body).unwrap_or(u64::MAX) {
            return Err(ErrorKind::TooLarge);
        }
        let body = Limited::new(body, request.max_body).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => ErrorKind::TooLarge,
            false => ErrorKind::Malformed,
        })?;
        Ok(Response {
            status: parts.status.as_u16(),
            body: body.to_bytes().into(),
            retry_after: times::retry_after(&parts.headers),
            fresh_for: times::fresh_for(&parts.headers),
        })
    };
    // The connection moves the bytes; it is dropped with this future, whichever way that ends.
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Err(error) => Err(broken(error)),
            // It has ended behind the answer, which is all there.
            Ok(()) => answer.await,
        },
    }
}

fn broken(error: hyper::Error) -> ErrorKind {
    match error.is_parse_too_large() {
        true => ErrorKind::TooLarge,
        false => ErrorKind::Malformed,
    }
}

/// Whether it is an answer, by its status and headers.
fn look(status: StatusCode, headers: &HeaderMap, request: &Request) -> Result<(), ErrorKind> {
    if status.is_redirection() {
        return Err(ErrorKind::Redirect(status.as_u16()));
    }
    if !status.is_success() && !request.any_status {
        return Err(ErrorKind::Status(status.as_u16()));
    }
    // Nobody asked for another, and what is small may unfold to what is not.
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(ErrorKind::ContentType);
    }
    // What is wrong is told in whatever form.
    if request.content_types.is_empty() || !status.is_success() {
        return Ok(());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next(), types.next()) else {
        return Err(ErrorKind::ContentType);
    };
    let essence = one.to_str().unwrap_or("").split(';').next().unwrap_or("");
    let known = |t: &&str| t.eq_ignore_ascii_case(essence.trim());
    match request.content_types.iter().any(known) {
        true => Ok(()),
        false => Err(ErrorKind::ContentType),
    }
}

/// The request as it is sent: the path alone, and the headers that belong to the connection.
fn framed(target: &Target, request: &Request) -> Result<hyper::Request<Full<Bytes>>, ErrorKind> {
    let wrong = ErrorKind::Url(TargetError::Character);
    let value = |text: &str| HeaderValue::try_from(text).map_err(|_| wrong);
    let body = match request.method {
        Method::Get => Bytes::new(),
        Method::Post | Method::Put => Bytes::copy_from_slice(&request.body),
    };
    let mut framed = hyper::Request::new(Full::new(body));
    *framed.method_mut() = match request.method {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
        Method::Put => hyper::Method::PUT,
    };
    *framed.uri_mut() = target.path.parse().map_err(|_| wrong)?;
    let headers = framed.headers_mut();
    for header in &request.headers {
        let mut content = value(&header.value)?;
        content.set_sensitive(true);
        headers.insert(HeaderName::from_static(header.name), content);
    }
    headers.insert(HOST, value(&target.authority())?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Ok(framed)
}
