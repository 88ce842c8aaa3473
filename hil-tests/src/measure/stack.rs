//! The deepest stack of a board: logins of every kind in QEMU on a stack that was painted before.
//!
//! QEMU's loader fills the region between the board's `_stack_end` and `_stack_start` with a pattern, the monitor
//! saves it after the run, and whatever no longer is the pattern was used. That works on every board alike and sees
//! what a count of store instructions does not: the frames that an interrupt's entry writes. Where the overlay runs,
//! it reports the lowest store as well, and the deeper of the two counts.
//!
//! What a run proves is the stack of that run: an interrupt that did not come at the deepest moment is not in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use assay_spi_tpm::FaultPlan;
use serde::{Deserialize, Serialize};

use super::machine::{Machine, Setup};
use crate::board::{Board, symbol_address};
use crate::manufacture::{EkKind, Recipe, cache};
use crate::qemu::OverlayOptions;
use crate::scenario::local_verifier::{LocalVerifier, Outcome};
use crate::scenario::loopback::{self, Sessions};

/// Longest run: a TPM that does not answer costs seconds of timeouts each time.
const LIMIT: Duration = Duration::from_secs(120);
/// Short enough that a run sees the second login, long enough that the first is over by then.
const SESSION: Duration = Duration::from_secs(4);
/// A renewal must come to its end in the second half of its session, on a machine that is busy with other things too.
const RENEWED_SESSION: Duration = Duration::from_secs(16);
/// 2^3 ns per instruction, where a session's end must not come before its middle: on a busy machine an emulated timer loses
/// ticks, and the node's clock falls behind the verifier's, unless instructions decide the time.
const ICOUNT_SHIFT: u8 = 3;

/// How the runs of a scenario end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// A login and the one before the session's end.
    SecondLogin,
    /// A login with an SVID key, and two renewals of its session.
    Renewals,
    /// Recovered from whatever was wrong.
    Login,
    /// Refused, and refused again after the wait.
    Denials,
    /// The node says twice that its TPM is in trouble.
    Troubles,
}

impl Until {
    fn is_met(self, verifier: &LocalVerifier) -> bool {
        let count =
            |which: fn(&Outcome) -> bool| verifier.outcomes.iter().filter(|o| which(o)).count();
        match self {
            Self::SecondLogin => verifier.granted() >= 2,
            Self::Renewals => count(|o| matches!(o, Outcome::Renewed(_))) >= 2,
            Self::Login => verifier.granted() >= 1,
            Self::Denials => count(|o| matches!(o, Outcome::Denied(_))) >= 2,
            Self::Troubles => count(|o| matches!(o, Outcome::Trouble(_))) >= 2,
        }
    }
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    ek: EkKind,
    /// For the model of an SPI TPM; a case with faults needs one.
    faults: &'static str,
    until: Until,
}

const CASES: &[Case] = &[
    Case {
        name: "two logins, RSA-2048 EK",
        ek: EkKind::Rsa2048,
        faults: "",
        until: Until::SecondLogin,
    },
    Case {
        name: "two logins, P-256 EK",
        ek: EkKind::P256,
        faults: "",
        until: Until::SecondLogin,
    },
    Case {
        name: "two logins, P-384 EK",
        ek: EkKind::P384,
        faults: "",
        until: Until::SecondLogin,
    },
    Case {
        name: "SVID key, two renewals, RSA-2048 EK",
        ek: EkKind::Rsa2048,
        faults: "",
        until: Until::Renewals,
    },
    Case {
        name: "SVID key, two renewals, P-256 EK",
        ek: EkKind::P256,
        faults: "",
        until: Until::Renewals,
    },
    Case {
        name: "denied for a PCR, twice",
        ek: EkKind::P256,
        faults: "",
        until: Until::Denials,
    },
    Case {
        name: "bytes lost on the bus, TPM busy, response read again",
        ek: EkKind::P256,
        faults: "command-byte-lost@any/#4;response-byte-lost@any/#6;rc-retry@execution/GetRandom/2;\
                 status-invalid@any/#7/4;rc-yielded@execution/Quote;retry-needed@any/Quote",
        until: Until::Login,
    },
    Case {
        // A node that measures itself does not go on with a TPM that was reset alone: what was measured is lost.
        name: "TPM reset in the middle of a login",
        ek: EkKind::P256,
        faults: "tpm-reset@execution/ActivateCredential",
        until: Until::Troubles,
    },
    Case {
        name: "TPM out of memory",
        ek: EkKind::Rsa2048,
        faults: "rc-object-memory@execution/CreatePrimary/2",
        until: Until::Login,
    },
    Case {
        name: "TPM absent",
        ek: EkKind::P256,
        faults: "miso-stuck-high@any/any/always",
        until: Until::Troubles,
    },
];

