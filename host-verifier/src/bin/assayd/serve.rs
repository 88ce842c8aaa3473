//! `assayd serve`: everything that the configuration names, until somebody says stop.

use std::path::PathBuf;
use std::sync::Arc;

use assay_host_verifier::api::Tls;
use assay_host_verifier::api::start::HttpListeners;
use assay_host_verifier::config::{Config, overlay};
use assay_host_verifier::server::start;
use assay_host_verifier::telemetry::events::EventTarget;
use assay_host_verifier::telemetry::{EventSink, names};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::Failure;
use assay_host::supervisor::Supervisor;

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
        tls(&config)?;
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
    tls(&config)?;
    let server = start::server(&config, events).await?;
    let sources = start::sources(&config).await?;
    let http = HttpListeners::bind(&config.http).await?;
    start::authorities(&server).await?;
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
    let server = Arc::new(server);
    let drain = config.http.limits.drain_timeout;
    let links = {
        let (server, stopped) = (server.clone(), stopped.clone());
        tokio::spawn(async move { server.serve(sources, stopped).await })
    };
    let http = tokio::spawn(async move { http.serve(&server, &config, stopped).await });
    supervisor.ready();
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    let served = serve_until(told, links, http, || {
        tracing::info!("{}", names::STOPPING);
        supervisor.stopping(drain);
        let _ = stop.send(true);
    })
    .await;
    let _ = alive.await;
    store.close().await;
    // The last sink is gone with the server: the writer ends when it has written what is queued.
    if let Some(writer) = writer {
        let _ = writer.await;
    }
    tracing::info!("{}", names::STOPPED);
    served
}

/// Whether the files of the API's certificate can be used; told with the places that name them. They may come later, so that it
/// is not the configuration that is wrong: exit status 1, after which a supervisor tries again.
fn tls(config: &Config) -> Result<(), Failure> {
    let Some(api) = &config.http.api else {
        return Ok(());
    };
    Tls::check(&config.file, &api.tls).map_err(|error| {
        let hint = error.hint.clone().unwrap_or_default();
        Failure::failed(error.to_string()).hint(hint)
    })
}

/// Waits until somebody says stop, or one of both can serve no more; ends the other in good order, and tells what it was.
/// An exit status that is not 0 is what has a supervisor start the service anew.
async fn serve_until<E: core::fmt::Display>(
    told: impl Future<Output = ()>,
    mut links: JoinHandle<Result<(), E>>,
    mut http: JoinHandle<Result<(), E>>,
    stop: impl FnOnce(),
) -> Result<(), Failure> {
    let broken = |error: &dyn core::fmt::Display| {
        Failure::failed(format!("the service cannot go on: {error}"))
            .hint("this is a fault of the program; the log has more")
    };
    let checked = |ended: Result<Result<(), E>, JoinError>| match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(broken(&error)),
        Err(error) => Err(broken(&error)),
    };
    // What ends before it was told to is broken, whatever it says of itself.
    let early = |ended| checked(ended).and(Err(broken(&"it ended by itself")));
    let mut ended = (None, None);
    tokio::select! {
        () = told => {}
        one = &mut links => ended.0 = Some(early(one)),
        one = &mut http => ended.1 = Some(early(one)),
    }
    stop();
    let links = match ended.0 {
        Some(ended) => ended,
        None => checked(links.await),
    };
    let http = match ended.1 {
        Some(ended) => ended,
        None => checked(http.await),
    };
    links.and(http)
}

/// A connection is a file descriptor, and shells give 1024 of them. What the system allows is taken; what it does not,
/// the listener copes with.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::watch;
    use tokio::task::JoinHandle;

    use super::serve_until;

    /// Both ends end at `stop`; `ends` is what the first does instead.
    async fn served(
        ends: Option<fn() -> Result<(), String>>,
        swapped: bool,
    ) -> (Result<(), String>, bool) {
        let (stop, stopped) = watch::channel(false);
        let until_stop = |mut stop: watch::Receiver<bool>| async move {
            stop.wait_for(|stop| *stop).await.unwrap();
            Ok(())
        };
        let one: JoinHandle<Result<(), String>> = match ends {
            Some(ends) => tokio::spawn(async move { ends() }),
            None => tokio::spawn(until_stop(stopped.clone())),
        };
        let other = tokio::spawn(until_stop(stopped));
        let (links, http) = match swapped {
            false => (one, other),
            true => (other, one),
        };
        let told = AtomicBool::new(false);
        let never = ends.is_some();
        let signal = async {
            if never {
                std::future::pending().await
            }
        };
        let served = serve_until(signal, links, http, || {
            told.store(true, Ordering::Relaxed);
            stop.send(true).unwrap();
        });
        let served = served.await.map_err(|failure| failure.message);
        (served, told.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_cannot_go_on_ends_the_other_in_good_order_and_is_told() {
        assert_eq!(served(None, false).await, (Ok(()), true));
        type Ending = fn() -> Result<(), String>;
        let faults: [(Ending, &str); 3] = [
            (|| std::panic::resume_unwind(Box::new("a fault")), "panic"),
            (|| Err("purge: ended".to_owned()), "purge: ended"),
            (|| Ok(()), "it ended by itself"),
        ];
        for swapped in [false, true] {
            for (fault, said) in faults {
                let (result, told) = served(Some(fault), swapped).await;
                let message = result.unwrap_err();
                assert!(message.contains(said) && told, "{message}");
            }
        }
    }
}
