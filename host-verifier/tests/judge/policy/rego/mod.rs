//! `rego`: modules that narrow a policy.
//!
//! * `documents`: the field in a policy's document.
//! * `examples`: the modules that ship, and the published ones that they correct.
//! * `memory`: how much a module may take.
//! * `modules`: dialects, what is refused, limits, and what each answer means.
//! * `narrowing`: modules among the other rules of a policy.

mod documents;
mod examples;
mod memory;
mod modules;
mod narrowing;

use core::time::Duration;

use assay_host_verifier::policy::rego::{
    DEFAULT_MEMORY, Dialect, Module, ModuleError, ModuleOutcome, ModuleVerdict, Source,
};
use jiff::Timestamp;
use serde_json::Value;

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: i64 = 1_767_225_600;
pub(crate) const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// As long as it may take: machines that run tests are slow.
pub(crate) fn source(text: &str) -> Source<'_> {
    Source {
        name: "test.rego",
        text,
        dialect: Dialect::Auto,
        entrypoint: None,
        timeout: Duration::from_secs(1),
        memory: DEFAULT_MEMORY,
    }
}

pub(crate) fn load(text: &str) -> Result<Module, ModuleError> {
    Module::load(&source(text))
}

pub(crate) fn ask(text: &str, input: &Value) -> ModuleVerdict {
    let module = load(text).unwrap_or_else(|error| panic!("{error:?}"));
    module.evaluate(input, now())
}

pub(crate) fn outcome(text: &str, input: &Value) -> ModuleOutcome {
    ask(text, input).outcome
}
