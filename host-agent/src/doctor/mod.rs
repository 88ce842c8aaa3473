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
    let (mut findings, config) = examine_machine(path, overrides);
    if let Some(config) = config {
        findings.extend(network::examine(&config).await);
    }
    findings
}

/// What there is on the machine itself, and its configuration, if it can be read.
fn examine_machine(path: &Path, overrides: &Overrides) -> (Vec<Finding>, Option<Config>) {
    let mut findings = Vec::new();
    let mut config = match Config::read(path, overrides) {
        Ok(config) => {
            let methods: Vec<_> = config
                .attestors
                .iter()
                .map(|one| one.kind.to_string())
                .collect();
            let seen = format!("{}, offers {}", path.display(), methods.join(", "));
            findings.push(match config.keeps_secrets() {
                Ok(()) => Finding::ok("configuration", seen),
                Err(error) => unconfigured(path, &error),
            });
            config
        }
        Err(error) => {
            findings.push(unconfigured(path, &error));
            findings.extend(files::user());
            // Without one, what every node may have is looked at.
            findings.extend(tpm::chance(&TpmPlace::default()));
            return (findings, None);
        }
    };
    findings.extend(files::user());
    match Setup::of(&mut config) {
        Ok(setup) => {
            for method in &setup.methods {
                findings.extend(method.doctor());
            }
            if let Some(tpm) = &setup.tpm {
                findings.extend(tpm::examine(&tpm.place));
                let devid = tpm.devid.iter();
                findings.extend(devid.map(|(config, base)| devid::examine(config, base)));
            }
        }
        Err(error) => findings.push(unconfigured(path, &error)),
    }
    findings.extend(files::kept_key(&config));
    findings.extend(files::outputs(&config));
    (findings, Some(config))
}

/// What of this machine may have kept a login from succeeding: everything that is not as it should be, but for what no login
/// asks for (who runs the agent, where it writes). Where no verifier was reached, the login has said why of each, and none is
/// waited for again.
pub(crate) async fn of_a_login(
    path: &Path,
    overrides: &Overrides,
    is_reached: bool,
) -> Vec<Finding> {
    let (mut findings, config) = examine_machine(path, overrides);
    if let Some(config) = config.filter(|_| is_reached) {
        findings.extend(network::examine(&config).await);
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
