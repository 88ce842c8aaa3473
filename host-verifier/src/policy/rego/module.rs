//! A module, ready to be asked.

use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use jiff::Timestamp;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};

use super::dialect::{self, Parsed, one_line};
use super::pool::{self, Lost};
use super::verdict::{MAX_REASON, MAX_REASONS};
use super::{
    Dialect, MAX_INPUT, MAX_MODULE, ModuleError, ModuleOutcome, ModuleVerdict, Source, builtins,
    screen,
};
use crate::document::{nearest, visible};

/// How many steps of an evaluation go between two looks at the clock.
const STEPS: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// What a wait may take beyond the evaluation's own time: threads that must be started first.
const GRACE: Duration = Duration::from_millis(250);
const MIB: u64 = 1024 * 1024;
/// A day in 2026, for the evaluation that tries a module out.
const SOME_DAY: i64 = 1_767_225_600;

/// A module that was parsed, looked through and tried out.
#[derive(Debug)]
pub struct Module {
    name: String,
    digest: String,
    dialect: Dialect,
    timeout: Duration,
    memory: u64,
    allows_without_proof: bool,
    loaded: Arc<Loaded>,
}

/// What every evaluation begins from.
#[derive(Debug, Clone)]
struct Loaded {
    engine: Engine,
    entrypoint: String,
    deny: Option<String>,
    reasons: Option<String>,
}

/// What came of an evaluation.
struct Found {
    outcome: ModuleOutcome,
    detail: Option<String>,
    reasons: Vec<String>,
}

