//! `assayd`: the verifier as a service.

use std::path::PathBuf;
use std::process::ExitCode;

use assay_host_verifier::api::start::{HttpError, HttpListeners};
use assay_host_verifier::config::Config;
use assay_host_verifier::server::start::{self, StartError};
use assay_host_verifier::telemetry::events::EventTarget;
use assay_host_verifier::telemetry::{EventSink, logging, names};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The Assay verifier.
///
/// Serves logins on the listeners of its configuration until SIGTERM or SIGINT. Logs are JSON lines on
/// stderr; ASSAY_LOG filters them (default: info).
#[derive(Debug, Parser)]
#[command(name = "assayd", version)]
struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
    config: PathBuf,
    /// Write every login step as a JSON line to a file, to a Unix socket that somebody listens on, or to stdout (`-`)
    #[arg(long, value_name = "FILE|SOCKET|-")]
    events: Option<EventTarget>,
    /// Check the configuration and everything that it names, and stop
    #[arg(long)]
    check: bool,
}

/// Why the service ended before it was told to.
enum Failure {
    /// Bad usage or an unusable document: exit status 2.
    Usage(String, Option<String>),
    /// Everything else: exit status 1.
    Failed(String, Option<String>),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::Failed(error.to_string(), Some(error.hint().to_owned()))
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Failed(error.to_string(), error.hint().map(str::to_owned))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(Failure::Failed(error.to_string(), None)),
    };
    let (status, message, hint) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(message, hint)) => (2, message, hint),
        Err(Failure::Failed(message, hint)) => (1, message, hint),
    };
    eprintln!("error: {message}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(status)
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)
        .map_err(|error| Failure::Usage(error.to_string(), error.hint))?;
    if arguments.check {
        println!("{}: ok", arguments.config.display());
        return Ok(());
    }
    let failed = |what: &str, error: &dyn core::fmt::Display| {
        Failure::Failed(format!("{what}: {error}"), None)
    };
    // Handlers first: a SIGTERM during the start ends it as cleanly as one after it.
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| failed("SIGTERM", &error))?;
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
    tracing::info!(
        links = links.join(" "),
        clusters = config
            .clusters
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" "),
        trust_domain = config.trust_domain,
        challenge_key = hex::encode(server.verifier.key.public()),
        "{}",
        names::SERVING
    );
    let (stop, stopped) = watch::channel(false);
    let store = server.store.clone();
    let serving = tokio::spawn(async move {
        let http = http.serve(&server, &config.http, stopped.clone());
        tokio::join!(server.serve(sources, stopped.clone()), http);
    });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("{}", names::STOPPING);
    let _ = stop.send(true);
    let served = serving.await;
    store.close().await;
    // The last sink is gone with the server: the writer ends when it has written what is queued.
    if let Some(writer) = writer {
        let _ = writer.await;
    }
    tracing::info!("{}", names::STOPPED);
    served.map_err(|error| failed("the service ended", &error))
}
