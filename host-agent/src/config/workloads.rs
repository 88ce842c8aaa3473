//! `agent.workloadApi`: the socket, and which processes get an identity over it.
//!
//! # Why an executable is not enough
//!
//! A process may connect, hand the connection on to another of its user's, and become the trusted program by `exec`: its
//! number and its start stay what they were. So what runs says which program it is and nothing of who started it, and who
//! holds the connection. Whoever may start the program could have its identity; an entry names them, by `uid` or `gid`, which
//! the kernel notes of a connection when it is made.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Mode;

/// Longest path of a socket, bytes: `sun_path` has 108 with its final zero.
const MAX_SOCKET: usize = 107;

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Source {
    socket: Spanned<PathBuf>,
    mode: Option<Mode>,
    workloads: Spanned<Vec<Spanned<EntrySource>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct EntrySource {
    name: Spanned<String>,
    hint: Option<String>,
    selectors: SelectorsSource,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SelectorsSource {
    uid: Option<u32>,
    gid: Option<u32>,
    path: Option<String>,
    sha256: Option<String>,
}

/// The Workload API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadApi {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Who may connect to it. Default 0777: who connects is told apart by what it is, not by what it may open.
    pub mode: Mode,
    /// Which processes get the node's identity. Every other gets none.
    pub workloads: Vec<WorkloadEntry>,
}

/// Processes that get the node's identity: all selectors must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadEntry {
    /// For logs.
    pub name: String,
    /// What the process is told the identity is for.
    pub hint: String,
    /// What it must be. Never empty, and one of them is a user or a group.
    pub selectors: Vec<Selector>,
}

/// What a process must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Run by this user.
    Uid(u32),
    /// Run with this group.
    Gid(u32),
    /// This executable, by the path that the kernel has of it.
    Path(PathBuf),
    /// An executable with this SHA-256.
    Sha256([u8; 32]),
}

/// What is wrong, and where.
pub(super) type Wrong = (String, &'static str, serde_saphyr::Location);

impl Source {
    pub(super) fn check(self, base: &Path) -> Result<WorkloadApi, Wrong> {
        let socket = base.join(&self.socket.value);
        let at = self.socket.referenced;
        if self.socket.value.as_os_str().is_empty() || socket.as_os_str().len() > MAX_SOCKET {
            return Err((
                format!("a socket's path has 1 to {MAX_SOCKET} bytes"),
                "name a shorter path, e.g. /run/assay-agent/api.sock",
                at,
            ));
        }
        if self.workloads.value.is_empty() {
            return Err((
                "`workloads` is empty: nobody would get an identity".to_owned(),
                "list at least one workload, or leave `workloadApi` out",
                self.workloads.referenced,
            ));
        }
        let mut workloads: Vec<WorkloadEntry> = Vec::new();
        for entry in self.workloads.value {
            let at = entry.value.name.referenced;
            let entry = entry
                .value
                .check()
                .map_err(|(what, hint)| (what, hint, at))?;
            if workloads.iter().any(|other| other.name == entry.name) {
                let what = format!("a second workload called `{}`", entry.name);
                return Err((what, "give each a name of its own", at));
            }
            workloads.push(entry);
        }
        Ok(WorkloadApi {
            socket,
            mode: self.mode.unwrap_or(Mode(0o777)),
            workloads,
        })
    }
}

impl EntrySource {
    fn check(self) -> Result<WorkloadEntry, (String, &'static str)> {
        let name = self.name.value;
        if name.is_empty() {
            return Err(("a workload without a name".to_owned(), "name it"));
        }
        let SelectorsSource {
            uid,
            gid,
            path,
            sha256,
        } = self.selectors;
        let mut selectors = Vec::new();
        selectors.extend(uid.map(Selector::Uid));
        selectors.extend(gid.map(Selector::Gid));
        let by_user = !selectors.is_empty();
        if let Some(path) = path {
            let path = PathBuf::from(path);
            let plain = path.components().collect::<PathBuf>() == path;
            if !path.is_absolute() || !plain {
                return Err((
                    format!("{name}: the kernel knows no such path"),
                    "write it absolute and without `..`, as `readlink /proc/PID/exe` shows it",
                ));
            }
            selectors.push(Selector::Path(path));
        }
        if let Some(text) = sha256 {
            let mut digest = [0; 32];
            if hex::decode_to_slice(&text, &mut digest).is_err() {
                return Err((
                    format!("{name}: sha256 has 64 hex digits"),
                    "take it from `sha256sum FILE`",
                ));
            }
            selectors.push(Selector::Sha256(digest));
        }
        if selectors.is_empty() {
            return Err((
                format!("{name}: no selectors, so every process would fit"),
                "say which processes are meant: `uid`, `gid`, `path`, `sha256`",
            ));
        }
        if !by_user {
            return Err((
                format!("{name}: an executable, and nothing of who runs it"),
                "add `uid` or `gid`: whoever may start the executable can have it run with a connection that is theirs",
            ));
        }
        Ok(WorkloadEntry {
            name,
            hint: self.hint.unwrap_or_default(),
            selectors,
        })
    }
}
