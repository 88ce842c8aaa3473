//! The overlay plugin: built by cargo, loaded with arguments.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use assay_spi_tpm::FaultPlan;
use assay_spi_tpm::swtpm::Swtpm;

use super::{Installation, QemuError, io_error};
use crate::board::{Machine, cargo, workspace_root};

/// File that cargo makes.
const LIBRARY: &str = "libassay_qemu_overlay.so";

/// How the overlay's TPM and its counters are set up. The default is an SLB9672 without faults.
#[derive(Debug, Clone, Default)]
pub struct OverlayOptions {
    /// Chip: `slb9670`, `slb9672`, `st33`, `nuvoton`.
    pub personality: Option<String>,
    /// Burst count: a number or `changing:MAX[:SEED]`.
    pub burst: Option<String>,
    /// Wait states: a number, `random:MAX[:SEED]` or `endless`.
    pub wait: Option<String>,
    /// Busy polls of each command.
    pub busy: Option<u32>,
    /// Lifts the limits of silicon.
    pub without_limits: bool,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// Pin of the TPM's reset line, such as `PA1`.
    pub reset_pin: Option<String>,
    /// The microcontroller's unique id.
    pub unique_id: Option<[u8; 12]>,
    /// File in which the board's settings outlive a run; without it they end with QEMU.
    pub settings: Option<PathBuf>,
    /// Address of a double word of the settings that a loss of power cut short, on a chip whose flash notices.
    pub torn: Option<u64>,
    /// At how many starts the PLL does not lock; at all of them is `u32::MAX`.
    pub dead_pll: u32,
    /// Each 16th alarm of the timer is set 2 ms late, on a chip that has such: something holds up the processor.
    pub late_alarms: bool,
    /// The access control lists of the flash take nothing, on a chip that has such.
    pub without_access_control: bool,
    /// The sector with the provisioning record can be written too. It is blank then, whatever is loaded there.
    pub writable_record: bool,
    /// Count instructions.
    pub count: bool,
    /// Report the instructions between these addresses.
    pub span: Option<(u64, u64)>,
    /// Report the lowest write in this range of addresses.
    pub stack: Option<(u64, u64)>,
    /// Somebody's socket in front of the TPM's own: see [`assay_spi_tpm::interposer::socket`].
    pub interposed: Option<PathBuf>,
}

impl OverlayOptions {
    /// Where the model sends commands.
    pub(super) fn data_path<'a>(&'a self, tpm: &'a Swtpm) -> &'a Path {
        self.interposed.as_deref().unwrap_or(tpm.data_path())
    }

    /// The value of `-plugin`: library, sockets, what the machine is to be, and options.
    #[must_use]
    pub fn plugin_argument(
        &self,
        machine: &Machine,
        library: &Path,
        tpm: &Swtpm,
        spare: Option<&Swtpm>,
        stats: &Path,
    ) -> String {
        let path = |path: &Path| path.display().to_string();
        let mut pairs = vec![
            ("file", path(library)),
            ("swtpm", path(self.data_path(tpm))),
            ("control", path(tpm.control_path())),
            ("stats", path(stats)),
        ];
        if let Some(spare) = spare {
            pairs.push(("spare", path(spare.data_path())));
            pairs.push(("spare-control", path(spare.control_path())));
        }
        let texts = [
            ("chip", &machine.chip),
            ("cs", &machine.chip_select),
            ("personality", &self.personality),
            ("burst", &self.burst),
            ("wait", &self.wait),
            ("nrst", &self.reset_pin),
        ];
        for (key, value) in texts {
            pairs.extend(value.iter().map(|value| (key, value.clone())));
        }
        pairs.extend(self.busy.map(|busy| ("busy", busy.to_string())));
        if self.without_limits {
            pairs.push(("limits", "off".to_owned()));
        }
        if !self.faults.is_empty() {
            pairs.push(("faults", self.faults.to_string()));
        }
        pairs.extend(self.unique_id.map(|id| ("uid", hex::encode(id))));
        pairs.extend(
            self.settings
                .as_deref()
                .map(|file| ("settings", path(file))),
        );
        pairs.extend(self.torn.map(|at| ("torn", format!("{at:#x}"))));
        if self.without_access_control {
            pairs.push(("acl", "off".to_owned()));
        }
        if self.late_alarms {
            pairs.push(("late", "on".to_owned()));
        }
        match self.dead_pll {
            0 => {}
            u32::MAX => pairs.push(("pll", "dead".to_owned())),
            starts => pairs.push(("pll", format!("dead:{starts}"))),
        }
        if self.writable_record {
            pairs.push(("record", "on".to_owned()));
        }
        if self.count {
            pairs.push(("count", "on".to_owned()));
        }
        if let Some((start, stop)) = self.span {
            pairs.push(("start", format!("{start:#x}")));
            pairs.push(("stop", format!("{stop:#x}")));
        }
        pairs.extend(
            self.stack
                .map(|(low, high)| ("stack", format!("{low:#x}:{high:#x}"))),
        );
        let written: Vec<String> = pairs
            .into_iter()
            // QEMU reads a doubled comma as one.
            .map(|(key, value)| format!("{key}={}", value.replace(',', ",,")))
            .collect();
        written.join(",")
    }
}

/// Builds the overlay for `qemu` and returns the library. cargo runs once per process.
///
/// # Errors
/// [`QemuError::Build`] when it does not build, [`QemuError::Version`] for a QEMU it is not made for.
pub fn build(qemu: &Installation) -> Result<PathBuf, QemuError> {
    static BUILT: Mutex<Vec<(bool, PathBuf)>> = Mutex::new(Vec::new());
    let newer = needs_newer_interface(qemu)?;
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, library)) = built.iter().find(|(of, _)| *of == newer) {
        return Ok(library.clone());
    }
    let library = cargo_build(newer)?;
    built.push((newer, library.clone()));
    Ok(library)
}

/// Version 1 of the plugin interface serves up to QEMU 8.2, version 4 from 9.2 on; 9.0 and 9.1 have others.
fn needs_newer_interface(qemu: &Installation) -> Result<bool, QemuError> {
    match qemu.version()? {
        (7..=8, _) => Ok(false),
        version if version >= (9, 2) => Ok(true),
        (major, minor) => Err(QemuError::Version {
            path: qemu.binary.clone(),
            version: format!("{major}.{minor}"),
        }),
    }
}

fn cargo_build(newer: bool) -> Result<PathBuf, QemuError> {
    // A target folder of its own: the build that runs this test may hold the lock of the usual one.
    let base = std::env::var_os("ASSAY_OVERLAY_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target/overlay"), PathBuf::from);
    let target = base.join(if newer { "v4" } else { "v1" });
    let mut command = cargo();
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "-p",
            "assay-qemu-overlay",
        ])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(workspace_root());
    if newer {
        command.args(["--features", "plugin-v4"]);
    }
    let status = command.status().map_err(io_error("running cargo"))?;
    if !status.success() {
        return Err(QemuError::Build(status.to_string()));
    }
    Ok(target.join("release").join(LIBRARY))
}