/// The stack of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deepest {
    /// What was run.
    pub scenario: String,
    /// Bytes of stack.
    pub stack: u64,
}

/// A board's stack region, from its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Lowest address.
    pub low: u64,
    /// Address above the highest; where the stack begins.
    pub high: u64,
}

impl Region {
    /// Reads the symbols `_stack_end` and `_stack_start`, which every board's linker script defines.
    ///
    /// # Errors
    ///
    /// When the image lacks them or they make no region.
    pub fn of(image: &Path) -> Result<Self> {
        let symbol = |name: &str| {
            symbol_address(image, name)?
                .with_context(|| format!("{}: no symbol {name}", image.display()))
        };
        let region = Self {
            low: symbol("_stack_end")?,
            high: symbol("_stack_start")?,
        };
        ensure!(
            region.low < region.high,
            "{}: the stack has no room",
            image.display()
        );
        Ok(region)
    }

    /// The paint: bytes that no program writes in this order by accident.
    #[must_use]
    pub fn paint(self) -> Vec<u8> {
        let mut state = 0x9E37_79B9u32;
        let bytes = (self.low..self.high).map(|_| {
            // Marsaglia's xorshift: its bytes are never the same ones in a row.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        });
        bytes.collect()
    }

    /// How much of the stack was used: from its start to the lowest byte that is not as painted.
    ///
    /// # Errors
    ///
    /// When `memory` is not the whole region.
    pub fn used(self, memory: &[u8]) -> Result<u64> {
        let paint = self.paint();
        ensure!(
            memory.len() == paint.len(),
            "{} bytes of a stack of {}",
            memory.len(),
            paint.len()
        );
        let untouched = memory
            .iter()
            .zip(&paint)
            .take_while(|(now, before)| now == before)
            .count();
        Ok((paint.len() - untouched) as u64)
    }
}

/// Runs every scenario that the board's machine can; `each` hears of each as it ends.
///
/// # Errors
///
/// When a scenario does not end as it must.
pub fn measure(
    board: &Board,
    image: &Path,
    each: &mut dyn FnMut(&Deepest),
) -> Result<Vec<Deepest>> {
    let model = board
        .manifest
        .qemu
        .as_ref()
        .is_some_and(crate::board::Machine::has_spi_tpm);
    let region = Region::of(image)?;
    let mut all = Vec::new();
    for case in CASES.iter().filter(|case| model || case.faults.is_empty()) {
        let stack = run(board, image, region, case)
            .with_context(|| format!("boards/{}: {}", board.name, case.name))?;
        let deepest = Deepest {
            scenario: case.name.to_owned(),
            stack,
        };
        each(&deepest);
        all.push(deepest);
    }
    Ok(all)
}

fn run(board: &Board, image: &Path, region: Region, case: &Case) -> Result<u64> {
    let folder = tempfile::Builder::new().prefix("assay-").tempdir()?;
    let tpm = cache::copy(&Recipe::with([case.ek]), &folder.path().join("made"))?;
    let policy = loopback::policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true);
    let policy = match case.until {
        // PCR 0 is zero after a reset.
        Until::Denials => policy.replacen(
            &format!("0: \"{}\"", "00".repeat(32)),
            &format!("0: \"{}\"", "11".repeat(32)),
            1,
        ),
        _ => policy,
    };
    let (sessions, session_ttl, icount) = match case.until {
        Until::Renewals => (Sessions::Renewal, RENEWED_SESSION, Some(ICOUNT_SHIFT)),
        _ => (Sessions::Login, SESSION, None),
    };
    let setup = Setup {
        policy,
        session_ttl,
        sessions,
        overlay: OverlayOptions {
            faults: case.faults.parse::<FaultPlan>()?,
            stack: Some((region.low, region.high)),
            ..OverlayOptions::default()
        },
        icount,
        loads: vec![(painted(region, folder.path())?, region.low)],
    };
    let mut machine = Machine::start(board, image, &tpm, folder.path(), &setup)?;
    machine.run(LIMIT, &|verifier| case.until.is_met(verifier))?;
    let memory = machine.memory(region.low, region.high - region.low, folder.path())?;
    let (_, exit) = machine.quit()?;
    let fired = exit.as_ref().is_some_and(|exit| exit.faults > 0);
    ensure!(
        case.faults.is_empty() || fired,
        "none of its faults has shown"
    );
    let by_paint = region.used(&memory)?;
    let by_stores = exit
        .and_then(|exit| exit.stack_lowest)
        .map_or(0, |lowest| region.high - lowest);
    Ok(by_paint.max(by_stores))
}

fn painted(region: Region, folder: &Path) -> Result<PathBuf> {
    let file = folder.join("paint.bin");
    std::fs::write(&file, region.paint())?;
    Ok(file)
}
