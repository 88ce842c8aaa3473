//! What is wrong with this machine, as far as a login is concerned, and how to mend it.
//!
//! Everything is looked at, also behind a failure: somebody who sets a machine up mends all of it at once. Nothing is
//! changed, and no login is made.

mod files;
mod network;
mod tpm;

use std::path::Path;

use assay_host::document::DocumentError;

use crate::config::{Config, Overrides};
use crate::finding::Finding;
use crate::setup::Setup;
use crate::tpm::TpmPlace;

pub(crate) use tpm::show as show_tpm;

/// Looks at everything.
pub async fn examine(path: &Path, overrides: &Overrides) -> Vec<Finding> {
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
            // Without one, what every node has is looked at.
            let place = TpmPlace::default();
            if place.device().is_some_and(Path::exists) {
                findings.extend(tpm::examine(&place));
            }
            return findings;
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
            }
        }
        Err(error) => findings.push(unconfigured(path, &error)),
    }
    findings.extend(files::outputs(&config));
    findings.extend(network::examine(&config).await);
    findings
}

fn unconfigured(path: &Path, error: &DocumentError) -> Finding {
    let mend = match (&error.hint, path.exists()) {
        (_, false) => {
            "write it; the package has an example, /usr/share/doc/assay-agent/agent.example.yaml"
                .to_owned()
        }
        (Some(hint), true) => hint.clone(),
        (None, true) => "correct it at this place".to_owned(),
    };
    Finding::fail("configuration", error.to_string(), mend)
}
