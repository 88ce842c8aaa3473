//! What `ops/` has: rules and dashboards name what there is, load in the real programs, and fire.

mod package;
mod prometheus;
mod queries;
mod rules;

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A file of `ops/`.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../ops")
        .join(name)
}

pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a YAML file.
pub(crate) fn yaml(name: &str) -> Vec<Value> {
    let text = text(name);
    let documents = text.split("\n---\n");
    documents
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect()
}

/// Runs a tool that a Debian package brings.
pub(crate) fn tool(program: &str, package: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error} (Debian package {package})"))
}

pub(crate) fn succeeds(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = tool(program, package, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}\n{said}");
    said
}
