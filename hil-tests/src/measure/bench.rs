//! What `hil bench` reports: SPI bytes, instructions, cryptography.
//!
//! # The run
//!
//! A cold login of the board that [`BOARD`] names, in QEMU: SLB9672, P-256 EK, a burst count of 64, no wait states, and
//! a TPM that is never busy. The last point is how busy polls are left out: there are none to subtract, on either side
//! of the ratio. Every other poll is counted.
//!
//! SPI bytes are all that were clocked from power-on until the agent has come to rest after its grant: the search for
//! the chip, its locality, every command, and the flushing of keys at the end.
//!
//! # Instructions
//!
//! Counted from the first instruction after reset to the end of the login's last TPM command. Time is tied to
//! instructions (`-icount`), so a timer's interrupts come at the same places in each run. The processor sleeps while
//! it waits for the line, which costs a few hundred instructions per millisecond: what depends on the host's speed
//! is below a thousandth. Several runs are made; the median counts, and their spread is reported.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::crypto::{self, Crypto};
use super::floor;
use super::machine::{Machine, Setup};
use crate::board::{self, Board, Profile};
use crate::manufacture::{EkKind, Recipe, cache};
use crate::qemu::{CommandEvent, OverlayOptions};
use crate::scenario::loopback;

/// The board that is measured.
pub const BOARD: &str = "stm32f405";
/// Runs of which the median counts.
const RUNS: usize = 3;
/// 2^3 ns per instruction.
const ICOUNT_SHIFT: u8 = 3;
const LIMIT: Duration = Duration::from_secs(60);

/// One login, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginCost {
    /// SPI bytes.
    pub spi_bytes: u64,
    /// What they could be, by [`floor::flow`].
    pub spi_bytes_floor: u64,
    /// Bytes of commands and responses alone.
    pub tpm_bytes: u64,
    /// Falls of chip select.
    pub chip_selects: u64,
    /// TPM commands.
    pub tpm_commands: u64,
    /// Instructions from reset to the end of the last TPM command.
    pub instructions: u64,
    /// The same by part of the login: `boot` up to the nonce, `identity` (the challenge's signature, keys, EK
    /// certificate), `proof` (credential, PCRs, quote, grant).
    pub instructions_by_step: BTreeMap<String, u64>,
}

impl LoginCost {
    /// Sums up one login. `spi_bytes` and `chip_selects` are of the whole run, since not every byte belongs to a
    /// command.
    #[must_use]
    pub fn of(commands: &[CommandEvent], spi_bytes: u64, chip_selects: u64) -> Self {
        let lengths = || commands.iter().map(|c| (c.command_len, c.response_len));
        let instructions = commands.last().map_or(0, |last| last.instructions);
        let end_of = |last: &dyn Fn(&CommandEvent) -> bool| {
            commands
                .iter()
                .rev()
                .find(|c| last(c))
                .map_or(0, |c| c.instructions)
        };
        let first = |name: &str| {
            commands
                .iter()
                .find(|c| c.name == name)
                .map_or(u32::MAX, |c| c.n)
        };
        let (nonce, proof) = (first("GetRandom"), first("StartAuthSession"));
        let boot = end_of(&|c| c.n <= nonce);
        let identity = end_of(&|c| c.n < proof);
        let steps = [
            ("boot", boot),
            ("identity", identity - boot),
            ("proof", instructions - identity),
        ];
        Self {
            spi_bytes,
            spi_bytes_floor: floor::flow(lengths()),
            tpm_bytes: lengths().map(|(sent, received)| sent + received).sum(),
            chip_selects,
            tpm_commands: commands.len() as u64,
            instructions,
            instructions_by_step: steps
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
        }
    }
}

/// Everything. The document that `--json` prints has these fields at its top level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// Which board.
    pub board: String,
    /// Measured SPI bytes over the floor, busy polls left out on both sides.
    pub spi_bytes_ratio: f64,
    /// Largest less smallest count of instructions of all runs, over the median.
    pub instructions_spread: f64,
    /// The median login.
    #[serde(flatten)]
    pub login: LoginCost,
    /// The verifier's figures.
    #[serde(flatten)]
    pub crypto: Crypto,
}

impl BenchReport {
    /// Takes the login with the median of instructions.
    ///
    /// # Errors
    ///
    /// When there is no login.
    pub fn of(board: &str, mut logins: Vec<LoginCost>, crypto: Crypto) -> Result<Self> {
        logins.sort_by_key(|login| login.instructions);
        let counts = || logins.iter().map(|login| login.instructions);
        let spread = counts().max().unwrap_or(0) - counts().min().unwrap_or(0);
        let login = logins
            .get(logins.len() / 2)
            .context("no login was measured")?
            .clone();
        Ok(Self {
            board: board.to_owned(),
            spi_bytes_ratio: ratio(login.spi_bytes, login.spi_bytes_floor),
            instructions_spread: ratio(spread, login.instructions),
            login,
            crypto,
        })
    }
}

/// Four digits after the point.
#[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
fn ratio(of: u64, over: u64) -> f64 {
    (of as f64 / over as f64 * 1e4).round() / 1e4
}

/// Measures everything; `progress` hears a line about each part.
///
/// # Errors
///
/// When something does not build, or a login is not granted.
pub fn measure(progress: &mut dyn FnMut(&str)) -> Result<BenchReport> {
    let board = board::find(BOARD)?;
    progress(&format!(
        "building boards/{} for {}",
        board.name, board.manifest.target
    ));
    let image = board::build(&board, Profile::Firmware)?;
    let mut logins = Vec::new();
    for run in 1..=RUNS {
        progress(&format!("login {run} of {RUNS} in QEMU"));
        logins.push(login(&board, &image)?);
    }
    progress("running the verifier's benchmark");
    BenchReport::of(&board.name, logins, crypto::run()?)
}

/// One cold login.
///
/// # Errors
///
/// When it is not granted.
pub fn login(board: &Board, image: &Path) -> Result<LoginCost> {
    let folder = tempfile::Builder::new().prefix("assay-").tempdir()?;
    let tpm = cache::copy(&Recipe::with([EkKind::P256]), &folder.path().join("made"))?;
    let setup = Setup {
        policy: loopback::policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true),
        session_ttl: Duration::from_secs(3_600),
        overlay: OverlayOptions {
            personality: Some("slb9672".to_owned()),
            burst: Some(floor::PIECE.to_string()),
            wait: Some("0".to_owned()),
            busy: Some(0),
            count: true,
            ..OverlayOptions::default()
        },
        icount: Some(ICOUNT_SHIFT),
        loads: Vec::new(),
    };
    let mut machine = Machine::start(board, image, &tpm, folder.path(), &setup)?;
    machine.run(LIMIT, &|verifier| !verifier.outcomes.is_empty())?;
    let outcome = machine.summary();
    ensure!(
        outcome == "granted",
        "the login of the benchmark ended otherwise: {outcome}"
    );
    let (commands, exit) = machine.quit()?;
    let exit = exit.context("the overlay has not reported its sums")?;
    Ok(LoginCost::of(&commands, exit.bytes, exit.chip_selects))
}
