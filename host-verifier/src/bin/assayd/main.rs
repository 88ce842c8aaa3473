//! `assayd`: the verifier as a service.

mod init;
mod serve;

use std::process::ExitCode;

use assay_host_verifier::api::start::HttpError;
use assay_host_verifier::document::DocumentError;
use assay_host_verifier::server::start::StartError;
use assay_host_verifier::telemetry::names::JSON_FIELDS;
use clap::{Parser, Subcommand};

/// The Assay verifier.
///
/// `assayd init` makes a directory with a configuration, keys and a first token; `assayd serve` serves it until SIGTERM or
/// SIGINT. Logs are JSON lines on stderr; ASSAY_LOG filters them (default: info).
#[derive(Debug, Parser)]
#[command(
    name = "assayd",
    version,
    propagate_version = true,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: as `serve`.
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a configuration until SIGTERM or SIGINT
    Serve(serve::ServeArguments),
    /// Make a directory from which `assayd serve` starts
    Init(init::InitArguments),
}

/// Why the program ended before it was told to.
struct Failure {
    status: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// Bad usage or an unusable document: exit status 2.
    fn usage(message: impl Into<String>) -> Self {
        Self {
            status: 2,
            ..Self::failed(message)
        }
    }

    /// Everything else: exit status 1.
    fn failed(message: impl Into<String>) -> Self {
        Self {
            status: 1,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
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

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self {
            hint: error.hint().map(str::to_owned),
            ..Self::failed(error.to_string())
        }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::failed(error.to_string()).hint(error.hint())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Init(arguments)) => block_on(init::run(arguments)),
        Some(Command::Serve(arguments)) => serve(arguments),
        None => serve(arguments.serve),
    };
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", failure.message);
    if let Some(hint) = failure.hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(failure.status)
}

fn serve(arguments: serve::ServeArguments) -> Result<(), Failure> {
    assay_host::log::init(JSON_FIELDS);
    block_on(serve::run(arguments))
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| Failure::failed(error.to_string()))?
        .block_on(work)
}
