//! One case: decided by its policies, by evidence that was kept, or by its module.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assay_common::policy::AttestorKind;
use jiff::Timestamp;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Case, CaseResult, JudgeEvidence};
use crate::attestor::{AttestError, Attribute, Claims, Facts, Fault};
use crate::document::{self, DocumentError, Files, Place};
use crate::policy::rego::{ModuleOutcome, RegoSettings};
use crate::policy::what_if::Assumed;
use crate::policy::{
    Environment, Outcome, Outcomes, PolicyDocument, PolicySet, decide, narrow_to_decide,
};

/// One case on its way.
pub(super) struct Run<'a> {
    pub(super) file: &'a str,
    pub(super) base: &'a Path,
    pub(super) case: &'a Case,
    pub(super) time: Option<Timestamp>,
}

impl Run<'_> {
    fn error(&self, message: &str, at: Place, hint: &str) -> DocumentError {
        DocumentError::new(self.file, message).at(at).hint(hint)
    }

    fn at(&self) -> Place {
        self.case.name.referenced.into()
    }

    fn needs_time(&self) -> Result<Timestamp, DocumentError> {
        self.time.ok_or_else(|| {
            self.error(
                "the case has no time",
                self.at(),
                "add `now: 2026-01-01T00:00:00Z`",
            )
        })
    }

    pub(super) fn policy(
        &self,
        policy: &Spanned<String>,
        evidence: JudgeEvidence<'_>,
    ) -> Result<CaseResult, DocumentError> {
        let path = self.base.join(&policy.value);
        let text = document::read_named(&path).map_err(|e| {
            self.error(
                &e.to_string(),
                policy.referenced.into(),
                "`policy` is looked up from the folder of this file",
            )
        })?;
        let shown = path.display().to_string();
        let beside = path.parent().unwrap_or(Path::new(""));
        let mut set = PolicyDocument::parse(&shown, &text)?.build(&shown, beside)?;
        if let Some(name) = &self.case.environment {
            let at = name.referenced.into();
            let environment = Environment::from_name(&name.value).ok_or_else(|| {
                self.error(
                    &format!("unknown environment `{}`", name.value),
                    at,
                    "development, staging or production",
                )
            })?;
            let moved = set.moved_to(environment);
            set = moved
                .map_err(|e| self.error(&e.to_string(), at, "the document has no policy for it"))?;
        }
        if let Some(input) = &self.case.input {
            return Err(self.error(
                "`input` is for a module by itself",
                input.referenced.into(),
                "give `claims`: the input is made from them",
            ));
        }
        let (granted, reason, explanation) = match (&self.case.evidence, &self.case.claims) {
            (Some(folder), None) => {
                let path = self.base.join(&folder.value);
                evidence(&path, &set, self.time).map_err(|e| {
                    self.error(
                        &e,
                        folder.referenced.into(),
                        "`assay audit evidence LOGIN --out DIR` writes it",
                    )
                })?
            }
            (None, _) => {
                let mut outcomes = self.outcomes(&set)?;
                narrow_to_decide(&set, &mut outcomes, self.needs_time()?);
                match decide(&set, &outcomes) {
                    Ok(authorized) => {
                        let told = authorized.explanation().clone();
                        (
                            Some(authorized.policy().to_owned()),
                            told.to_string(),
                            Some(told),
                        )
                    }
                    Err(refusal) => {
                        let told = refusal.explanation;
                        (None, told.to_string(), Some(told))
                    }
                }
            }
            (Some(_), Some(claims)) => {
                return Err(self.error(
                    "both `evidence` and `claims`",
                    claims.referenced.into(),
                    "remove one of them",
                ));
            }
        };
        let expect = &self.case.expect;
        let (passed, expected) = match (
            &expect.value.granted,
            &expect.value.denied,
            expect.value.allow,
        ) {
            (Some(name), None, None) => {
                (granted.as_ref() == Some(name), format!("granted by {name}"))
            }
            (None, Some(part), None) => (
                granted.is_none() && reason.contains(part.as_str()),
                format!("denied: {part}"),
            ),
            _ => {
                return Err(self.error(
                    "`expect` is one of `granted` and `denied`",
                    expect.referenced.into(),
                    "granted: the policy's name, or denied: a part of the reason",
                ));
            }
        };
        Ok(CaseResult {
            name: self.case.name.value.clone(),
            passed: passed && self.reason_fits(&reason),
            expected,
            got: granted.map_or_else(|| "denied".to_owned(), |name| format!("granted by {name}")),
            reason,
            explanation,
        })
    }

    fn reason_fits(&self, reason: &str) -> bool {
        let wanted = self.case.expect.value.reason.as_ref();
        wanted.is_none_or(|part| reason.contains(part.as_str()))
    }

    fn outcomes(&self, set: &PolicySet) -> Result<Outcomes<Assumed>, DocumentError> {
        let mut given: BTreeMap<AttestorKind, Vec<Attribute>> = BTreeMap::new();
        for (method, attributes) in self.case.claims.iter().flat_map(|claims| &claims.value) {
            let at = self
                .case
                .claims
                .as_ref()
                .map_or(self.at(), |c| c.referenced.into());
            let kind = AttestorKind::from_name(method).ok_or_else(|| {
                let names: Vec<_> = AttestorKind::ALL.iter().filter_map(|k| k.name()).collect();
                self.error(
                    &format!("unknown attestor type `{method}`"),
                    at,
                    &format!("known here: {}", names.join(", ")),
                )
            })?;
            self.has(set, kind, at)?;
            let mut list = Vec::new();
            for (name, value) in attributes {
                let values = texts(value).ok_or_else(|| {
                    self.error(
                        &format!("`{method}.{name}` is no text"),
                        at,
                        "an attribute is a text, a number, a boolean, or a list of them",
                    )
                })?;
                list.extend(values.into_iter().map(|value| Attribute {
                    origin: kind,
                    name: format!("{}.{name}", kind.origin().unwrap_or_default()).into(),
                    value,
                }));
            }
            given.insert(kind, list);
        }
        let mut failed = BTreeSet::new();
        for method in self.case.failed.iter().flatten() {
            let kind = method.value.0;
            self.has(set, kind, method.referenced.into())?;
            if given.contains_key(&kind) || !failed.insert(kind) {
                return Err(self.error(
                    &format!("`{kind}` stands there twice"),
                    method.referenced.into(),
                    "a method either proves something or fails",
                ));
            }
        }
        let mut outcomes = Outcomes::assumed();
        for (id, attestor) in set.requirements() {
            let kind = attestor.kind();
            let outcome = match given.get(&kind) {
                Some(attributes) => Outcome::Satisfied(Assumed::new(Claims {
                    kind,
                    attributes: attributes.clone(),
                    facts: Facts::default(),
                })),
                None if failed.contains(&kind) => {
                    Outcome::Failed(AttestError::new(Fault::Refused, "case", "the case says so"))
                }
                None => Outcome::NotOffered,
            };
            outcomes.record(id, outcome);
        }
        Ok(outcomes)
    }

    /// A method that no policy looks at would change nothing, and was surely meant to.
    fn has(&self, set: &PolicySet, kind: AttestorKind, at: Place) -> Result<(), DocumentError> {
        match set.requirements().any(|(_, a)| a.kind() == kind) {
            true => Ok(()),
            false => Err(self.error(
                &format!("no policy has an entry for `{kind}`"),
                at,
                "remove it from the case, or add it to the policy",
            )),
        }
    }

    pub(super) fn module(&self, rego: &Spanned<RegoSettings>) -> Result<CaseResult, DocumentError> {
        let module = rego.value.build(
            self.file,
            Files::beside(self.base),
            "rego",
            rego.referenced.into(),
        )?;
        let case = self.case;
        let foreign = case.claims.is_some()
            || case.failed.is_some()
            || case.evidence.is_some()
            || case.environment.is_some();
        let input = case.input.as_ref().filter(|_| !foreign).ok_or_else(|| {
            self.error(
                "a module by itself has an `input`, and nothing else",
                self.at(),
                "name a `policy` to have the input made from claims",
            )
        })?;
        let expect = &case.expect;
        let wanted = match (
            expect.value.allow,
            &expect.value.granted,
            &expect.value.denied,
        ) {
            (Some(allow), None, None) => allow,
            _ => {
                return Err(self.error(
                    "`expect` of a module is `allow`",
                    expect.referenced.into(),
                    "allow: true or allow: false",
                ));
            }
        };
        let verdict = module.evaluate(&input.value, self.needs_time()?);
        let decided = matches!(
            verdict.outcome,
            ModuleOutcome::Allow | ModuleOutcome::Deny | ModuleOutcome::Undefined
        );
        let reason = verdict.to_string();
        Ok(CaseResult {
            name: case.name.value.clone(),
            passed: decided && verdict.allows() == wanted && self.reason_fits(&reason),
            expected: format!("allow: {wanted}"),
            got: format!("allow: {}", verdict.allows()),
            reason,
            explanation: None,
        })
    }
}

/// One text, or several.
fn texts(value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        other => one(other).map(|text| vec![text]),
    }
}
