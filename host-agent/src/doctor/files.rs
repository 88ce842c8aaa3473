//! Who the agent is, and the places that it writes to.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::config::{Config, Outputs};
use crate::finding::Finding;
use crate::svid::kept;

/// The subjects of this file, which no login depends on.
pub(super) const SUBJECTS: [&str; 4] = [USER, OUTPUT, SOCKET, KEY];

const USER: &str = "user";
const OUTPUT: &str = "output";
const SOCKET: &str = "workload socket";
const KEY: &str = "svid key";

/// Not root: what an agent may do by mistake, root may do to everything.
pub(super) fn user() -> Vec<Finding> {
    match rustix::process::geteuid().as_raw() {
        0 => vec![Finding::warn(
            USER,
            "root",
            "run the agent as a user of its own; the unit of the package does",
        )],
        uid => vec![Finding::ok(USER, format!("uid {uid}"))],
    }
}

/// The directories of the files and of the socket.
pub(super) fn outputs(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(outputs) = &config.outputs {
        findings.push(writable(OUTPUT, &outputs.directory));
        findings.extend(key(outputs));
    }
    if let Some(api) = &config.workload_api {
        let directory = api.socket.parent().unwrap_or(Path::new("/"));
        findings.push(writable(SOCKET, directory));
    }
    findings
}

/// The directory, or the nearest above it that there is and that it would be made in.
fn writable(subject: &str, directory: &Path) -> Finding {
    let there = directory.ancestors().find(|path| path.exists());
    let there = there.unwrap_or(Path::new("/"));
    let seen = format!("{}", directory.display());
    if !there.is_dir() {
        let mend = "name a directory; what stands there is none";
        return Finding::fail(
            subject,
            format!("{} is no directory", there.display()),
            mend,
        );
    }
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(subject, seen),
        Err(error) => Finding::fail(
            subject,
            format!("{}: {error}", there.display()),
            "let the agent's user write it; `doctor` looks as the user who runs it",
        ),
    }
}

/// The key that a verifier may have bound this machine to: usable if it is there, and to be made where it is not.
pub(super) fn kept_key(config: &Config) -> Option<Finding> {
    let path = config.key_file.as_deref()?;
    if std::fs::symlink_metadata(path).is_err() {
        let finding = writable("keyFile", kept::folder(path));
        return Some(match finding.mend {
            None => Finding::ok(
                "keyFile",
                format!("{} is made at the first login", path.display()),
            ),
            Some(_) => finding,
        });
    }
    Some(match kept::look(path) {
        Ok(()) => Finding::ok("keyFile", path.display().to_string()),
        Err(error) => Finding::fail("keyFile", error.what, error.hint),
    })
}

/// A key that is there already, from an earlier run or of somebody else.
fn key(outputs: &Outputs) -> Option<Finding> {
    let path = outputs.directory.join(Outputs::KEY);
    let mode = path.metadata().ok()?.mode() & 0o777;
    let shown = format!("{} has mode {mode:04o}", path.display());
    Some(match mode & 0o007 {
        0 => Finding::ok(KEY, shown),
        _ => Finding::fail(
            KEY,
            format!("{shown}: everybody may read it"),
            "remove the file; the agent writes a new key at its next login",
        ),
    })
}
