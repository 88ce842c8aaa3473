//! The agent's configuration: one YAML file, checked whole before anything is done with it.
//!
//! ```yaml
//! agent:
//!   trustDomain: example.org
//!   auth:
//!     clusterId: lab
//!     attestors:
//!       - type: x509pop
//!         config:
//!           certificatePath: /etc/assay/node.pem
//!           privateKeyPath: /etc/assay/node-key.pem
//!   server:
//!     addresses: [https://assay.example.org:8443]
//!     ca: /etc/assay/server-ca.pem
//!     verifierKey: 04…
//! ```
//!
//! What ties the node to its verifier may stand in a provisioning record instead, and where the verifier is on the command
//! line: then `agent.auth` alone is enough.

mod attestors;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod example;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod imported_tests;
mod model;
mod outputs;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod workloads;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::{KEY_LEN, MAX_RECORD};
use assay_common::policy::AttestorKind;
use assay_host::document::{self, DocumentError};
use assay_host::http::Roots;

use crate::method::{MethodConfig, Surroundings};
use crate::secret;

pub use outputs::{Mode, Outputs};
pub use workloads::{Selector, WorkloadApi, WorkloadEntry};

/// Where the configuration is when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/assay/agent.yaml";
/// Where the TPM is when nothing else is said.
pub const DEFAULT_TCTI: &str = "device:/dev/tpmrm0";

/// What the command line says instead of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The verifiers' addresses.
    pub servers: Vec<String>,
    /// Whom the verifier's certificate comes from.
    pub ca: Option<PathBuf>,
    /// The provisioning record.
    pub record: Option<PathBuf>,
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The cluster that the node belongs to.
    pub cluster: String,
    /// The trust domain whose identities the node accepts.
    pub trust_domain: String,
    /// The key that signs the verifier's challenges, pinned: an uncompressed SEC1 P-256 point.
    pub verifier_key: [u8; KEY_LEN],
    /// Where verifiers are; any of them will do.
    pub servers: Vec<String>,
    /// Whom their certificates come from.
    pub roots: Roots,
    /// What is offered, in the order of the file.
    pub attestors: Vec<Attestor>,
    /// The TPM, in the words of the TSS: `device:/dev/tpmrm0`, `swtpm:…`, `tabrmd:…`.
    pub tcti: String,
    /// Where the SVID's key is kept, when it is in memory; `None`: each login makes a new one.
    pub key_file: Option<PathBuf>,
    /// Which files are written.
    pub outputs: Option<Outputs>,
    /// Who gets an identity over the Workload API.
    pub workload_api: Option<WorkloadApi>,
    /// Where `/live` and `/ready` are, in the clear.
    pub health: Option<SocketAddr>,
    /// Where `/metrics` is, in the clear, on this machine's own loopback.
    pub metrics: Option<SocketAddr>,
}

/// A method that is offered.
#[derive(Debug)]
pub struct Attestor {
    /// The method.
    pub kind: AttestorKind,
    /// Its settings; `None` for a method of the TPM, which has none.
    pub config: Option<Box<dyn MethodConfig>>,
}

impl Config {
    /// Reads and checks a configuration, and the provisioning record that it names. One with a secret in it that others may
    /// read is refused.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], with a hint.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, DocumentError> {
        let config = Self::parse(path, &document::read(path)?, overrides)?;
        config.keeps_secrets()?;
        Ok(config)
    }

    /// As [`load`](Self::load), whoever may read the file, and also where what ties the node to its verifier is missing or
    /// wrong, with what of it: to find out what else is. Those fields may be empty then.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], with a hint.
    pub(crate) fn read_untied(
        path: &Path,
        overrides: &Overrides,
    ) -> Result<(Self, Option<DocumentError>), DocumentError> {
        let parsed = model::parse(path, &document::read(path)?, overrides)?;
        Ok((parsed.config, parsed.untied))
    }

    /// Whether the file is closed to others when a secret stands in it.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], with a hint.
    pub fn keeps_secrets(&self) -> Result<(), DocumentError> {
        let own = |one: &Attestor| {
            let name = one.config.as_ref()?.inline_secret()?;
            Some((one.kind, name))
        };
        let Some((kind, name)) = self.attestors.iter().find_map(own) else {
            return Ok(());
        };
        let file = self.file.display();
        let failed = |what: String| DocumentError::new(file.to_string(), what);
        let metadata = std::fs::metadata(&self.file).map_err(|error| failed(error.to_string()))?;
        let Some(mode) = secret::exposed(&metadata) else {
            return Ok(());
        };
        let what =
            format!("{kind}: `{name}` may be a secret, and mode {mode:04o} lets others have it");
        let hint = match kind {
            AttestorKind::JOIN_TOKEN => {
                format!("chmod 0640 {file}, or name a `joinTokenFile` instead")
            }
            _ => format!("chmod 0640 {file}"),
        };
        Err(failed(what).hint(hint))
    }

    /// Checks a configuration whose text is at hand. Relative paths begin at the file's directory.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], with a hint.
    pub fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Self, DocumentError> {
        let parsed = model::parse(path, text, overrides)?;
        parsed.untied.map_or(Ok(parsed.config), Err)
    }

    /// The directory that relative paths begin at.
    #[must_use]
    pub fn base(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// What a method is built in.
    #[must_use]
    pub fn surroundings(&self, kind: AttestorKind) -> Surroundings<'_> {
        Surroundings {
            kind,
            base: self.base(),
            cluster: &self.cluster,
            trust_domain: &self.trust_domain,
        }
    }

    /// Whether a method of the TPM is offered.
    #[must_use]
    pub fn uses_tpm(&self) -> bool {
        let by_tpm = |kind| attestors::of_tpm(kind) || kind == AttestorKind::TPM_DEVID;
        self.attestors.iter().any(|one| by_tpm(one.kind))
    }

    /// The provisioning record that the firmware's login begins with: the same three facts.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let record = Provisioning {
            cluster: &self.cluster,
            trust_domain: &self.trust_domain,
            verifier_key: &self.verifier_key,
        };
        let mut bytes = vec![0; MAX_RECORD];
        // All three were checked; a record that is none is refused by the login.
        let len = record.write(&mut bytes).unwrap_or(0);
        bytes.truncate(len);
        bytes
    }
}
