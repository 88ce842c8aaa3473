//! `hil monitor`: the log of a board, decoded as it comes.
//!
//! The decoding is the program `assay-log-monitor`'s; here is what it reads from.

use std::io::{self, Read};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use assay_hil_tests::board::{self, Board, Profile};
use assay_hil_tests::manufacture::{Recipe, cache};
use assay_hil_tests::qemu::{Launch, monitor};
use assay_hil_tests::scenario::desk::nobodys_record;
use assay_spi_tpm::swtpm::Mode;
use clap::ArgGroup;

/// How long an emulated board may run.
const LIFE: Duration = Duration::from_secs(8 * 60 * 60);

#[derive(clap::Args)]
#[command(group(ArgGroup::new("place").required(true).args(["board", "port", "tcp"])))]
pub(crate) struct Monitor {
    /// Folder name below boards/: the board in QEMU, with a software TPM and no verifier
    board: Option<String>,
    /// A real board's log on a serial port
    #[arg(long, value_name = "TTY", requires = "elf")]
    port: Option<String>,
    /// Bits per second of the serial port
    #[arg(long, requires = "port")]
    baud: Option<u32>,
    /// A TCP server, such as a serial port's in another place
    #[arg(long, value_name = "HOST:PORT", requires = "elf")]
    tcp: Option<String>,
    /// The image that runs there, built with the feature `defmt`
    #[arg(long, value_name = "FILE", conflicts_with = "board")]
    elf: Option<PathBuf>,
    /// With the emulated board: the provisioning record; without it one of a verifier that there is not
    #[arg(long, value_name = "FILE", requires = "board")]
    record: Option<PathBuf>,
    /// Show this level and those above it
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// When to use colours: auto, always or never
    #[arg(long, value_name = "WHEN")]
    color: Option<String>,
    /// Begin each line with the time of this computer
    #[arg(long)]
    wall: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// End when the port or the server does, instead of opening it again
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(monitor: &Monitor) -> Result<()> {
    if !monitor::is_built() {
        eprintln!("building the decoder of the log (the first time: a minute)");
    }
    let program = monitor::build()?;
    let mut command = Command::new(&program);
    monitor.options(&mut command);
    let Some(name) = &monitor.board else {
        let elf = monitor.elf.as_deref().context("--elf is missing")?;
        let status = command.arg("--elf").arg(elf).status();
        let status = status.with_context(|| program.display().to_string())?;
        // It has said why.
        return if status.success() {
            Ok(())
        } else {
            bail!("the monitor has ended: {status}")
        };
    };
    emulated(&board::find(name)?, monitor.record.as_deref(), command)
}

impl Monitor {
    fn options(&self, command: &mut Command) {
        let baud = self.baud.map(|baud| baud.to_string());
        let valued = [
            ("--port", &self.port),
            ("--baud", &baud),
            ("--tcp", &self.tcp),
            ("--level", &self.level),
            ("--color", &self.color),
        ];
        for (option, value) in valued {
            if let Some(value) = value {
                command.arg(option).arg(value);
            }
        }
        let switches = [
            ("--wall", self.wall),
            ("--json", self.json),
            ("--once", self.once),
        ];
        command.args(
            switches
                .into_iter()
                .filter_map(|(option, on)| on.then_some(option)),
        );
    }
}

/// Runs the board with its log in the monitor's standard input, until somebody ends it.
fn emulated(board: &Board, record: Option<&Path>, mut command: Command) -> Result<()> {
    let machine = board.manifest.qemu.as_ref();
    let machine = machine.with_context(|| format!("QEMU cannot run boards/{}", board.name))?;
    let line = machine.log.with_context(|| {
        format!(
            "boards/{}: its log goes to no serial line of the machine",
            board.name
        )
    })?;
    eprintln!("building boards/{} with its log", board.name);
    let image = board::build_with(board, Profile::Firmware, &["defmt".to_owned()])?;
    let folder = tempfile::Builder::new().prefix("assay-").tempdir()?;
    let tpm = cache::copy(&Recipe::all(), &folder.path().join("made"))?;
    let mode = if machine.has_spi_tpm() {
        Mode::Sockets
    } else {
        Mode::QemuEmulator
    };
    let swtpm = tpm.start(&folder.path().join("tpm"), mode)?;
    let own = folder.path().join("record");
    let record = match record {
        Some(record) => record,
        None => {
            std::fs::write(&own, nobodys_record()?)?;
            own.as_path()
        }
    };
    let socket = folder.path().join("log");
    let listener = UnixListener::bind(&socket)?;
    let qemu = Launch::new(machine, &image, &swtpm)
        .connect_serial(line, &socket)
        .load(record, board.manifest.provisioning_address)
        .deadline(LIFE)
        .start()?;
    let (mut log, _) = listener.accept()?;
    // Nobody answers on the link; what the board says there must go somewhere.
    let mut link = qemu.serial()?;
    thread::spawn(move || io::copy(&mut link, &mut io::sink()));
    let mut child = command
        .arg("--elf")
        .arg(&image)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut into = child.stdin.take().context("the monitor's standard input")?;
    let mut buffer = [0; 1024];
    loop {
        let read = log.read(&mut buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        // A monitor that nobody reads any more has ended.
        if read == 0 || io::Write::write_all(&mut into, bytes).is_err() {
            break;
        }
    }
    drop(into);
    child.wait()?;
    if qemu.is_running() {
        return Ok(());
    }
    bail!("QEMU has ended: {}", qemu.stderr())
}
