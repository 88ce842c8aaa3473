//! Cases: what logins would have proven, and what shall come of it.
//!
//! ```yaml
//! policy: bare-metal.yaml             # or `rego: {file: module.rego}`, to ask a module over an `input` as it stands
//! now: 2026-01-01T00:00:00Z           # for all cases that name no other
//! cases:
//!   - name: a board in production
//!     environment: production         # in place of the document's
//!     claims:                         # by method; what is not here was not offered
//!       tpm_ek: {public_hash: ab, manufacturer: "id:4E544300"}
//!       tpm_quote: {clock_safe: true}
//!     failed: [aws_iid]               # proofs that were judged and refused
//!     expect: {granted: board}        # or {denied: part of the reason}
//!   - name: a login that was kept
//!     evidence: folder                # as `assay audit evidence` writes it, in place of claims
//!     expect: {denied: tpm_quote failed}
//!   - name: a workload                # under `rego`
//!     input: {workload: {type: api}}
//!     expect: {allow: false}
//! ```

mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use self::run::Run;
use super::rego::RegoSettings;
use super::requirement::Kind;
use super::{Explanation, PolicySet};
use crate::document::{self, DocumentError, Place};

/// Most cases in one file.
const MAX_CASES: usize = 1000;

/// A file of cases, shape checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    policy: Option<Spanned<String>>,
    rego: Option<Spanned<RegoSettings>>,
    now: Option<Spanned<String>>,
    cases: Spanned<Vec<Case>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Spanned<String>,
    environment: Option<Spanned<String>>,
    now: Option<Spanned<String>>,
    claims: Option<Spanned<BTreeMap<String, BTreeMap<String, Value>>>>,
    failed: Option<Vec<Spanned<Kind>>>,
    evidence: Option<Spanned<String>>,
    input: Option<Spanned<Value>>,
    expect: Spanned<Expect>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    granted: Option<String>,
    denied: Option<String>,
    allow: Option<bool>,
    reason: Option<String>,
}

/// What came of a case.
#[derive(Debug, Clone, serde::Serialize)]
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// Whether it came out as it should.
    pub passed: bool,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
    /// Why.
    pub reason: String,
    /// Every policy with its rules, where a policy was decided.
    pub explanation: Option<Explanation>,
}

/// Reads the folder of a stored login, and judges it under these policies. Kept apart: cases know nothing of trails.
pub type JudgeEvidence<'a> =
    &'a dyn Fn(
        &Path,
        &PolicySet,
        Option<Timestamp>,
    ) -> Result<(Option<String>, String, Option<Explanation>), String>;

impl CaseFile {
    /// Reads a file of cases and decides them all. Files that it names are looked up from `base`.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] in this file, or in one that it names. A case that does not come out as it should is a result.
    pub fn run(
        file: &str,
        text: &str,
        base: &Path,
        evidence: JudgeEvidence<'_>,
    ) -> Result<Vec<CaseResult>, DocumentError> {
        let cases: Self = document::parse(file, text)?;
        let error = |message: &str, at: Place| DocumentError::new(file, message).at(at);
        let all = &cases.cases;
        if all.value.is_empty() || all.value.len() > MAX_CASES {
            let message = format!("{} cases", all.value.len());
            return Err(
                error(&message, all.referenced.into()).hint(format!("list 1 to {MAX_CASES} cases"))
            );
        }
        let now = |given: Option<&Spanned<String>>| match given {
            None => Ok(None),
            Some(text) => text.value.parse::<Timestamp>().map(Some).map_err(|_| {
                error(
                    &format!("`{}` is no time", text.value),
                    text.referenced.into(),
                )
                .hint("write it like 2026-01-01T00:00:00Z")
            }),
        };
        let shared = now(cases.now.as_ref())?;
        let mut names = BTreeSet::new();
        let mut results = Vec::new();
        for case in &all.value {
            let at: Place = case.name.referenced.into();
            if !names.insert(case.name.value.as_str()) {
                return Err(error("two cases of one name", at).hint("rename one of them"));
            }
            let time = now(case.now.as_ref())?.or(shared);
            let run = Run {
                file,
                base,
                case,
                time,
            };
            let told = match (&cases.policy, &cases.rego) {
                (Some(policy), None) => run.policy(policy, evidence)?,
                (None, Some(rego)) => run.module(rego)?,
                _ => {
                    return Err(error("it names neither or both of `policy` and `rego`", at)
                        .hint("name the document that is tested, or a module by itself"));
                }
            };
            results.push(told);
        }
        Ok(results)
    }
}
