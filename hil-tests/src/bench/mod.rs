//! A real board on a bench: flashed and reset by probe-rs, heard over the real serial port.
//!
//! `boards/<board>/dut.toml` says what is on the bench; `ASSAY_DUT_PROBE` and `ASSAY_DUT_PORT` go before it.

mod ear;
pub mod listen;

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use self::ear::Ear;
use crate::board::{Board, workspace_root};
use crate::scenario::live::{AgentLine, Assayd, Tap, VerifierEvent};
use crate::scenario::rig::{HELLOS_IN_VAIN, LIMIT, Rig, Terms};

/// `boards/<board>/dut.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dut {
    /// Cargo features of the board as it is wired.
    #[serde(default)]
    pub features: Vec<String>,
    /// The debug probe.
    pub probe: Probe,
    /// The link.
    pub serial: Serial,
    /// The TPM.
    pub tpm: Tpm,
}

/// The debug probe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// VID:PID or VID:PID:SERIAL.
    pub selector: String,
    /// SWD clock, kHz.
    pub speed_khz: u32,
}

/// The link.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// The device.
    pub port: String,
    /// Bits per second.
    pub baud: u32,
}

/// The TPM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tpm {
    /// Its manufacturer as four letters (TPM_PT_MANUFACTURER).
    pub vendor: String,
    /// Its part number, for the report.
    pub part: String,
    /// Whether its reset line is tied to the microcontroller's.
    #[serde(default)]
    pub reset_with_mcu: bool,
}

impl Dut {
    /// Reads a board's `dut.toml` and the environment.
    ///
    /// # Errors
    ///
    /// When there is none, or it has a field that is not known.
    pub fn of(board: &Board) -> Result<Self> {
        let path = workspace_root()
            .join("boards")
            .join(&board.name)
            .join("dut.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: a board on a bench needs one", path.display()))?;
        let mut dut: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        if let Ok(selector) = std::env::var("ASSAY_DUT_PROBE") {
            dut.probe.selector = selector;
        }
        if let Ok(port) = std::env::var("ASSAY_DUT_PORT") {
            dut.serial.port = port;
        }
        Ok(dut)
    }
}

impl Dut {
    /// Whether probe-rs and the port are there.
    ///
    /// # Errors
    ///
    /// When one is not, with a hint.
    pub fn check(&self) -> Result<()> {
        let mut version = Command::new("probe-rs");
        version.arg("--version").stdout(Stdio::null());
        run(version)?;
        let port = &self.serial.port;
        if !Path::new(port).exists() {
            bail!(
                "{port} is not there\nhint: set ASSAY_DUT_PORT, e.g. to one of /dev/serial/by-id/*"
            );
        }
        Ok(())
    }
}

/// The commands that bring an image and its provisioning record onto a board, in order.
///
/// # Errors
///
/// When the manifest does not name a chip.
pub fn flash_commands(
    board: &Board,
    dut: &Dut,
    image: &Path,
    record: &Path,
) -> Result<Vec<Command>> {
    let probe_rs = |verb: &str| -> Result<Command> {
        let chip = board.manifest.chip.as_deref();
        let chip = chip
            .with_context(|| format!("boards/{} names no chip: it is never flashed", board.name))?;
        let mut command = Command::new("probe-rs");
        command
            .arg(verb)
            .args(["--chip", chip, "--probe", &dut.probe.selector]);
        command.args([
            "--speed",
            &dut.probe.speed_khz.to_string(),
            "--non-interactive",
        ]);
        Ok(command)
    };
    let mut record_command = probe_rs("download")?;
    record_command
        .args(["--binary-format", "bin", "--base-address"])
        .arg(format!("{:#x}", board.manifest.provisioning_address))
        .arg(record);
    let mut image_command = probe_rs("download")?;
    image_command.arg("--verify").arg(image);
    Ok(vec![
        record_command,
        image_command,
        reset_command(board, dut)?,
    ])
}

/// The command that resets a board.
///
/// # Errors
///
/// When the manifest does not name a chip.
pub fn reset_command(board: &Board, dut: &Dut) -> Result<Command> {
    let chip = board
        .manifest
        .chip
        .as_deref()
        .context("no chip in the board's manifest")?;
    let mut command = Command::new("probe-rs");
    command.args([
        "reset",
        "--chip",
        chip,
        "--probe",
        &dut.probe.selector,
        "--non-interactive",
    ]);
    Ok(command)
}

/// A command as it would be typed.
#[must_use]
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a command to its end.
///
/// # Errors
///
/// When it is missing or fails, with a hint.
pub fn run(mut command: Command) -> Result<()> {
    let typed = shown(&command);
    let status = command.status().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "{} is not installed\nhint: cargo install --locked probe-rs-tools (needs the package libudev-dev)",
            command.get_program().display()
        ),
        _ => anyhow!("{typed}: {error}"),
    })?;
    if !status.success() {
        bail!(
            "{typed}: {status}\nhint: `probe-rs list` shows the probes; set ASSAY_DUT_PROBE to one of them"
        );
    }
    Ok(())
}

/// A board on a bench.
pub struct BenchRig {
    board: Board,
    dut: Dut,
    assayd: Assayd,
}

impl BenchRig {
    /// Starts a verifier on the real port, flashes record and image, and resets the board.
    ///
    /// # Errors
    ///
    /// When a tool, the probe or the port is missing.
    pub fn start(
        board: &Board,
        dut: &Dut,
        image: &Path,
        policy: &str,
        folder: &Path,
    ) -> Result<Self> {
        let line = AgentLine::Serial {
            port: dut.serial.port.clone(),
            baud: dut.serial.baud,
        };
        let assayd = Assayd::with_policy(policy, folder, line)?;
        for command in flash_commands(board, dut, image, &assayd.record()?)? {
            run(command)?;
        }
        Ok(Self {
            board: board.clone(),
            dut: dut.clone(),
            assayd,
        })
    }
}

impl Rig for BenchRig {
    fn next_end(&mut self, limit: Duration) -> Result<VerifierEvent> {
        let end = Instant::now() + limit;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if let Some(event) = self.assayd.event(left)
                && event.is_end()
            {
                return Ok(event);
            }
        }
        bail!(
            "no login within {limit:?}; assayd says:\n{}",
            self.assayd.log()
        )
    }

    fn reset(&mut self) -> Result<()> {
        run(reset_command(&self.board, &self.dut)?)
    }

    fn tpm_survives_reset(&self) -> bool {
        !self.dut.tpm.reset_with_mcu
    }

    fn absent_verifier(&mut self) -> Result<()> {
        self.assayd.stop()?;
        let tap = Tap::new(Instant::now());
        let ear = Ear::open(&self.dut.serial, tap.clone())?;
        self.reset()?;
        tap.wait_for_hellos(HELLOS_IN_VAIN, LIMIT)?;
        // The port is the verifier's again.
        drop(ear);
        self.assayd.start_again()
    }

    fn decide_by(&mut self, terms: &Terms<'_>) -> Result<()> {
        self.assayd.decide_by(terms)
    }
}
