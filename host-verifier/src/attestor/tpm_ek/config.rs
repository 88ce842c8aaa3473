//! Settings of `tpm_ek`, and the attestor made from them.

use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{TpmEk, certificate::Dangers};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    crypto::Legacy,
    document::Files,
    x509::{
        Certificate, TrustStore,
        files::{CertificateSource, SourceError},
    },
};

/// Which proofs of identity an EK needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// Its hash is on the list.
    Hash,
    /// A manufacturer vouches for it.
    Certificate,
    /// Both.
    Both,
    /// One of the two suffices.
    #[default]
    Either,
}

/// `config:` of a `tpm_ek` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "tpm_ek")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Which proofs are needed.
    #[serde(default)]
    pub require: Require,
    /// SHA-256 of the SubjectPublicKeyInfo of each EK that is let in, in hex.
    #[schemars(length(min = 1), inner(regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    pub allowed_hashes: Option<Vec<String>>,
    /// Whose EK certificates count.
    #[serde(rename = "manufacturerCAs")]
    pub manufacturer_cas: Option<Authorities>,
    /// Accept SHA-1 signatures in certificate chains.
    #[serde(default, rename = "danger_allow_sha1")]
    pub danger_allow_sha1: bool,
    /// Accept RSA keys of 1024 to 2047 bits in certificate chains. EKs stay at 2048.
    #[serde(default, rename = "danger_allow_small_rsa")]
    pub danger_allow_small_rsa: bool,
    /// Accept EKs and AKs with the fingerprint of CVE-2017-15361.
    #[serde(default, rename = "danger_allow_roca")]
    pub danger_allow_roca: bool,
}

/// Certification authorities: one mixed list, or anchors and intermediates apart. Each entry is the path of a
/// PEM or DER file, or PEM itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a list of files or PEM texts, or {anchors, intermediates}"
)]
pub enum Authorities {
    /// Sorted by [`TrustStore::from_mixed`].
    Mixed(Vec<CertificateSource>),
    /// As the operator sorted them.
    Apart(Apart),
}

/// Anchors and intermediates, named apart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Apart {
    /// Trusted as they are, self-signed or not.
    pub anchors: Vec<CertificateSource>,
    /// Used to reach an anchor.
    #[serde(default)]
    pub intermediates: Vec<CertificateSource>,
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
    /// [`ConfigError`]: nothing configured that could let an EK in, a list that is empty or cannot be
    /// read, a hash that is none.
    pub fn attestor(&self, files: Files<'_>) -> Result<TpmEk, ConfigError> {
        let hashes = self.hashes()?;
        let manufacturers = self.manufacturers(files)?;
        let need = |present: bool, field: &str, why: &str| {
            if present {
                Ok(())
            } else {
                Err(error(field, why))
            }
        };
        let listed = hashes.is_some();
        let vouched = manufacturers.is_some();
        match self.require {
            Require::Hash => need(listed, "allowedHashes", "`require: hash` needs it")?,
            Require::Certificate => need(
                vouched,
                "manufacturerCAs",
                "`require: certificate` needs it",
            )?,
            Require::Both => {
                need(listed, "allowedHashes", "`require: both` needs it")?;
                need(vouched, "manufacturerCAs", "`require: both` needs it")?;
            }
            Require::Either => need(
                listed || vouched,
                "allowedHashes",
                "neither allowedHashes nor manufacturerCAs is given, so no EK could be let in",
            )?,
        }
        Ok(TpmEk {
            require: self.require,
            allowed_hashes: hashes,
            manufacturers,
            dangers: Dangers {
                legacy: Legacy {
                    danger_allow_sha1: self.danger_allow_sha1,
                    danger_allow_small_rsa: self.danger_allow_small_rsa,
                },
                danger_allow_roca: self.danger_allow_roca,
            },
        })
    }

    fn hashes(&self) -> Result<Option<BTreeSet<[u8; 32]>>, ConfigError> {
        let Some(hashes) = &self.allowed_hashes else {
            return Ok(None);
        };
        if hashes.is_empty() {
            return Err(ConfigError {
                hint: Some("list the hashes that are let in, or remove the field".into()),
                ..error("allowedHashes", "the list is empty")
            });
        }
        let parsed = hashes.iter().enumerate().map(|(i, text)| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash).map_err(|_| ConfigError {
                field: format!("allowedHashes[{i}]"),
                message: format!("{text:?} is not 64 hexadecimal digits"),
                hint: Some(
                    "the hash is: openssl pkey -pubin -in ek.pem -outform DER | sha256sum".into(),
                ),
            })?;
            Ok(hash)
        });
        parsed.collect::<Result<_, _>>().map(Some)
    }

    fn manufacturers(&self, files: Files<'_>) -> Result<Option<Arc<TrustStore>>, ConfigError> {
        let cas = self.manufacturer_cas.as_ref();
        let store = cas.map(|cas| cas.store("manufacturerCAs", files));
        Ok(store.transpose()?.map(Arc::new))
    }
}

impl Authorities {
    /// Reads the certificates; there is at least one anchor among them. `field` is the name that the settings have.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn store(&self, field: &str, files: Files<'_>) -> Result<TrustStore, ConfigError> {
        let store = match self {
            Self::Mixed(sources) => TrustStore::from_mixed(read(sources, field, files)?),
            Self::Apart(apart) => {
                let anchors = read(&apart.anchors, &format!("{field}.anchors"), files)?;
                let intermediates = match apart.intermediates.as_slice() {
                    [] => Vec::new(),
                    some => read(some, &format!("{field}.intermediates"), files)?,
                };
                TrustStore::new(anchors, intermediates)
            }
        };
        if store.is_empty() {
            return Err(ConfigError {
                field: field.into(),
                message: "no certificate in it can be a trust anchor".into(),
                hint: Some("add the root, or name `anchors` apart".into()),
            });
        }
        Ok(store)
    }
}

fn read(
    sources: &[CertificateSource],
    field: &str,
    files: Files<'_>,
) -> Result<Vec<Certificate>, ConfigError> {
    if sources.is_empty() {
        return Err(error(field, "the list is empty"));
    }
    let mut all = Vec::new();
    for (i, source) in sources.iter().enumerate() {
        all.extend(
            source
                .read(files)
                .map_err(|why| ConfigError {
                    hint: Some(match &why {
                        SourceError::File(error) => error.hint().into(),
                        SourceError::Unusable(_) =>
                        "give the path of a PEM or DER file, looked up beside this document, or PEM itself"
                            .into(),
                    }),
                    ..error(&format!("{field}[{i}]"), &why.to_string())
                })?,
        );
    }
    Ok(all)
}

fn error(field: &str, message: &str) -> ConfigError {
    ConfigError {
        field: field.into(),
        message: message.into(),
        hint: None,
    }
}
