//! From a configuration to a running service.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::clusters::Base;
use super::state_keys::StateKeyError;
use super::{Asking, Clusters, Counted, Live, Server, StateKeys, World};
use crate::audit::{self, AuditError, AuditLog};
use crate::clock::SystemClock;
use crate::cloud::Times;
use crate::config::{Config, Datastore, KeyManagerConfig, Listener, SocketMode};
use crate::login::key::KeyError;
use crate::login::{ChallengeKey, Verifier};
use crate::outside::client::Client;
use crate::random::SystemRandom;
use crate::store::{PostgresStore, SqliteStore, Store, StoreError};
use crate::svid::keys::{self, DiskKeys, KeyManager, MemoryKeys};
use crate::svid::upstream::UpstreamDisk;
use crate::svid::{Issuer, RotateError};
use crate::telemetry::{EventSink, Health, Metrics, names};
use crate::transport::LinkSource;
use crate::transport::socket::{TcpAccept, TcpDial, UnixAccept, UnixDial};

/// How long a command may hold the trail while the service starts.
const COMMAND: Duration = Duration::from_secs(2);
/// How often it is looked whether it has gone.
const LOOK: Duration = Duration::from_millis(50);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made or used.
    #[error("dataDir {path}: {source}")]
    DataDir {
        /// The directory.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`AuditError`].
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The keys of authorities cannot be used.
    #[error(transparent)]
    SvidKeys(#[from] keys::KeyError),
    /// See [`StateKeyError`].
    #[error(transparent)]
    StateKeys(#[from] StateKeyError),
    /// There is no authority that could sign.
    #[error(transparent)]
    Authorities(#[from] RotateError),
    /// The system has no randomness.
    #[error(transparent)]
    Random(#[from] crate::random::RandomError),
    /// A listener cannot be opened.
    #[error("{listener}: {source}")]
    Listener {
        /// Which.
        listener: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is nothing to listen on.
    #[error("no listeners")]
    NoListeners,
}

impl StartError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DataDir { .. } => {
                Some("the directory must be writable for the user that runs assayd")
            }
            Self::Key(KeyError::Exposed { .. }) => Some(
                "chmod 600 the file; if others may have read it, replace it and provision the nodes again",
            ),
            Self::Key(KeyError::Invalid(_)) => Some(
                "restore the file from a backup: nodes pin this key; a new one means provisioning them again",
            ),
            Self::Audit(AuditError::Locked(_)) => Some("each assayd needs a dataDir of its own"),
            Self::Audit(AuditError::Broken { .. }) => Some(
                "find out who changed it (`assay audit verify`), keep it, and move it away: a new one is begun",
            ),
            Self::Listener { .. } => {
                Some("is another assayd running, or the port open in a terminal?")
            }
            Self::NoListeners => Some(
                "add `listeners.api`, or an entry below `listeners.serial`, `listeners.unix` or `listeners.tcp`",
            ),
            Self::Store(error) | Self::StateKeys(StateKeyError::Store(error)) => error.hint(),
            Self::SvidKeys(error) => error.hint(),
            Self::Authorities(error) => error.hint(),
            Self::Key(_) | Self::Audit(_) | Self::Random(_) | Self::StateKeys(_) => None,
        }
    }
}

/// Makes the data directory, readable for its owner only, when it is not there.
///
/// # Errors
///
/// [`StartError::DataDir`].
pub fn prepare_data_dir(path: &Path) -> Result<(), StartError> {
    let fail = |source| StartError::DataDir {
        path: path.display().to_string(),
        source,
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(fail)
}

/// What logins share, with the challenge key of the data directory.
///
/// # Errors
///
/// [`StartError`].
pub fn verifier(config: &Config) -> Result<Verifier, StartError> {
    prepare_data_dir(&config.data_dir)?;
    Ok(Verifier {
        trust_domain: config.trust_domain.clone(),
        clusters: Base::from(config).served(),
        unusable: BTreeMap::new(),
        key: ChallengeKey::load_or_create(&config.data_dir)?,
        login_timeout: config.login_timeout,
        session_ttl: config.session_ttl,
        path_template: config.path_template.clone(),
        reattest_after: config.reattest_after,
        issues_svids: true,
    })
}

/// The configured store, with its schema brought up to date.
///
/// # Errors
///
/// [`StartError`].
pub async fn store(config: &Config) -> Result<Arc<dyn Store>, StartError> {
    prepare_data_dir(&config.data_dir)?;
    Ok(match &config.datastore {
        Datastore::Sqlite { path } => Arc::new(SqliteStore::open(path).await?),
        Datastore::Postgres(settings) => Arc::new(PostgresStore::open(settings).await?),
    })
}

/// What issues SVIDs, without authorities yet: see [`authorities`].
///
/// # Errors
///
/// [`StartError`].
pub fn issuer(config: &Config, store: Arc<dyn Store>) -> Result<Issuer, StartError> {
    let keys: Arc<dyn KeyManager> = match &config.svid.key_manager {
        KeyManagerConfig::Memory => Arc::new(MemoryKeys::named(&config.data_dir, &SystemRandom)?),
        KeyManagerConfig::Disk { path } => Arc::new(DiskKeys::open(path, &SystemRandom)?),
    };
    let upstream = config.svid.upstream.as_ref().map(|files| {
        let bundle = files.bundle.clone();
        UpstreamDisk::new(files.certificate.clone(), files.key.clone(), bundle)
    });
    let settings = config.svid.settings.clone();
    let random = Arc::new(SystemRandom);
    Ok(Issuer::new(settings, keys, upstream, store, random))
}

/// Gives a service authorities that can sign: those of the key manager and the store, or new ones. The last step of a start:
/// what is published stands in every verifier's bundle, so a service that cannot serve must not have published any.
///
/// # Errors
///
/// [`StartError`].
pub async fn authorities(server: &Server) -> Result<(), StartError> {
    let now = server.clock.now();
    match server.issuer.prepare(now).await {
        // What did not work is tried again; what is there can sign meanwhile.
        Err(error) if server.issuer.ready(now.wall) => {
            tracing::warn!(%error, "{}", names::ROTATION_FAILED);
        }
        result => result?,
    }
    Ok(())
}

/// The audit trail of a data directory.
///
/// # Errors
///
/// [`StartError`].
pub fn audit(data_dir: &Path, settings: audit::Settings) -> Result<AuditLog, StartError> {
    let path = data_dir.join(audit::FILE);
    let began = Instant::now();
    let (log, cut) = loop {
        match AuditLog::open_with(&path, settings.clone()) {
            // A command that records what it did, or closes a file, is done soon; another assayd is not.
            Err(AuditError::Locked(_)) if began.elapsed() < COMMAND => {
                std::thread::sleep(LOOK);
            }
            opened => break opened?,
        }
    };
    if cut > 0 {
        tracing::warn!(path = %path.display(), bytes = cut, "{}", names::AUDIT_CUT);
    }
    Ok(log)
}

/// A service with the system's clock and randomness. It issues SVIDs after [`authorities`].
///
/// # Errors
///
/// [`StartError`].
pub async fn server(config: &Config, events: EventSink) -> Result<Server, StartError> {
    let clock = Arc::new(SystemClock::new());
    let metrics = Metrics::new(clock.clone());
    metrics.config_served(1);
    let live = Live::from(verifier(config)?);
    let store = store(config).await?;
    let store: Arc<dyn Store> = Arc::new(Counted::new(store, metrics.clone()));
    let clusters = Clusters::new(Base::from(config), store.clone());
    // Before the first login: what is set in the store may be stricter than what the file says.
    clusters.refresh(&live, false).await?;
    let random = Arc::new(SystemRandom);
    let challenge = live.current().key.clone();
    let state_keys =
        StateKeys::open(store.clone(), challenge, clock.clone(), random.clone()).await?;
    Ok(Server {
        verifier: live,
        state_keys,
        issuer: Arc::new(issuer(config, store.clone())?),
        clusters,
        outside: Arc::new(
            World::new(
                Arc::new(Client::new(&config.outbound)),
                store.clone(),
                clock.clone(),
            )
            .with_answers(clock.clone(), Arc::new(metrics.clone()), Times::default()),
        ),
        asking: Asking::default(),
        store,
        metrics,
        health: Health::starting(clock.clone()),
        clock,
        random,
        events,
        audit: audit(&config.data_dir, config.audit.into())?,
        permits: Arc::new(Semaphore::new(config.logins_in_flight)),
    })
}

/// Opens what can be opened now: sockets are bound, so that their errors are reported at the start; ports are
/// opened when they are served, since they may be plugged in later.
///
/// # Errors
///
/// [`StartError`].
pub async fn sources(config: &Config) -> Result<Vec<Box<dyn LinkSource>>, StartError> {
    let mut sources: Vec<Box<dyn LinkSource>> = Vec::new();
    for listener in &config.listeners {
        sources.push(match listener {
            Listener::Serial(serial) => Box::new(serial.clone()),
            Listener::Unix {
                path,
                mode: SocketMode::Connect,
            } => Box::new(UnixDial { path: path.clone() }),
            Listener::Unix {
                path,
                mode: SocketMode::Listen,
            } => {
                let fail = |source| listen_error(format!("unix:{}", path.display()), source);
                Box::new(UnixAccept::bind(path).await.map_err(fail)?)
            }
            Listener::Tcp {
                address,
                mode: SocketMode::Connect,
            } => Box::new(TcpDial { address: *address }),
            Listener::Tcp {
                address,
                mode: SocketMode::Listen,
            } => {
                let fail = |source| listen_error(format!("tcp:{address}"), source);
                Box::new(TcpAccept::bind(*address).await.map_err(fail)?)
            }
        });
    }
    if sources.is_empty() && config.http.is_empty() {
        return Err(StartError::NoListeners);
    }
    Ok(sources)
}

const fn listen_error(listener: String, source: io::Error) -> StartError {
    StartError::Listener { listener, source }
}
