//! The metadata server of Compute Engine: `GET` with the header `Metadata-Flavor: Google`, which has to be in the answer too.

use std::time::Duration;

use super::client::{Answer, Client, Question};
use super::{Cloud, FLAVOR};
use crate::method::MethodError;

/// Where it is. By address: its name, `metadata.google.internal`, is as good as the resolver.
pub const ENDPOINT: &str = "http://169.254.169.254";

/// One attempt.
const WITHIN: Duration = Duration::from_secs(10);

/// Asks for a path below `/computeMetadata/v1`; `None` when there is nothing there.
///
/// # Errors
///
/// [`MethodError`].
pub fn get(client: &Client, path: &str) -> Result<Option<Answer>, MethodError> {
    let question = Question::get(format!("/computeMetadata/v1{path}"), WITHIN);
    let question = question.with(FLAVOR, "Google");
    let answer = client
        .ask(&question)
        .map_err(|error| Cloud::Google.unasked(&error))?;
    if let Some(error) = Cloud::Google.elsewhere(&answer) {
        return Err(error);
    }
    if Cloud::of(&answer.headers) != Some(Cloud::Google) {
        let what = format!(
            "{}: HTTP {} without the header `Metadata-Flavor: Google`",
            answer.by, answer.status
        );
        let hint =
            "this is no metadata server of Google Cloud: something between answers in its place";
        return Err(MethodError::new(what, hint));
    }
    match answer.status {
        200 => Ok(Some(answer)),
        404 => Ok(None),
        status => {
            let hint = match status {
                403 => {
                    "something between takes the header `Metadata-Flavor` away, or adds `X-Forwarded-For`; or the cluster \
                     conceals its metadata"
                }
                429 => "too many requests of this machine; the agent asks again by itself",
                300..=399 => "something between redirects, which nobody follows",
                _ => "the server is broken or overloaded; the agent asks again by itself",
            };
            let shown = path.split('?').next().unwrap_or_default();
            let what = format!("{}{shown}: HTTP {status}", answer.by);
            Err(MethodError::new(what, hint))
        }
    }
}
