//! `assay evidence export`: one login as an archive, for whoever is to judge it elsewhere.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::tar;
use crate::cli::access::Access;
use crate::cli::audit::{EvidenceFiles, evidence_of};
use crate::cli::format::Format;
use crate::cli::service::{Failure, block_on, finish};
use crate::cli::stored::{RECORD, Record, Which, find};
use crate::cli::trail;

/// Which login, and where to.
#[derive(Debug, Args)]
pub struct Export {
    /// The login, 32 hex digits
    #[arg(long, value_name = "ID")]
    login: String,
    /// The archive; an existing one is not written over
    #[arg(long, value_name = "FILE.tar")]
    out: PathBuf,
    /// Where the verifier is
    #[command(flatten)]
    access: Access,
    /// How to answer
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Exported {
    login_id: String,
    archive: String,
    /// The quote's; `None` where the login has none.
    nonce: Option<String>,
    files: Vec<String>,
}

/// Runs the command.
pub(super) fn run(options: &Export) -> ExitCode {
    finish(options.format, export(options), |exported| {
        let told = format!(
            "{}: {} files of login {}",
            exported.archive,
            exported.files.len(),
            exported.login_id,
        );
        match &exported.nonce {
            Some(nonce) => format!("{told}, nonce {nonce}"),
            None => told,
        }
    })
}

fn export(options: &Export) -> Result<Exported, Failure> {
    let login = options.login.to_lowercase();
    let remote = options.access.remote()?;
    let config = options.access.config().filter(|_| remote.is_none());
    let record: Record = match remote {
        Some(remote) => block_on(trail::of_login(&remote, &login))?,
        None => find(&Which::Login(login.clone()), config.as_deref())?,
    };
    let EvidenceFiles { nonce, mut files } = evidence_of(&record, config.as_deref())?;
    let whole = serde_json::to_vec(&record).map_err(|e| Failure::failed(e.to_string()))?;
    files.push((RECORD.to_owned(), whole));
    // A name that came from the trail; it has 32 hex digits, or it would not have been found.
    let named = files
        .into_iter()
        .map(|(name, bytes)| (format!("{login}/{name}"), bytes));
    let named: Vec<_> = named.collect();
    let time = record.get("time").and_then(Value::as_str);
    let time: Option<Timestamp> = time.and_then(|time| time.parse().ok());
    let mtime = time.map_or(0, |time| {
        u64::try_from(time.as_second()).unwrap_or_default()
    });
    write(&options.out, &named, mtime).map_err(|error| {
        let failure = Failure::failed(format!("{}: {error}", options.out.display()));
        match error.kind() {
            io::ErrorKind::AlreadyExists => failure.hint("choose another name, or remove it"),
            _ => failure,
        }
    })?;
    Ok(Exported {
        login_id: login,
        archive: options.out.display().to_string(),
        nonce,
        files: named.into_iter().map(|(name, _)| name).collect(),
    })
}

/// For its owner alone: a record says who logged in from where.
fn write(path: &Path, files: &[(String, Vec<u8>)], mtime: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    let mut archive = Vec::new();
    tar::write(&mut archive, files, mtime)?;
    file.write_all(&archive)?;
    file.sync_all()
}
