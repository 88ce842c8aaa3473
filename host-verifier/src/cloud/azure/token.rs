//! Tokens for the resource manager: OAuth 2.0 client credentials at Entra.

use core::time::Duration;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::settings::{Credentials, Proof};
use super::{Access, Guid};
use crate::cloud::{Answer, Asking, CallError, CallErrorKind, Cloud, Key, Question};
use crate::outside::{Header, Method, Outside, Reach, Request, Response};

/// The operation, for errors.
const OPERATION: &str = "oauth2/v2.0/token";
/// Where a machine's own tokens are.
const METADATA: &str =
    "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01";
/// Longest secret or assertion, bytes.
const MAX_PROOF: u64 = 16 * 1024;
/// Longest token that is taken, bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// A token is asked for anew this long before it ends, so that none ends on its way.
const SPARE: Duration = Duration::from_secs(300);
/// A token that the service cannot live on is none.
const SHORTEST: Duration = Duration::from_secs(10);

/// A token of one application for one resource manager. The answer is the token itself, and a secret.
#[derive(Debug)]
pub(super) struct TokenQuestion {
    pub(super) access: Access,
}

#[derive(Deserialize)]
struct Granted {
    token_type: String,
    access_token: String,
    /// A number from Entra, digits in a text from the metadata service.
    expires_in: Seconds,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

impl Seconds {
    fn read(&self) -> Option<u64> {
        match self {
            Self::Number(seconds) => Some(*seconds),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

/// RFC 6749 section 5.2, and the numbers that Entra adds.
#[derive(Deserialize)]
struct Refused {
    error: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

impl Question for TokenQuestion {
    fn key(&self) -> Key {
        let Access {
            tenant,
            environment,
            login,
            audience,
            credentials,
            ..
        } = &self.access;
        let client = credentials
            .as_ref()
            .and_then(|known| known.client_id.as_ref());
        let client = client.map_or("-", |id| id.as_str());
        Key {
            cloud: Cloud::Azure,
            lane: format!("entra/{tenant}"),
            what: format!("token {environment} {login} {client} {audience}"),
        }
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let Some(credentials) = &self.access.credentials else {
                return Err(self.error(CallErrorKind::Credentials(
                    "the service has none for this tenant",
                )));
            };
            let request = self.request(credentials)?;
            let response = outside.fetch(&request).await;
            let response = response.map_err(|error| CallError::outside(OPERATION, error))?;
            self.read(&response)
        })
    }
}

impl TokenQuestion {
    fn error(&self, kind: CallErrorKind) -> CallError {
        CallError::new(&self.access.login, OPERATION, kind)
    }

    fn request(&self, credentials: &Credentials) -> Result<Request, CallError> {
        let client = credentials.client_id.as_ref();
        let (path, fields) = match &credentials.proof {
            Proof::ManagedIdentity => return Ok(self.to_metadata(client)),
            Proof::Secret(path) => (path, "&client_secret="),
            Proof::Assertion(path) => (
                path,
                "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=",
            ),
        };
        let proof = read(path).map_err(|why| self.error(CallErrorKind::Credentials(why)))?;
        let client = client.ok_or_else(|| {
            self.error(CallErrorKind::Credentials("there is no application's ID"))
        })?;
        let scope = form(&format!("{}/.default", self.access.audience));
        let mut body = format!(
            "grant_type=client_credentials&client_id={client}&scope={}",
            scope.as_str()
        );
        body.push_str(fields);
        body.push_str(&form(&proof));
        let url = format!("{}/{}/{OPERATION}", self.access.login, self.access.tenant);
        let form_type = "application/x-www-form-urlencoded";
        Ok(Request {
            method: Method::Post,
            headers: vec![
                Header::new("content-type", form_type),
                Header::new("accept", "application/json"),
            ],
            body: body.into_bytes(),
            roots: self.access.ca_certs.clone(),
            any_status: true,
            ..Request::get(url, Reach::OPERATORS)
        })
    }

    /// The service's own machine has an identity.
    fn to_metadata(&self, client: Option<&Guid>) -> Request {
        let audience = form(&format!("{}/", self.access.audience));
        let mut url = format!("{METADATA}&resource={}", audience.as_str());
        if let Some(client) = client {
            url.push_str(&format!("&client_id={client}"));
        }
        Request {
            headers: vec![Header::new("metadata", "true")],
            any_status: true,
            ..Request::get(url, Reach::METADATA)
        }
    }

    fn read(&self, response: &Response) -> Result<Answer, CallError> {
        if response.status != 200 {
            let kind = match response.status {
                // The metadata service says 410 while it is being renewed.
                429 | 410 => CallErrorKind::Throttled {
                    retry_after: response.retry_after,
                },
                500.. => CallErrorKind::Failed,
                400 | 401 | 403 => CallErrorKind::Denied,
                _ => CallErrorKind::Refused,
            };
            let refused: Option<Refused> = serde_json::from_slice(&response.body).ok();
            let code = refused.map(|refused| match refused.error_codes.first() {
                Some(number) => format!("AADSTS{number}"),
                None => refused.error,
            });
            return Err(self.error(kind).coded(&code.unwrap_or_default()));
        }
        let content = |why| self.error(CallErrorKind::Content(why));
        let granted: Granted =
            serde_json::from_slice(&response.body).map_err(|_| content("no token in it"))?;
        let token = Zeroizing::new(granted.access_token);
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(content("the token is no bearer token"));
        }
        let token = token.as_bytes();
        let plain = token.iter().all(u8::is_ascii_graphic);
        if token.is_empty() || token.len() > MAX_TOKEN || !plain {
            return Err(content("the token is none that can be sent"));
        }
        let lasts = granted.expires_in.read().map(Duration::from_secs);
        let lasts = lasts.ok_or_else(|| content("it does not say how long the token lasts"))?;
        if lasts < SHORTEST {
            return Err(content("the token is over"));
        }
        // Half the time of one that lasts no longer than what is spared.
        let kept = lasts.saturating_sub(SPARE).max(lasts / 2);
        Ok(Answer::new(token.to_vec(), kept))
    }
}

/// A secret as it stands in a file, without the line's end.
fn read(path: &Path) -> Result<Zeroizing<String>, &'static str> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|_| "the file cannot be read")?;
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_PROOF + 1).read_to_string(&mut text);
    read.map_err(|_| "the file cannot be read")?;
    if text.len() as u64 > MAX_PROOF {
        return Err("the file is too long");
    }
    let trimmed = text.trim();
    match trimmed.is_empty() {
        true => Err("the file is empty"),
        false => Ok(Zeroizing::new(trimmed.to_owned())),
    }
}

/// A value in a form: all but letters, digits and `-._~` in percent-encoding.
fn form(text: &str) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    // No growing, which would leave copies behind.
    let mut encoded = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
            continue;
        }
        encoded.push('%');
        for nibble in [byte >> 4, byte & 0xf] {
            let digit = DIGITS.get(usize::from(nibble)).copied();
            encoded.push(char::from(digit.unwrap_or(b'0')));
        }
    }
    encoded
}
