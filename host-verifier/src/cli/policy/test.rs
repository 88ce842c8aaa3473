//! `assay policy test`: the cases of a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::explain::policies_told;
use crate::audit::again::{self, Check, Question};
use crate::audit::kept::Kept;
use crate::cli::format::Format;
use crate::cli::service::{Failure, finish, table};
use crate::cli::stored::{Which, find};
use crate::document::{self, visible};
use crate::policy::cases::{CaseFile, CaseResult};
use crate::policy::{Explanation, PolicySet};

#[derive(Debug, Serialize)]
struct Tested {
    passed: bool,
    files: Vec<TestedFile>,
}

#[derive(Debug, Serialize)]
struct TestedFile {
    file: String,
    cases: Vec<CaseResult>,
}

pub(super) fn run(files: &[PathBuf], format: Format) -> ExitCode {
    let tested: Result<Vec<_>, Failure> = files.iter().map(|file| test(file)).collect();
    let tested = tested.map(|files| Tested {
        passed: files
            .iter()
            .all(|file| file.cases.iter().all(|case| case.passed)),
        files,
    });
    match tested {
        Ok(tested) => {
            let passed = tested.passed;
            let status = finish(format, Ok(tested), text);
            // Whether it could be printed comes second to what it says.
            if passed { status } else { ExitCode::from(1) }
        }
        Err(failure) => finish(format, Err::<Tested, _>(failure), text),
    }
}

fn test(path: &Path) -> Result<TestedFile, Failure> {
    let text = document::read(path)?;
    let file = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    let cases = CaseFile::run(&file, &text, base, &evidence)?;
    Ok(TestedFile { file, cases })
}

/// The winner, why, and the rules.
type Decided = (Option<String>, String, Option<Explanation>);

fn evidence(folder: &Path, policies: &PolicySet, at: Option<Timestamp>) -> Result<Decided, String> {
    let record =
        find(&Which::Folder(folder.to_owned()), None).map_err(|e| e.message().to_owned())?;
    let kept = Kept::of(&record).map_err(|error| error.to_string())?;
    let question = Question {
        policies,
        at: at.unwrap_or(kept.time),
        challenge_key: None,
    };
    let judgement = again::judge(&kept, &question);
    Ok(match judgement.decision {
        Some(Ok(authorized)) => {
            let told = authorized.explanation().clone();
            (
                Some(authorized.policy().to_owned()),
                told.to_string(),
                Some(told),
            )
        }
        Some(Err(refusal)) => {
            let told = refusal.explanation;
            (None, told.to_string(), Some(told))
        }
        None => {
            let failed = judgement
                .checks
                .iter()
                .find_map(|(name, check)| match check {
                    Check::Failed(why) => Some(format!("{name}: {why}")),
                    _ => None,
                });
            (None, failed.unwrap_or_default(), None)
        }
    })
}

fn text(tested: &Tested) -> String {
    let mut parts = Vec::new();
    for TestedFile { file, cases } in &tested.files {
        let rows = cases.iter().map(|case| {
            let mark = if case.passed { "ok" } else { "FAIL" };
            [
                mark.to_owned(),
                visible(&case.name),
                visible(&case.expected),
                visible(&case.got),
            ]
        });
        let passed = cases.iter().filter(|case| case.passed).count();
        parts.push(format!("{file}: {passed} of {} as expected", cases.len()));
        parts.push(table(["", "CASE", "EXPECTED", "GOT"], rows));
        for case in cases.iter().filter(|case| !case.passed) {
            parts.push(format!(
                "\n{}: {}",
                visible(&case.name),
                visible(&case.reason)
            ));
            let told = case.explanation.as_ref();
            let policies = told.and_then(|told| serde_json::to_value(&told.policies).ok());
            let winner = told.and_then(|told| told.winner.as_deref());
            parts.extend(
                policies
                    .iter()
                    .flat_map(|policies| policies_told(policies, winner)),
            );
        }
    }
    parts.join("\n")
}
