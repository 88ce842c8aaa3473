//! What is asked, and what comes back.

use core::time::Duration;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Reach;

/// How a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With one.
    Post,
    /// With one, or with an empty one.
    Put,
}

/// One header of a request. Its value may be a secret, so [`Debug`] does not show it, and it is erased when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Lower case.
    pub name: &'static str,
    /// As it is sent.
    pub value: Zeroizing<String>,
}

impl Header {
    /// A header.
    #[must_use]
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: Zeroizing::new(value.into()),
        }
    }
}

impl core::fmt::Debug for Header {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: [{} bytes]", self.name, self.value.len())
    }
}

/// A request: to whom, what, and what the answer may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Read by [`Target::parse`](super::Target::parse), which refuses all that is not plain.
    pub url: String,
    /// Besides `host`, `user-agent` and what frames the body, which are not for the caller to set.
    pub headers: Vec<Header>,
    /// Sent with [`Method::Post`] only.
    pub body: Vec<u8>,
    /// Longest body of the answer, bytes. A longer one is an error, and is not read to its end.
    pub max_body: usize,
    /// From the question for the name to the last byte of the answer.
    pub deadline: Duration,
    /// The method's rule for addresses.
    pub reach: Reach,
    /// The authorities (PEM) that the server's certificate must come from, and no others; `None`: those of the system.
    pub roots: Option<Arc<str>>,
    /// The media types that the answer may have, without parameters; empty: any, or none at all.
    pub content_types: &'static [&'static str],
    /// Whether the same was asked a moment ago, in vain: one question that is repeated fails once, however often it is.
    pub repeated: bool,
    /// Whether an answer that is no success is one all the same, with its body. A redirect is none in any case.
    pub any_status: bool,
}

impl Request {
    /// The longest answer unless the method says otherwise: 64 KiB.
    pub const MAX_BODY: usize = 64 * 1024;
    /// The deadline unless the method says otherwise: ten seconds.
    pub const DEADLINE: Duration = Duration::from_secs(10);

    /// Asks for what is there.
    #[must_use]
    pub fn get(url: impl Into<String>, reach: Reach) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            max_body: Self::MAX_BODY,
            deadline: Self::DEADLINE,
            reach,
            roots: None,
            content_types: &[],
            repeated: false,
            any_status: false,
        }
    }

    /// Sends a body of JSON and asks for JSON.
    #[must_use]
    pub fn post_json(url: impl Into<String>, reach: Reach, body: Vec<u8>) -> Self {
        let json = "application/json";
        Self {
            method: Method::Post,
            headers: vec![
                Header::new("content-type", json),
                Header::new("accept", json),
            ],
            body,
            content_types: &["application/json"],
            ..Self::get(url, reach)
        }
    }
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// From 200 to 299, unless the request took any.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// When the other side wants to be asked again (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// How long the other side says that this is fresh (RFC 9111 section 4.2.1).
    pub fresh_for: Option<Duration>,
}

impl Response {
    /// An answer that says nothing about time.
    #[must_use]
    pub const fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            retry_after: None,
            fresh_for: None,
        }
    }
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyLocation {
    /// The document at `<issuer>/.well-known/openid-configuration` says where.
    Discovery {
        /// The issuer's URL, literally as its tokens name it.
        issuer: String,
    },
    /// As `Discovery`, and the keys are on the issuer's own host: for issuers of which others may have one in the same domain.
    OwnDiscovery {
        /// As in `Discovery`.
        issuer: String,
    },
    /// A discovery document that is published elsewhere than behind its issuer.
    DiscoveryAt {
        /// The document's URL.
        document: String,
        /// The issuer, literally as its tokens name it.
        issuer: String,
    },
    /// The URL of the JWK set itself.
    Jwks(String),
}

impl KeyLocation {
    /// The URL that it begins with.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Discovery { issuer } | Self::OwnDiscovery { issuer } => issuer,
            Self::DiscoveryAt { document: url, .. } | Self::Jwks(url) => url,
        }
    }
}

/// An issuer's keys, and how they may be asked for. Two that are equal share one place of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeySource {
    /// Where.
    pub location: KeyLocation,
    /// The method's rule for addresses; also for the `jwks_uri` of a discovery document.
    pub reach: Reach,
    /// See [`Request::roots`].
    pub roots: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::{Header, Reach, Request};

    #[test]
    fn a_requests_debug_does_not_tell_what_its_headers_hold() {
        let mut request = Request::get("https://hook.example.org/", Reach::PUBLIC);
        let bearer = Header::new("authorization", "Bearer s3cret");
        request.headers.push(bearer);
        let told = format!("{request:?}");
        assert!(told.contains("authorization: [13 bytes]"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
}
