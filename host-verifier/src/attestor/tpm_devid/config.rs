//! Settings of `tpm_devid`, and the attestor made from them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::TpmDevid;
use crate::{
    attestor::{
        Attestor, ConfigError, MethodConfig,
        tpm_ek::{self, Require, config::Authorities},
        x509pop::config::revocation,
    },
    document::Files,
    x509::{
        files::CertificateSource,
        revocation::{RequireCrl, StaleCrl},
    },
};

/// `config:` of a `tpm_devid` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "tpm_devid")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Who certifies DevIDs.
    #[serde(rename = "devidCAs")]
    pub devid_cas: Authorities,
    /// Revocation lists for DevID certificates and their issuers.
    #[schemars(length(min = 1))]
    pub crls: Option<Vec<CertificateSource>>,
    /// Which certificates need a list of their issuer.
    pub require_crl: Option<RequireCrl>,
    /// What is done with a list past its `nextUpdate`.
    pub stale_crl: Option<StaleCrl>,
    /// Whose EK certificates count.
    #[serde(rename = "endorsementCAs")]
    pub endorsement_cas: Option<Authorities>,
    /// SHA-256 of the SubjectPublicKeyInfo of each EK that is let in, in hex.
    #[schemars(length(min = 1), inner(regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    pub allowed_hashes: Option<Vec<String>>,
    /// Which proofs the EK needs.
    #[serde(default)]
    pub require: Require,
    /// Accept SHA-1 signatures in chains of EK certificates.
    #[serde(default, rename = "danger_allow_sha1")]
    pub danger_allow_sha1: bool,
    /// Accept RSA keys of 1024 to 2047 bits in chains of EK certificates.
    #[serde(default, rename = "danger_allow_small_rsa")]
    pub danger_allow_small_rsa: bool,
    /// Accept EKs, AKs and DevID keys with the fingerprint of CVE-2017-15361.
    #[serde(default, rename = "danger_allow_roca")]
    pub danger_allow_roca: bool,
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
    /// [`ConfigError`]: a list that is empty or cannot be read, nothing that could let an EK in, a hash that is none.
    pub fn attestor(&self, files: Files<'_>) -> Result<TpmDevid, ConfigError> {
        let authorities = self.devid_cas.store("devidCAs", files)?;
        // The same settings as those of `tpm_ek`, under the names that fit here.
        let endorsement = tpm_ek::Config {
            require: self.require,
            allowed_hashes: self.allowed_hashes.clone(),
            manufacturer_cas: self.endorsement_cas.clone(),
            danger_allow_sha1: self.danger_allow_sha1,
            danger_allow_small_rsa: self.danger_allow_small_rsa,
            danger_allow_roca: self.danger_allow_roca,
        };
        let endorsement = endorsement.attestor(files).map_err(|error| ConfigError {
            field: own_name(&error.field),
            message: own_name(&error.message),
            hint: error.hint,
        })?;
        Ok(TpmDevid {
            endorsement,
            authorities,
            revocation: revocation(
                self.crls.as_deref(),
                self.require_crl,
                self.stale_crl,
                files,
            )?,
        })
    }
}

fn own_name(text: &str) -> String {
    text.replace("manufacturerCAs", "endorsementCAs")
}
