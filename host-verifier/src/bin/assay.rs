//! `assay`: the operators' tool.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    assay_host_verifier::cli::run(assay_host_verifier::cli::Cli::parse())
}
