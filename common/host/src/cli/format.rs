//! How commands answer: for people or as JSON. The same two options for all of them.

use std::{ffi::OsString, process::ExitCode};

use clap::{Args, ValueEnum};

use super::say;

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// The options.
#[derive(Debug, Clone, Copy, Args)]
pub struct Format {
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    output: Output,

    /// Short for --output json
    #[arg(long)]
    json: bool,

    /// Do not shorten long hashes on a terminal
    #[arg(long)]
    wide: bool,
}

impl Format {
    /// An answer in this form, with nothing shortened.
    #[must_use]
    pub const fn of(output: Output) -> Self {
        Self {
            output,
            json: false,
            wide: true,
        }
    }

    /// Whether the answer is JSON.
    #[must_use]
    pub fn json(self) -> bool {
        self.json || self.output == Output::Json
    }

    /// Whether long hashes are shown whole.
    #[must_use]
    pub const fn wide(self) -> bool {
        self.wide
    }
}

/// Says what is wrong with a command line, or prints the help that was asked for. Who asked for JSON gets an object too:
/// whoever parses always has something to parse. `extend` adds to the object what the command's own answers have.
pub fn misuse(
    error: &clap::Error,
    args: &[OsString],
    extend: impl FnOnce(&str, &mut serde_json::Map<String, serde_json::Value>),
) -> ExitCode {
    if error.use_stderr() && wants_json(args) {
        let text = error.to_string();
        // The paragraphs behind the first are usage and help.
        let first = text.split("\n\n").next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        let mut object = serde_json::json!({"error": message, "hint": "see --help"});
        if let Some(object) = object.as_object_mut() {
            extend(message, object);
        }
        say(&format!("{object:#}"));
    }
    // Nobody to tell when stderr is gone.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether the words of a command line ask for JSON. They could not be read as a whole, so they are looked at one by
/// one; what stands behind `--` is a value.
fn wants_json(args: &[OsString]) -> bool {
    let options: Vec<_> = args.iter().take_while(|arg| *arg != "--").collect();
    options
        .iter()
        .any(|arg| *arg == "--json" || *arg == "--output=json")
        || options
            .iter()
            .zip(options.iter().skip(1))
            .any(|(option, value)| *option == "--output" && *value == "json")
}
