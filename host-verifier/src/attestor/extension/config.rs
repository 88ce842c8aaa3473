//! Settings of `extension`, and the attestor made from them.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    Extension,
    webhook::{self, Webhook},
};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    document::Files,
    outside::{CREDENTIAL_WITH_ROOTS, CREDENTIALS_ROOTS, Scheme, Target},
    x509::decode,
};

/// How long a webhook may take.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(20));
const DEFAULT_TIMEOUT: &str = "10s";
/// How often it may be asked again.
const MAX_RETRIES: u32 = 10;
const DEFAULT_RETRIES: u32 = 3;

/// How the verifier says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthType {
    /// It does not.
    None,
    /// By a secret, in the header `authorization: Bearer …`.
    Bearer,
}

/// `config:` of an `extension` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "extension")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Where the webhook is: https.
    #[serde(rename = "webhookURL")]
    #[schemars(regex(pattern = "^https://"))]
    pub webhook_url: String,
    /// How long it may take, with all repetitions: 100ms to 20s, default 10s.
    pub timeout: Option<String>,
    /// The authorities that its certificate must come from, and no others: PEM, or the path of a PEM file. Default: the system's.
    pub ca_certs: Option<String>,
    /// How the verifier says who it is. Default: BEARER where `bearerTokenFile` or `credential` is given, otherwise NONE.
    pub auth_type: Option<AuthType>,
    /// The file with the secret, one line; read anew for every question. Only in a document that lies beside `assayd.yaml`.
    pub bearer_token_file: Option<String>,
    /// The secret in place of a file: an entry of `outbound.credentials` in `assayd.yaml` that names this webhook's origin.
    pub credential: Option<String>,
    /// How often it is asked again when nobody takes the connection or the status is 500 or above. Default 3.
    #[schemars(range(max = 10))]
    pub max_retries: Option<u32>,
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        Ok(Arc::new(Extension::new(self.webhook(files)?)))
    }
}

impl Config {
    /// Checks the meaning of the settings and reads the files they name.
    ///
    /// # Errors
    /// [`ConfigError`]: a URL that cannot be asked, a span of time that is none, authorities or a secret that cannot be read.
    pub fn webhook(&self, files: Files<'_>) -> Result<Webhook, ConfigError> {
        const URL: &str = "webhookURL";
        let hint = "e.g. https://webhook.example.org/attest";
        let target = Target::parse(&self.webhook_url)
            .map_err(|wrong| error(URL, &wrong.to_string(), hint))?;
        if target.scheme != Scheme::Https {
            let message = "in the clear, a proof can be read and an answer be made up";
            return Err(error(URL, message, hint));
        }
        let retries = self.max_retries.unwrap_or(DEFAULT_RETRIES);
        if retries > MAX_RETRIES {
            let hint = "the agent tries again by itself: 3 are plenty";
            return Err(error("maxRetries", "more than 10", hint));
        }
        let (token, lent_roots) = self.token(files)?;
        Ok(Webhook {
            url: self.webhook_url.clone(),
            timeout: self.span()?,
            roots: match self.credential {
                Some(_) => lent_roots,
                None => self.roots(files)?,
            },
            token,
            retries,
        })
    }

    fn span(&self) -> Result<Duration, ConfigError> {
        let text = self.timeout.as_deref().unwrap_or(DEFAULT_TIMEOUT);
        let span = text.parse::<jiff::SignedDuration>().ok();
        let span = span.and_then(|span| Duration::try_from(span).ok());
        let within = span.filter(|span| (TIMEOUT.0..=TIMEOUT.1).contains(span));
        within.ok_or_else(|| {
            let message = format!("`{}` is not from 100ms to 20s", text.escape_debug());
            error("timeout", &message, "e.g. `10s` or `500ms`")
        })
    }

    fn roots(&self, files: Files<'_>) -> Result<Option<Arc<str>>, ConfigError> {
        const FIELD: &str = "caCerts";
        const HINT: &str =
            "PEM in place, or the path of a PEM file, with the authority's certificate";
        let Some(text) = &self.ca_certs else {
            return Ok(None);
        };
        let pem = if text.contains("-----BEGIN ") {
            text.clone()
        } else {
            let path = files
                .path(text)
                .map_err(|wrong| error(FIELD, &wrong.to_string(), HINT))?;
            let bytes = read(&path, FIELD, HINT, decode::MAX_FILE_LEN + 1)?;
            String::from_utf8(bytes.to_vec())
                .ok()
                .filter(|pem| pem.contains("-----BEGIN "))
                .ok_or_else(|| error(FIELD, &format!("{}: no PEM", path.display()), HINT))?
        };
        let certificates = decode::certificates(pem.as_bytes())
            .map_err(|wrong| error(FIELD, &wrong.to_string(), HINT))?;
        match certificates.is_empty() {
            true => Err(error(FIELD, "no certificate", HINT)),
            false => Ok(Some(pem.into())),
        }
    }

    /// The file of the secret, and the authorities that go with it where it is lent.
    fn token(&self, files: Files<'_>) -> Result<Secret, ConfigError> {
        const FIELD: &str = "bearerTokenFile";
        const HINT: &str = "a file with the secret: one line of visible ASCII";
        let given = self.bearer_token_file.is_some() || self.credential.is_some();
        match (self.auth_type, given) {
            (None | Some(AuthType::None), false) => return Ok((None, None)),
            (None | Some(AuthType::Bearer), true) => {}
            (Some(AuthType::Bearer), false) => {
                return Err(error(FIELD, "`authType: BEARER` needs it", HINT));
            }
            (Some(AuthType::None), true) => {
                let message = "NONE, and a secret is given all the same";
                let hint = "say BEARER, or leave bearerTokenFile and credential out";
                return Err(error("authType", message, hint));
            }
        }
        let name = match (&self.bearer_token_file, &self.credential) {
            (None, None) => return Ok((None, None)),
            (Some(name), None) => name,
            (None, Some(_)) if self.ca_certs.is_some() => {
                return Err(error("caCerts", CREDENTIAL_WITH_ROOTS, CREDENTIALS_ROOTS));
            }
            (None, Some(name)) => {
                let lent = files.credential(name, &self.webhook_url);
                let lent =
                    lent.map_err(|wrong| error("credential", &wrong.to_string(), wrong.hint()))?;
                return Ok((Some(lent.file), lent.roots));
            }
            (Some(_), Some(_)) => {
                let hint = "keep one of them";
                return Err(error("credential", "it excludes bearerTokenFile", hint));
            }
        };
        let path = files
            .secret(name)
            .map_err(|wrong| error(FIELD, &wrong.to_string(), wrong.hint()))?;
        let bytes = read(&path, FIELD, HINT, webhook::MAX_TOKEN + 1)?;
        webhook::token(&bytes)
            .map_err(|wrong| error(FIELD, &format!("{}: {wrong}", path.display()), HINT))?;
        Ok((Some(path), None))
    }
}

/// A secret's file, and whose certificates whoever is sent it must have.
type Secret = (Option<PathBuf>, Option<Arc<str>>);

/// A file that the settings name, up to a length.
fn read(
    path: &Path,
    field: &str,
    hint: &str,
    most: usize,
) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    use std::io::Read as _;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|wrong| error(field, &format!("{}: {wrong}", path.display()), hint))?;
    Ok(bytes)
}

fn error(field: &str, message: &str, hint: &str) -> ConfigError {
    ConfigError {
        field: field.to_owned(),
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    }
}
