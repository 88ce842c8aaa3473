//! What is wrong with this machine, as far as a login is concerned, and how to mend it.
//!
//! Everything is looked at, also behind a failure: somebody who sets a machine up mends all of it at once. Nothing is
//! changed, and no login is made.

mod devid;
mod files;
mod network;
mod tpm;

use std::path::Path;

use assay_host::document::DocumentError;

use crate::config::{Config, Overrides};
use crate::finding::{Finding, Level};
use crate::setup::Setup;
use crate::tpm::TpmPlace;

pub(crate) use devid::show as show_devid;
pub(crate) use tpm::show as show_tpm;

/// What to do where there is no configuration.
pub(crate) const HOW_TO_BEGIN: &str = "write it, or name another with --config: docs/agent.md has every field, and \
    agent.example.yaml is one to begin with (/usr/share/doc/assay-agent in the package, host-agent in the sources)";

/// Looks at everything.
pub async fn examine(path: &Path, overrides: &Overrides) -> Vec<Finding> {
    let (mut findings, looked) = examine_machine(path, overrides);
    if let Some(Looked { config, is_tied }) = looked {
        findings.extend(network::examine(&config, is_tied).await);
    }
    findings
}

/// A configuration that was read.
struct Looked {
    config: Config,
    /// Whether it says what ties the node to its verifier.
    is_tied: bool,
}

/// What there is on the machine itself, and its configuration, if it can be read.
fn examine_machine(path: &Path, overrides: &Overrides) -> (Vec<Finding>, Option<Looked>) {
    let mut findings = Vec::new();
    let (mut config, untied) = match Config::read_untied(path, overrides) {
        Ok(read) => read,
        Err(error) => {
            findings.push(unconfigured(path, &error));
            findings.extend(files::user());
            // Without one, what every node may have is looked at.
            findings.extend(tpm::chance(&TpmPlace::default()));
            return (findings, None);
        }
    };
    let is_tied = untied.is_none();
    let methods: Vec<_> = config
        .attestors
        .iter()
        .map(|one| one.kind.to_string())
        .collect();
    let open = config.keeps_secrets().err();
    let (setup, useless) = Setup::of_what_can(&mut config);
    let wrong = untied.iter().chain(&open).chain(&useless);
    findings.extend(wrong.map(|error| unconfigured(path, error)));
    if findings.is_empty() {
        let seen = format!("{}, offers {}", path.display(), methods.join(", "));
        findings.push(Finding::ok("configuration", seen));
    }
    findings.extend(files::user());
    for method in &setup.methods {
        findings.extend(method.doctor());
    }
    if let Some(tpm) = &setup.tpm {
        findings.extend(tpm::examine(&tpm.place));
        let devid = tpm.devid.iter();
        findings.extend(devid.map(|(config, base)| devid::examine(config, base)));
    }
    findings.extend(files::kept_key(&config));
    findings.extend(files::outputs(&config));
    (findings, Some(Looked { config, is_tied }))
}

/// What of this machine may have kept a login from succeeding: everything that is not as it should be, but for what no login
/// asks for (who runs the agent, where it writes). Where no verifier was reached, the login has said why of each, and none is
/// waited for again.
pub(crate) async fn of_a_login(
    path: &Path,
    overrides: &Overrides,
    is_reached: bool,
) -> Vec<Finding> {
    let (mut findings, looked) = examine_machine(path, overrides);
    if let Some(Looked { config, is_tied }) = looked.filter(|_| is_reached) {
        findings.extend(network::examine(&config, is_tied).await);
    }
    findings.retain(|finding| {
        finding.level > Level::Ok && !files::SUBJECTS.contains(&finding.subject.as_str())
    });
    findings
}

fn unconfigured(path: &Path, error: &DocumentError) -> Finding {
    let mend = match (&error.hint, path.exists()) {
        (_, false) => HOW_TO_BEGIN.to_owned(),
        (Some(hint), true) => hint.clone(),
        (None, true) => "correct it at this place".to_owned(),
    };
    Finding::fail("configuration", error.to_string(), mend)
}
