//! Settings of `custom_jwt`, and the attestor made from them.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{CustomJwt, verify::TokenRules};
use crate::attestor::issuer::IssuedToken;
use crate::attestor::issuer::config::{KeyFields, MOST, Texts, audiences, error, not_empty, span};
use crate::attestor::{Attestor, ConfigError, MethodConfig};
use crate::document::Files;
use crate::jwt::{Algorithm, MAX_LEEWAY};
use crate::session::is_attribute_name;
use crate::x509::files::CertificateSource;

/// What discovery puts behind the issuer.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// Longest `maxLifetime`.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// `config:` of a `custom_jwt` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "custom_jwt")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The expected `iss`, byte for byte. With `oidcURI` it may be left out.
    pub issuer: Option<String>,
    /// The audiences of which `aud` must have one.
    pub audience: Option<Texts>,
    /// The expected `sub`, byte for byte.
    pub subject: Option<String>,
    /// The issuer's URL, at which discovery begins.
    #[serde(rename = "oidcURI")]
    pub oidc_uri: Option<String>,
    /// The URL of the issuer's JWK set.
    #[serde(rename = "jwksURI")]
    pub jwks_uri: Option<String>,
    /// A JWK set of public keys, JSON in a text.
    pub jwks: Option<String>,
    /// Public keys in PEM, or files of them.
    #[schemars(length(min = 1, max = 32))]
    pub public_keys: Option<Vec<String>>,
    /// The authorities of the issuer's web server, in place of the system's: PEM or a file.
    pub ca_certs: Option<CertificateSource>,
    /// Keys may be fetched from private addresses.
    #[serde(default)]
    pub allow_private_addresses: bool,
    /// Claims that become attributes.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub attribute_claims: Vec<String>,
    /// Claims that a token must have, each with the value or values of which it must have one.
    #[serde(default)]
    pub required_claims: BTreeMap<String, Texts>,
    /// The expected `typ` of the header, such as `at+jwt`. Without it: `JWT`, or none.
    pub token_type: Option<String>,
    /// The signature algorithms that count; all that are safe when left out.
    pub algorithms: Option<Vec<Algorithm>>,
    /// For clocks that differ, at most 60 s.
    pub leeway: Option<String>,
    /// The longest time from `iat` to `exp`.
    pub max_lifetime: Option<String>,
}

impl MethodConfig for Config {
    fn build_in(&self, files: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.attestor(files)
            .map(|attestor| Arc::new(attestor) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings and reads the files they name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: no source of keys or several, a key that is not public or too weak, an empty list, a claim that
    /// cannot be an attribute.
    pub fn attestor(&self, files: Files<'_>) -> Result<CustomJwt, ConfigError> {
        let issuer = self.issuer()?;
        let keys = KeyFields {
            discovery: self
                .oidc_uri
                .is_some()
                .then_some(("oidcURI", issuer.as_str())),
            jwks_uri: self.jwks_uri.as_deref(),
            jwks: self.jwks.as_deref(),
            public_keys: self.public_keys.as_deref(),
            ca_certs: self.ca_certs.as_ref(),
            allow_private: self.allow_private_addresses,
        }
        .keys(files)?;
        for (field, text) in [("subject", &self.subject), ("tokenType", &self.token_type)] {
            if let Some(text) = text {
                not_empty(field, text)?;
            }
        }
        if self.algorithms.as_ref().is_some_and(Vec::is_empty) {
            return Err(error(
                "algorithms",
                "the list is empty, so no token could pass",
            ));
        }
        let leeway = self.leeway.as_ref();
        let leeway = leeway.map(|text| span("leeway", text, MAX_LEEWAY));
        let lifetime = self.max_lifetime.as_ref();
        let lifetime = lifetime.map(|text| span("maxLifetime", text, LONGEST));
        Ok(IssuedToken::new(TokenRules {
            issuer,
            audiences: audiences(self.audience.as_ref(), files),
            subject: self.subject.clone(),
            keys,
            attribute_claims: self.attribute_claims()?,
            required_claims: self.required_claims()?,
            token_type: self.token_type.clone(),
            algorithms: self.algorithms.clone(),
            leeway: leeway.transpose()?.unwrap_or(MAX_LEEWAY),
            max_lifetime: lifetime.transpose()?,
        }))
    }

    /// `issuer`, or `oidcURI` without what discovery adds. When both are there they are the same: a discovery document is
    /// its issuer's own.
    fn issuer(&self) -> Result<String, ConfigError> {
        let base = self.oidc_uri.as_deref().map(|uri| {
            let base = uri.strip_suffix(WELL_KNOWN);
            base.unwrap_or(uri)
        });
        match (self.issuer.as_deref(), base) {
            (None, None) => Err(error("issuer", "it is needed unless `oidcURI` is given")),
            (None, Some(base)) => Ok(base.to_owned()),
            (Some(issuer), None) => not_empty("issuer", issuer).map(|()| issuer.to_owned()),
            (Some(issuer), Some(base)) => {
                if issuer.trim_end_matches('/') == base.trim_end_matches('/') {
                    return Ok(issuer.to_owned());
                }
                Err(ConfigError {
                    hint: Some(
                        "a discovery document is its issuer's own: for keys from elsewhere give `jwksURI` instead"
                            .to_owned(),
                    ),
                    ..error("oidcURI", "it is not the issuer's")
                })
            }
        }
    }

    fn attribute_claims(&self) -> Result<Vec<String>, ConfigError> {
        let names = &self.attribute_claims;
        if names.len() > MOST {
            return Err(error(
                "attributeClaims",
                &format!("more than {MOST} claims"),
            ));
        }
        for (i, name) in names.iter().enumerate() {
            let field = format!("attributeClaims[{i}]");
            if !is_attribute_name(name) {
                return Err(ConfigError {
                    hint: Some("letters, digits, `_`, `-` and `.`".to_owned()),
                    ..error(&field, &format!("{name:?} cannot be an attribute's name"))
                });
            }
            if names.iter().take(i).any(|earlier| earlier == name) {
                return Err(error(&field, &format!("{name:?} is there twice")));
            }
        }
        Ok(names.clone())
    }

    fn required_claims(&self) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
        if self.required_claims.len() > MOST {
            return Err(error("requiredClaims", &format!("more than {MOST} claims")));
        }
        let required = self.required_claims.iter();
        let checked = required.map(|(name, values)| {
            not_empty("requiredClaims", name)?;
            Ok((name.clone(), values.0.clone()))
        });
        checked.collect()
    }
}
