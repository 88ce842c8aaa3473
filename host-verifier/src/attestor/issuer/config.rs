//! Settings that methods over an issuer's tokens share: where the keys are, and the checks of what a document says of it.

use core::time::Duration;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::DeserializeSeed as _};

use super::Keys;
use crate::attestor::ConfigError;
use crate::document::{Files, OneOrMany};
use crate::jwt::{Jwk, JwkSet};
use crate::outside::{KeyLocation, KeySource, Reach, Scheme, Target};
use crate::x509::files::{CertificateSource, SourceError};

/// Most audiences, PEM keys and claims that are named.
pub const MOST: usize = 32;

/// The audience that tokens must be made for where none is configured: this trust domain's. One that every deployment had in
/// common would let a token that was shown to one verifier in at another.
///
/// Where nobody knows the trust domain, as in a command that checks a document, it is one that no token has.
#[must_use]
pub fn default_audience(files: Files<'_>) -> String {
    let name = files.trust_domain().unwrap_or("{trustDomain}");
    format!("urn:assay:{name}:server")
}

/// One text or a list of texts, not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = OneOrMany {
            expected: "a quoted text, or a list of them",
            most: MOST,
            empty: Some((
                "the list is empty, so nothing could be let in",
                "name at least one",
            )),
        };
        texts.deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "texts".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MOST},
            ],
        })
    }
}

/// The keys as a document names them.
#[derive(Debug)]
pub struct KeyFields<'a> {
    /// The issuer, where discovery begins at it.
    pub discovery: Option<(&'static str, &'a str)>,
    /// `jwksURI`.
    pub jwks_uri: Option<&'a str>,
    /// `jwks`.
    pub jwks: Option<&'a str>,
    /// `publicKeys`.
    pub public_keys: Option<&'a [String]>,
    /// `caCerts`.
    pub ca_certs: Option<&'a CertificateSource>,
    /// `allowPrivateAddresses`.
    pub allow_private: bool,
}

impl KeyFields<'_> {
    /// Checks that there is exactly one source and that it can be used.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn keys(&self, files: Files<'_>) -> Result<Keys, ConfigError> {
        let named = [
            self.discovery.map(|(field, _)| field),
            self.jwks_uri.map(|_| "jwksURI"),
            self.jwks.map(|_| "jwks"),
            self.public_keys.map(|_| "publicKeys"),
        ];
        let named: Vec<_> = named.into_iter().flatten().collect();
        if let [_, second, ..] = named.as_slice() {
            return Err(ConfigError {
                hint: Some("keep one of them".to_owned()),
                ..error(second, &format!("{} exclude each other", named.join(", ")))
            });
        }
        let published = self.discovery.is_some() || self.jwks_uri.is_some();
        if !published && (self.ca_certs.is_some() || self.allow_private) {
            let field = match self.ca_certs {
                Some(_) => "caCerts",
                None => "allowPrivateAddresses",
            };
            return Err(error(
                field,
                "nothing is fetched, since the keys are given here",
            ));
        }
        let source = |location| -> Result<Keys, ConfigError> {
            Ok(Keys::Published(KeySource {
                location,
                reach: Reach::PUBLIC.with_private(self.allow_private),
                roots: self.roots(files)?,
            }))
        };
        match (self.discovery, self.jwks_uri, self.jwks, self.public_keys) {
            (Some((field, issuer)), ..) => {
                https_base(field, issuer)?;
                let issuer = issuer.to_owned();
                source(KeyLocation::Discovery { issuer })
            }
            (_, Some(url), ..) => {
                https("jwksURI", url)?;
                source(KeyLocation::Jwks(url.to_owned()))
            }
            (_, _, Some(text), _) => JwkSet::parse(text.as_bytes())
                .map(Keys::Inline)
                .map_err(|why| error("jwks", &why.to_string())),
            (_, _, _, Some(texts)) => pem_keys("publicKeys", texts, files).map(Keys::Pem),
            _ => Err(ConfigError {
                hint: Some("give one of oidcURI, jwksURI, jwks, publicKeys".to_owned()),
                ..error(
                    "jwksURI",
                    "no keys are named, so no token could be verified",
                )
            }),
        }
    }

    fn roots(&self, files: Files<'_>) -> Result<Option<Arc<str>>, ConfigError> {
        self.ca_certs.map(|certs| roots(certs, files)).transpose()
    }
}

