//! What `hil bench` reports: SPI bytes, instructions, cryptography, methods, the agent of hosts, the service under load.
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
//! Counted from the first instruction after reset to the end of the login's last TPM command, which comes after the
//! grant. Time is tied to instructions (`-icount`), so a timer's interrupts come at the same places in each run. The
//! processor sleeps while it waits for the line and wakes once per millisecond for a few hundred instructions: what
//! depends on the host's speed is below a thousandth.
//!
//! A login checks two signatures of the verifier, and how many curve additions one takes depends on its random
//! numbers: two runs differ by 1 % (standard deviation), though the start-up before the first signature repeats to
//! the instruction. So the figure is the mean of [`LOGINS`] cold logins, each with a new verifier, and its standard
//! error stands beside it.

#![expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::clouds::{self, Clouds};
use super::crypto::{self, Crypto};
use super::floor;
use super::flows::{self, BusFlows};
use super::host_agent::{self, HostAgentReport};
use super::machine::{Machine, Setup};
use super::methods::{self, Methods};
use super::service::{self, ServiceReport};
use crate::board::{self, Board, Profile};
use crate::manufacture::{EkKind, Recipe, cache};
use crate::qemu::{CommandEvent, OverlayOptions};
use crate::scenario::loopback::{self, Sessions};

/// The board that is measured.
pub const BOARD: &str = "stm32f405";
/// Cold logins that are averaged: with a standard deviation of 1 %, the mean of so many repeats within 1 %.
pub const LOGINS: usize = 20;
/// Starts of the hosts' agent.
pub const AGENT_STARTS: u64 = 15;
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
    /// The same by part of the login: `boot` up to the last random numbers (with secure sessions the EK and the session), `identity`
    /// (the challenge's signature, keys, EK certificate), `proof` (credential, PCRs, quote, grant).
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
        // The last of each: a guarded login begins with a session and its random numbers.
        let last = |name: &str| {
            let named = commands.iter().rev().find(|c| c.name == name);
            named.map_or(u32::MAX, |c| c.n)
        };
        let (nonce, proof) = (last("GetRandom"), last("StartAuthSession"));
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
    /// Standard error of `instructions`, relative to it.
    pub instructions_error: f64,
    /// Fewest instructions of a login.
    pub instructions_least: u64,
    /// Most instructions of a login.
    pub instructions_most: u64,
    /// Logins that were measured.
    pub logins: u64,
    /// The login with the most SPI bytes; its instructions are the means of all logins.
    #[serde(flatten)]
    pub login: LoginCost,
    /// Login and renewal with and without the sessions that guard the bus.
    pub bus: BusFlows,
    /// The service's figures.
    #[serde(flatten)]
    pub service: ServiceReport,
    /// What judging a proof costs, method by method.
    pub methods: Methods,
    /// What logins of cloud instances come to.
    pub clouds: Clouds,
    /// The figures of the hosts' agent.
    #[serde(flatten)]
    pub host_agent: HostAgentReport,
    /// The verifier's figures.
    #[serde(flatten)]
    pub crypto: Crypto,
}

/// The figures beside those of the board's cold login.
#[derive(Debug, Clone, PartialEq)]
pub struct OfHosts {
    /// The verifier's cryptography.
    pub crypto: Crypto,
    /// Its methods.
    pub methods: Methods,
    /// Logins of cloud instances.
    pub clouds: Clouds,
    /// The hosts' agent.
    pub agent: HostAgentReport,
    /// A board's flows.
    pub bus: BusFlows,
    /// The service under load.
    pub service: ServiceReport,
}

impl BenchReport {
    /// Averages instructions, and takes the SPI bytes of the worst login.
    ///
    /// # Errors
    ///
    /// When there is no login.
    pub fn of(board: &str, logins: &[LoginCost], hosts: OfHosts) -> Result<Self> {
        let worst = logins.iter().max_by_key(|login| login.spi_bytes);
        let mut login = worst.context("no login was measured")?.clone();
        let counts = || logins.iter().map(|login| login.instructions);
        login.instructions = mean(counts());
        for (step, count) in &mut login.instructions_by_step {
            *count = mean(
                logins
                    .iter()
                    .filter_map(|of| of.instructions_by_step.get(step).copied()),
            );
        }
        Ok(Self {
            board: board.to_owned(),
            spi_bytes_ratio: rounded(login.spi_bytes as f64 / login.spi_bytes_floor as f64),
            instructions_error: rounded(standard_error(counts()) / login.instructions as f64),
            instructions_least: counts().min().unwrap_or(0),
            instructions_most: counts().max().unwrap_or(0),
            logins: logins.len() as u64,
            login,
            crypto: hosts.crypto,
            methods: hosts.methods,
            clouds: hosts.clouds,
            host_agent: hosts.agent,
            bus: hosts.bus,
            service: hosts.service,
        })
    }
}

/// Rounded down; 0 of nothing.
fn mean(values: impl Iterator<Item = u64> + Clone) -> u64 {
    let count = values.clone().count() as u64;
    values.sum::<u64>().checked_div(count).unwrap_or(0)
}

/// Standard deviation of the mean; 0 for a single value, of which nothing is known.
fn standard_error(values: impl Iterator<Item = u64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    if count < 2.0 {
        return 0.0;
    }
    let mean = values.clone().sum::<u64>() as f64 / count;
    let squares: f64 = values.map(|value| (value as f64 - mean).powi(2)).sum();
    (squares / (count - 1.0) / count).sqrt()
}

/// Four digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
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
    for number in 1..=LOGINS {
        let login = login(&board, &image)?;
        progress(&format!(
            "  login {number} of {LOGINS} in QEMU: {} SPI bytes, {} instructions",
            login.spi_bytes, login.instructions
        ));
        logins.push(login);
    }
    let bus = flows::measure(progress)?;
    progress("running the verifier's benchmarks");
    let (crypto, methods) = (crypto::run()?, methods::run()?);
    let clouds = clouds::run()?;
    progress("building the service, its load and the agent of hosts, optimised");
    let programs = service::optimised::programs()?;
    let hosts = OfHosts {
        bus,
        crypto,
        methods,
        clouds,
        agent: host_agent::measure(&programs, AGENT_STARTS, progress)?,
        service: service::optimised::run()?,
    };
    BenchReport::of(&board.name, &logins, hosts)
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
        // The login that peers' figures are of: no SVID key, and nothing stays loaded.
        sessions: Sessions::Login,
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