impl Module {
    /// Parses a module, looks through it, and evaluates it over a login that has proven nothing.
    ///
    /// # Errors
    ///
    /// [`ModuleError`]: it does not parse, calls what it may not, has no rule at its entry point, or fails over an input
    /// without claims, as it then would in a login.
    pub fn load(source: &Source<'_>) -> Result<Self, ModuleError> {
        let error = |message: String, hint: &str| ModuleError {
            line: 0,
            column: 0,
            message,
            hint: hint.to_owned(),
        };
        if source.text.len() > MAX_MODULE {
            return Err(error(
                format!("longer than {MAX_MODULE} bytes"),
                "split the policy",
            ));
        }
        let Parsed {
            mut engine,
            package,
            dialect,
        } = dialect::parse(source.text, source.dialect)?;
        let internal = |message: String| error(message, "this is a fault of this version");
        let module = engine.get_modules().first().cloned();
        let module = module.ok_or_else(|| internal("no module was parsed".to_owned()))?;
        let rules = screen::screen(&module, &package)?;
        let entrypoint = source
            .entrypoint
            .map_or_else(|| format!("{package}.allow"), str::to_owned);
        let rule = entrypoint
            .strip_prefix(package.as_str())
            .and_then(|rest| rest.strip_prefix('.'));
        if !rule.is_some_and(|rule| rules.has_value(rule)) {
            let names = rules.names().filter(|name| rules.has_value(name));
            let near = nearest(rule.unwrap_or(&entrypoint), names);
            let hint = near.map_or_else(
                || format!("a rule of this module, e.g. `{package}.allow`, which is tried if none is named"),
                |near| format!("did you mean `{package}.{near}`?"),
            );
            return Err(error(format!("there is no rule `{entrypoint}`"), &hint));
        }
        builtins::bound(&mut engine).map_err(internal)?;
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: source.timeout,
            check_interval: STEPS,
        });
        let beside = |name: &str| rules.has_value(name).then(|| format!("{package}.{name}"));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, source.text.as_bytes());
        let mut module = Self {
            name: source.name.to_owned(),
            digest: hex::encode(digest.as_ref()),
            dialect,
            timeout: source.timeout,
            memory: source.memory,
            allows_without_proof: false,
            loaded: Arc::new(Loaded {
                deny: beside("deny").filter(|path| *path != entrypoint),
                reasons: beside("reasons").filter(|path| *path != entrypoint),
                engine,
                entrypoint,
            }),
        };
        module.try_out()?;
        Ok(module)
    }

    /// Evaluates it over nothing, and prepares it for what follows.
    fn try_out(&mut self) -> Result<(), ModuleError> {
        let mut loaded = Loaded::clone(&self.loaded);
        let patience = self.patience();
        let entrypoint = loaded.entrypoint.clone();
        // Whatever it says, the engine is prepared by it, and clones need not be.
        let memory = self.memory;
        let prepared = pool::run(patience, move || {
            bounded(memory, || {
                loaded.engine.set_input(Value::new_object());
                let _ = loaded.engine.eval_rule(entrypoint);
                loaded
            })
        });
        if let Ok(loaded) = prepared {
            self.loaded = Arc::new(loaded);
        }
        let nothing =
            serde_json::json!({"attestors": {}, "methods": {}, "attributes": {}, "node": {}});
        let day = Timestamp::from_second(SOME_DAY).unwrap_or(Timestamp::UNIX_EPOCH);
        let verdict = self.evaluate(&nothing, day);
        let hint = match verdict.outcome {
            ModuleOutcome::Allow => {
                self.allows_without_proof = true;
                return Ok(());
            }
            ModuleOutcome::Deny | ModuleOutcome::Undefined => return Ok(()),
            ModuleOutcome::Error => {
                "the module was tried over an input without claims: it must not fail, but deny"
            }
            ModuleOutcome::Timeout => {
                "the module was tried over an input without claims: make it shorter, or its `timeout` longer"
            }
            ModuleOutcome::Memory => {
                "the module was tried over an input without claims: have it collect less, or give it more `memory`"
            }
            ModuleOutcome::Busy => "too many modules run at once: try again",
        };
        Err(ModuleError {
            line: 0,
            column: 0,
            message: verdict.to_string(),
            hint: hint.to_owned(),
        })
    }

    /// Its file, or the policy that it stands in.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of its text, lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The rule that decides.
    #[must_use]
    pub fn entrypoint(&self) -> &str {
        &self.loaded.entrypoint
    }

    /// The dialect that it parsed in.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it allows a login that has proven nothing, which narrows little.
    #[must_use]
    pub const fn allows_without_proof(&self) -> bool {
        self.allows_without_proof
    }

    /// Asks it. Whatever goes wrong is a verdict that does not allow.
    #[must_use]
    pub fn evaluate(&self, input: &serde_json::Value, now: Timestamp) -> ModuleVerdict {
        let input = input.to_string();
        let found = if input.len() > MAX_INPUT {
            Found::error(format!("an input of {} bytes", input.len()))
        } else {
            let loaded = self.loaded.clone();
            let memory = self.memory;
            let evaluated = pool::run(self.patience(), move || {
                bounded(memory, || loaded.evaluate(&input, now, memory))
            });
            evaluated.unwrap_or_else(|lost| match lost {
                Lost::Busy => Found::of(ModuleOutcome::Busy),
                Lost::Late => Found::of(ModuleOutcome::Timeout),
                Lost::Broken => Found::error("the interpreter has a fault".to_owned()),
            })
        };
        ModuleVerdict {
            outcome: found.outcome,
            module: self.name.clone(),
            digest: self.digest.clone(),
            entrypoint: self.loaded.entrypoint.clone(),
            detail: found.detail,
            reasons: found.reasons,
        }
    }

    fn patience(&self) -> Duration {
        // One for the entry point, one for `deny`, one for `reasons`.
        self.timeout * 3 + GRACE
    }
}

impl Found {
    const fn of(outcome: ModuleOutcome) -> Self {
        Self {
            outcome,
            detail: None,
            reasons: Vec::new(),
        }
    }

    fn error(detail: String) -> Self {
        Self {
            detail: Some(short(&detail)),
            ..Self::of(ModuleOutcome::Error)
        }
    }
}

