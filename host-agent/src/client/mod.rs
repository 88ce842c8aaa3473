//! The verifier, as an agent with a network reaches it: requests to any of its addresses, and the login over them.

mod bundle;
mod error;
mod login;

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use assay_host::http::{Answer, Client, HttpError, Limits, Roots, RootsError};
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request};

pub use bundle::FetchError;
pub use error::{LoginError, MAX_RETRY_AFTER};
pub use login::{Granted, Renewable, log_in, renew};

/// What a request may cost. Behind a login may stand questions that the verifier asks others, and asks again.
const LIMITS: Limits = Limits {
    deadline: Duration::from_secs(60),
    body: 1024 * 1024,
};

/// The verifiers of a trust domain: replicas of which any will do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifiers {
    client: Client,
    addresses: Arc<[String]>,
    /// Which of them answered last.
    current: Arc<AtomicUsize>,
}

/// An answer, and who gave it.
#[derive(Debug)]
pub struct Answered {
    /// The verifier's address.
    pub by: String,
    /// What it says.
    pub answer: Answer,
}

impl Verifiers {
    /// Verifiers at these addresses, whose certificates come from `roots`.
    ///
    /// # Errors
    ///
    /// [`RootsError`].
    pub fn new(addresses: &[String], roots: &Roots) -> Result<Self, RootsError> {
        Ok(Self {
            client: Client::new(roots, LIMITS)?,
            addresses: addresses.into(),
            current: Arc::default(),
        })
    }

    /// Sends a request to the verifier that answered last, and to the others in turn when it is not there. A request that
    /// may have been worked on is not sent again.
    ///
    /// # Errors
    ///
    /// Why none of them, or not the one that took it, has answered.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answered, Vec<HttpError>> {
        let mut errors = Vec::new();
        let count = self.addresses.len();
        let first = self.current.load(Ordering::Relaxed);
        for number in (first..).take(count) {
            let index = number.checked_rem(count).unwrap_or(0);
            let Some(address) = self.addresses.get(index) else {
                break;
            };
            let request = request(&method, &format!("{address}{path}"), headers, body.clone());
            let result = match request {
                Ok(request) => self.client.send(request).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(answer) => {
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(Answered {
                        by: address.clone(),
                        answer,
                    });
                }
                Err(error) => {
                    // The next attempt begins with another.
                    self.current.store(index.wrapping_add(1), Ordering::Relaxed);
                    let unheard =
                        matches!(error, HttpError::Connect { .. } | HttpError::Tls { .. });
                    errors.push(error);
                    if !unheard {
                        break;
                    }
                }
            }
        }
        Err(errors)
    }
}

fn request(
    method: &Method,
    uri: &str,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Request<Bytes>, HttpError> {
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri
        .parse()
        .map_err(|_| HttpError::Url(format!("this is no URL: {uri}")))?;
    for (name, value) in headers {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    Ok(request)
}

/// Seconds to wait, as an answer says (RFC 9110, section 10.2.3); a date is not what this verifier writes.
#[must_use]
pub fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = answer.headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
