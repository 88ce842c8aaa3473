//! `assayd.yaml`: checked whole before anything starts; every error says file, line, column and what to do.

mod api;
mod audit;
mod clouds;
mod datastore;
mod listeners;
mod model;
mod outbound;
pub mod overlay;
mod postgres_url;
pub mod schema;
mod svid;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use api::{
    ApiClient, ApiLimits, ApiListener, ClientName, DEFAULT_API, DEFAULT_HEALTH, DEFAULT_METRICS,
    HttpSettings, TlsFiles,
};
pub use audit::{AuditFiles, Keep};
pub use datastore::{Datastore, Password, PostgresServer, PostgresSettings, TlsMode};
pub(crate) use svid::{CA_TTL, JWT_TTL, X509_TTL};
pub use svid::{KeyManagerConfig, SvidConfig, UpstreamConfig};

use crate::cloud::Clouds;
use crate::document::{self, DocumentError, Files, Place, Provided, Watched};
use crate::outside::Outbound;
use crate::policy::fit::{self, Misfit};
use crate::policy::{PolicyDocument, PolicySet};
use crate::session::PathTemplate;
use crate::transport::serial::SerialSource;

/// The path of a node's SPIFFE ID unless the configuration says otherwise.
pub const DEFAULT_PATH_TEMPLATE: &str = "/node/{{tpm_ek.public_hash}}";

/// How long a login may take unless the configuration says otherwise: five minutes.
///
/// A chip that makes RSA keys only makes EK and AK between the challenge and the proofs. Either may take two minutes, and
/// since a primary key comes out of a seed, it takes as long at every boot: under a shorter limit such a node would fail
/// at every attempt, for ever. A login that waits so long holds one place of `loginsInFlight`; a link has one login at a
/// time, and gives the place back when it closes or begins anew.
pub const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(300);

/// A configuration that was checked.
#[derive(Debug)]
pub struct Config {
    /// The trust domain whose identities are issued.
    pub trust_domain: String,
    /// Where keys are, and the database unless `datastore` names another.
    pub data_dir: PathBuf,
    /// Where sessions, nodes and answered challenges are kept.
    pub datastore: Datastore,
    /// Where agents come from, besides HTTP.
    pub listeners: Vec<Listener>,
    /// What is served over HTTP.
    pub http: HttpSettings,
    /// The clusters that it names; more may be in the store, and what is set there goes before.
    pub clusters: BTreeMap<String, BaseCluster>,
    /// The directory whose files documents in the store may name; without one they name none.
    pub config_files: Option<PathBuf>,
    /// How long a session lasts.
    pub session_ttl: Duration,
    /// After how long a node must log in anew, however often it renewed.
    pub reattest_after: Duration,
    /// How a node's SPIFFE ID is made.
    pub path_template: PathTemplate,
    /// Where errors about that template point to: its field, or the clusters when it is not given.
    pub path_template_at: Place,
    /// What the file is called in errors.
    pub file: String,
    /// Most logins at once over sockets that anybody may open; every other listener has one besides.
    pub logins_in_flight: usize,
    /// How long a login may take.
    pub login_timeout: Duration,
    /// What methods may ask of others.
    pub outbound: Outbound,
    /// How clouds are asked, and whose signatures are theirs.
    pub clouds: Arc<Clouds>,
    /// How the audit trail is kept.
    pub audit: AuditFiles,
    /// Authorities, their keys, and the lifetimes of what they sign.
    pub svid: SvidConfig,
}

/// A cluster of `assayd.yaml`: what holds until something is set for it in the store.
#[derive(Debug, Clone)]
pub struct BaseCluster {
    /// Who may join.
    pub policies: Arc<PolicySet>,
    /// Where that is written: `FILE:LINE:COLUMN`, or a file of its own.
    pub origin: String,
    /// Its document, if it is a file of its own.
    pub document: Option<String>,
    /// What the policies are built from; `None` when they name no files.
    pub source: Option<Arc<BaseSource>>,
}

/// What policies of `assayd.yaml` are built from, once at the start and anew when a file has changed that they name.
#[derive(Debug)]
pub struct BaseSource {
    document: Arc<PolicyDocument>,
    file: String,
    directory: PathBuf,
    trust_domain: String,
    provided: Provided,
    watched: Watched,
}

impl BaseSource {
    /// Builds them, and notes in `watched` which files were read.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn build(&self, watched: &Watched) -> Result<PolicySet, DocumentError> {
        let files = Files::beside(&self.directory)
            .provided_by(&self.provided)
            .in_trust_domain(&self.trust_domain)
            .watched_by(watched);
        self.document.build_in(&self.file, files)
    }

    /// The files that were read at the start.
    #[must_use]
    pub const fn watched(&self) -> &Watched {
        &self.watched
    }
}

/// One place that agents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// A serial port.
    Serial(SerialSource),
    /// A Unix socket.
    Unix {
        /// The socket's path.
        path: PathBuf,
        /// Who opens it.
        mode: SocketMode,
    },
    /// A TCP port on this machine.
    Tcp {
        /// A loopback address.
        address: SocketAddr,
        /// Who opens it.
        mode: SocketMode,
    },
}

/// Who opens a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SocketMode {
    /// The verifier listens, agents connect.
    #[default]
    Listen,
    /// An emulator listens, the verifier connects.
    Connect,
}

impl Config {
    /// What documents are built with, wherever they come from.
    #[must_use]
    pub fn provided(&self) -> Provided {
        Provided {
            credentials: self.outbound.credentials.clone(),
            clouds: self.clouds.clone(),
        }
    }

    /// What is right, and will deny some logins all the same.
    #[must_use]
    pub fn warnings(&self) -> Vec<Misfit> {
        let clusters = self.clusters.iter().flat_map(|(name, cluster)| {
            let fit = fit::template(
                &cluster.policies,
                &self.path_template,
                self.path_template_at,
            );
            fit.warnings.into_iter().map(move |mut misfit| {
                misfit.message = format!("cluster `{name}`: {}", misfit.message);
                misfit
            })
        });
        clusters.collect()
    }

    /// Reads a file, and the policy documents that it names. Relative paths are looked up from the file's directory.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn load(path: &Path) -> Result<Self, DocumentError> {
        let text = document::read(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::parse(&path.display().to_string(), &text, base)
    }

    /// Reads a document; `file` names it in errors.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn parse(file: &str, text: &str, base: &Path) -> Result<Self, DocumentError> {
        let raw: model::Root = document::parse(file, text)?;
        raw.check(file, base)
    }
}
