//! Runs a cloud around one instance, so that an agent and a verifier on this machine can be tried by hand.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use assay_cloud_standins::ec2::Mode;
use assay_cloud_standins::lab::{Lab, METHODS};
use clap::Parser;
use clap::builder::PossibleValuesParser;

#[derive(Parser)]
#[command(
    about = "A cloud around one instance: its metadata service, the keys of its tokens, AWS' API. Runs until it is ended",
    version
)]
struct Options {
    /// The method that the instance logs in by
    #[arg(value_parser = PossibleValuesParser::new(METHODS))]
    method: String,
    /// Where it writes policy.yaml, clouds.yaml (for the end of assayd.yaml) and, as the last, attestors.json (for agent.yaml)
    #[arg(long, value_name = "DIRECTORY")]
    into: PathBuf,
    /// AWS alone: imitate a container's place, one hop too far away for the answers
    #[arg(long)]
    one_hop_too_far: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mode = match options.one_hop_too_far {
        true => Mode::OneHopTooFar,
        false => Mode::V2,
    };
    let lab = Lab::start(&options.method, mode, &options.into)?;
    lab.write(&options.method, &options.into)?;
    let (method, into) = (&options.method, options.into.display());
    writeln!(
        std::io::stdout(),
        "{method}: an instance is up; what a verifier and an agent need is in {into}. Ends with Ctrl-C, or `kill {}`",
        std::process::id()
    )?;
    loop {
        std::thread::park();
    }
}
