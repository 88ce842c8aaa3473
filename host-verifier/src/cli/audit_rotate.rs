//! `assay audit rotate`: by asking the service that writes the trail, or without one.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::format::Format;
use super::service::{Failure, block_on, finish, load};
use crate::audit::disk::Names;
use crate::audit::{self, AuditError, AuditLog, Closed};
use crate::config::Config;

/// How long the service may take. It looks every few seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    /// The verifier's configuration
    #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
    config: std::path::PathBuf,
    /// How to answer
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Rotated {
    /// The file that was closed; nothing when there was no record in it.
    closed: Option<String>,
}

/// Runs the command.
pub(super) fn run(options: &Options) -> ExitCode {
    finish(
        options.format,
        rotate(&options.config),
        |rotated| match &rotated.closed {
            Some(name) => format!("{name} is closed"),
            None => "nothing to close: no record since the last rotation".to_owned(),
        },
    )
}

fn rotate(config: &Path) -> Result<Rotated, Failure> {
    let config = load(config)?;
    let active = config.data_dir.join(audit::FILE);
    let names = Names::of(&active);
    if !active.exists() {
        return Err(
            Failure::failed(format!("{}: no audit trail yet", active.display()))
                .hint("assayd makes it when it starts with this configuration"),
        );
    }
    let closed = match AuditLog::open_with(&active, config.audit.into()) {
        Ok((log, _)) => block_on(async { log.rotate().await.map_err(|e| failed(&e)) })?,
        Err(AuditError::Locked(_)) => ask(&config, &names)?,
        Err(error) => return Err(failed(&error)),
    };
    let closed = closed.map(|closed| names.file_name(closed));
    Ok(Rotated { closed })
}

fn failed(error: &AuditError) -> Failure {
    Failure::failed(error.to_string()).hint("`assay audit verify` says whether the trail is whole")
}

/// Leaves a note for the service, and waits until it is gone.
fn ask(config: &Config, names: &Names) -> Result<Option<Closed>, Failure> {
    let folder = config.data_dir.display();
    let system = |error: std::io::Error| Failure::failed(format!("{folder}: {error}"));
    let before = names.list().map_err(system)?;
    let note = names.request();
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&note)
        .map_err(|error| system(error).hint("run it as the user that runs assayd"))?;
    let asked = Instant::now();
    while note.exists() {
        if asked.elapsed() > PATIENCE {
            // Nobody shall rotate when nobody waits any more.
            let _ = std::fs::remove_file(&note);
            let message = format!("{folder}: no rotation within {} s", PATIENCE.as_secs());
            return Err(Failure::failed(message).hint("its log says why; /ready too"));
        }
        std::thread::sleep(LOOK);
    }
    let after = names.list().map_err(system)?;
    Ok(after
        .last()
        .filter(|newest| !before.contains(newest))
        .copied())
}
