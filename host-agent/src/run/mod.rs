//! `assay agent run`: a session, kept for as long as the agent runs, and all that is made of it.
//!
//! ```text
//!   thread "session"   logs in, renews          -> watch: the session
//!   main thread        asks for the bundle      -> watch: the bundle
//!                      writes files, answers probes and workloads, from both
//! ```
//!
//! Two threads, for proofs block: a TPM takes a second for a key, an executable as long as it likes.

mod backoff;
mod health;
mod outputs;
mod session;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use assay_host::supervisor::Supervisor;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Verifiers;
use crate::config::Config;
use crate::names;
use crate::setup::Setup;
use crate::workload::{self, Api};
use session::Keeper;

/// How long what is under way may take when the agent stops: a TPM finishes its command.
const DRAIN: Duration = Duration::from_secs(5);

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port or a socket cannot be opened.
    #[error("{what}: {source}")]
    Listen {
        /// Which.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses a thread or a signal.
    #[error("{0}")]
    System(#[from] io::Error),
    /// The thread of the session has ended by itself.
    #[error("the thread of the session has failed")]
    Session,
}

impl RunError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Listen { .. } => {
                "is another agent running, and may this user open it? Change the address in the configuration"
            }
            Self::System(_) => "look at the limits of the service",
            Self::Session => "this is a fault of the agent; its log has the reason",
        }
    }
}

/// Runs until a signal ends it.
///
/// # Errors
///
/// [`RunError`].
pub async fn run(config: Config, setup: Setup, verifiers: Verifiers) -> Result<(), RunError> {
    let (stop, stopped) = watch::channel(false);
    let (told, sessions) = watch::channel(None);
    let (losing, lost) = watch::channel(None);
    let (bundle, bundles) = watch::channel(None);
    let supervisor = Supervisor::from_environment();
    let mut signals = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut tasks = JoinSet::new();
    if let Some(address) = config.health {
        let listener = health::open(address).await;
        let listener = listener.map_err(|source| RunError::Listen {
            what: address.to_string(),
            source,
        })?;
        let address = listener.local_addr()?;
        tracing::info!(listener = "health", %address, "{}", names::LISTENING);
        tasks.spawn(health::serve(listener, sessions.clone()));
    }
    if let Some(address) = config.metrics {
        let listener = health::open(address).await;
        let listener = listener.map_err(|source| RunError::Listen {
            what: address.to_string(),
            source,
        })?;
        let address = listener.local_addr()?;
        tracing::info!(listener = "metrics", %address, "{}", names::LISTENING);
        tasks.spawn(health::serve_metrics(listener, setup.proofs.clone()));
    }
    tasks.spawn(outputs::keep_bundle(
        verifiers.clone(),
        sessions.clone(),
        bundle,
    ));
    if let Some(outputs) = config.outputs.clone() {
        tasks.spawn(outputs::keep_files(
            outputs,
            sessions.clone(),
            bundles.clone(),
        ));
    }
    // The sender lives as long as the agent, whether anybody uses it or not.
    let mut socket = None;
    if let Some(settings) = &config.workload_api {
        let path = settings.socket.clone();
        let listener = workload::open(&path, settings.mode);
        let listener = listener.map_err(|source| RunError::Listen {
            what: path.display().to_string(),
            source,
        })?;
        tracing::info!(listener = "workload", address = %path.display(), "{}", names::LISTENING);
        let api = Api::new(
            settings,
            &config.trust_domain,
            sessions.clone(),
            bundles.clone(),
            verifiers.clone(),
            losing.clone(),
        );
        tasks.spawn(workload::serve(listener, Arc::new(api)));
        socket = Some(path);
    }
    let record = config.record();
    let watchdog = supervisor.watchdog(stopped.clone());
    let (ended, mut end) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("session".to_owned());
    let thread = thread.spawn(move || {
        let _ended = ended;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let keeper = Keeper {
            record,
            verifiers,
            evidence: setup.evidence(),
            told,
            lost,
            stop: stopped,
        };
        runtime.block_on(keeper.run());
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
        io::Result::Ok(())
    })?;
    supervisor.ready();
    let failed = tokio::select! {
        _ = signals.0.recv() => false,
        _ = signals.1.recv() => false,
        // It ends when the agent does and not before.
        _ = &mut end => true,
    };
    tracing::info!("{}", names::STOPPING);
    supervisor.stopping(DRAIN);
    stop.send_replace(true);
    if failed {
        return Err(RunError::Session);
    }
    // The thread leaves the TPM as it found it. One that hangs in a command is left behind.
    let _ = tokio::time::timeout(DRAIN, &mut end).await;
    if thread.is_finished() {
        let _ = thread.join();
    }
    tasks.shutdown().await;
    if let Some(socket) = socket {
        // Whoever finds it would wait for nobody.
        let _ = std::fs::remove_file(socket);
    }
    watchdog.abort();
    Ok(())
}
