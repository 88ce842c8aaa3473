//! The keys of the instance that the verifier runs on, by IMDSv2: a token for a PUT first, and nothing without it.

use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Aws;
use super::identity::{key, keys_answer};
use super::keys::Keys;
use super::place::is_role_name;
use crate::cloud::{Asking, CallError, CallErrorKind, Key, Question};
use crate::outside::{Header, Method, Outside, Reach, Request, Response, Target};

/// What this is called in errors.
const OPERATION: &str = "instance credentials";
/// How long the token lasts: it is used at once.
const TOKEN_SECONDS: &str = "60";
/// Where the role is, and behind it its keys.
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
/// The metadata service is on this machine; what takes longer is not it.
const DEADLINE: core::time::Duration = core::time::Duration::from_secs(2);
/// Longest answer, bytes.
const MAX_BODY: usize = 16 * 1024;

/// The instance's role's keys.
#[derive(Debug)]
pub(super) struct OfMetadata {
    pub(super) aws: Aws,
    /// The service's origin.
    pub(super) metadata: String,
}

impl Question for OfMetadata {
    fn key(&self) -> Key {
        key("credentials", format!("instance {}", self.metadata))
    }

    fn ask<'a>(&'a self, outside: &'a dyn Outside) -> Asking<'a> {
        Box::pin(async move {
            let mut put = self.request("/latest/api/token");
            put.method = Method::Put;
            let ttl = "x-aws-ec2-metadata-token-ttl-seconds";
            put.headers.push(Header::new(ttl, TOKEN_SECONDS));
            let token = self.fetch(outside, &put).await?;
            let token = line(&token).map_err(|wrong| self.wrong(wrong))?;
            let role = self.get(outside, CREDENTIALS, &token).await?;
            let role = line(&role).map_err(|wrong| self.wrong(wrong))?;
            if !is_role_name(&role) {
                return Err(self.wrong("it names no role"));
            }
            let path = format!("{CREDENTIALS}{}", *role);
            let document = self.get(outside, &path, &token).await?;
            let document = Zeroizing::new(document.body);
            let now: Timestamp = self.aws.now();
            let keys = keys(&document).map_err(|wrong| self.wrong(wrong))?;
            keys_answer(&keys, now).map_err(|wrong| self.wrong(wrong))
        })
    }
}

impl OfMetadata {
    fn request(&self, path: &str) -> Request {
        Request {
            max_body: MAX_BODY,
            deadline: DEADLINE,
            any_status: true,
            ..Request::get(format!("{}{path}", self.metadata), Reach::METADATA)
        }
    }

    async fn get(
        &self,
        outside: &dyn Outside,
        path: &str,
        token: &str,
    ) -> Result<Response, CallError> {
        let mut get = self.request(path);
        let shown = Header::new("x-aws-ec2-metadata-token", token);
        get.headers.push(shown);
        self.fetch(outside, &get).await
    }

    async fn fetch(&self, outside: &dyn Outside, request: &Request) -> Result<Response, CallError> {
        let answer = outside.fetch(request).await;
        let answer = answer.map_err(|error| CallError::outside(OPERATION, error))?;
        let failed = match answer.status {
            200 => return Ok(answer),
            404 => CallErrorKind::Credentials("the instance has no role"),
            401 | 403 => CallErrorKind::Credentials("the metadata service is switched off"),
            429 => CallErrorKind::Throttled {
                retry_after: answer.retry_after,
            },
            500.. => CallErrorKind::Failed,
            _ => CallErrorKind::Refused,
        };
        Err(self.error(failed))
    }

    fn wrong(&self, wrong: &'static str) -> CallError {
        self.error(CallErrorKind::Content(wrong))
    }

    fn error(&self, kind: CallErrorKind) -> CallError {
        let origin = Target::parse(&self.metadata).map(|target| target.origin());
        let to = origin.unwrap_or_else(|_| "the metadata service".to_owned());
        CallError::new(to, OPERATION, kind)
    }
}

/// One line of visible ASCII.
fn line(answer: &Response) -> Result<Zeroizing<String>, &'static str> {
    let text = core::str::from_utf8(answer.body.trim_ascii_end()).unwrap_or_default();
    match !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(Zeroizing::new(text.to_owned())),
        false => Err("it is not one line of visible ASCII"),
    }
}

/// The keys of a credentials document.
fn keys(document: &[u8]) -> Result<Keys, &'static str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        code: String,
        access_key_id: String,
        secret_access_key: String,
        token: String,
        expiration: Timestamp,
    }
    let document: Document =
        serde_json::from_slice(document).map_err(|_| "it is no document of credentials")?;
    if document.code != "Success" {
        return Err("the instance's role cannot be assumed");
    }
    let keys = Keys {
        id: document.access_key_id,
        secret: document.secret_access_key,
        token: Some(document.token),
        expires: Some(document.expiration),
    };
    keys.checked()
}
