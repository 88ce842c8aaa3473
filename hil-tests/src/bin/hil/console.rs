//! `hil console`: a person, or a script, at the console of a bring-up image.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use assay_hil_tests::board::{self, Profile, TpmSource};
use assay_hil_tests::manufacture::{Recipe, cache};
use assay_hil_tests::qemu::OverlayOptions;
use assay_hil_tests::scenario::desk::Desk;
use clap::ArgGroup;
use tempfile::TempDir;

use crate::terminal;

/// How long the emulated board may stand on the desk.
const LIFE: Duration = Duration::from_secs(8 * 60 * 60);
/// The longest command is a self-test that a TPM never ends.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
#[command(group(ArgGroup::new("place").required(true).args(["board", "port"])))]
pub(crate) struct OpenConsole {
    /// Folder name below boards/: the board in QEMU, with a software TPM
    board: Option<String>,
    /// A real board's link instead
    #[arg(long, value_name = "TTY", conflicts_with_all = ["record", "faults"])]
    port: Option<String>,
    /// Bits per second of the link
    #[arg(long, default_value_t = 921_600, requires = "port")]
    baud: u32,
    /// Start with this provisioning record; without it the board is blank
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// What is wrong with the TPM, e.g. miso-stuck-high@any/any/always
    #[arg(long, value_name = "PLAN")]
    faults: Option<String>,
}

pub(crate) fn run(console: &OpenConsole) -> Result<()> {
    if let Some(path) = &console.port {
        let open = || serialport::new(path, console.baud).timeout(terminal::READ);
        let port = open().open().with_context(|| path.clone())?;
        let writer = port.try_clone().with_context(|| path.clone())?;
        return terminal::talk(port, writer);
    }
    let (mut desk, _folder) = emulated(console)?;
    if std::io::stdin().is_terminal() {
        let line = desk.line()?;
        line.set_read_timeout(Some(terminal::READ))?;
        let writer = desk.line()?;
        return terminal::talk(line, writer);
    }
    script(&mut desk)
}

/// The desk, and the folder of its TPM, which outlives it.
fn emulated(console: &OpenConsole) -> Result<(Desk, TempDir)> {
    let name = console.board.as_deref().context("name a board")?;
    let board = board::find(name)?;
    let machine = board.manifest.qemu.as_ref();
    let machine = machine.with_context(|| {
        format!("QEMU cannot run boards/{name}\nhint: --port TTY opens a real one")
    })?;
    let mut overlay = OverlayOptions {
        // A board that was given a record shows that one; a blank one can be given one.
        writable_record: machine.tpm == TpmSource::Overlay && console.record.is_none(),
        ..OverlayOptions::default()
    };
    if let Some(plan) = &console.faults {
        match plan.parse() {
            Ok(plan) => overlay.faults = plan,
            Err(error) => bail!("{plan}: {error}"),
        }
    }
    eprintln!("building the bring-up image of boards/{name}");
    let image = board::build_bringup(&board, Profile::Firmware)?;
    let folder = tempfile::Builder::new().prefix("assay-").tempdir()?;
    let tpm = cache::copy(&Recipe::all(), &folder.path().join("made"))?;
    let record = console.record.as_deref();
    let desk = Desk::start(&board, &image, &tpm, folder.path(), overlay, record, LIFE)?;
    Ok((desk, folder))
}

/// Each line of standard input is a command; its answer comes before the next is typed.
fn script(desk: &mut Desk) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let greeting = desk.until_prompt(LIMIT)?;
    out.write_all(greeting.as_bytes())?;
    for line in std::io::stdin().lock().lines() {
        desk.types(format!("{}\r", line?).as_bytes())?;
        out.write_all(desk.until_prompt(LIMIT)?.as_bytes())?;
        out.flush()?;
    }
    // The last prompt waits for nobody.
    writeln!(out)?;
    Ok(())
}
