//! `join_token`: a token that an operator made, good for one login. What travels is a signature by the key that the token is
//! the seed of ([`assay_common::method::join_token`]).

use std::path::PathBuf;

use assay_common::method::join_token::{key_seed, signed_message};
use assay_common::policy::AttestorKind;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings};
use crate::finding::Finding;

/// What every token begins with, and how long it is.
const PREFIX: &str = "join_";
const LEN: usize = PREFIX.len() + 43;

const HINT: &str = "an operator makes a token with `assay join-token create`, and shows it once";

/// `config:` of a `join_token` entry: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    join_token: Option<String>,
    join_token_file: Option<PathBuf>,
}

impl core::fmt::Debug for Config {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Config")
            .field("join_token", &self.join_token.as_ref().map(|_| ".."))
            .field("join_token_file", &self.join_token_file)
            .finish()
    }
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let from = match (self.join_token, self.join_token_file) {
            (Some(token), None) => Source::Text(checked(&Zeroizing::new(token))?),
            (None, Some(path)) => Source::File(around.path(&path)),
            (Some(_), Some(_)) => {
                let what = "both `joinToken` and `joinTokenFile`";
                return Err(MethodError::new(what, "remove one of them"));
            }
            (None, None) => {
                let what = "neither `joinToken` nor `joinTokenFile`";
                return Err(MethodError::new(what, HINT));
            }
        };
        Ok(Box::new(JoinToken { from }))
    }

    fn inline_secret(&self) -> Option<&'static str> {
        self.join_token.as_ref().map(|_| "joinToken")
    }
}

/// Where the token is.
enum Source {
    Text(Zeroizing<String>),
    File(PathBuf),
}

/// A join token as the agent has it.
struct JoinToken {
    from: Source,
}

impl core::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.from {
            Source::Text(_) => f.write_str("JoinToken(..)"),
            Source::File(path) => write!(f, "JoinToken({})", path.display()),
        }
    }
}

impl JoinToken {
    fn token(&self) -> Result<Zeroizing<String>, MethodError> {
        match &self.from {
            Source::Text(token) => Ok(token.clone()),
            Source::File(path) => {
                let text = crate::secret::read_text(path)?;
                checked(text.trim_ascii())
            }
        }
    }
}

/// A text that can be a token; nothing of it is ever said.
fn checked(text: &str) -> Result<Zeroizing<String>, MethodError> {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if text.len() == LEN && text.starts_with(PREFIX) && text.bytes().all(alphabet) {
        Ok(Zeroizing::new(text.to_owned()))
    } else {
        let what = format!("not a join token: one is `{PREFIX}` and 43 characters");
        Err(MethodError::new(what, HINT))
    }
}

impl Method for JoinToken {
    fn kind(&self) -> AttestorKind {
        AttestorKind::JOIN_TOKEN
    }

    fn begin(&mut self) -> Result<(), MethodError> {
        self.token().map(drop)
    }

    fn prove(&mut self, request: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let token = self.token()?;
        let seed = Zeroizing::new(key_seed(&token));
        let key = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| {
            MethodError::new("the token's key cannot be made", "report this as a bug")
        })?;
        let signature = key.sign(&signed_message(request.nonce).concat());
        let payload = serde_json::json!({
            "publicKey": STANDARD.encode(key.public_key().as_ref()),
            "signature": STANDARD.encode(signature.as_ref()),
        });
        Ok(payload.to_string().into_bytes().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        self.token()?;
        let from = match &self.from {
            Source::Text(_) => "the configuration".to_owned(),
            Source::File(path) => path.display().to_string(),
        };
        Ok(Offer::default().with("token", format!("from {from}; good for one login")))
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::JOIN_TOKEN.to_string();
        match (self.token(), &self.from) {
            (Err(error), _) => vec![Finding::fail(subject, error.what, error.hint)],
            (Ok(_), Source::File(path)) => vec![Finding::ok(
                subject,
                format!("{} holds a token", path.display()),
            )],
            (Ok(_), Source::Text(_)) => {
                vec![Finding::ok(subject, "a token stands in the configuration")]
            }
        }
    }
}
