//! Errors as they are answered: RFC 9457 `application/problem+json`, with a stable code and a hint.

use core::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::store::StoreError;

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not answered as it asked (RFC 9457, section 3). `type` is `about:blank`: the status says the kind, and
/// `code` what exactly, for programs.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(example = json!({
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "code": "no-such-session",
    "detail": "there is no session 00112233445566778899aabbccddeeff",
    "hint": "GET /v1/sessions lists those that have not ended"
}))]
pub struct Problem {
    /// Always `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What exactly, in words that do not change: letters, digits and hyphens.
    code: &'static str,
    /// What is wrong with this request.
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Where in a document that was sent: members `file`, `line` and `column`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    place: Option<Box<Place>>,
    #[serde(skip)]
    retry_after: Option<u32>,
}

/// The code of a problem; in the extensions of its answer, for whoever records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub &'static str);

/// A place in a document that was sent.
#[derive(Debug, Clone, Serialize)]
struct Place {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            hint: None,
            place: None,
            retry_after: None,
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// With the place of what is wrong in a document that was sent; line and column count from 1, 0 is no place.
    #[must_use]
    pub fn at(self, file: &str, line: u64, column: u64) -> Self {
        Self {
            place: Some(Box::new(Place {
                file: file.to_owned(),
                line: Some(line).filter(|line| *line > 0),
                column: Some(column).filter(|column| *column > 0),
            })),
            ..self
        }
    }

    /// With the time after which it may be tried again, in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            retry_after: Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1)),
            ..self
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What exactly.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Something that the request got wrong.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Something that is not there.
    #[must_use]
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Something of ours. The caller learns that and no more; the log has `error`.
    #[must_use]
    pub fn internal(error: &dyn core::fmt::Display) -> Self {
        tracing::error!(%error, "{}", crate::telemetry::names::API_FAILED);
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request could not be worked on",
        )
        .hint("the log of assayd says why")
    }
}

/// The store does not do its part now. What exactly is in the log.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "{}", crate::telemetry::names::API_FAILED);
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store-unavailable",
            "the store does not answer",
        )
        .hint("/ready says what is not ready, the log of assayd why")
        .retry_after(Duration::from_secs(3))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        // Strings and a number always serialize.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        response.extensions_mut().insert(Code(self.code));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        // RFC 9110, section 15.5.2 asks for it.
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            let scheme = HeaderValue::from_static("Bearer realm=\"assay\"");
            headers.insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
