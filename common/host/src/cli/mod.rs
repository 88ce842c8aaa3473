//! How commands answer, whichever program they belong to: text for people or one JSON document, failures with a `hint:` line,
//! exit status 0 for done, 1 for refused or failed, 2 for bad usage.

mod failure;
mod format;
mod screen;

use std::io::Write as _;

pub use failure::{Failure, finish};
pub use format::{Format, Output, misuse};
pub use screen::{Screen, table};

/// Prints a line. A reader that has gone, or a full disk behind stdout, changes no verdict: the exit status carries it.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
