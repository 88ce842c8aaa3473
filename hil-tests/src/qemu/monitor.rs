//! The program that decodes a board's log: built by cargo as the overlay is, in a target folder of its own.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{QemuError, io_error};
use crate::board::{cargo, workspace_root};

/// Package and binary.
const PROGRAM: &str = "assay-log-monitor";

/// Whether it was built before, so that building it takes no time that somebody should be told of.
#[must_use]
pub fn is_built() -> bool {
    target().join("debug").join(PROGRAM).is_file()
}

/// A target folder of its own: the build that runs this test may hold the lock of the usual one.
fn target() -> PathBuf {
    std::env::var_os("ASSAY_MONITOR_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target/monitor"), PathBuf::from)
}

/// Builds the monitor and returns its path. cargo runs once per process.
///
/// # Errors
/// [`QemuError::Build`] when it does not build.
pub fn build() -> Result<PathBuf, QemuError> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = built.as_ref() {
        return Ok(program.clone());
    }
    let target = target();
    let status = cargo()
        .args(["build", "--quiet", "--locked", "-p", PROGRAM])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(workspace_root())
        .status()
        .map_err(io_error("running cargo"))?;
    if !status.success() {
        return Err(QemuError::Build(status.to_string()));
    }
    let program = target.join("debug").join(PROGRAM);
    *built = Some(program.clone());
    Ok(program)
}
