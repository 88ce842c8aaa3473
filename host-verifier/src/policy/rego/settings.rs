//! Reads `rego` of a policy or a document.

use core::time::Duration;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_saphyr::Spanned;

use super::{
    DEFAULT_MEMORY, DEFAULT_TIMEOUT, Dialect, MAX_TIMEOUT, MEMORY, Module, ModuleError, Source,
};
use crate::document::{self, DocumentError, Files, HINT, Place};

/// The field, shape checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "Rego",
    description = "A Rego module: it can only refuse what the attestors allow.",
    extend("oneOf" = [{"required": ["module"]}, {"required": ["file"]}])
)]
pub struct RegoSettings {
    /// The module's text.
    #[schemars(with = "Option<String>", length(min = 1))]
    module: Option<Spanned<String>>,
    /// A file with the module.
    #[schemars(with = "Option<String>", length(min = 1))]
    file: Option<Spanned<String>>,
    /// The rule that decides. Default: `data.PACKAGE.allow`.
    entrypoint: Option<String>,
    /// `auto` (the default), `v0` or `v1`.
    #[serde(default)]
    #[schemars(with = "String", regex(pattern = "^(auto|v0|v1)$"))]
    dialect: DialectName,
    /// How long an evaluation may take. Default 100ms.
    #[serde(default)]
    #[schemars(with = "String")]
    timeout: Timeout,
    /// How much memory an evaluation may take, from 16MiB to 256MiB. Default 64MiB.
    #[serde(default)]
    #[schemars(with = "String", regex(pattern = "^[0-9]+MiB$"))]
    memory: Memory,
}

#[derive(Debug, Clone, Copy, Default)]
struct DialectName(Dialect);

impl<'de> Deserialize<'de> for DialectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const NAMES: &[&str] = &["auto", "v0", "v1"];
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "auto" => Ok(Self(Dialect::Auto)),
            "v0" => Ok(Self(Dialect::V0)),
            "v1" => Ok(Self(Dialect::V1)),
            _ => Err(de::Error::unknown_variant(&name, NAMES)),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Timeout(Duration);

impl Default for Timeout {
    fn default() -> Self {
        Self(DEFAULT_TIMEOUT)
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = text.parse::<jiff::SignedDuration>().ok();
        let span = span.and_then(|span| Duration::try_from(span).ok());
        match span {
            Some(span) if span >= Duration::from_millis(1) && span <= MAX_TIMEOUT => Ok(Self(span)),
            _ => Err(de::Error::custom(format_args!(
                "`{text}` is no time for an evaluation{HINT}write something from `1ms` to `{}s`, with its unit",
                MAX_TIMEOUT.as_secs()
            ))),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Memory(u64);

impl Default for Memory {
    fn default() -> Self {
        Self(DEFAULT_MEMORY)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const MIB: u64 = 1024 * 1024;
        let text = String::deserialize(deserializer)?;
        let number = text.strip_suffix("MiB").and_then(|n| n.parse::<u64>().ok());
        let bytes = number.and_then(|number| number.checked_mul(MIB));
        match bytes {
            Some(bytes) if (MEMORY.0..=MEMORY.1).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(de::Error::custom(format_args!(
                "`{text}` is no memory for an evaluation{HINT}write something from `{}MiB` to `{}MiB`, with its unit",
                MEMORY.0 / MIB,
                MEMORY.1 / MIB
            ))),
        }
    }
}

impl RegoSettings {
    /// How long an evaluation may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout.0
    }

    /// Loads the module, once for all evaluations. `files` says where a file is looked up; `owner` names whose field this is, and
    /// `at` its place.
    ///
    /// # Errors
    ///
    /// [`DocumentError`], with the place in the module where there is one.
    pub fn build(
        &self,
        file: &str,
        files: Files<'_>,
        owner: &str,
        at: Place,
    ) -> Result<Arc<Module>, DocumentError> {
        let wrong = |message: &str| DocumentError::new(file, message);
        let mut found = String::new();
        let (name, text, inline) = match (&self.module, &self.file) {
            (Some(text), None) => (owner.to_owned(), text.value.clone(), Some(text.referenced)),
            (None, Some(path)) => {
                let real = files.path(&path.value).map_err(|error| {
                    wrong(&format!("rego: {error}"))
                        .at(path.referenced.into())
                        .hint(error.hint())
                })?;
                let text = document::read_named(&real).map_err(|error| {
                    wrong(&format!("rego: {error}"))
                        .at(path.referenced.into())
                        .hint("`file` is looked up from the document's folder")
                })?;
                found = real.display().to_string();
                (path.value.clone(), text, None)
            }
            (Some(_), Some(path)) => {
                return Err(wrong("rego: both `module` and `file` are given")
                    .at(path.referenced.into())
                    .hint("remove one of them"));
            }
            (None, None) => {
                return Err(wrong("rego: no module is given")
                    .at(at)
                    .hint("add `file: PATH`, or `module: |` with the text"));
            }
        };
        let source = Source {
            name: &name,
            text: &text,
            dialect: self.dialect.0,
            entrypoint: self.entrypoint.as_deref(),
            timeout: self.timeout.0,
            memory: self.memory.0,
        };
        let error = match Module::load(&source) {
            Ok(module) => return Ok(Arc::new(module)),
            Err(error) => error,
        };
        Err(match inline {
            None => in_module(&found, &error),
            Some(place) => {
                let mut message = "rego: ".to_owned();
                if error.line > 0 {
                    message += &format!("line {}, column {}: ", error.line, error.column);
                }
                wrong(&(message + &error.message))
                    .at(place.into())
                    .hint(error.hint)
            }
        })
    }
}

/// An error in a file of its own.
#[must_use]
pub fn in_module(file: &str, error: &ModuleError) -> DocumentError {
    DocumentError::new(file, error.message.as_str())
        .at(Place {
            line: u64::from(error.line.max(1)),
            column: u64::from(error.column.max(1)),
        })
        .hint(error.hint.as_str())
}
