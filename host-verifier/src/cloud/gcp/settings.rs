//! How the operator set up what is asked of Google.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cloud::Answer;

/// Where Google publishes the keys that sign instances' identity tokens, as a JWK set.
const KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";
/// The Compute Engine API.
const COMPUTE: &str = "https://compute.googleapis.com";
/// The metadata server, by its address: its name is resolved by nobody but itself.
const METADATA: &str = "http://169.254.169.254";

/// `clouds.gcp` of `assayd.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Who asks the API.
    pub credentials: Credentials,
    /// Where the keys of Google's tokens are.
    pub keys_url: String,
    /// The origin of the Compute Engine API, without a slash at its end.
    pub compute: String,
    /// Where access tokens are asked for with a key file; without it, where the file says.
    pub token_url: Option<String>,
    /// The authorities (PEM) that all of these must have their certificates from; `None`: those of the system.
    pub roots: Option<Arc<str>>,
    /// How long an instance that was found is not asked for again.
    pub cache_ttl: Duration,
}

/// Who asks the API.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Credentials {
    /// The service account of the machine that the verifier runs on, by its metadata server, whose origin this is.
    Metadata(String),
    /// The service account whose key is in this file, which is read whenever it is needed.
    File(PathBuf),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            credentials: Credentials::Metadata(METADATA.to_owned()),
            keys_url: KEYS.to_owned(),
            compute: COMPUTE.to_owned(),
            token_url: None,
            roots: None,
            cache_ttl: Answer::POSITIVE,
        }
    }
}
