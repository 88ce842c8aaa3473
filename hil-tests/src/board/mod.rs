//! Boards: found by listing `boards/*`, described by their own manifests, and by nothing else.

mod build;
mod image;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

pub use build::{
    Profile, build, build_bringup, build_embassy, build_plain, build_with, cargo, lint,
};
pub use image::{ImageSize, image_size, symbol_address};

/// One folder below `boards/`.
#[derive(Debug, Clone)]
pub struct Board {
    /// The folder's name.
    pub name: String,
    /// The package's name.
    pub package: String,
    /// `[package.metadata.board]`.
    pub manifest: Manifest,
}

/// `[package.metadata.board]` of a board's `Cargo.toml`. Sizes and addresses in bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Rust target triple.
    pub target: String,
    /// probe-rs' name for the chip; none for a board that is never flashed.
    pub chip: Option<String>,
    /// 1 runs in QEMU as it is flashed, 2 for an emulator or a process, 3 builds (boards/README.md).
    pub tier: u8,
    /// Most bytes of flash.
    pub flash_max: u64,
    /// Most bytes of RAM: static data and the worst stack together.
    pub ram_max: u64,
    /// Most bytes of stack.
    pub stack_max: u64,
    /// Where the provisioning record goes.
    pub provisioning_address: u64,
    /// Size of the region kept for it.
    pub provisioning_size: u64,
    /// The link.
    pub serial: SerialLine,
    /// Features that the lints must cover, each by itself.
    #[serde(default)]
    pub features: Vec<String>,
    /// Whether its bring-up image is a binary of its own: of the package's name and `-bringup`, built with the feature `console`.
    /// Else it is the board's own binary with that feature, where it has one.
    #[serde(default)]
    pub bringup: bool,
    /// The image with the asynchronous driver, a binary of the package's name and `-embassy`, built with the feature
    /// `embassy`; none for a board without.
    pub embassy: Option<EmbassyImage>,
    /// How QEMU runs it; none for a board that it cannot run.
    pub qemu: Option<Machine>,
}

/// `[package.metadata.board.embassy]`: it does not log in, so its stack is in no scenario, and its budget has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbassyImage {
    /// Most bytes of flash.
    pub flash_max: u64,
    /// Most bytes of static data, the tasks' futures among them.
    pub static_ram_max: u64,
}

/// `[package.metadata.board.serial]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialLine {
    /// Its name on the chip.
    pub uart: String,
    /// Bits per second.
    pub baud: u32,
}

/// `[package.metadata.board.qemu]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// `qemu-system-arm` or `qemu-system-aarch64`.
    pub binary: String,
    /// `-M`.
    pub machine: String,
    /// Where its TPM is.
    pub tpm: TpmSource,
    /// Which `-serial` of the machine is the link, from 0.
    #[serde(default)]
    pub serial: usize,
    /// Which `-serial` the log of the feature `defmt` goes to, where it goes to one.
    pub log: Option<usize>,
    /// The microcontroller that the overlay makes of the machine, where it is not the machine's own.
    pub chip: Option<String>,
    /// Pin of the TPM's chip select under the overlay, where it is not PA4.
    pub chip_select: Option<String>,
    /// `-cpu`, where the machine's default does not serve.
    pub cpu: Option<String>,
}

/// The symbol at which an image begins that hashes itself; the linker script has it.
pub const IMAGE_START: &str = "_image_start";

impl Board {
    /// Whether its image measures itself: one of its linker scripts says where the image begins.
    #[must_use]
    pub fn measures_itself(&self) -> bool {
        let folder = workspace_root().join("boards").join(&self.name);
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|file| file.path()).any(|path| {
            let is_script = path.extension().is_some_and(|e| e == "x" || e == "ld");
            let says = |text: String| text.contains(IMAGE_START);
            is_script && std::fs::read_to_string(path).is_ok_and(says)
        })
    }
}

impl Machine {
    /// Whether the TPM is the model of an SPI TPM, which wants swtpm as sockets, instead of one of the machine's own.
    #[must_use]
    pub const fn has_spi_tpm(&self) -> bool {
        matches!(self.tpm, TpmSource::Overlay | TpmSource::Bridge)
    }
}

/// Where the TPM of an emulated machine is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum TpmSource {
    /// `overlay`: the model of an SPI TPM, which the plugin puts on the machine's bus.
    Overlay,
    /// `bridge`: the same model in the harness, behind FIFOs that the board's image opens.
    Bridge,
    /// Any other word: this device of QEMU's own.
    Device(String),
}

impl From<String> for TpmSource {
    fn from(word: String) -> Self {
        match word.as_str() {
            "overlay" => Self::Overlay,
            "bridge" => Self::Bridge,
            _ => Self::Device(word),
        }
    }
}

/// The workspace's root folder.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Every board, by name.
///
/// # Errors
///
/// When `cargo metadata` fails or a manifest lacks a field.
pub fn all() -> Result<Vec<Board>> {
    let root = workspace_root();
    let output = cargo()
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(&root)
        .output()
        .context("cargo metadata does not start")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let folder = root.join("boards");
    let mut boards = Vec::new();
    for package in metadata.packages {
        let Some(dir) = package
            .manifest_path
            .parent()
            .filter(|dir| dir.parent() == Some(&folder))
        else {
            continue;
        };
        let name = dir
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let value = package.metadata.and_then(|m| m.get("board").cloned());
        let value = value.with_context(|| format!("boards/{name}: no [package.metadata.board]"))?;
        let manifest = serde_json::from_value(value)
            .with_context(|| format!("boards/{name}: [package.metadata.board]"))?;
        boards.push(Board {
            name,
            package: package.name,
            manifest,
        });
    }
    boards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(boards)
}

/// The board with this folder name.
///
/// # Errors
///
/// When there is none; the error lists those there are.
pub fn find(name: &str) -> Result<Board> {
    let boards = all()?;
    let names: Vec<_> = boards.iter().map(|board| board.name.clone()).collect();
    boards
        .into_iter()
        .find(|board| board.name == name)
        .with_context(|| format!("no board `{name}`; there are: {}", names.join(", ")))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    metadata: Option<serde_json::Value>,
}
