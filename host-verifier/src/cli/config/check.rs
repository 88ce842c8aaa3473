//! `assay config check`: documents before they are used.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assay_common::policy::AttestorKind;
use serde::Serialize;

use crate::api::Tls;
use crate::attestor::registry;
use crate::cli::format::Format;
use crate::cli::report::say;
use crate::config::Config;
use crate::document::{self, DocumentError, nearest, visible};
use crate::policy::fit::Misfit;
use crate::policy::issuance::{Issuance, Template};
use crate::policy::nameable;
use crate::policy::{
    AgentDocument, Checked, CheckedPolicy, IssuanceDocument, PolicyDocument, Section,
};

/// What was found in a file.
#[derive(Debug, Serialize)]
struct Verdict {
    file: String,
    accepted: bool,
    /// What it is; `None` when that could not be told.
    section: Option<&'static str>,
    /// What was checked, a line each.
    checked: Vec<String>,
    warnings: Vec<Finding>,
    errors: Vec<Finding>,
}

/// Something about a place in a file.
#[derive(Debug, Serialize)]
struct Finding {
    /// The document that has the place, where it is another than the one that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    line: u64,
    column: u64,
    message: String,
    hint: Option<String>,
}

impl From<Misfit> for Finding {
    fn from(misfit: Misfit) -> Self {
        Self {
            file: None,
            line: misfit.at.line,
            column: misfit.at.column,
            message: misfit.message,
            hint: Some(misfit.hint),
        }
    }
}

/// Checks files.
pub(super) fn run(files: &[PathBuf], no_files: bool, format: Format) -> ExitCode {
    let verdicts: Vec<_> = files.iter().map(|file| verdict(file, no_files)).collect();
    if format.json() {
        let object = serde_json::json!({
            "accepted": verdicts.iter().all(|v| v.accepted),
            "files": verdicts,
        });
        say(&format!("{object:#}"));
    }
    for verdict in &verdicts {
        if !format.json() && verdict.accepted {
            let section = verdict.section.unwrap_or_default();
            say(&format!("{}: ok: {section}", verdict.file));
            for line in &verdict.checked {
                say(&format!("  {}", visible(line)));
            }
        }
        tell("warning", &verdict.file, &verdict.warnings);
        tell("error", &verdict.file, &verdict.errors);
    }
    if verdicts.iter().all(|verdict| verdict.accepted) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    }
}

fn tell(what: &str, file: &str, findings: &[Finding]) {
    for finding in findings {
        let place = match finding.line {
            0 => String::new(),
            line => format!(":{line}:{}", finding.column),
        };
        let file = finding.file.as_deref().unwrap_or(file);
        eprintln!("{what}: {file}{place}: {}", visible(&finding.message));
        if let Some(hint) = &finding.hint {
            eprintln!("hint: {}", visible(hint));
        }
    }
}

fn verdict(path: &Path, no_files: bool) -> Verdict {
    let mut verdict = Verdict {
        file: path.display().to_string(),
        accepted: false,
        section: None,
        checked: Vec::new(),
        warnings: Vec::new(),
        errors: Vec::new(),
    };
    match check(path, no_files, &mut verdict) {
        Ok(()) => verdict.accepted = true,
        Err(error) => {
            // A document that another one names has the error; the place is in that one.
            let elsewhere = error.file != verdict.file;
            verdict.errors.push(Finding {
                file: elsewhere.then_some(error.file),
                line: error.line,
                column: error.column,
                message: error.message,
                hint: error.hint,
            });
        }
    }
    verdict
}

fn check(path: &Path, no_files: bool, verdict: &mut Verdict) -> Result<(), DocumentError> {
    let text = document::read(path)?;
    let file = verdict.file.clone();
    let base = path.parent().unwrap_or(Path::new(""));
    match Section::of(&file, &text)? {
        Section::AgentAttestation => {
            verdict.section = Some("AgentAttestation v1");
            let checked = PolicyDocument::parse(&file, &text)?.check(&file, base)?;
            attestation(&checked, verdict);
        }
        Section::SvidIssuancePolicy => {
            verdict.section = Some("SVIDIssuancePolicy v1");
            let issuance = IssuanceDocument::parse(&file, &text)?.check(&file)?;
            issues(&file, &issuance, verdict)?;
        }
        Section::Agent => {
            verdict.section = Some("agent settings");
            let agent = AgentDocument::parse(&file, &text)?.check(&file)?;
            let offers: Vec<_> = agent.offers.iter().map(|(k, _)| k.to_string()).collect();
            verdict.checked.push(format!(
                "cluster {}: offers {}",
                agent.cluster,
                offers.join(", ")
            ));
        }
        Section::Service => {
            verdict.section = Some("assayd configuration");
            let config = Config::load(path)?;
            if let Some(api) = config.http.api.as_ref().filter(|_| !no_files) {
                Tls::check(&file, &api.tls)?;
            }
            let clusters: Vec<_> = config.clusters.keys().cloned().collect();
            verdict.checked.push(match clusters.as_slice() {
                [] => format!("{}: no cluster of its own", config.trust_domain),
                some => format!("{}: clusters {}", config.trust_domain, some.join(", ")),
            });
            verdict
                .warnings
                .extend(config.warnings().into_iter().map(Finding::from));
        }
    }
    Ok(())
}

