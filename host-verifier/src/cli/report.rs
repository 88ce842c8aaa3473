//! How a judgement is shown: one readable verdict, or one JSON object.

use std::process::ExitCode;

pub(super) use assay_host::cli::say;
use serde_json::{Map, Value};

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed; what was seen.
    Passed(String),
    /// It failed; why. Later checks were not made.
    Failed(String),
    /// It could not be made; why.
    Skipped(String),
}

/// A judgement, check by check.
#[derive(Debug, Default)]
pub struct Report {
    checks: Vec<(String, Outcome)>,
    details: Map<String, Value>,
    hint: Option<String>,
}

impl Report {
    /// Records a check that passed.
    pub fn pass(&mut self, check: &str, seen: impl Into<String>) {
        self.checks
            .push((check.to_owned(), Outcome::Passed(seen.into())));
    }

    /// Records the check that failed.
    pub fn fail(&mut self, check: &str, reason: impl Into<String>) {
        self.checks
            .push((check.to_owned(), Outcome::Failed(reason.into())));
    }

    /// Records a check that could not be made.
    pub fn skip(&mut self, check: &str, reason: impl Into<String>) {
        self.checks
            .push((check.to_owned(), Outcome::Skipped(reason.into())));
    }

    /// Adds a fact to the JSON object.
    pub fn detail(&mut self, key: &str, value: impl Into<Value>) {
        self.details.insert(key.to_owned(), value.into());
    }

    /// Says what to do about a refusal.
    pub fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }

    /// The failed check and its reason.
    #[must_use]
    pub fn failure(&self) -> Option<(&str, &str)> {
        self.checks
            .iter()
            .find_map(|(check, outcome)| match outcome {
                Outcome::Failed(reason) => Some((check.as_str(), reason.as_str())),
                _ => None,
            })
    }

    /// True when at least one check passed and none failed.
    #[must_use]
    pub fn accepted(&self) -> bool {
        let passed = |(_, outcome): &(String, Outcome)| matches!(outcome, Outcome::Passed(_));
        self.failure().is_none() && self.checks.iter().any(passed)
    }

    /// The JSON object: `accepted`, `check` and `reason` of the failure or null, `checks`, details.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let failure = self.failure();
        let mut object = Map::new();
        object.insert("accepted".into(), self.accepted().into());
        object.insert("check".into(), failure.map(|(check, _)| check).into());
        object.insert("reason".into(), failure.map(|(_, reason)| reason).into());
        object.insert(
            "hint".into(),
            self.hint.as_deref().filter(|_| failure.is_some()).into(),
        );
        let checks = self.checks.iter().map(|(check, outcome)| {
            let (outcome, detail) = match outcome {
                Outcome::Passed(seen) => ("passed", seen),
                Outcome::Failed(reason) => ("failed", reason),
                Outcome::Skipped(reason) => ("skipped", reason),
            };
            serde_json::json!({"check": check, "outcome": outcome, "detail": detail})
        });
        object.insert("checks".into(), checks.collect::<Vec<_>>().into());
        object.extend(self.details.clone());
        Value::Object(object)
    }

    /// Prints the judgement. `what` names what was judged.
    #[must_use]
    pub fn print(&self, what: &str, json: bool) -> ExitCode {
        if json {
            say(&format!("{:#}", self.to_json()));
        } else {
            match self.failure() {
                None => say(&format!("accepted: {what}")),
                Some((check, _)) => say(&format!("refused: {what}: {check}")),
            }
            let width = self.checks.iter().map(|(c, _)| c.len()).max().unwrap_or(0);
            for (check, outcome) in &self.checks {
                let (mark, detail) = match outcome {
                    Outcome::Passed(seen) => ("ok  ", seen),
                    Outcome::Failed(reason) => ("FAIL", reason),
                    Outcome::Skipped(reason) => ("skip", reason),
                };
                say(&format!("  {mark}  {check:width$}  {detail}"));
            }
            if let (Some((check, reason)), hint) = (self.failure(), &self.hint) {
                eprintln!("error: {check}: {reason}");
                if let Some(hint) = hint {
                    eprintln!("hint: {hint}");
                }
            }
        }
        if self.accepted() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        }
    }
}

/// Input that cannot be read: exit status 2.
#[derive(Debug)]
pub struct Unreadable {
    message: String,
    hint: Option<String>,
}

impl Unreadable {
    /// What cannot be read, and why.
    #[must_use]
    pub fn new(what: &str, why: impl core::fmt::Display) -> Self {
        Self {
            message: format!("{what}: {why}"),
            hint: None,
        }
    }

    /// What cannot be read, and why.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it: to stderr, and with `json` also as an object on stdout so that a caller who parses
    /// always has something to parse.
    #[must_use]
    pub fn print(&self, json: bool) -> ExitCode {
        if json {
            let object = serde_json::json!({
                "accepted": false,
                "check": "unreadable-input",
                "reason": self.message,
                "hint": self.hint,
                "error": self.message,
            });
            say(&format!("{object:#}"));
        }
        eprintln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(2)
    }
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// [`Unreadable`] when it is missing, unreadable, or longer.
pub fn read_file(path: &std::path::Path, max: usize) -> Result<Vec<u8>, Unreadable> {
    use std::io::Read as _;
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| {
        let unreadable = Unreadable::new(&name, &error);
        match error.kind() {
            std::io::ErrorKind::NotFound => unreadable.with_hint(
                "name a file that is there; a relative path begins at the current directory",
            ),
            std::io::ErrorKind::PermissionDenied => {
                unreadable.with_hint("let the user who runs this command read it")
            }
            _ => unreadable,
        }
    })?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Unreadable::new(&name, error))?;
    if bytes.len() > max {
        return Err(Unreadable::new(
            &name,
            format_args!("longer than {max} bytes"),
        ));
    }
    Ok(bytes)
}
