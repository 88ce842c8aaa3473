//! `assayd serve`: everything that the configuration names, until somebody says stop.

use std::path::PathBuf;

use assay_host_verifier::api::Tls;
use assay_host_verifier::api::start::{HttpError, HttpListeners};
use assay_host_verifier::config::overlay;
use assay_host_verifier::server::start;
use assay_host_verifier::telemetry::events::EventTarget;
use assay_host_verifier::telemetry::{EventSink, names};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::Failure;
use crate::notify::Supervisor;

/// The options of `assayd serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
    config: Option<PathBuf>,
    /// Put a value in the place of the configuration's, for instance listeners.api.address=127.0.0.1:8443
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write every login step as a JSON line to a file, to a Unix socket that somebody listens on, or to stdout (`-`)
    #[arg(long, value_name = "FILE|SOCKET|-")]
    events: Option<EventTarget>,
    /// Check the configuration and everything that it names, and stop
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let Some(path) = &arguments.config else {
        return Err(Failure::usage("no configuration")
            .hint("give one with --config FILE; `assayd init` makes one"));
    };
    let config = overlay::load(path, &arguments.set)?;
    if arguments.check {
        if let Some(api) = &config.http.api {
            Tls::load(&api.tls).map_err(HttpError::from)?;
        }
        println!("{}: ok", path.display());
        return Ok(());
    }
    let failed =
        |what: &str, error: &dyn core::fmt::Display| Failure::failed(format!("{what}: {error}"));
    // Handlers first: a SIGTERM during the start ends it as cleanly as one after it.
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| failed("SIGTERM", &error))?;
    raise_file_limit();
    let (events, writer) = match &arguments.events {
        None => (EventSink::default(), None),
        Some(target) => {
            let opened = EventSink::open(target).await;
            let (sink, writer) = opened.map_err(|error| failed("--events", &error))?;
            (sink, Some(writer))
        }
    };
    let server = start::server(&config, events).await?;
    let sources = start::sources(&config).await?;
    let http = HttpListeners::bind(&config.http).await?;
    let links: Vec<_> = sources.iter().map(|source| source.name()).collect();
    let clusters: Vec<_> = config.clusters.keys().cloned().collect();
    tracing::info!(
        links = links.join(" "),
        clusters = clusters.join(" "),
        trust_domain = config.trust_domain,
        challenge_key = hex::encode(server.verifier.current().key.public()),
        "{}",
        names::SERVING
    );
    let (stop, stopped) = watch::channel(false);
    let store = server.store.clone();
    let supervisor = Supervisor::from_environment();
    let alive = supervisor.watchdog(stopped.clone());
    let serving = tokio::spawn(async move {
        let http = http.serve(&server, &config, stopped.clone());
        tokio::join!(server.serve(sources, stopped.clone()), http);
    });
    supervisor.ready();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("{}", names::STOPPING);
    supervisor.stopping();
    let _ = stop.send(true);
    let served = serving.await;
    let _ = alive.await;
    store.close().await;
    // The last sink is gone with the server: the writer ends when it has written what is queued.
    if let Some(writer) = writer {
        let _ = writer.await;
    }
    tracing::info!("{}", names::STOPPED);
    served.map_err(|error| failed("the service ended", &error))
}

/// A connection is a file descriptor, and shells give 1024 of them. What the system allows is taken; what it does not,
/// the listener copes with.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