fn attestation(checked: &Checked, verdict: &mut Verdict) {
    if let Some(environment) = checked.environment {
        verdict.checked.push(format!("environment {environment}"));
    }
    for policy in &checked.policies {
        verdict.checked.push(described(policy));
    }
}

/// A policy in words.
fn described(policy: &CheckedPolicy) -> String {
    let names = |kinds: &[AttestorKind], separator: &str| -> String {
        let names: Vec<_> = kinds.iter().map(ToString::to_string).collect();
        names.join(separator)
    };
    let mut parts = Vec::new();
    if let Some(required) = &policy.lists.required {
        parts.push(names(required, " and "));
    }
    if let Some(any_of) = &policy.lists.any_of {
        let min = policy.lists.min_attestors.unwrap_or(1);
        parts.push(format!("{min} of ({})", names(any_of, ", ")));
    }
    if let Some(combinations) = &policy.lists.combinations {
        let all: Vec<_> = combinations.iter().map(|c| names(c, " and ")).collect();
        parts.push(format!("all of ({})", all.join(") or (")));
    }
    let mut text = format!("{}: {}", policy.name, parts.join(", and "));
    if !policy.environments.is_empty() {
        let environments: Vec<_> = policy.environments.iter().map(|e| e.name()).collect();
        text += &format!(" (in {} only)", environments.join(" and "));
    }
    text
}

fn issues(file: &str, issuance: &Issuance, verdict: &mut Verdict) -> Result<(), DocumentError> {
    let needs = |template: &Template| -> String {
        let attributes: Vec<_> = template.path.attributes().collect();
        match attributes.as_slice() {
            [] => "needs no attribute".to_owned(),
            some => format!("needs {}", some.join(", ")),
        }
    };
    let base = &issuance.base;
    let line = format!("pathTemplate {}: {}", base.text, needs(base));
    verdict.checked.push(line);
    for (when, template) in &issuance.overrides {
        let when: Vec<_> = when
            .0
            .iter()
            .map(|(name, values)| format!("{name} is {}", values.join(" or ")))
            .collect();
        let (when, needs) = (when.join(" and "), needs(template));
        let line = format!("when {when}: pathTemplate {}: {needs}", template.text);
        verdict.checked.push(line);
    }
    let templates = || core::iter::once(base).chain(issuance.overrides.iter().map(|(_, t)| t));
    for template in templates() {
        if template.path.attributes().next().is_none() {
            verdict.warnings.push(Finding {
                file: None,
                line: template.at.line,
                column: template.at.column,
                message: format!("{} names no attribute", template.text),
                hint: Some(
                    "every node gets the same ID: of nodes with a TPM the first one keeps it, all others are one node then".to_owned(),
                ),
            });
        }
    }
    for template in templates() {
        let attributes = template.path.attributes();
        let told = nameable::warnings(attributes, template.at);
        verdict.warnings.extend(told.map(Finding::from));
    }
    for template in templates() {
        for attribute in template.path.attributes() {
            match origin(attribute) {
                Origin::Method(kind) if registry::may_give(kind, attribute) == Some(false) => {
                    let message = format!("pathTemplate: `{kind}` gives no `{attribute}`");
                    return Err(DocumentError::new(file, message).at(template.at).hint(
                        "every login would be denied; `assay audit show` has what a login gave",
                    ));
                }
                Origin::Unknown(near) => {
                    let message = format!("pathTemplate: no method gives `{attribute}`");
                    return Err(DocumentError::new(file, message).at(template.at).hint(near.map_or_else(
                        || "every login would be denied; an attribute begins with the name of its method, as in `tpm_ek.public_hash`".to_owned(),
                        |near| format!("did you mean `{near}.…`?"),
                    )));
                }
                Origin::Method(_) | Origin::Workload => {}
            }
        }
    }
    Ok(())
}

/// Where an attribute comes from.
enum Origin {
    Method(AttestorKind),
    /// Of the process that asks for an SVID, not of the node.
    Workload,
    /// Nothing that is known; a name near it.
    Unknown(Option<&'static str>),
}

fn origin(attribute: &str) -> Origin {
    const WORKLOAD: &[&str] = &["cluster", "kubernetes", "linux", "node_group"];
    let first = attribute.split('.').next().unwrap_or_default();
    // Two methods give attributes by another name than their own.
    let kind = match first {
        "custom" => Some(AttestorKind::EXTENSION),
        "x509_pop" => Some(AttestorKind::X509POP),
        other => AttestorKind::from_name(other),
    };
    match kind {
        Some(kind) => Origin::Method(kind),
        None if WORKLOAD.contains(&first) => Origin::Workload,
        None => {
            let names = AttestorKind::ALL.iter().filter_map(|kind| kind.name());
            Origin::Unknown(nearest(first, names))
        }
    }
}
