//! A service account's key file, and the assertion that is signed with it (RFC 7523 section 2.1).

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::outside::{Scheme, Target};
use crate::x509::decode::pem_blocks;

/// Longest key file, bytes. Google's have 2400.
const MAX_FILE: u64 = 16 * 1024;
/// What the token is for: reading Compute Engine, and nothing else.
const SCOPE: &str = "https://www.googleapis.com/auth/compute.readonly";
/// How long an assertion is good, seconds: Google takes an hour at most.
const LIFETIME: i64 = 300;

/// Why a key file cannot be used. Nothing of what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// It is not there, or not to be read.
    #[error("the key file cannot be read")]
    File,
    /// Longer than a key file.
    #[error("the key file is too long")]
    Long,
    /// Not the JSON of a key file.
    #[error("the key file is no service account's key in JSON")]
    Form,
    /// `type` is another: a person's, or a federated identity's.
    #[error("the key file's type is not service_account")]
    Type,
    /// Where tokens are asked for is no https URL.
    #[error("the key file's token_uri is no https URL")]
    TokenUri,
    /// The key is none that can sign.
    #[error("the key file's private_key is no RSA key")]
    Key,
}

impl KeyFileError {
    /// As the reason why there are no credentials.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::File => "the key file cannot be read",
            Self::Long => "the key file is too long",
            Self::Form => "the key file is no service account's key in JSON",
            Self::Type => "the key file's type is not service_account",
            Self::TokenUri => "the key file's token_uri is no https URL",
            Self::Key => "the key file's private_key is no RSA key",
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    r#type: String,
    client_email: String,
    private_key_id: String,
    #[serde(deserialize_with = "super::secret")]
    private_key: Zeroizing<String>,
    token_uri: String,
}

/// A service account that can sign.
pub(super) struct ServiceAccount {
    email: String,
    key_id: String,
    key: RsaKeyPair,
    /// Where the file says that tokens are asked for.
    pub(super) token_uri: String,
}

impl ServiceAccount {
    /// Reads a key file.
    pub(super) fn read(path: &Path) -> Result<Self, KeyFileError> {
        use std::io::Read as _;
        let file = std::fs::File::open(path).map_err(|_| KeyFileError::File)?;
        let mut text = Zeroizing::new(String::new());
        let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
        read.map_err(|_| KeyFileError::File)?;
        match text.len() as u64 > MAX_FILE {
            true => Err(KeyFileError::Long),
            false => Self::parse(&text),
        }
    }

    fn parse(text: &str) -> Result<Self, KeyFileError> {
        let wire: Wire = serde_json::from_str(text).map_err(|_| KeyFileError::Form)?;
        if wire.r#type != "service_account" {
            return Err(KeyFileError::Type);
        }
        match Target::parse(&wire.token_uri) {
            Ok(target) if target.scheme == Scheme::Https => {}
            _ => return Err(KeyFileError::TokenUri),
        }
        let blocks = pem_blocks(&wire.private_key).map_err(|_| KeyFileError::Key)?;
        let mut blocks = blocks.into_iter();
        let (Some(block), None) = (blocks.next(), blocks.next()) else {
            return Err(KeyFileError::Key);
        };
        let contents = Zeroizing::new(block.contents);
        let key = match block.label {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&contents),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&contents),
            _ => return Err(KeyFileError::Key),
        };
        Ok(Self {
            email: wire.client_email,
            key_id: wire.private_key_id,
            key: key.map_err(|_| KeyFileError::Key)?,
            token_uri: wire.token_uri,
        })
    }

    /// The assertion that asks `audience` for a token.
    pub(super) fn assertion(
        &self,
        audience: &str,
        now: Timestamp,
    ) -> Result<Zeroizing<String>, KeyFileError> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let issued = now.as_second();
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": audience,
            "iat": issued,
            "exp": issued.saturating_add(LIFETIME),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        let key = &self.key;
        key.sign(
            &RSA_PKCS1_SHA256,
            &random,
            signed.as_bytes(),
            &mut signature,
        )
        .map_err(|_| KeyFileError::Key)?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Zeroizing::new(format!("{signed}.{signature}")))
    }
}
