//! Documents that seldom change: with an `ETag`, so that who asks again is told so in a line (RFC 9110, section 8.8.3).

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use axum::http::{HeaderMap, Response, StatusCode};

/// A document and its tag: the beginning of its SHA-256.
#[derive(Debug, Clone)]
pub struct Tagged {
    kind: &'static str,
    tag: HeaderValue,
    cache: HeaderValue,
    body: Bytes,
}

impl Tagged {
    /// A document of this media type.
    #[must_use]
    pub fn new(kind: &'static str, body: Bytes) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
        let short = digest.as_ref().get(..16).unwrap_or_default();
        let tag = format!("\"{}\"", hex::encode(short));
        Self {
            kind,
            // Hex digits in quotes always make a header.
            tag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")),
            cache: HeaderValue::from_static("no-cache"),
            body,
        }
    }

    /// That anybody may go on using for so long without asking again.
    #[must_use]
    pub fn fresh_for(self, seconds: u64) -> Self {
        let cache = format!("public, max-age={seconds}");
        Self {
            cache: HeaderValue::try_from(cache).unwrap_or(HeaderValue::from_static("no-cache")),
            ..self
        }
    }

    /// The document, or 304 for who has it.
    #[must_use]
    pub fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let known = headers.get_all(IF_NONE_MATCH).iter().any(|header| {
            let mut tags = header.as_bytes().split(|b| *b == b',');
            tags.any(|tag| {
                let tag = tag.trim_ascii();
                tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes()
            })
        });
        let mut response = match known {
            true => Response::new(Body::empty()),
            false => Response::new(Body::from(self.body.clone())),
        };
        let answer = response.headers_mut();
        answer.insert(ETAG, self.tag.clone());
        answer.insert(CACHE_CONTROL, self.cache.clone());
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            answer.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        response
    }
}
