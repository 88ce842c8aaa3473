//! The question to a webhook: what it is told, how often it is asked.

use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use super::{
    answer::{Answer, Kept},
    verify::WebhookError,
};
use crate::{
    attestor::ErrandContext,
    crypto::sha256,
    outside::{ErrorKind, Header, Outside, Reach, Request, Response},
};

/// Longest proof of an agent, bytes.
pub const MAX_PROOF: usize = 32 * 1024;
/// Longest answer, bytes: all attributes at their longest, and room for blanks.
const MAX_ANSWER: usize = 48 * 1024;
/// Longest secret, bytes.
pub(super) const MAX_TOKEN: usize = 4096;
/// The pause before the first repetition; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// A webhook, set up and checked.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// As the policy has it.
    pub url: String,
    /// Over all repetitions.
    pub timeout: Duration,
    /// The authorities of its certificate; `None`: the system's.
    pub roots: Option<Arc<str>>,
    /// The file with the secret that it knows us by.
    pub token: Option<PathBuf>,
    /// How often it is asked again.
    pub retries: u32,
}

/// What a webhook is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    version: u32,
    request_id: &'a str,
    login_id: &'a str,
    trust_domain: &'a str,
    cluster: &'a str,
    policy: &'a str,
    methods: Vec<String>,
    attributes: BTreeMap<&'a str, Vec<&'a str>>,
    nonce: String,
    proof: String,
}

impl Webhook {
    /// Asks, and again when nobody was there, until the time is over.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub(super) async fn ask(
        &self,
        outside: &dyn Outside,
        proof: &[u8],
        cx: &ErrandContext,
    ) -> Result<Kept, WebhookError> {
        let begun = Instant::now();
        let mut request = self.request(proof, cx);
        if let Some(path) = &self.token {
            let token = read_token(path).await?;
            let bearer = format!("Bearer {}", token.as_str());
            request.headers.push(Header::new("authorization", bearer));
        }
        let mut pause = PAUSE;
        let mut left = self.retries;
        let response = loop {
            request.deadline = self.timeout.saturating_sub(begun.elapsed());
            let error = match outside.fetch(&request).await {
                Ok(response) => break response,
                Err(error) => error,
            };
            let rest = self.timeout.saturating_sub(begun.elapsed());
            if left == 0 || !is_passing(&error.kind) || rest <= pause {
                return Err(WebhookError::Outside(error));
            }
            left -= 1;
            request.repeated = true;
            tokio::time::sleep(pause).await;
            pause *= 2;
        };
        self.kept(&response)
    }

    fn kept(&self, response: &Response) -> Result<Kept, WebhookError> {
        if response.status != 200 {
            return Err(WebhookError::Status(response.status));
        }
        Ok(Kept {
            webhook_url: self.url.clone(),
            answer: Answer::parse(&response.body)?,
        })
    }

    fn request(&self, proof: &[u8], cx: &ErrandContext) -> Request {
        let id = request_id(&self.url, cx);
        let mut attributes = BTreeMap::<_, Vec<_>>::new();
        for attribute in cx.proven.iter().flat_map(|(_, attributes)| attributes) {
            let values = attributes.entry(&*attribute.name).or_default();
            values.push(attribute.value.as_str());
        }
        let question = Question {
            version: 1,
            request_id: &id,
            login_id: &cx.login_id,
            trust_domain: &cx.trust_domain,
            cluster: &cx.cluster,
            policy: &cx.policy,
            methods: cx.proven.iter().map(|(kind, _)| kind.to_string()).collect(),
            attributes,
            nonce: URL_SAFE.encode(cx.proof_nonce),
            proof: STANDARD.encode(proof),
        };
        // Texts, lists, and maps by text: there is nothing in it that JSON cannot say.
        let body = serde_json::to_vec(&question).unwrap_or_default();
        let mut request = Request::post_json(&self.url, Reach::OPERATORS, body);
        request.headers.push(Header::new("idempotency-key", id));
        request.max_body = MAX_ANSWER;
        request.roots.clone_from(&self.roots);
        request
    }
}

/// One name for all repetitions of one question, and for no other.
fn request_id(url: &str, cx: &ErrandContext) -> String {
    let parts: [&[u8]; 4] = [
        b"assay/webhook/v1",
        &cx.proof_nonce,
        &sha256(&[url.as_bytes()]),
        cx.policy.as_bytes(),
    ];
    hex::encode(sha256(&parts))
}

/// What may be over in a moment. A certificate is not, and a deadline is over itself.
const fn is_passing(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Status(status) => *status >= 500,
        ErrorKind::Connect | ErrorKind::Resolver => true,
        _ => false,
    }
}

/// Reads the secret anew: whoever rotates it tells nobody.
async fn read_token(path: &Path) -> Result<Zeroizing<String>, WebhookError> {
    let unreadable = |_| WebhookError::Token("the file cannot be read");
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    // As long as it can get, so that no copy is left behind when it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_TOKEN + 64));
    let limit = u64::try_from(MAX_TOKEN).unwrap_or(u64::MAX);
    let mut limited = file.take(limit + 1);
    limited.read_to_end(&mut bytes).await.map_err(unreadable)?;
    token(&bytes)
}

/// The secret in a file: one line of visible ASCII.
///
/// # Errors
/// [`WebhookError::Token`].
pub(super) fn token(bytes: &[u8]) -> Result<Zeroizing<String>, WebhookError> {
    if bytes.len() > MAX_TOKEN {
        return Err(WebhookError::Token("it is longer than 4096 bytes"));
    }
    let text = core::str::from_utf8(bytes.trim_ascii_end()).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(WebhookError::Token("it is not one line of visible ASCII"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}
