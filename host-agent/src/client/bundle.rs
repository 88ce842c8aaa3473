//! The bundle, as the verifier publishes it.

use assay_host::http::HttpError;
use hyper::body::Bytes;
use hyper::{Method, StatusCode};

use super::{Answered, Verifiers};
use crate::svid::bundle::{Bundle, BundleError};

/// Where the verifier has it.
const PATH: &str = "/v1/bundle/spiffe";

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No verifier has answered.
    #[error("no bundle: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unreachable(Vec<HttpError>),
    /// The verifier gives none.
    #[error("no bundle: HTTP {0}")]
    Status(u16),
    /// What it gives is none.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl Verifiers {
    /// Asks for the trust domain's bundle.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub async fn bundle(&self) -> Result<Bundle, FetchError> {
        let asked = self.ask(Method::GET, PATH, &[], Bytes::new()).await;
        let Answered { answer, .. } = asked.map_err(FetchError::Unreachable)?;
        match answer.status {
            StatusCode::OK => Ok(Bundle::parse(&answer.body)?),
            status => Err(FetchError::Status(status.as_u16())),
        }
    }
}
