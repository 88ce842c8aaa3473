//! The instance metadata service of Azure: `GET` with the header `Metadata: true`, which no forged link carries.

use std::time::Duration;

use assay_host::document::visible;
use serde::Deserialize;

use super::Cloud;
use super::client::{Answer, Client, Question};
use crate::method::MethodError;

/// Where it is.
pub const ENDPOINT: &str = "http://169.254.169.254";

/// One attempt. The service asks others for some answers.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest word of the service that is told on, characters.
const TOLD: usize = 200;

/// What the service says when it refuses (RFC 6749, section 5.2, as Entra has it).
#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

/// The words of a refusal, for people; empty when there are none.
pub(crate) fn words(answer: &Answer) -> String {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(&answer.body) else {
        return String::new();
    };
    let both = format!("{}: {}", refusal.error, refusal.error_description);
    let both = visible(both.trim_matches([':', ' ']));
    both.chars().take(TOLD).collect()
}

/// Asks for a path with a query, and returns the answer with status 200; the others are `refused`'s to explain, which returns
/// a hint or `None` for what this module knows itself.
///
/// # Errors
///
/// [`MethodError`].
pub fn get(
    client: &Client,
    path: &str,
    refused: impl Fn(&Answer) -> Option<&'static str>,
) -> Result<Answer, MethodError> {
    let mut question = Question::get(path, WITHIN).with("metadata", "true");
    question.waits_for_gone = true;
    let answer = client
        .ask(&question)
        .map_err(|error| Cloud::Azure.unasked(&error))?;
    if let Some(error) = Cloud::Azure.elsewhere(&answer) {
        return Err(error);
    }
    if answer.status == 200 {
        return Ok(answer);
    }
    let hint = refused(&answer).unwrap_or_else(|| general(answer.status));
    let shown = path.split('?').next().unwrap_or_default();
    let words = words(&answer);
    let words = match words.as_str() {
        "" => String::new(),
        words => format!(": {words}"),
    };
    let what = format!("{}{shown}: HTTP {}{words}", answer.by, answer.status);
    Err(MethodError::new(what, hint))
}

const fn general(status: u16) -> &'static str {
    match status {
        400 => {
            "something between takes the header `Metadata` away, or adds `X-Forwarded-For`: let this process ask the address \
             itself, without a proxy"
        }
        403 => "this process may not ask it: look for a firewall rule or a network policy",
        404 | 405 => "this is no virtual machine of Azure, or something that imitates one",
        410 => {
            "the service has been away for 70 s, as during updates of the host; the agent asks again by itself"
        }
        429 => {
            "too many requests of this machine, five a second are free; the agent asks again by itself"
        }
        300..=399 => "something between redirects, which nobody follows",
        _ => "the service is broken or overloaded; the agent asks again by itself",
    }
}
