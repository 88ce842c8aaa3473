//! The Assay agent on Linux with a TPM on spidev, such as a Raspberry Pi with a TPM HAT.
//!
//! The driver, the login and the run loop are those of the microcontrollers; only the floor is Linux. It talks to the TPM by
//! itself, as a board does, so the kernel's own TPM driver must not have it (README.md).

mod args;
mod link;
mod platform;
mod probe;
mod record;
mod spi;

use std::process::ExitCode;

use assay_firmware::bus::SpiTis;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::platform::BoardInfo;
use assay_firmware::run::{Node, Timing};
use assay_firmware::tis::Tis;
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::SpiBus;

use crate::args::{Args, ChipSelect, Command};
use crate::link::Link;
use crate::platform::Host;

const BOARD: BoardInfo = BoardInfo {
    name: "linux-spidev",
    version: env!("CARGO_PKG_VERSION"),
};

/// What went wrong, and what to do about it.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    hint: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: hint.into(),
        }
    }
}

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("error: {wrong}\nhint: assay-board-linux-spidev --help");
            return ExitCode::from(2);
        }
    };
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {}\nhint: {}", problem.what, problem.hint);
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> Result<(), Problem> {
    match &args.chip_select {
        ChipSelect::Kernel => {
            let (bus, select) = spi::by_kernel(&args.spi, args.speed_hz)?;
            command(args, bus, select)
        }
        ChipSelect::Gpio { chip, line } => {
            let (bus, select) = spi::by_gpio(&args.spi, args.speed_hz, chip, *line)?;
            command(args, bus, select)
        }
    }
}

fn command(args: &Args, bus: impl SpiBus, select: impl OutputPin) -> Result<(), Problem> {
    let bus = SpiTis::new(bus, select)
        .map_err(|error| Problem::new(format!("{}: {error}", args.spi), spi::HINT))?;
    let tis = Tis::new(bus, Host::start());
    match &args.command {
        Command::Probe => probe::run(args, tis),
        Command::Run { record, line } => {
            let record = record::read(record)?;
            let link = Link::open(line)?;
            let source = TpmEvidence::new(tis);
            let host = Host::start();
            Node::new(host, link, source, &record, BOARD, Timing::default()).run()
        }
    }
}
