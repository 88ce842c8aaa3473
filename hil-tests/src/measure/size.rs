//! What `hil size` reports: every board against its budget, the TPM part against its own.
//!
//! # The JSON document
//!
//! ```json
//! {
//!   "boards": { "stm32f405": {
//!     "flash": 45000, "ram": 15000, "stack": 9000, "static_ram": 6000,
//!     "budget": { "flash": 49152, "ram": 16384, "stack": 10240 },
//!     "ok": true, "over": [],
//!     "without_secure_sessions": { "flash": 33000, "static_ram": 5000 },
//!     "embassy": { "flash": 29000, "static_ram": 4000, "budget": { "flash": 32768, "static_ram": 6144 } },
//!     "scenarios": [ { "scenario": "two logins, P-256 EK", "stack": 9000 } ] } },
//!   "tpm_part": { "flash": 8000, "budget": 8192, "ok": true, "wolftpm": 11988 },
//!   "targets": { "thumbv6m-none-eabi": true },
//!   "ok": true,
//!   "stm32f405": { "flash": 45000 }
//! }
//! ```
//!
//! All sizes in bytes. `ram` is static data plus `stack`; both are null for a board that QEMU cannot run. `over` names
//! the budgets that are exceeded. `embassy` is the image with the asynchronous driver, null for a board without; it does not
//! log in, so its stack is not measured. Each board also stands at the top level under its own name, the same object as below
//! `boards`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stack::{self, Deepest};
use super::tpm_part::{self, TpmPart};
use crate::board::{self, Board, EmbassyImage, ImageSize, Profile};

/// Most bytes, from the board's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Of flash.
    pub flash: u64,
    /// Of RAM, static data and stack together.
    pub ram: u64,
    /// Of stack.
    pub stack: u64,
}

/// A board's sizes, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardSize {
    /// Code, constants, and the initial values of data.
    pub flash: u64,
    /// Static data and the deepest stack; `None` when the stack is not known.
    pub ram: Option<u64>,
    /// The deepest stack of all scenarios; `None` when QEMU cannot run the board.
    pub stack: Option<u64>,
    /// Static data alone.
    pub static_ram: u64,
    /// What they may be.
    pub budget: Budget,
    /// Whether every known size is within its budget.
    pub ok: bool,
    /// The sizes that are not: `flash`, `ram`, `stack`, `embassy flash`, `embassy static_ram`.
    pub over: Vec<String>,
    /// Stack by scenario.
    pub scenarios: Vec<Deepest>,
    /// The same image without the sessions that guard the bus.
    pub without_secure_sessions: Plain,
    /// The image with the asynchronous driver; `None` for a board without.
    pub embassy: Option<Embassy>,
}

/// The image with the asynchronous driver, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embassy {
    /// Code, constants, and the initial values of data.
    pub flash: u64,
    /// Static data, the tasks' futures among them.
    pub static_ram: u64,
    /// What they may be.
    pub budget: Plain,
}

/// Sizes of an image of which no stack is known, such as one without the sessions that guard the bus, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plain {
    /// Code, constants, and the initial values of data.
    pub flash: u64,
    /// Static data.
    pub static_ram: u64,
}

impl BoardSize {
    /// Judges an image and the stacks seen.
    #[must_use]
    pub fn of(image: ImageSize, plain: ImageSize, scenarios: Vec<Deepest>, budget: Budget) -> Self {
        let stack = scenarios.iter().map(|scenario| scenario.stack).max();
        let ram = stack.map(|stack| image.ram + stack);
        let sizes = [
            ("flash", Some(image.flash), budget.flash),
            // Static data alone can be too much already.
            ("ram", Some(ram.unwrap_or(image.ram)), budget.ram),
            ("stack", stack, budget.stack),
        ];
        let over = sizes
            .iter()
            .filter(|(_, size, most)| size.is_some_and(|size| size > *most));
        let over: Vec<_> = over.map(|(name, ..)| (*name).to_owned()).collect();
        Self {
            flash: image.flash,
            ram,
            stack,
            static_ram: image.ram,
            budget,
            ok: over.is_empty(),
            over,
            scenarios,
            without_secure_sessions: Plain {
                flash: plain.flash,
                static_ram: plain.ram,
            },
            embassy: None,
        }
    }

