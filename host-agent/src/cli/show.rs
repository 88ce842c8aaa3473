//! `assay agent show`: what would be offered in a login, method by method.

use std::process::ExitCode;

use assay_common::policy::AttestorKind;
use assay_host::cli::{Failure, Format, finish, table};
use clap::Args;
use serde::Serialize;

use super::Source;
use crate::doctor;
use crate::method::Offer;
use crate::setup::{Setup, TpmSetup};

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    cluster: String,
    trust_domain: String,
    servers: Vec<String>,
    attestors: Vec<Attestor>,
}

#[derive(Debug, Serialize)]
struct Attestor {
    r#type: String,
    /// Whether there is something to offer now.
    ready: bool,
    details: Vec<Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize)]
struct Detail {
    name: String,
    value: String,
}

impl Attestor {
    fn of(kind: impl ToString, offer: Result<Offer, (String, String)>) -> Self {
        let r#type = kind.to_string();
        match offer {
            Ok(Offer { details }) => Self {
                r#type,
                ready: true,
                details: details
                    .into_iter()
                    .map(|(name, value)| Detail { name, value })
                    .collect(),
                error: None,
                hint: None,
            },
            Err((error, hint)) => Self {
                r#type,
                ready: false,
                details: Vec::new(),
                error: Some(error),
                hint: Some(hint),
            },
        }
    }

    fn seen(&self) -> String {
        match &self.error {
            Some(error) => error.clone(),
            None => {
                let details = self.details.iter();
                let details = details.map(|Detail { name, value }| format!("{name} {value}"));
                details.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Runs the command: exit status 1 when nothing could be offered.
pub(super) fn run(options: &Options) -> ExitCode {
    finish(options.format, look(options), text)
}

fn look(options: &Options) -> Result<Shown, Failure> {
    let mut config = options.source.load()?;
    let setup = Setup::of(&mut config)?;
    let mut attestors = Vec::new();
    if let Some(TpmSetup {
        place,
        offered,
        devid,
    }) = &setup.tpm
    {
        let offer = doctor::show_tpm(place);
        let hint = "`assay agent doctor` looks at the TPM";
        for kind in offered.iter() {
            let offer = offer.clone().map_err(|error| (error, hint.to_owned()));
            let own = devid.as_ref().filter(|_| kind == AttestorKind::TPM_DEVID);
            // It is of the TPM and of files: both must be there.
            let offer = offer.and_then(|offer| match own {
                None => Ok(offer),
                Some((config, base)) => {
                    doctor::show_devid(config, base).map_err(|error| (error.what, error.hint))
                }
            });
            attestors.push(Attestor::of(kind, offer));
        }
    }
    for method in &setup.methods {
        let offer = method.show().map_err(|error| (error.what, error.hint));
        attestors.push(Attestor::of(method.kind(), offer));
    }
    if !attestors.iter().any(|attestor| attestor.ready) {
        let all: Vec<_> = attestors
            .iter()
            .map(|attestor| format!("{}: {}", attestor.r#type, attestor.seen()))
            .collect();
        return Err(
            Failure::failed(format!("nothing can be offered: {}", all.join("; ")))
                .hint("`assay agent doctor` looks at every method"),
        );
    }
    Ok(Shown {
        cluster: config.cluster,
        trust_domain: config.trust_domain,
        servers: config.servers,
        attestors,
    })
}

fn text(shown: &Shown) -> String {
    let rows = shown.attestors.iter().map(|attestor| {
        let state = if attestor.ready { "ok" } else { "failed" };
        [attestor.r#type.clone(), state.to_owned(), attestor.seen()]
    });
    let mut text = format!(
        "cluster {} of {}, at {}\n",
        shown.cluster,
        shown.trust_domain,
        shown.servers.join(", ")
    );
    text += &table(["ATTESTOR", "STATE", "OFFERS"], rows);
    for attestor in &shown.attestors {
        if let Some(hint) = &attestor.hint {
            text += &format!("\nhint: {}: {hint}", attestor.r#type);
        }
    }
    text
}
