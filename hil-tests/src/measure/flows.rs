//! What a board does in a cold login, in the renewal of its session, and in the quote of a renewal: with the sessions that
//! guard the bus, and without.
//!
//! The board, the chip and the counting are those of [`bench`](super::bench). An instruction takes 8 ns (`-icount shift=3`), about
//! what an STM32F405 comes to at 168 MHz with its flash's wait states; for the estimates a byte on the bus takes 0.8 µs.

#![expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::bench::BOARD;
use super::machine::{Machine, Setup};
use super::wolftpm::{self, Comparison};
use super::{chips, floor};
use crate::board::{self, Board, Profile};
use crate::manufacture::{EkKind, Recipe, cache};
use crate::qemu::{CommandEvent, OverlayOptions};
use crate::scenario::local_verifier::Outcome;
use crate::scenario::loopback::{self, Sessions};

const ICOUNT_SHIFT: u8 = 3;
const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for a login, short enough to wait for half of it.
const SESSION: Duration = Duration::from_secs(8);

/// One command of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What it is called.
    pub name: String,
    /// Bytes of the command.
    pub command: u64,
    /// Bytes of the response.
    pub response: u64,
    /// SPI bytes since the command before.
    pub spi_bytes: u64,
}

/// One flow, counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// SPI bytes.
    pub spi_bytes: u64,
    /// What a driver that does each step of the FIFO once would take for the same commands.
    pub spi_bytes_floor: u64,
    /// TPM commands.
    pub tpm_commands: u64,
    /// Instructions: of a login from power-on, of a renewal from the end of its first command, of a quote from the end of the
    /// command before; to the end of its last.
    pub instructions: u64,
    /// The machine's time between the same two, ms. The TPM's own is not in it.
    pub virtual_ms: f64,
    /// With the TPM's own, by chip, estimated.
    pub estimated_seconds: BTreeMap<String, f64>,
    /// What wolfTPM takes for the same commands; `None` where it was not measured with them.
    pub wolftpm: Option<Comparison>,
    /// Its commands, in order.
    pub commands: Vec<Exchange>,
}

/// The flows of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flows {
    /// From power-on to the grant, the SVID's key made and the EK unloaded.
    pub cold_login: Flow,
    /// One round trip: the witness of a reset, the PCRs, and a quote by the key that is loaded.
    pub renewal: Flow,
    /// Of it, the PCRs and the quote alone.
    pub warm_quote: Flow,
}

/// Both images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BusFlows {
    /// Which board.
    pub board: String,
    /// With sessions salted to the EK.
    pub secure: Flows,
    /// Without.
    pub plain: Flows,
}

impl Exchange {
    fn of(event: &CommandEvent) -> Self {
        Self {
            name: event.name.clone(),
            command: event.command_len,
            response: event.response_len,
            spi_bytes: event.bytes,
        }
    }
}

impl Flow {
    /// `start` is the event that it begins with the end of; `None` for power-on.
    fn of(commands: &[CommandEvent], start: Option<&CommandEvent>) -> Self {
        let lengths = commands.iter().map(|c| (c.command_len, c.response_len));
        let spi_bytes = commands.iter().map(|c| c.bytes).sum();
        let since = |counter: &dyn Fn(&CommandEvent) -> u64| {
            let last = commands.last().map_or(0, counter);
            last.saturating_sub(start.map_or(0, counter))
        };
        let instructions = since(&|command| command.instructions);
        let virtual_ms = since(&|command| command.at_ns) as f64 / 1e6;
        let processor_ms = (instructions << ICOUNT_SHIFT) as f64 / 1e6;
        Self {
            spi_bytes,
            spi_bytes_floor: floor::flow(lengths),
            tpm_commands: commands.len() as u64,
            instructions,
            virtual_ms: (virtual_ms * 10.0).round() / 10.0,
            estimated_seconds: chips::estimate(commands, spi_bytes, processor_ms),
            wolftpm: None,
            commands: commands.iter().map(Exchange::of).collect(),
        }
    }
}

/// Measures both images of [`BOARD`]; `progress` hears a line about each.
///
/// # Errors
///
/// When something does not build, or a login or renewal is not granted.
pub fn measure(progress: &mut dyn FnMut(&str)) -> Result<BusFlows> {
    let board = board::find(BOARD)?;
    progress(&format!("boards/{}, with secure sessions", board.name));
    let mut secure = login_and_renewal(&board, &board::build(&board, Profile::Firmware)?)?;
    wolftpm::compare(&mut secure, true);
    progress(&format!("boards/{}, without", board.name));
    let mut plain = login_and_renewal(&board, &board::build_plain(&board, Profile::Firmware)?)?;
    wolftpm::compare(&mut plain, false);
    Ok(BusFlows {
        board: board.name.clone(),
        secure,
        plain,
    })
}

fn login_and_renewal(board: &Board, image: &Path) -> Result<Flows> {
    let folder = tempfile::Builder::new().prefix("assay-").tempdir()?;
    let tpm = cache::copy(&Recipe::with([EkKind::P256]), &folder.path().join("made"))?;
    let setup = Setup {
        policy: loopback::policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true),
        session_ttl: SESSION,
        sessions: Sessions::Renewal,
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
    ensure!(machine.summary() == "granted", "{}", machine.summary());
    let mut commands = machine.come_to_rest()?;
    let renewed = |outcome: &Outcome| matches!(outcome, Outcome::Renewed(_));
    machine.run(LIMIT, &|verifier| verifier.outcomes.iter().any(renewed))?;
    commands.extend(machine.come_to_rest()?);
    let _ = machine.quit()?;
    Flows::of(&commands).context("the board's commands are not those of a login and a renewal")
}

impl Flows {
    /// Of a login's commands and those of the renewal that came after it, cut where it does not depend on when somebody looked.
    /// `None` for other commands.
    #[must_use]
    pub fn of(commands: &[CommandEvent]) -> Option<Self> {
        let from = |start: usize, name: &str| {
            let rest = commands.get(start..)?;
            Some(start + rest.iter().position(|command| command.name == name)?)
        };
        // A login's last command unloads the EK, after its quote.
        let login_end = from(from(0, "Quote")?, "FlushContext")? + 1;
        let quote = from(login_end, "Quote")?;
        let (login, renewal) = (commands.get(..login_end)?, commands.get(login_end..=quote)?);
        let pcrs = from(login_end, "PCR_Read").filter(|pcrs| *pcrs < quote)?;
        Some(Self {
            cold_login: Flow::of(login, None),
            renewal: Flow::of(renewal, renewal.first()),
            warm_quote: Flow::of(
                commands.get(pcrs..=quote)?,
                commands.get(pcrs.checked_sub(1)?),
            ),
        })
    }
}
