//! Settings of `x509pop`, and the attestor made from them.

use std::sync::Arc;

use assay_common::identity::TrustDomain;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{X509Pop, verify::Rules};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig, tpm_ek::config::Authorities},
    crypto::{Known, MAX_RSA_BITS, MIN_RSA_BITS},
    document::Files,
    x509::{
        Policy, Revocation,
        files::{CertificateSource, SourceError},
        policy::MAX_INTERMEDIATES,
        revocation::{RequireCrl, StaleCrl, read_crls},
    },
};

/// How the path of a SPIFFE ID begins where nothing else is said; SPIRE's.
const DEFAULT_PREFIX: &str = "/spire-exchange/";

/// Whose certificates they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Of an authority of the operator's.
    #[default]
    ExternalPki,
    /// X.509-SVIDs of a SPIFFE trust domain.
    Spiffe,
}

/// `config:` of an `x509pop` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "x509pop")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Whose certificates they are.
    #[serde(default)]
    pub mode: Mode,
    /// Who certifies: in SPIFFE mode, the trust domain's bundle.
    pub ca_bundle: Authorities,
    /// Whose names in certificates count.
    pub trust_domain: Option<String>,
    /// In SPIFFE mode, how the path of the SPIFFE ID begins; a slash at the end is added where it lacks.
    pub spiffe_prefix: Option<String>,
    /// Most certificates beside the leaf, and between it and an anchor.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 6))]
    pub max_intermediates: usize,
    /// Largest RSA modulus of any certificate, bits.
    #[serde(default = "eight_thousand")]
    #[schemars(range(min = 2048, max = 8192))]
    pub max_rsa_key_size: usize,
    /// Revocation lists: each entry the path of a PEM or DER file, or PEM itself.
    pub crls: Option<Vec<CertificateSource>>,
    /// Which certificates need a list.
    pub require_crl: Option<RequireCrl>,
    /// What is done with a list that is past its time.
    pub stale_crl: Option<StaleCrl>,
}

const fn four() -> usize {
    4
}

const fn eight_thousand() -> usize {
    MAX_RSA_BITS
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
    /// [`ConfigError`]: a list that is empty or cannot be read, a number out of its range, a field of the other mode.
    pub fn attestor(&self, files: Files<'_>) -> Result<X509Pop, ConfigError> {
        in_range(
            "maxIntermediates",
            self.max_intermediates,
            1,
            MAX_INTERMEDIATES,
        )?;
        in_range(
            "maxRsaKeySize",
            self.max_rsa_key_size,
            MIN_RSA_BITS,
            MAX_RSA_BITS,
        )?;
        if let Some(name) = &self.trust_domain {
            TrustDomain::parse(name)
                .map_err(|why| error("trustDomain", &format!("{name:?}: {why}")))?;
        }
        let spiffe_prefix = match (self.mode, &self.spiffe_prefix) {
            (Mode::ExternalPki, None) => None,
            (Mode::ExternalPki, Some(_)) => {
                return Err(ConfigError {
                    hint: Some("set `mode: spiffe`, or remove the field".into()),
                    ..error("spiffePrefix", "it has a meaning in SPIFFE mode only")
                });
            }
            (Mode::Spiffe, prefix) => {
                if self.trust_domain.is_none() {
                    return Err(ConfigError {
                        hint: Some("name the trust domain whose bundle `caBundle` is".into()),
                        ..error("trustDomain", "`mode: spiffe` needs it")
                    });
                }
                Some(whole_prefix(prefix.as_deref().unwrap_or(DEFAULT_PREFIX))?)
            }
        };
        Ok(X509Pop(Rules {
            authorities: self.ca_bundle.store("caBundle", files)?,
            policy: Policy::proof_of_possession(self.max_rsa_key_size, self.max_intermediates),
            revocation: revocation(
                self.crls.as_deref(),
                self.require_crl,
                self.stale_crl,
                files,
            )?,
            trust_domain: self.trust_domain.clone(),
            spiffe_prefix,
            known: Known::default(),
        }))
    }
}

/// What `crls`, `requireCrl` and `staleCrl` of a method's settings say together.
///
/// # Errors
/// [`ConfigError`]: demands without lists, an empty list, a file that cannot be used.
pub fn revocation(
    crls: Option<&[CertificateSource]>,
    require: Option<RequireCrl>,
    stale: Option<StaleCrl>,
    files: Files<'_>,
) -> Result<Option<Revocation>, ConfigError> {
    let Some(sources) = crls else {
        return match (require, stale) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(error("requireCrl", "there are no `crls`")),
            (None, Some(_)) => Err(error("staleCrl", "there are no `crls`")),
        };
    };
    if sources.is_empty() {
        return Err(ConfigError {
            hint: Some("name the revocation lists, or remove the field".into()),
            ..error("crls", "the list is empty")
        });
    }
    let mut lists = Vec::new();
    for (i, source) in sources.iter().enumerate() {
        lists.extend(read_crls(source, files).map_err(|why| ConfigError {
            hint: Some(match &why {
                SourceError::File(error) => error.hint().into(),
                SourceError::Unusable(_) => {
                    "give a complete list of version 2 with a number and nextUpdate: `openssl ca -gencrl` with `crlnumber` set".into()
                }
            }),
            ..error(&format!("crls[{i}]"), &why.to_string())
        })?);
    }
    Ok(Some(Revocation::new(
        lists,
        require.unwrap_or_default(),
        stale.unwrap_or_default(),
    )))
}

fn whole_prefix(prefix: &str) -> Result<String, ConfigError> {
    if !prefix.starts_with('/') {
        return Err(error("spiffePrefix", "it must begin with a slash"));
    }
    Ok(format!("{}/", prefix.trim_end_matches('/')))
}

fn in_range(field: &str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(error(field, &format!("{value} is not {min} to {max}")))
    }
}

fn error(field: &str, message: &str) -> ConfigError {
    ConfigError {
        field: field.into(),
        message: message.into(),
        hint: None,
    }
}
