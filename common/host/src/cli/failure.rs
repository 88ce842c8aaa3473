//! Why a command has no answer, and how either is printed.

use std::process::ExitCode;

use serde::Serialize;

use super::format::Format;
use super::say;
use super::screen::Screen;
use crate::document::DocumentError;

/// Why a command has no answer.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
    hint: Option<String>,
    // Boxed: a failure is what every command may return, and few have this.
    beside: Box<[Beside]>,
}

/// What else was found out, when it had failed.
#[derive(Debug)]
struct Beside {
    name: &'static str,
    json: serde_json::Value,
    lines: Vec<String>,
}

impl Failure {
    /// Refused or failed: exit status 1.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            status: 1,
            message: message.into(),
            hint: None,
            beside: Box::default(),
        }
    }

    /// Bad usage or an unusable document: exit status 2.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            status: 2,
            ..Self::failed(message)
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether a person reads this text already.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        let mut lines = self.beside.iter().flat_map(|beside| &beside.lines);
        self.message.contains(text) || lines.any(|line| line.contains(text))
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// With what to do about it, where something is to be done.
    #[must_use]
    pub fn hinted(self, hint: Option<&str>) -> Self {
        Self {
            hint: hint.map(str::to_owned),
            ..self
        }
    }

    /// With what else was found out: a member `name` of the JSON object, and a line each for people.
    #[must_use]
    pub fn beside(self, name: &'static str, json: serde_json::Value, lines: Vec<String>) -> Self {
        let mut beside = self.beside.into_vec();
        beside.push(Beside { name, json, lines });
        Self {
            beside: beside.into(),
            ..self
        }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        Self {
            hint: error.hint.clone(),
            ..Self::usage(error.to_string())
        }
    }
}

/// Prints the answer and returns the exit status. In JSON a failure is an answer too.
pub fn finish<T: Serialize>(
    format: Format,
    result: Result<T, Failure>,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    let answer = result.and_then(|value| match format.json() {
        false => Ok(Screen::of(format.wide()).show(&text(&value))),
        true => {
            serde_json::to_string_pretty(&value).map_err(|error| Failure::failed(error.to_string()))
        }
    });
    match answer {
        Ok(answer) => {
            say(&answer);
            ExitCode::SUCCESS
        }
        Err(Failure {
            status,
            message,
            hint,
            beside,
        }) => {
            if format.json() {
                let mut object = serde_json::json!({"error": message, "hint": hint});
                for Beside { name, json, .. } in &beside {
                    if let Some(object) = object.as_object_mut() {
                        object.insert((*name).to_owned(), json.clone());
                    }
                }
                say(&format!("{object:#}"));
            }
            eprintln!("error: {message}");
            if let Some(hint) = hint {
                eprintln!("hint: {hint}");
            }
            for line in beside.iter().flat_map(|beside| &beside.lines) {
                eprintln!("{line}");
            }
            ExitCode::from(status)
        }
    }
}