/// Runs an evaluation, on the thread that it has for itself, so that the interpreter ends it when it takes more memory.
fn bounded<T>(memory: u64, evaluation: impl FnOnce() -> T) -> T {
    regorus::set_global_memory_limit(Some(rego_memory::INTERPRETER_LIMIT));
    rego_memory::measured(memory, evaluation).0
}

/// What ends an evaluation early.
enum Failed {
    Late,
    TooLarge,
    Error(String),
}

impl Loaded {
    fn evaluate(&self, input: &str, now: Timestamp, memory: u64) -> Found {
        match self.ask(input, now) {
            Ok(found) => found,
            Err(Failed::Late) => Found::of(ModuleOutcome::Timeout),
            Err(Failed::TooLarge) => Found {
                detail: Some(format!("the limit is {} MiB", memory / MIB)),
                ..Found::of(ModuleOutcome::Memory)
            },
            Err(Failed::Error(detail)) => Found::error(detail),
        }
    }

    fn ask(&self, input: &str, now: Timestamp) -> Result<Found, Failed> {
        let mut engine = self.engine.clone();
        builtins::set_clock(&mut engine, now).map_err(Failed::Error)?;
        let input =
            Value::from_json_str(input).map_err(|error| Failed::Error(error.to_string()))?;
        engine.set_input(input);
        let mut found = match rule(&mut engine, &self.entrypoint)? {
            Value::Bool(true) => Found::of(ModuleOutcome::Allow),
            Value::Bool(false) => Found::of(ModuleOutcome::Deny),
            Value::Undefined => Found::of(ModuleOutcome::Undefined),
            other => Found::error(format!("it is {}, not a boolean", type_of(&other))),
        };
        if let Some(deny) = &self.deny {
            let denied = texts(&rule(&mut engine, deny)?, &mut found.reasons)?;
            if denied && found.outcome == ModuleOutcome::Allow {
                found.outcome = ModuleOutcome::Deny;
            }
        }
        if let Some(reasons) = &self.reasons
            && found.outcome != ModuleOutcome::Allow
        {
            texts(&rule(&mut engine, reasons)?, &mut found.reasons)?;
        }
        Ok(found)
    }
}

fn rule(engine: &mut Engine, path: &str) -> Result<Value, Failed> {
    engine.eval_rule(path.to_owned()).map_err(|error| {
        // Out of a function the limit comes as its text.
        let text = error.to_string();
        match error.downcast_ref::<LimitError>() {
            Some(LimitError::MemoryLimitExceeded { .. }) => Failed::TooLarge,
            Some(LimitError::TimeLimitExceeded { .. }) => Failed::Late,
            None if text.contains("exceeded time limit") => Failed::Late,
            None if text.contains("exceeded memory limit") => Failed::TooLarge,
            _ => Failed::Error(one_line(&text)),
        }
    })
}

/// Takes the texts of a set, an array or an object's keys; whether there is anything in it at all.
fn texts(value: &Value, into: &mut Vec<String>) -> Result<bool, Failed> {
    let mut take = |value: &Value| {
        if into.len() < MAX_REASONS {
            into.push(match value {
                Value::String(text) => short(text),
                other => type_of(other).to_owned(),
            });
        }
    };
    Ok(match value {
        Value::Undefined | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Set(items) => {
            items.iter().for_each(&mut take);
            !items.is_empty()
        }
        Value::Array(items) => {
            items.iter().for_each(&mut take);
            !items.is_empty()
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, _)| take(key));
            fields.iter().next().is_some()
        }
        other => {
            let found = type_of(other);
            return Err(Failed::Error(format!(
                "`deny` or `reasons` is {found}, not a set"
            )));
        }
    })
}

fn short(text: &str) -> String {
    let mut kept: String = text.chars().take(MAX_REASON).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    visible(&kept)
}

const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}
