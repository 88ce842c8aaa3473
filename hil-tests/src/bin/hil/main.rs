//! `hil`: builds boards, runs them in QEMU or on a bench, measures them. `./x` is its front door.

mod bench;
mod bench_board;
mod boards;
mod console;
mod demo;
mod faults;
mod listen;
mod monitor;
mod service;
mod size;
mod soak;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "hil", about = "Assay's boards, emulated and real", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the image of one board, or of all
    Build(boards::Selection),
    /// Runs clippy over one board, or all, each for its own target
    Lint(boards::Selection),
    /// Lists the boards
    List,
    /// Boots a board in QEMU and shows its login
    Demo(demo::Demo),
    /// Measures flash, RAM and stack of every board against its budget
    Size(size::Size),
    /// Measures SPI bytes, instructions, cryptography, methods, the agent of hosts, and the service under load
    Bench(bench::Bench),
    /// Measures what judging a proof costs, method by method
    Methods(bench::Part),
    /// Measures logins of cloud instances where the cloud must be asked
    Clouds(bench::Part),
    /// Measures a board's login and renewal with and without the sessions that guard its bus
    Bus(bench::Part),
    /// Measures the agent of hosts: its memory, and how soon it has an SVID
    Agent(bench::AgentPart),
    /// Measures the verifier as a service under load; wants an optimised build
    Service(service::Service),
    /// Measures requests to the service with a thousand to a million sessions in its store; wants an optimised build
    Sessions(service::Sessions),
    /// Runs the scenarios on a real board: flash by probe-rs, talk over the real serial port
    Board(bench_board::OnBench),
    /// Opens the console of a board's bring-up image: in QEMU, or on a serial port
    Console(console::OpenConsole),
    /// Shows the log of a board as it comes: of one in QEMU, on a serial port, or from a TCP server
    Monitor(monitor::Monitor),
    /// Says in words what a board says on its link, for as long as it says anything
    Listen(listen::Listen),
    /// Runs the whole fault matrix: every fault in every phase of every TPM command of a login
    Faults(faults::Faults),
    /// Runs thousands of logins in virtual time, with faults at random
    ///
    /// Time is the model's: it passes with bytes on the bus and with waits. "The model's longest wait without a kick" says that the
    /// watchdog is kicked in each wait; what a processor computes takes no time here.
    Soak(soak::Args),
}

/// `hil … | head` closes stdout early. That ends the command, with everything that it started, and is nobody's fault.
fn leave_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if !text.starts_with("failed printing to stdout") {
            usual(panic);
        }
    }));
}

/// The command line; usage lines name the front door that it came through (`HIL_CALLED`), so that they can be typed.
fn cli() -> Cli {
    let mut command = Cli::command();
    if let Some(called) = std::env::var("HIL_CALLED").ok().filter(|it| !it.is_empty()) {
        // The one command that has another name at the front door.
        let door = format!("{called} hil");
        command = command.mut_subcommand("board", |board| {
            let usage = board.clone().bin_name(door).render_usage().to_string();
            let usage = usage.trim_start_matches("Usage: ").to_owned();
            board.override_usage(usage)
        });
        command = command.bin_name(called);
    }
    Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn main() -> ExitCode {
    leave_quietly_when_nobody_reads();
    let result = match cli().command {
        Command::Build(selection) => boards::build(&selection),
        Command::Lint(selection) => boards::lint(&selection),
        Command::List => boards::list(),
        Command::Demo(demo) => demo::run(&demo),
        Command::Size(size) => size::run(&size),
        Command::Bench(bench) => bench::run(&bench),
        Command::Methods(part) => bench::methods(&part),
        Command::Clouds(part) => bench::clouds(&part),
        Command::Bus(part) => bench::bus(&part),
        Command::Agent(part) => bench::agent(&part),
        Command::Service(service) => service::run(&service),
        Command::Sessions(sessions) => service::sessions(&sessions),
        Command::Board(on_bench) => bench_board::run(&on_bench),
        Command::Console(open) => console::run(&open),
        Command::Monitor(monitor) => monitor::run(&monitor),
        Command::Listen(args) => listen::run(&args),
        Command::Faults(faults) => faults::run(&faults),
        Command::Soak(soak) => soak::run(&soak),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
