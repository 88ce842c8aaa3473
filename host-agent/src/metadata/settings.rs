//! What the settings of all methods that ask a metadata service have in common.

use std::time::Duration;

use super::client::{Client, Patience};
use super::endpoint::Endpoint;
use crate::method::MethodError;

/// What all requests of one proof may take, unless the settings say otherwise; and what they may say.
const TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(120));
/// How often a request is made again.
const RETRIES: u8 = 3;
const MOST_RETRIES: u8 = 10;
/// The first pause between two.
const DELAY: Duration = Duration::from_secs(1);
const DELAYS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(30));

/// The settings as they stand in a method's `config`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asking<'a> {
    /// `metadataEndpoint`.
    pub endpoint: Option<&'a str>,
    /// `timeout`: the whole of one request, with all its attempts.
    pub timeout: Option<&'a str>,
    /// `maxRetries`.
    pub max_retries: Option<u8>,
    /// `retryDelay`: the first pause; it doubles.
    pub retry_delay: Option<&'a str>,
}

impl Asking<'_> {
    /// A client with these settings.
    ///
    /// # Errors
    ///
    /// [`MethodError`] for one that can never work.
    pub fn client(&self, default: &str) -> Result<Client, MethodError> {
        let endpoint = Endpoint::of(self.endpoint.unwrap_or(default))
            .map_err(|error| MethodError::new(format!("metadataEndpoint: {error}"), error.hint))?;
        Ok(Client::new(endpoint, self.patience()?))
    }

    /// How long is waited, and how often is asked.
    ///
    /// # Errors
    ///
    /// As [`Self::client`].
    pub fn patience(&self) -> Result<Patience, MethodError> {
        let retries = self.max_retries.unwrap_or(RETRIES);
        if retries > MOST_RETRIES {
            let what = format!("maxRetries: {retries} is more than {MOST_RETRIES}");
            return Err(MethodError::new(what, "0 to 10; 3 where it is left out"));
        }
        Ok(Patience {
            timeout: span("timeout", self.timeout, TIMEOUT, TIMEOUTS)?,
            retries: u32::from(retries),
            delay: span("retryDelay", self.retry_delay, DELAY, DELAYS)?,
        })
    }
}

fn span(
    name: &str,
    text: Option<&str>,
    default: Duration,
    range: (Duration, Duration),
) -> Result<Duration, MethodError> {
    let Some(text) = text else {
        return Ok(default);
    };
    let span = text.parse::<jiff::SignedDuration>().ok();
    let span = span.and_then(|span| Duration::try_from(span).ok());
    let span = span.filter(|span| (range.0..=range.1).contains(span));
    span.ok_or_else(|| {
        let what = format!(
            "{name}: `{}` is not from {:?} to {:?}",
            text.escape_debug(),
            range.0,
            range.1
        );
        MethodError::new(what, "e.g. `10s` or `500ms`")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Asking;

    #[test]
    fn what_can_never_work_is_refused_by_name() {
        let right = Asking {
            endpoint: Some("http://127.0.0.1:1"),
            timeout: Some("2s"),
            max_retries: Some(10),
            retry_delay: Some("10ms"),
        };
        let patience = right.patience().map(|p| (p.timeout, p.retries, p.delay));
        let expected = (Duration::from_secs(2), 10, Duration::from_millis(10));
        assert_eq!(patience, Ok(expected));
        for (name, wrong) in [
            (
                "metadataEndpoint",
                Asking {
                    endpoint: Some("https://a"),
                    ..right
                },
            ),
            (
                "timeout",
                Asking {
                    timeout: Some("0s"),
                    ..right
                },
            ),
            (
                "timeout",
                Asking {
                    timeout: Some("1h"),
                    ..right
                },
            ),
            (
                "timeout",
                Asking {
                    timeout: Some("-1s"),
                    ..right
                },
            ),
            (
                "timeout",
                Asking {
                    timeout: Some("soon"),
                    ..right
                },
            ),
            (
                "maxRetries",
                Asking {
                    max_retries: Some(11),
                    ..right
                },
            ),
            (
                "retryDelay",
                Asking {
                    retry_delay: Some("31s"),
                    ..right
                },
            ),
        ] {
            let error = wrong.client("http://169.254.169.254");
            let named = error.is_err_and(|error| {
                error.what.starts_with(&format!("{name}: ")) && !error.hint.is_empty()
            });
            assert!(named, "{name}");
        }
    }
}