    /// Judges the image with the asynchronous driver too.
    #[must_use]
    pub fn with_embassy(mut self, image: ImageSize, budget: EmbassyImage) -> Self {
        let sizes = [
            ("embassy flash", image.flash, budget.flash_max),
            ("embassy static_ram", image.ram, budget.static_ram_max),
        ];
        let over = sizes.iter().filter(|(_, size, most)| size > most);
        self.over.extend(over.map(|(name, ..)| (*name).to_owned()));
        self.ok = self.over.is_empty();
        self.embassy = Some(Embassy {
            flash: image.flash,
            static_ram: image.ram,
            budget: Plain {
                flash: budget.flash_max,
                static_ram: budget.static_ram_max,
            },
        });
        self
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeReport {
    /// By folder name.
    pub boards: BTreeMap<String, BoardSize>,
    /// FIFO driver and commands alone.
    pub tpm_part: TpmPart,
    /// Whether `common` and `firmware` build for each bare-metal target.
    pub targets: BTreeMap<String, bool>,
    /// Whether nothing is over its budget and everything builds.
    pub ok: bool,
}

impl SizeReport {
    /// Puts the parts together.
    #[must_use]
    pub fn of(
        boards: BTreeMap<String, BoardSize>,
        tpm_part: TpmPart,
        targets: BTreeMap<String, bool>,
    ) -> Self {
        let ok = tpm_part.ok
            && boards.values().all(|board| board.ok)
            && targets.values().all(|builds| *builds);
        Self {
            boards,
            tpm_part,
            targets,
            ok,
        }
    }

    /// The document described in the [module](self).
    ///
    /// # Errors
    ///
    /// Never in practice: every part is plain data.
    pub fn to_json(&self) -> Result<Value> {
        let mut document = serde_json::to_value(self)?;
        let top = document.as_object_mut().context("an object")?;
        for (name, board) in &self.boards {
            top.insert(name.clone(), serde_json::to_value(board)?);
        }
        Ok(document)
    }
}

/// Builds and runs everything; `progress` hears a line about each part.
///
/// # Errors
///
/// When something does not build, or a scenario does not end as it must. A budget that is exceeded is no error here.
pub fn measure(progress: &mut dyn FnMut(&str)) -> Result<SizeReport> {
    let mut boards = BTreeMap::new();
    for board in board::all()? {
        progress(&format!(
            "building boards/{} for {}",
            board.name, board.manifest.target
        ));
        let size = measure_board(&board, progress)?;
        boards.insert(board.name, size);
    }
    progress("building the TPM part with and without its commands");
    let tpm_part = tpm_part::measure()?;
    let mut targets = BTreeMap::new();
    for target in tpm_part::TARGETS {
        progress(&format!("building common and firmware for {target}"));
        targets.insert(target.to_owned(), tpm_part::builds_for(target)?);
    }
    Ok(SizeReport::of(boards, tpm_part, targets))
}

fn measure_board(board: &Board, progress: &mut dyn FnMut(&str)) -> Result<BoardSize> {
    let manifest = &board.manifest;
    let budget = Budget {
        flash: manifest.flash_max,
        ram: manifest.ram_max,
        stack: manifest.stack_max,
    };
    let image = board::build(board, Profile::Firmware)?;
    let scenarios = match &manifest.qemu {
        Some(_) => stack::measure(board, &image, &mut |deepest| {
            progress(&format!(
                "  {:>6} bytes of stack: {}",
                deepest.stack, deepest.scenario
            ));
        })?,
        None => Vec::new(),
    };
    let plain = board::image_size(&board::build_plain(board, Profile::Firmware)?)?;
    let image = board::image_size(&image)?;
    let size = BoardSize::of(image, plain, scenarios, budget);
    let Some(budget) = manifest.embassy else {
        return Ok(size);
    };
    let embassy = board::image_size(&board::build_embassy(board, Profile::Firmware)?)?;
    Ok(size.with_embassy(embassy, budget))
}
