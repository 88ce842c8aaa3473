//! `POST /v1/login`: the login of agents that have a network. The same messages as on a line, in an envelope
//! ([`assay_common::protocol::envelope`]), as postcard or as JSON.

mod json;

use assay_common::protocol::DenyCode;
use assay_common::protocol::envelope::{self, LoginAnswer, LoginRequest};
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::extract::Raw;
use super::{ApiState, Peer, Problem};
use crate::blobs::Blobs;
use crate::login::Denied;
use crate::server::Reply;

use json::{JsonAnswer, JsonRequest};

/// How a body is written; the answer is written as the request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Postcard,
    Json,
}

impl Form {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        // A parameter, `charset` say, changes nothing of either.
        let essence = value.split(';').next()?.trim();
        if essence.eq_ignore_ascii_case(envelope::POSTCARD) {
            Some(Self::Postcard)
        } else if essence.eq_ignore_ascii_case(envelope::JSON) {
            Some(Self::Json)
        } else {
            None
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Postcard => envelope::POSTCARD,
            Self::Json => envelope::JSON,
        }
    }
}

/// A request with nothing borrowed.
struct Asked {
    state: Vec<u8>,
    blobs: Blobs,
    message: Vec<u8>,
}

/// One message of a login, and the verifier's answer
///
/// The body is the envelope as postcard, or as the JSON below, and so is the answer. The `state` of an answer goes into the next request as it
/// came; any verifier of the trust domain takes it. A refusal carries the message `denied` and a status that says what
/// kind it is.
#[utoipa::path(
    post,
    path = "/v1/login",
    tag = "login",
    operation_id = "login",
    request_body(content(
        (JsonRequest = "application/json"),
        (Postcard = "application/postcard"),
    )),
    responses(
        (status = 200, description = "A challenge, a grant or a renewal.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
        (status = 204, description = "A report of trouble was noted."),
        (status = 400, description = "The message breaks the protocol, or no version is in common.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
        (status = 403, description = "Refused: by a proof, by every policy, or a full login is required.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
        (status = 404, description = "The cluster is not known here.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
        (status = 408, description = "The login took too long; begin again.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
        (status = 429, description = "Too many logins at once; Retry-After says when to come back.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
        (status = 500, description = "The verifier has a fault or is misconfigured.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
        (status = 503, description = "The verifier cannot decide now; Retry-After says when to come back.", content((JsonAnswer = "application/json"), (Postcard = "application/postcard"))),
    )
)]
pub(super) async fn login(
    State(api): State<ApiState>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Response<Body> {
    let Some(form) = Form::of(&headers) else {
        return Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            "a login is application/postcard or application/json",
        )
        .hint("set Content-Type")
        .into_response();
    };
    let asked = match read(form, &body) {
        Ok(asked) => asked,
        Err(detail) => {
            return Problem::bad_request("login-envelope", detail)
                .hint("/openapi.json describes the body")
                .into_response();
        }
    };
    // The port of a peer says nothing, and every request may have another.
    let link = format!("https:{}", peer.address.ip());
    let turn = api.logins.clone().turn_to_its_end(
        api.server.clone(),
        link,
        asked.state,
        asked.blobs,
        asked.message,
    );
    answer(form, &turn.await)
}

fn read(form: Form, body: &[u8]) -> Result<Asked, String> {
    let asked = match form {
        Form::Json => JsonRequest::read(body)?,
        Form::Postcard => {
            let request: LoginRequest<'_> = assay_common::protocol::decode(body)
                .map_err(|error| format!("the envelope is no postcard of its kind: {error}"))?;
            let mut blobs = Blobs::default();
            for blob in &request.blobs {
                blobs
                    .put(blob.blob, blob.bytes)
                    .map_err(|error| error.to_string())?;
            }
            Asked {
                state: request.state.to_vec(),
                blobs,
                message: request.message.to_vec(),
            }
        }
    };
    if asked.state.len() > envelope::MAX_STATE {
        return Err(format!("a state of {} bytes", asked.state.len()));
    }
    if asked.message.len() > envelope::MAX_MESSAGE {
        return Err(format!("a message of {} bytes", asked.message.len()));
    }
    Ok(asked)
}

fn answer(form: Form, reply: &Reply) -> Response<Body> {
    let status = match &reply.denied {
        None if reply.message.is_empty() => return StatusCode::NO_CONTENT.into_response(),
        None => StatusCode::OK,
        Some(denied) => status_of(denied),
    };
    let body = match form {
        Form::Json => serde_json::to_vec(&JsonAnswer::new(reply)).ok(),
        Form::Postcard => postcard::to_allocvec(&LoginAnswer {
            state: &reply.state,
            message: &reply.message,
        })
        .ok(),
    };
    let Some(body) = body else {
        return Problem::internal(&"an answer that cannot be written").into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    if let Some(denied) = &reply.denied
        && (status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE)
    {
        headers.insert(RETRY_AFTER, HeaderValue::from(denied.retry_after_s.max(1)));
    }
    response
}

/// The status for whoever reads statuses: proxies, dashboards, people.
const fn status_of(denied: &Denied) -> StatusCode {
    match denied.code {
        DenyCode::MALFORMED | DenyCode::UNSUPPORTED_VERSION => StatusCode::BAD_REQUEST,
        DenyCode::REFUSED | DenyCode::NO_POLICY | DenyCode::LOGIN_REQUIRED => StatusCode::FORBIDDEN,
        DenyCode::UNKNOWN_CLUSTER => StatusCode::NOT_FOUND,
        DenyCode::EXPIRED => StatusCode::REQUEST_TIMEOUT,
        DenyCode::OVERLOADED => StatusCode::TOO_MANY_REQUESTS,
        DenyCode::UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An envelope in postcard: `LoginRequest` and `LoginAnswer` of the protocol.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes what is read and written as bytes")]
struct Postcard(Vec<u8>);

/// Base64 with padding, as JSON carries bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, utoipa::ToSchema)]
#[schema(value_type = String, format = Byte)]
pub struct Base64(pub Vec<u8>);

impl serde::Serialize for Base64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine;
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
        bytes.map(Self).map_err(serde::de::Error::custom)
    }
}
