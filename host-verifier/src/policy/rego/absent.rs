//! What stands for a module in a build without the feature `rego`: nothing that can be made.

use jiff::Timestamp;

use super::{Dialect, ModuleError, ModuleVerdict, Source};

/// No module: there is no value of this type.
#[derive(Debug)]
pub enum Module {}

impl Module {
    /// Refuses every module.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn load(_: &Source<'_>) -> Result<Self, ModuleError> {
        Err(ModuleError {
            line: 0,
            column: 0,
            message: "this build has no `rego`".to_owned(),
            hint: "use a build with the feature `rego`, or remove the field".to_owned(),
        })
    }

    /// Never called.
    #[must_use]
    pub fn evaluate(&self, _: &serde_json::Value, _: Timestamp) -> ModuleVerdict {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn entrypoint(&self) -> &str {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn digest(&self) -> &str {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match *self {}
    }

    /// Never called.
    #[must_use]
    pub fn allows_without_proof(&self) -> bool {
        match *self {}
    }
}