/// The authorities of `caCerts`, as one PEM text.
///
/// # Errors
///
/// [`ConfigError`]: they cannot be read, or there are none.
pub fn roots(certs: &CertificateSource, files: Files<'_>) -> Result<Arc<str>, ConfigError> {
    use base64::Engine as _;
    let read = certs.read(files).map_err(|why| ConfigError {
        hint: Some(match &why {
            SourceError::File(error) => error.hint().to_owned(),
            SourceError::Unusable(_) => {
                "give the path of a PEM file, or PEM itself, of the server's authority".to_owned()
            }
        }),
        ..error("caCerts", &why.to_string())
    })?;
    let pem = read.iter().map(|certificate| {
        let text = base64::engine::general_purpose::STANDARD.encode(certificate.der());
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    });
    Ok(pem.collect::<String>().into())
}

/// Public keys: each entry is PEM itself, or the path of a file with it.
///
/// # Errors
///
/// [`ConfigError`]: none, too many, or one that is no public key or too weak.
pub fn pem_keys(list: &str, texts: &[String], files: Files<'_>) -> Result<Vec<Jwk>, ConfigError> {
    if texts.is_empty() || texts.len() > MOST {
        let why = format!("{} keys; 1 to {MOST} are wanted", texts.len());
        return Err(error(list, &why));
    }
    let read = texts.iter().enumerate().map(|(i, text)| {
        let field = format!("{list}[{i}]");
        let pem = match text.contains("-----BEGIN ") {
            true => text.clone(),
            false => {
                let path = files.path(text).map_err(|why| ConfigError {
                    hint: Some(why.hint().to_owned()),
                    ..error(&field, &why.to_string())
                })?;
                read_file(&path).map_err(|why| error(&field, &why))?
            }
        };
        Jwk::from_pem(&pem).map_err(|why| ConfigError {
            hint: Some("openssl pkey -in key.pem -pubout".to_owned()),
            ..error(&field, &why.to_string())
        })
    });
    read.collect()
}

/// A small text file.
pub(in crate::attestor) fn read_file(path: &std::path::Path) -> Result<String, String> {
    use std::io::Read as _;
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    let limit = crate::jwt::MAX_JWK as u64;
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(limit + 1)
        .read_to_string(&mut text)
        .map_err(told)?;
    match text.len() as u64 > limit {
        true => Err(format!("{}: more than {limit} bytes", path.display())),
        false => Ok(text),
    }
}

/// A URL that can be asked, over TLS.
///
/// # Errors
///
/// [`ConfigError`].
pub fn https(field: &str, url: &str) -> Result<(), ConfigError> {
    let wrong = |why: String| ConfigError {
        hint: Some("e.g. https://issuer.example.org/keys".to_owned()),
        ..error(field, &why)
    };
    match Target::parse(url) {
        Ok(target) if target.scheme == Scheme::Https => Ok(()),
        Ok(_) => Err(wrong("it must use https".to_owned())),
        Err(why) => Err(wrong(why.to_string())),
    }
}

/// A URL as [`https`] has it that paths are put behind: behind a query they would be a part of it.
///
/// # Errors
///
/// [`ConfigError`].
pub fn https_base(field: &str, url: &str) -> Result<(), ConfigError> {
    https(field, url)?;
    match url.contains('?') {
        true => Err(ConfigError {
            hint: Some("e.g. https://issuer.example.org".to_owned()),
            ..error(field, "it has a query, and paths are put behind it")
        }),
        false => Ok(()),
    }
}

/// The audiences that are configured, or the default.
#[must_use]
pub fn audiences(configured: Option<&Texts>, files: Files<'_>) -> Vec<String> {
    configured.map_or_else(|| vec![default_audience(files)], |texts| texts.0.clone())
}

/// A text that must not be empty.
///
/// # Errors
///
/// [`ConfigError`].
pub fn not_empty(field: &str, text: &str) -> Result<(), ConfigError> {
    match text.is_empty() {
        true => Err(error(field, "it is empty")),
        false => Ok(()),
    }
}

/// An error about a field.
#[must_use]
pub fn error(field: &str, message: &str) -> ConfigError {
    ConfigError {
        field: field.to_owned(),
        message: message.to_owned(),
        hint: None,
    }
}

/// A span of time as people write it, e.g. `30s`.
///
/// # Errors
///
/// [`ConfigError`]: it is none, it is zero, or it is longer than `most`.
pub fn span(field: &str, text: &str, most: Duration) -> Result<Duration, ConfigError> {
    let wrong = |why: String| ConfigError {
        hint: Some("write it with a unit, e.g. `30s`, `10m` or `1h`".to_owned()),
        ..error(field, &why)
    };
    let span: Option<jiff::SignedDuration> = text.parse().ok();
    let span = span.and_then(|span| Duration::try_from(span).ok());
    match span {
        None => Err(wrong(format!("`{text}` is no span of time"))),
        Some(span) if span.is_zero() || span > most => Err(wrong(format!(
            "`{text}` is not between 1s and {} s",
            most.as_secs()
        ))),
        Some(span) => Ok(span),
    }
}
