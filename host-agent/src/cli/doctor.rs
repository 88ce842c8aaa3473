//! `assay agent doctor`: what is wrong with this machine, and how to mend it.

use std::process::ExitCode;

use assay_host::cli::{Failure, Format, Screen, finish, say, table};
use clap::Args;
use serde::Serialize;

use super::{Source, block_on};
use crate::doctor;
use crate::finding::{Finding, Level};

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Whether a login is expected to succeed.
    healthy: bool,
    findings: Vec<Finding>,
}

/// Runs the command: exit status 1 when anything keeps a login from succeeding.
pub(super) fn run(options: &Options) -> ExitCode {
    let overrides = options.source.overrides();
    let examined =
        block_on(async { Ok(doctor::examine(&options.source.config, &overrides).await) });
    let findings = match examined {
        Ok(findings) => findings,
        Err(failure) => {
            return finish(options.format, Err::<(), Failure>(failure), |()| {
                String::new()
            });
        }
    };
    let report = Report {
        healthy: findings.iter().all(|finding| finding.level < Level::Fail),
        findings,
    };
    if options.format.json() {
        let json = serde_json::to_string_pretty(&report);
        say(&json.unwrap_or_default());
    } else {
        say(&Screen::of(options.format.wide()).show(&text(&report)));
    }
    match report.healthy {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn text(report: &Report) -> String {
    let rows = report.findings.iter().map(|finding| {
        [
            finding.level.word().to_owned(),
            finding.subject.clone(),
            finding.seen.clone(),
        ]
    });
    let mut text = table(["STATE", "WHAT", "SEEN"], rows);
    let wrong = report
        .findings
        .iter()
        .filter(|finding| finding.level > Level::Ok);
    for finding in wrong {
        if let Some(mend) = &finding.mend {
            text += &format!("\nhint: {}: {mend}", finding.subject);
        }
    }
    text
}
