//! `assay agent run`: the service.

use std::process::ExitCode;

use assay_host::cli::{Failure, Format, Output, finish};
use clap::Args;

use super::{Source, block_on};
use crate::client::Verifiers;
use crate::names::JSON_FIELDS;
use crate::run;
use crate::setup::Setup;

/// The options.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    source: Source,
}

/// Runs the command. It answers with its log, and with an exit status.
pub(super) fn run(options: &Options) -> ExitCode {
    match attempt(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => finish(Format::of(Output::Text), Err::<(), _>(failure), |()| {
            String::new()
        }),
    }
}

fn attempt(options: &Options) -> Result<(), Failure> {
    let mut config = options.source.load()?;
    let setup = Setup::of(&mut config)?;
    let verifiers = Verifiers::new(&config.servers, &config.roots);
    let verifiers =
        verifiers.map_err(|error| Failure::usage(error.to_string()).hint(error.hint()))?;
    assay_host::log::init(JSON_FIELDS);
    block_on(async {
        let ran = run::run(config, setup, verifiers).await;
        ran.map_err(|error| Failure::failed(error.to_string()).hint(error.hint()))
    })
}
