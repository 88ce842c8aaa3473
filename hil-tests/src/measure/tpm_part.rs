//! What the TPM part of the firmware takes of flash, and for which targets the bare-metal crates build.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::board::{cargo, image_size, workspace_root};

/// The target of the pair of images.
const TARGET: &str = "thumbv7em-none-eabihf";
/// The package with the pair.
const PACKAGE: &str = "assay-tpm-size";
/// Images without and with the TPM part.
const PAIR: [&str; 2] = ["tpm-size-base", "tpm-size-commands"];
/// Profile of everything that is flashed.
const PROFILE: &str = "firmware";
/// Most bytes of flash for the FIFO driver and the commands.
pub const BUDGET: u64 = 8_192;
/// wolfTPM's `.text` for the same 17 commands: built with `-Os` for the same processor, without wolfCrypt.
pub const WOLFTPM: u64 = 11_988;

/// Targets for which the crates of a board must build: Cortex-M0+, M4F, M33, and a RISC-V microcontroller.
pub const TARGETS: [&str; 4] = [
    "thumbv6m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imac-unknown-none-elf",
];

/// The TPM part alone. Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmPart {
    /// Flash of the FIFO driver and 17 commands: an image with them less an image without.
    pub flash: u64,
    /// Most it may be.
    pub budget: u64,
    /// Whether it is.
    pub ok: bool,
    /// wolfTPM's figure for the same commands.
    pub wolftpm: u64,
}

impl TpmPart {
    /// Judges a size.
    #[must_use]
    pub const fn of(flash: u64) -> Self {
        Self {
            flash,
            budget: BUDGET,
            ok: flash <= BUDGET,
            wolftpm: WOLFTPM,
        }
    }
}

/// Builds both images and compares them.
///
/// # Errors
///
/// When one does not build; cargo's own output has gone to stderr.
pub fn measure() -> Result<TpmPart> {
    let status = cargo()
        .args(["build", "--quiet", "--locked", "-p", PACKAGE, "--bins"])
        .args(["--target", TARGET, "--profile", PROFILE])
        .env("CARGO_TARGET_DIR", target_dir())
        .current_dir(workspace_root())
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("{PACKAGE} does not build for {TARGET}");
    }
    let folder = target_dir().join(TARGET).join(PROFILE);
    let [without, with] = PAIR;
    let without = image_size(&folder.join(without))?.flash;
    let with = image_size(&folder.join(with))?.flash;
    Ok(TpmPart::of(with.saturating_sub(without)))
}

/// Whether `common` and `firmware` build for `target`.
///
/// # Errors
///
/// When cargo does not start.
pub fn builds_for(target: &str) -> Result<bool> {
    let status = lean(cargo().args([
        "build",
        "--quiet",
        "--locked",
        "-p",
        "assay-common",
        "-p",
        "assay-firmware",
    ]))
    .args(["--target", target, "--profile", PROFILE])
    .status()
    .context("cargo does not start")?;
    Ok(status.success())
}

fn lean(command: &mut Command) -> &mut Command {
    command
        .env("CARGO_TARGET_DIR", target_dir())
        .current_dir(workspace_root())
        .stdout(Stdio::null())
}

/// Where boards are built, too, so that their dependencies are built once.
fn target_dir() -> PathBuf {
    std::env::var_os("ASSAY_BOARD_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target/boards"), PathBuf::from)
}
