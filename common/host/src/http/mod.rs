//! Requests to other services: HTTPS only, with an end to everything.
//!
//! * The address is where it says: no proxy of the environment, no redirect. An answer that redirects is an answer.
//! * One deadline over all of it, from the name's resolution to the last byte of the body; one limit on the body's length.
//! * A connection per request: who asks seldom keeps nothing open, and no answer can be another request's.
//!
//! Built on what the listener is built on already. [`tls`] says whom it trusts.

pub mod tls;

use core::time::Duration;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use tls::{Roots, RootsError};

/// How this program names itself.
const AGENT: &str = concat!("assay/", env!("CARGO_PKG_VERSION"));

/// What a request may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first packet to the last byte of the answer.
    pub deadline: Duration,
    /// Longest body of an answer, bytes.
    pub body: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a URL that can be asked.
    #[error("{0}")]
    Url(String),
    /// Nobody answers there.
    #[error("{to}: {source}")]
    Connect {
        /// Name and port.
        to: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Whoever answers is not whom the URL names, or speaks no TLS.
    #[error("{to}: TLS: {source}")]
    Tls {
        /// Name and port.
        to: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The connection broke off, or what came is no HTTP.
    #[error("{to}: {source}")]
    Protocol {
        /// Name and port.
        to: String,
        /// What is wrong.
        source: hyper::Error,
    },
    /// The answer is longer than it may be, or broke off.
    #[error("{to}: the answer has more than {limit} bytes, or broke off")]
    Body {
        /// Name and port.
        to: String,
        /// The limit.
        limit: usize,
    },
    /// It took too long.
    #[error("{to}: no answer within {} s", .deadline.as_secs())]
    Late {
        /// Name and port.
        to: String,
        /// The limit.
        deadline: Duration,
    },
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// As it stands in the URL.
    authority: String,
}

impl Place {
    fn of(uri: &Uri) -> Result<Self, HttpError> {
        let wrong = |why: &str| HttpError::Url(format!("{why}: {uri}"));
        if uri.scheme_str() != Some("https") {
            return Err(wrong("not an https URL"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("no host in the URL"))?;
        if authority.as_str().contains('@') {
            // Not repeated: it may be a password.
            return Err(HttpError::Url("a URL with a user in it".to_owned()));
        }
        let host = authority.host();
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        Ok(Self {
            host: inner.unwrap_or(host).to_owned(),
            port: authority.port_u16().unwrap_or(443),
            authority: authority.as_str().to_owned(),
        })
    }
}

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    tls: Arc<rustls::ClientConfig>,
    limits: Limits,
}

impl Client {
    /// A client that trusts these authorities.
    ///
    /// # Errors
    ///
    /// [`RootsError`].
    pub fn new(roots: &Roots, limits: Limits) -> Result<Self, RootsError> {
        Ok(Self {
            tls: Arc::new(tls::config(roots)?),
            limits,
        })
    }

    /// Sends a request to where its URI says, and returns the whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; whether the request was worked on is not known then.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, HttpError> {
        let place = Place::of(request.uri())?;
        let deadline = self.limits.deadline;
        match tokio::time::timeout(deadline, self.exchange(&place, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Late {
                to: place.authority,
                deadline,
            }),
        }
    }

    async fn exchange(&self, place: &Place, request: Request<Bytes>) -> Result<Answer, HttpError> {
        let to = || place.authority.clone();
        let connect = |source| HttpError::Connect { to: to(), source };
        let name = ServerName::try_from(place.host.clone())
            .map_err(|_| HttpError::Url(format!("no host name: {}", place.host)))?;
        let tcp = TcpStream::connect((place.host.as_str(), place.port)).await;
        let tcp = tcp.map_err(connect)?;
        tcp.set_nodelay(true).map_err(connect)?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await;
        let stream = stream.map_err(|source| HttpError::Tls { to: to(), source })?;
        let protocol = |source| HttpError::Protocol { to: to(), source };
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(protocol)?;
        let answer = async {
            let answer = sender.send_request(framed(place, request)?).await;
            let (parts, body) = answer.map_err(protocol)?.into_parts();
            let limit = self.limits.body;
            let body = Limited::new(body, limit).collect().await;
            let body = body.map_err(|_| HttpError::Body { to: to(), limit })?;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        // The connection moves the bytes; it is dropped with this future, whichever way that ends.
        tokio::pin!(answer, connection);
        tokio::select! {
            answer = &mut answer => answer,
            ended = &mut connection => match ended {
                Err(source) => Err(protocol(source)),
                // It has ended behind the answer, which is all there.
                Ok(()) => answer.await,
            },
        }
    }
}

/// The request as it is sent to a server: the path alone, and the headers that belong to the connection.
fn framed(place: &Place, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, HttpError> {
    let wrong = |_| HttpError::Url(format!("no host name: {}", place.authority));
    let host = HeaderValue::try_from(&place.authority).map_err(wrong)?;
    let (
        Parts {
            method,
            uri,
            mut headers,
            ..
        },
        body,
    ) = request.into_parts();
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut framed = Request::new(Full::new(body));
    *framed.method_mut() = method;
    *framed.uri_mut() = path
        .parse()
        .map_err(|_| HttpError::Url(format!("no path: {path}")))?;
    *framed.headers_mut() = headers;
    Ok(framed)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::Place;

    #[test]
    fn a_url_leads_where_it_says_and_over_tls_only() {
        let place = |url: &str| {
            let place = Place::of(&url.parse().unwrap());
            place.map(|p| (p.host, p.port)).map_err(|e| e.to_string())
        };
        for (url, host, port) in [
            (
                "https://assay.example.org/v1/nodes?limit=1",
                "assay.example.org",
                443,
            ),
            ("https://assay.example.org:8443", "assay.example.org", 8443),
            ("https://[::1]:8443/", "::1", 8443),
            ("https://192.0.2.1/", "192.0.2.1", 443),
        ] {
            assert_eq!(place(url), Ok((host.to_owned(), port)), "{url}");
        }
        for url in ["http://example.org/", "/v1/nodes", "example.org:443"] {
            assert!(place(url).is_err(), "{url}");
        }
        let told = place("https://me:secret@example.org/").unwrap_err();
        assert!(!told.contains("secret"), "{told}");
    }
}
