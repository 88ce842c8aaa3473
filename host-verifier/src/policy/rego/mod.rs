//! `rego`: a module that narrows a policy.
//!
//! ```yaml
//! policies:
//!   - name: rack
//!     requiredAttestors: [{type: tpm_ek, config: {manufacturerCAs: [vendor.pem]}}]
//!     rego:
//!       file: node.rego             # or `module: |` with the text
//!       entrypoint: data.site.allow # data.<package>.allow if not given
//!       dialect: auto               # v0, v1
//!       timeout: 100ms
//!       memory: 64MiB
//! ```
//!
//! The module is asked when all other rules of its policy hold, over the document of [`input`], and can only say no.
//! `spec.rego` stands before the one of every policy: both must allow.
//!
//! | the entry point is | the policy |
//! |---|---|
//! | `true`, and `deny` of the same package is empty or not there | goes on |
//! | `false`, undefined, no boolean, an error, not decided in time or memory | is not satisfied |
//!
//! `deny` and `reasons`, when the package has them, are sets of texts for the operator; nobody else sees them. A `deny`
//! that is not empty denies, whatever the entry point says.
//!
//! * [`settings`] reads the field, `dialect` parses both dialects of the language, `screen` refuses what a policy has no
//!   business to call, `builtins` has the list of what it may, `module` evaluates, on the threads of `pool`.
//!
//! # What a module may use
//!
//! Nothing that is not in its input: there is no network, no randomness, no environment and no machine's time zone, and
//! `time.now_ns` gives the login's time. The same evidence is judged the same way later, and by every replica.
//!
//! # Limits
//!
//! Text [`MAX_MODULE`], rules [`MAX_RULES`], input [`MAX_INPUT`], strings that a module builds [`MAX_BUILT`], time
//! `timeout` (at most [`MAX_TIMEOUT`], and [`MAX_TOGETHER`] for all modules of a document), memory `memory` (at most
//! [`MAX_MEMORY`]). An evaluation has a thread of its own, so one that does not look at its clock, inside a comparison of huge
//! values, costs its login and never another's. Its memory is what that thread allocates: the crate `rego-memory` counts it,
//! and the interpreter looks at it between steps. One step adds what one builtin makes, [`MAX_BUILT`] as text and up to some
//! tens of times that as values (`split` into characters), so an evaluation ends about 16 MiB above its limit at most.

use core::time::Duration;

pub mod input;
pub mod settings;
pub mod verdict;

#[cfg(feature = "rego")]
mod builtins;
#[cfg(feature = "rego")]
mod dialect;
#[cfg(feature = "rego")]
mod module;
#[cfg(feature = "rego")]
mod pool;
#[cfg(feature = "rego")]
mod screen;

#[cfg(not(feature = "rego"))]
mod absent;

#[cfg(not(feature = "rego"))]
pub use absent::Module;
#[cfg(feature = "rego")]
pub use module::Module;
pub use settings::RegoSettings;
pub use verdict::{ModuleOutcome, ModuleVerdict};

/// Longest module, bytes.
pub const MAX_MODULE: usize = 64 * 1024;
/// Most rules of a module.
pub const MAX_RULES: usize = 512;
/// Deepest nesting of all rules of a module added up: what an evaluation's stack must hold at worst.
pub const MAX_NESTING: usize = 4096;
/// Longest input, bytes of JSON.
pub const MAX_INPUT: usize = 256 * 1024;
/// Longest string or list that a builtin may make, bytes of JSON.
pub const MAX_BUILT: usize = 256 * 1024;
/// How long an evaluation may take unless the policy says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(100);
/// Longest `timeout`.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(1);
/// How much memory an evaluation may take unless the policy says otherwise, bytes.
pub const DEFAULT_MEMORY: u64 = 64 * 1024 * 1024;
/// The least and the most that `memory` can say, bytes. Less is not enough for the largest input; of the most, every thread that
/// evaluates may take as much at once.
pub const MEMORY: (u64, u64) = (16 * 1024 * 1024, MAX_MEMORY);
/// See [`MEMORY`].
pub const MAX_MEMORY: u64 = 256 * 1024 * 1024;
/// Longest time of all modules of one document together: a login could meet each.
pub const MAX_TOGETHER: Duration = Duration::from_secs(5);

/// Which dialect a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Whichever it parses in: `v1` first.
    #[default]
    Auto,
    /// Before OPA 1.0. `in`, `if`, `contains` and `every` are keywords, also where the module does not import them.
    V0,
    /// Since OPA 1.0.
    V1,
}

/// A module's text, and how it is to be used.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What it is called in verdicts and errors: its file, or the policy that it stands in.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// Its dialect.
    pub dialect: Dialect,
    /// The rule that decides; `None`: `data.<package>.allow`.
    pub entrypoint: Option<&'a str>,
    /// How long an evaluation may take.
    pub timeout: Duration,
    /// How much memory it may take, bytes.
    pub memory: u64,
}

/// Why a module cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModuleError {
    /// In the module's text, counted from 1; 0 when the error has no place.
    pub line: u32,
    /// Counted from 1; 0 when the error has no place.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}
