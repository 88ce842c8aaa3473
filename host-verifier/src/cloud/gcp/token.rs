//! Access tokens for the API.

use core::time::Duration;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::error::{error, origin};
use super::service_account::{KeyFileError, ServiceAccount};
use super::settings::{Credentials, Settings};
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Cloud, Key, Question};
use crate::outside::{Header, Method, Outside, Reach, Request, Response};

/// The operation, for errors.
const OPERATION: &str = "access token";
/// Where the metadata server has the token of the machine's own service account.
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// The metadata server is on this machine; what takes longer is not it.
const METADATA_DEADLINE: Duration = Duration::from_secs(3);
/// Longest token that is taken, bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// A token is asked for anew this long before it ends, so that none ends on its way. The metadata server hands out its old one
/// until five minutes before.
const SPARE: Duration = Duration::from_secs(60);
/// Longest that a token is used: a key that was withdrawn is noticed after that.
const LONGEST: Duration = Duration::from_secs(900);
/// A token that ends sooner is none.
const SHORTEST: Duration = Duration::from_secs(10);

/// A token for the Compute Engine API. The answer is the token itself, and a secret.
#[derive(Debug)]
pub(super) struct TokenQuestion {
    pub(super) settings: Arc<Settings>,
}

#[derive(Deserialize)]
struct Granted {
    #[serde(deserialize_with = "super::secret")]
    access_token: Zeroizing<String>,
    expires_in: u64,
    token_type: String,
}

impl Question for TokenQuestion {
    fn key(&self) -> Key {
        let (lane, what) = match &self.settings.credentials {
            Credentials::Metadata(metadata) => ("metadata", metadata.clone()),
            Credentials::File(path) => ("token", path.display().to_string()),
        };
        Key {
            cloud: Cloud::Gcp,
            lane: lane.to_owned(),
            what: format!("{OPERATION} {what}"),
        }
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let request = match &self.settings.credentials {
                Credentials::Metadata(metadata) => of_metadata(metadata),
                Credentials::File(path) => {
                    let (path, settings) = (path.clone(), self.settings.clone());
                    // A file, and an RSA key's signature: neither holds up the runtime.
                    let made = tokio::task::spawn_blocking(move || of_file(&path, &settings)).await;
                    let shown = "the key file";
                    let failed = |kind| CallError::new(shown, OPERATION, kind);
                    let made = made.map_err(|_| failed(CallErrorKind::Lost))?;
                    made.map_err(|why| failed(CallErrorKind::Credentials(why.reason())))?
                }
            };
            let response = outside.fetch(&request).await;
            let response = response.map_err(|error| CallError::outside(OPERATION, error))?;
            read(&request.url, &response, &self.settings.credentials)
        })
    }
}

fn of_metadata(metadata: &str) -> Request {
    Request {
        headers: vec![Header::new("metadata-flavor", "Google")],
        max_body: MAX_TOKEN + 1024,
        deadline: METADATA_DEADLINE,
        any_status: true,
        ..Request::get(format!("{metadata}{METADATA_PATH}"), Reach::METADATA)
    }
}

fn of_file(path: &std::path::Path, settings: &Settings) -> Result<Request, KeyFileError> {
    let account = ServiceAccount::read(path)?;
    let url = settings.token_url.as_ref().unwrap_or(&account.token_uri);
    let assertion = account.assertion(url, Timestamp::now())?;
    // All characters of an assertion stand for themselves in a form.
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
        *assertion
    );
    Ok(Request {
        method: Method::Post,
        headers: vec![
            Header::new("content-type", "application/x-www-form-urlencoded"),
            Header::new("accept", "application/json"),
        ],
        body: body.into_bytes(),
        max_body: MAX_TOKEN + 1024,
        roots: settings.roots.clone(),
        any_status: true,
        ..Request::get(url.clone(), Reach::OPERATORS)
    })
}

