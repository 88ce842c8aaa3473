//! `assay policy check`: a document before it is used.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::format::Format;
use crate::cli::service::{Failure, finish};
use crate::document;
use crate::policy::PolicyDocument;

#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    policies: Vec<PolicyShown>,
}

#[derive(Debug, Serialize)]
struct PolicyShown {
    name: String,
    #[serde(rename = "requiredAttestors")]
    required: Vec<String>,
}

pub(super) fn run(file: &Path, format: Format) -> ExitCode {
    finish(format, check(file), |checked| {
        let mut text = format!("{}: ok", checked.file);
        for policy in &checked.policies {
            text += &format!("\n  {}: {}", policy.name, policy.required.join(" and "));
        }
        text
    })
}

fn check(path: &Path) -> Result<Checked, Failure> {
    let text = document::read(path)?;
    let file = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    let set = PolicyDocument::parse(&file, &text)?.build(&file, base)?;
    let shown = set.policies().iter().map(|policy| PolicyShown {
        name: policy.name().to_owned(),
        required: policy
            .attestors()
            .iter()
            .map(|a| a.kind().to_string())
            .collect(),
    });
    Ok(Checked {
        policies: shown.collect(),
        file,
    })
}
