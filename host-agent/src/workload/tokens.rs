//! JWT-SVIDs, which the verifier issues to whoever holds the session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::status::{Code, Status};
use crate::client::{Answered, Verifiers};
use crate::session::Current;

const PATH: &str = "/v1/svids/jwt";
/// Most tokens that are kept.
const KEPT: usize = 256;

/// A token is given out again while more than half of its life is left: a workload that asks for each of its requests is no
/// load for the verifier.
struct Kept {
    token: String,
    session: String,
    fresh_until: Instant,
}

/// Asks for tokens.
pub(super) struct Tokens {
    verifiers: Verifiers,
    /// Told when the verifier no longer knows the session.
    lost: watch::Sender<Option<String>>,
    kept: Mutex<HashMap<Vec<String>, Kept>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    svid: String,
    expires_at: Timestamp,
}

impl Tokens {
    pub(super) fn new(verifiers: Verifiers, lost: watch::Sender<Option<String>>) -> Self {
        Self {
            verifiers,
            lost,
            kept: Mutex::default(),
        }
    }

    /// A token of the session for these audiences.
    pub(super) async fn fetch(
        &self,
        current: &Current,
        audiences: Vec<String>,
    ) -> Result<String, Status> {
        if let Some(token) = self.kept(current, &audiences) {
            return Ok(token);
        }
        let unavailable = |what: &str| Status::new(Code::Unavailable, what);
        let secret = Zeroizing::new(STANDARD.encode(current.secret.as_slice()));
        let header = Zeroizing::new(format!("Assay {}.{}", current.session_id, *secret));
        let header = HeaderValue::try_from(header.as_str());
        let mut header = header.map_err(|_| unavailable("the session cannot be used"))?;
        header.set_sensitive(true);
        let body = serde_json::json!({ "audience": audiences }).to_string();
        let json = HeaderValue::from_static("application/json");
        let headers = [(AUTHORIZATION, header), (CONTENT_TYPE, json)];
        let asked = self
            .verifiers
            .ask(Method::POST, PATH, &headers, Bytes::from(body));
        let Answered { answer, .. } = asked
            .await
            .map_err(|_| unavailable("the verifier is not reached"))?;
        match answer.status {
            StatusCode::OK => {
                let issued = serde_json::from_slice::<Issued>(&answer.body);
                let issued =
                    issued.map_err(|_| unavailable("the verifier's answer is no token"))?;
                self.keep(current, audiences, &issued);
                Ok(issued.svid)
            }
            StatusCode::UNAUTHORIZED => {
                self.lost.send_replace(Some(current.session_id.clone()));
                Err(unavailable("the session is over; the agent logs in anew"))
            }
            StatusCode::BAD_REQUEST => Err(Status::new(
                Code::InvalidArgument,
                "the verifier refuses the audience",
            )),
            _ => Err(unavailable("the verifier issues no token now")),
        }
    }

    fn kept(&self, current: &Current, audiences: &[String]) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(audiences)?;
        let fresh = found.session == current.session_id && Instant::now() < found.fresh_until;
        fresh.then(|| found.token.clone())
    }

    fn keep(&self, current: &Current, audiences: Vec<String>, issued: &Issued) {
        let left = issued.expires_at.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            let now = Instant::now();
            kept.retain(|_, token| now < token.fresh_until);
        }
        if kept.len() < KEPT {
            let token = Kept {
                token: issued.svid.clone(),
                session: current.session_id.clone(),
                fresh_until: Instant::now() + left / 2,
            };
            kept.insert(audiences, token);
        }
    }
}