fn read(url: &str, response: &Response, by: &Credentials) -> Result<Answer, CallError> {
    let failed = |kind| CallError::new(origin(url), OPERATION, kind);
    match (response.status, by) {
        (200, _) => {}
        (404, Credentials::Metadata(_)) => {
            let why = "this machine has no service account";
            return Err(failed(CallErrorKind::Credentials(why)));
        }
        // `invalid_grant`: the account is gone, its key was deleted, or this machine's clock is wrong.
        (400, Credentials::File(_)) => {
            let told = error(url, OPERATION, response);
            let kind = CallErrorKind::Denied;
            return Err(CallError { kind, ..told });
        }
        _ => return Err(error(url, OPERATION, response)),
    }
    let content = |why| failed(CallErrorKind::Content(why));
    let granted: Granted =
        serde_json::from_slice(&response.body).map_err(|_| content("no token in it"))?;
    if !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err(content("the token is no bearer token"));
    }
    // Google fills tokens up with dots, which stand for nothing and are part of them.
    let token = granted.access_token.as_bytes();
    let plain = token.iter().all(u8::is_ascii_graphic);
    if token.is_empty() || token.len() > MAX_TOKEN || !plain {
        return Err(content("the token is none that can be sent"));
    }
    let lasts = Duration::from_secs(granted.expires_in);
    if lasts < SHORTEST {
        return Err(content("the token is over"));
    }
    // Half the time of one that lasts no longer than what is spared.
    let kept = lasts.saturating_sub(SPARE).max(lasts / 2).min(LONGEST);
    Ok(Answer::new(token.to_vec(), kept))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use core::time::Duration;

    use super::{LONGEST, read};
    use crate::cloud::gcp::Credentials;
    use crate::cloud::{Answer, CallError, CallErrorKind};
    use crate::outside::Response;

    const URL: &str = "https://oauth2.googleapis.com/token";

    fn of_file(status: u16, body: &str) -> Result<Answer, CallError> {
        let by = Credentials::File("key.json".into());
        read(URL, &Response::new(status, body.into()), &by)
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end() {
        let lasting = |seconds: u64| {
            let body = format!(
                r#"{{"access_token":"ya29.c...","expires_in":{seconds},"token_type":"Bearer","x":1}}"#
            );
            of_file(200, &body).map(|answer| {
                assert_eq!(&**answer.body, b"ya29.c...");
                answer.kept
            })
        };
        assert_eq!(lasting(3599).unwrap(), LONGEST);
        assert_eq!(lasting(600).unwrap(), Duration::from_secs(540));
        assert_eq!(lasting(60).unwrap(), Duration::from_secs(30));
        assert!(lasting(9).is_err());
    }

    #[test]
    fn what_is_no_token_is_an_error() {
        for body in [
            "",
            "{}",
            r#"{"access_token":"","expires_in":3599,"token_type":"Bearer"}"#,
            r#"{"access_token":"a b","expires_in":3599,"token_type":"Bearer"}"#,
            r#"{"access_token":"a\r\nx: y","expires_in":3599,"token_type":"Bearer"}"#,
            r#"{"access_token":"a","expires_in":3599,"token_type":"MAC"}"#,
            r#"{"access_token":"a","expires_in":"3599","token_type":"Bearer"}"#,
            r#"{"id_token":"a"}"#,
        ] {
            let told = of_file(200, body).unwrap_err().kind;
            assert!(matches!(told, CallErrorKind::Content(_)), "{body}: {told}");
        }
        let told = of_file(400, r#"{"error":"invalid_grant"}"#).unwrap_err();
        assert_eq!(told.kind, CallErrorKind::Denied);
        assert_eq!(told.code.as_str(), "invalid_grant");
        let by = Credentials::Metadata("http://169.254.169.254".to_owned());
        let told = read(URL, &Response::new(404, Vec::new()), &by).unwrap_err();
        assert!(matches!(told.kind, CallErrorKind::Credentials(_)));
    }
}
