//! Where the records of a trail are: in files beside the service, or behind its API.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::access::{Access, Reached};
use super::remote::Remote;
use super::service::{Failure, load};
use crate::audit::found::Found;
use crate::audit::{self, VerifyError};

/// Most bytes of the records of one login that are held in memory.
const MAX_FOUND: usize = 16 * 1024 * 1024;

/// Where a trail is.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Place {
    /// The verifier's configuration
    #[arg(long, value_name = "FILE", env = "ASSAYD_CONFIG")]
    config: Option<PathBuf>,
    /// The file that is written, or a copy of it or of a closed one; goes before --config
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Place {
    pub(super) fn path(&self) -> Result<PathBuf, Failure> {
        match (&self.file, &self.config) {
            (Some(file), _) => Ok(file.clone()),
            (None, Some(config)) => Ok(load(config)?.data_dir.join(audit::FILE)),
            (None, None) => Err(Failure::usage("--config or --file is needed")),
        }
    }

    /// The configuration that is named.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// All files, the oldest first.
    pub(super) fn open(&self) -> Result<Vec<(PathBuf, BufReader<File>)>, Failure> {
        open_all(&self.path()?)
    }
}

/// A trail that can be asked for over the API too.
#[derive(Debug, Args)]
pub struct Trail {
    /// The file that is written, or a copy of it or of a closed one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "server"])]
    file: Option<PathBuf>,
    /// Where the verifier is
    #[command(flatten)]
    access: Access,
}

/// Where records come from.
#[derive(Debug)]
pub(super) enum Records {
    /// The file that is written, and those beside it.
    File(PathBuf),
    /// A verifier that answers.
    Api(Box<Remote>),
}

impl Trail {
    pub(super) fn reach(&self) -> Result<Records, Failure> {
        if let Some(file) = &self.file {
            return Ok(Records::File(file.clone()));
        }
        Ok(match self.access.reach()? {
            Reached::Store(config) => Records::File(config.data_dir.join(audit::FILE)),
            Reached::Api(remote) => Records::Api(remote),
        })
    }
}

/// The last records, the newest first. Older files are not read when newer ones have enough.
pub(super) fn last(active: &Path, limit: usize) -> Result<VecDeque<Map<String, Value>>, Failure> {
    let mut last = VecDeque::new();
    for (path, file) in open_all(active)?.into_iter().rev() {
        let mut own = VecDeque::new();
        let wanted = limit - last.len();
        records(&path, file, &mut |record| {
            own.push_front(record);
            own.truncate(wanted);
        })?;
        last.extend(own);
        if last.len() >= limit {
            break;
        }
    }
    Ok(last)
}

fn open_all(active: &Path) -> Result<Vec<(PathBuf, BufReader<File>)>, Failure> {
    audit::files::open(active).map_err(|(path, error)| {
        let failure = Failure::usage(format!("{}: {error}", path.display()));
        match error.kind() {
            ErrorKind::NotFound => {
                failure.hint("assayd makes it when it starts with this configuration")
            }
            _ => failure,
        }
    })
}

/// Every record of a trail, in order.
pub(super) fn records_of(
    active: &Path,
    each: &mut dyn FnMut(Map<String, Value>),
) -> Result<(), Failure> {
    for (path, file) in open_all(active)? {
        records(&path, file, each)?;
    }
    Ok(())
}

/// What a trail says of a login or a session.
pub(super) fn found(active: &Path, name: &str) -> Result<Found, Failure> {
    let mut found = Found::of(name, MAX_FOUND);
    for (path, file) in open_all(active)? {
        audit::verify::read(file, &mut |line| found.take(line))
            .map_err(|error| broken(&path, &error))?;
    }
    Ok(found)
}

fn broken(path: &Path, error: &VerifyError) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
        .hint("`assay audit verify` says where the trail is broken")
}

fn records(
    path: &Path,
    file: BufReader<File>,
    each: &mut dyn FnMut(Map<String, Value>),
) -> Result<(), Failure> {
    audit::verify::read(file, &mut |line| {
        serde_json::from_slice(line).map(&mut *each)
    })
    .map_err(|error| broken(path, &error))
}
