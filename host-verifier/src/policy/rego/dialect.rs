//! Parses a module, in the dialect that it is written in.

use core::num::{NonZeroU32, NonZeroUsize};

use regorus::{Engine, PolicyLengthConfig};

use super::{Dialect, MAX_MODULE, ModuleError};

/// The keywords that a `v0` module may use without importing them. The published examples for SPIRE import two of them and
/// use a third.
const KEYWORDS: &[&str] = &["in", "if", "contains", "every"];

/// An engine with the module in it, its package's path (`data.…`), and the dialect that it parsed in.
pub(super) struct Parsed {
    pub(super) engine: Engine,
    pub(super) package: String,
    pub(super) dialect: Dialect,
}

pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Parsed, ModuleError> {
    match dialect {
        Dialect::V0 => v0(text),
        Dialect::V1 => v1(text),
        Dialect::Auto => v1(text).or_else(|in_v1| {
            v0(text).map_err(|in_v0| {
                // What got further is what it was meant to be in.
                let reached = |error: &ModuleError| (error.line, error.column);
                if reached(&in_v0) > reached(&in_v1) {
                    in_v0
                } else {
                    in_v1
                }
            })
        }),
    }
}

fn v1(text: &str) -> Result<Parsed, ModuleError> {
    add(text.to_owned(), Dialect::V1).map_err(|error| error.into_module_error(""))
}

fn v0(text: &str) -> Result<Parsed, ModuleError> {
    add(with_keywords(text), Dialect::V0).map_err(|error| {
        error.into_module_error(
            "; `in`, `if`, `contains` and `every` are keywords here and cannot be names",
        )
    })
}

fn add(text: String, dialect: Dialect) -> Result<Parsed, Unparsed> {
    let mut engine = Engine::new();
    // Nothing may reach stderr, which has the service's log.
    engine.set_gather_prints(true);
    engine.set_rego_v0(dialect == Dialect::V0);
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: NonZeroU32::new(1024).unwrap_or(NonZeroU32::MIN),
        // The keywords make it a little longer.
        max_file_bytes: NonZeroUsize::new(MAX_MODULE * 2).unwrap_or(NonZeroUsize::MIN),
        max_lines: NonZeroUsize::new(MAX_MODULE).unwrap_or(NonZeroUsize::MIN),
    });
    match engine.add_policy("module".to_owned(), text) {
        Ok(package) => Ok(Parsed {
            engine,
            package,
            dialect,
        }),
        Err(error) => Err(Unparsed(error.to_string())),
    }
}

/// The text with the imports behind its package, on the same line, so that no line gets another number. `import rego.v1`
/// brings them all, and does not go with them.
fn with_keywords(text: &str) -> String {
    let mut lines = text.lines();
    if lines.any(|line| line.trim_start().starts_with("import rego.v1")) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 128);
    let mut found = false;
    for line in text.split_inclusive('\n') {
        let package = !found && line.trim_start().starts_with("package");
        if !package {
            out.push_str(line);
            continue;
        }
        found = true;
        let end = line.find(['#', '\r', '\n']).unwrap_or(line.len());
        let (code, rest) = line.split_at_checked(end).unwrap_or((line, ""));
        out.push_str(code);
        for keyword in KEYWORDS {
            out.push_str(" import future.keywords.");
            out.push_str(keyword);
        }
        if rest.starts_with('#') {
            out.push(' ');
        }
        out.push_str(rest);
    }
    out
}

/// The parser's message:
///
/// ```text
/// --> module:2:7
///   |
/// 2 | allow { input.x }
///   |       ^
/// error: `if` keyword is required before rule body
/// ```
struct Unparsed(String);

impl Unparsed {
    fn into_module_error(self, hint: &str) -> ModuleError {
        let mut place = self.0.lines().filter_map(|line| {
            let mut parts = line.strip_prefix("--> module:")?.split(':');
            Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        });
        let (line, column) = place.next().unwrap_or((0, 0));
        let said = self.0.lines().find_map(|line| line.strip_prefix("error: "));
        let said = said.unwrap_or_else(|| self.0.lines().next().unwrap_or_default());
        ModuleError {
            line,
            column,
            message: said.to_owned(),
            hint: format!("correct the module at this place{hint}"),
        }
    }
}

/// The place and the words of an error at run time, on one line.
pub(super) fn one_line(error: &str) -> String {
    let Unparsed(text) = Unparsed(error.to_owned());
    let said = Unparsed(text).into_module_error("");
    match said.line {
        0 => said.message,
        line => format!("line {line}, column {}: {}", said.column, said.message),
    }
}
