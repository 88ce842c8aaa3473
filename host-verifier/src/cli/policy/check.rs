//! `assay policy check`: a document before it is used.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::format::Format;
use crate::cli::service::{Failure, finish, load};
use crate::config::Config;
use crate::document::{self, Files};
use crate::policy::PolicyDocument;
use crate::policy::review::{Remark, review};

#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    policies: Vec<PolicyShown>,
    warnings: Vec<Remark>,
}

#[derive(Debug, Serialize)]
struct PolicyShown {
    name: String,
    #[serde(rename = "requiredAttestors")]
    required: Vec<String>,
    #[serde(rename = "anyOf", skip_serializing_if = "Vec::is_empty")]
    any_of: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rego: Vec<ModuleShown>,
}

#[derive(Debug, Serialize)]
struct ModuleShown {
    module: String,
    entrypoint: String,
    dialect: crate::policy::rego::Dialect,
    digest: String,
}

pub(super) fn run(file: &Path, config: Option<&Path>, format: Format) -> ExitCode {
    let result = check(file, config);
    for remark in result.iter().flat_map(|checked| &checked.warnings) {
        let Remark {
            line,
            column,
            message,
            hint,
            ..
        } = remark;
        eprintln!("warning: {}:{line}:{column}: {message}", file.display());
        eprintln!("hint: {hint}");
    }
    finish(format, result, |checked| {
        let mut text = format!("{}: ok", checked.file);
        for policy in &checked.policies {
            let mut parts = Vec::new();
            if !policy.required.is_empty() {
                parts.push(policy.required.join(" and "));
            }
            if !policy.any_of.is_empty() {
                parts.push(format!("some of ({})", policy.any_of.join(", ")));
            }
            for module in &policy.rego {
                parts.push(format!("{} of {}", module.entrypoint, module.module));
            }
            text += &format!("\n  {}: {}", policy.name, parts.join(", and "));
        }
        text
    })
}

fn check(path: &Path, config: Option<&Path>) -> Result<Checked, Failure> {
    let config = config.map(load).transpose()?;
    let text = document::read(path)?;
    let file = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    let document = PolicyDocument::parse(&file, &text)?;
    let provided = config.as_ref().map(Config::provided).unwrap_or_default();
    let files = Files::beside(base);
    let files = match &config {
        Some(config) => files
            .in_trust_domain(&config.trust_domain)
            .provided_by(&provided),
        None => files,
    };
    let set = document.build_in(&file, files)?;
    let shown = set.policies().iter().map(|policy| {
        let names = |set: assay_common::policy::AttestorSet| {
            let entries = policy.attestors().iter().map(|a| a.kind());
            entries
                .filter(|kind| set.contains(*kind))
                .map(|kind| kind.to_string())
                .collect()
        };
        let modules = policy.modules().iter().map(|module| ModuleShown {
            module: module.name().to_owned(),
            entrypoint: module.entrypoint().to_owned(),
            dialect: module.dialect(),
            digest: module.digest().to_owned(),
        });
        PolicyShown {
            name: policy.name().to_owned(),
            required: names(policy.rules().required()),
            any_of: names(policy.rules().any_of()),
            rego: modules.collect(),
        }
    });
    Ok(Checked {
        policies: shown.collect(),
        warnings: review(&document, &set),
        file,
    })
}
