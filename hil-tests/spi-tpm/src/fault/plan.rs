//! A plan of faults: which, when, how often. Text form in the [module above](super).

use std::fmt;
use std::str::FromStr;

use super::injector::Context;
use super::{FaultKind, Phase};
use crate::command;

/// Which commands a fault belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandMatch {
    /// Every command, and accesses outside of commands.
    Any,
    /// The n-th command since the model was made, from 1.
    Nth(u32),
    /// Commands with this code.
    Code(u32),
}

/// How often a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Count {
    /// Whenever it can.
    Always,
    /// This many times, then never again.
    Times(u32),
}

/// One fault of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Its argument; the kind's default when `None`.
    pub arg: Option<u32>,
    /// The phase in which it shows; any when `None`.
    pub phase: Option<Phase>,
    /// The command with which it shows.
    pub command: CommandMatch,
    /// How often.
    pub count: Count,
}

/// Why a plan's text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No fault has this name.
    #[error("unknown fault \"{0}\"")]
    UnknownFault(String),
    /// Not a number of at most 32 bits.
    #[error("\"{0}\" is not a number")]
    Number(String),
    /// No phase has this name.
    #[error("unknown phase \"{0}\": any, idle, ready, reception, execution or completion")]
    UnknownPhase(String),
    /// Neither `any`, `#n`, a code, nor a command's name.
    #[error("unknown command \"{0}\"")]
    UnknownCommand(String),
    /// A count of zero would never show.
    #[error("a count of 0 never shows")]
    ZeroCount,
    /// Commands are counted from 1.
    #[error("commands are counted from 1")]
    ZeroCommand,
    /// More than three fields after the `@`.
    #[error("\"{0}\" has more than phase/command/count")]
    TooManyFields(String),
}

impl Fault {
    /// A fault that shows once, anywhere, with its default argument.
    #[must_use]
    pub const fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            arg: None,
            phase: None,
            command: CommandMatch::Any,
            count: Count::Times(1),
        }
    }

    /// The same with an argument.
    #[must_use]
    pub const fn with_arg(mut self, arg: u32) -> Self {
        self.arg = Some(arg);
        self
    }

    /// The same in one phase only.
    #[must_use]
    pub const fn in_phase(mut self, phase: Phase) -> Self {
        self.phase = Some(phase);
        self
    }

    /// The same with the n-th command only (from 1).
    #[must_use]
    pub const fn at_command(mut self, n: u32) -> Self {
        self.command = CommandMatch::Nth(n);
        self
    }

    /// The same with commands of one code only.
    #[must_use]
    pub const fn at_code(mut self, code: u32) -> Self {
        self.command = CommandMatch::Code(code);
        self
    }

    /// The same whenever it can show.
    #[must_use]
    pub const fn always(mut self) -> Self {
        self.count = Count::Always;
        self
    }

    /// The same `n` times.
    #[must_use]
    pub const fn times(mut self, n: u32) -> Self {
        self.count = Count::Times(n);
        self
    }

    /// The argument that holds.
    #[must_use]
    pub const fn effective_arg(&self) -> u32 {
        match self.arg {
            Some(arg) => arg,
            None => self.kind.default_arg(),
        }
    }

    /// Whether this fault may show here, its count aside.
    #[must_use]
    pub fn matches(&self, context: &Context) -> bool {
        self.phase.is_none_or(|phase| phase == context.phase)
            && match self.command {
                CommandMatch::Any => true,
                CommandMatch::Nth(n) => n == context.number,
                CommandMatch::Code(code) => context.code == Some(code),
            }
    }
}

/// Faults that hold at the same time, in order of preference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// The faults.
    pub faults: Vec<Fault>,
}

impl FaultPlan {
    /// A plan without faults.
    #[must_use]
    pub const fn none() -> Self {
        Self { faults: Vec::new() }
    }

    /// Whether nothing goes wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

impl From<Fault> for FaultPlan {
    fn from(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
        }
    }
}

impl FromStr for FaultPlan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let faults = text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self { faults })
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str(";")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl FromStr for Fault {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (what, when) = text.split_once('@').unwrap_or((text, ""));
        let (name, arg) = match what.split_once('=') {
            Some((name, arg)) => (name, Some(number(arg)?)),
            None => (what, None),
        };
        let kind = FaultKind::from_name(name.trim())
            .ok_or_else(|| PlanError::UnknownFault(name.trim().to_owned()))?;
        let mut fields = when.splitn(4, '/').map(str::trim);
        let mut fault = Self::new(kind);
        fault.arg = arg;
        match fields.next() {
            None | Some("" | "any") => {}
            Some(phase) => {
                fault.phase = Some(
                    Phase::from_name(phase)
                        .ok_or_else(|| PlanError::UnknownPhase(phase.to_owned()))?,
                );
            }
        }
        if let Some(text) = fields.next() {
            fault.command = parse_command(text)?;
        }
        if let Some(text) = fields.next() {
            fault.count = parse_count(text)?;
        }
        match fields.next() {
            Some(_) => Err(PlanError::TooManyFields(text.to_owned())),
            None => Ok(fault),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if let Some(arg) = self.arg {
            write!(f, "={arg}")?;
        }
        write!(f, "@{}/", self.phase.map_or("any", Phase::name))?;
        match self.command {
            CommandMatch::Any => f.write_str("any")?,
            CommandMatch::Nth(n) => write!(f, "#{n}")?,
            CommandMatch::Code(code) => match command::name(code) {
                Some(name) => f.write_str(name)?,
                None => write!(f, "{code:#x}")?,
            },
        }
        match self.count {
            Count::Always => f.write_str("/always"),
            Count::Times(1) => f.write_str("/once"),
            Count::Times(n) => write!(f, "/{n}"),
        }
    }
}

fn number(text: &str) -> Result<u32, PlanError> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| PlanError::Number(text.to_owned()))
}

fn parse_command(text: &str) -> Result<CommandMatch, PlanError> {
    if text == "any" {
        return Ok(CommandMatch::Any);
    }
    if let Some(n) = text.strip_prefix('#') {
        return match number(n)? {
            0 => Err(PlanError::ZeroCommand),
            n => Ok(CommandMatch::Nth(n)),
        };
    }
    if text.starts_with("0x") {
        return number(text).map(CommandMatch::Code);
    }
    command::from_name(text)
        .map(CommandMatch::Code)
        .ok_or_else(|| PlanError::UnknownCommand(text.to_owned()))
}

fn parse_count(text: &str) -> Result<Count, PlanError> {
    match text {
        "once" => Ok(Count::Times(1)),
        "always" => Ok(Count::Always),
        _ => match number(text)? {
            0 => Err(PlanError::ZeroCount),
            n => Ok(Count::Times(n)),
        },
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
