//! The command line of a machine: which QEMU, which TPM, which image, and how long.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use assay_spi_tpm::swtpm::{Mode, Swtpm};

use super::bridge::Bridge;
use super::events::Events;
use super::process::Qemu;
use super::{Installation, OverlayOptions, QemuError, io_error, overlay, symbols};
use crate::board::{Machine, TpmSource};

/// How long a machine may run unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A machine to be started.
#[derive(Debug)]
pub struct Launch<'a> {
    machine: &'a Machine,
    image: &'a Path,
    tpm: &'a Swtpm,
    spare: Option<&'a Swtpm>,
    loads: Vec<(PathBuf, u64)>,
    /// What is not the link: its number, and where QEMU sends it.
    lines: Vec<(usize, String)>,
    icount_shift: Option<u8>,
    overlay: OverlayOptions,
    deadline: Duration,
}

impl<'a> Launch<'a> {
    /// A machine as a board's manifest describes it, with the image `image` (ELF) and a TPM.
    #[must_use]
    pub fn new(machine: &'a Machine, image: &'a Path, tpm: &'a Swtpm) -> Self {
        Self {
            machine,
            image,
            tpm,
            spare: None,
            loads: Vec::new(),
            lines: Vec::new(),
            icount_shift: None,
            overlay: OverlayOptions::default(),
            deadline: DEADLINE,
        }
    }

    /// Puts the content of `file` into memory at `address` before the start (a provisioning record).
    #[must_use]
    pub fn load(mut self, file: &Path, address: u64) -> Self {
        self.loads.push((file.to_owned(), address));
        self
    }

    /// Writes what serial line `number` (from 0) sends into `file`.
    #[must_use]
    pub fn log_serial(mut self, number: usize, file: &Path) -> Self {
        self.lines
            .push((number, format!("file:{}", file.display())));
        self
    }

    /// Connects serial line `number` (from 0) to whoever listens at the unix socket `path`.
    #[must_use]
    pub fn connect_serial(mut self, number: usize, path: &Path) -> Self {
        self.lines.push((number, format!("unix:{}", escape(path))));
        self
    }

    /// Ties time to instructions: one takes 2^`shift` ns, and runs repeat exactly.
    #[must_use]
    pub fn icount(mut self, shift: u8) -> Self {
        self.icount_shift = Some(shift);
        self
    }

    /// Sets up the overlay, or the model behind the bridge; without effect on a machine that has a TPM of its own.
    #[must_use]
    pub fn overlay(mut self, options: OverlayOptions) -> Self {
        self.overlay = options;
        self
    }

    /// The TPM that the fault `swap-tpm` puts in the socket.
    #[must_use]
    pub fn spare_tpm(mut self, spare: &'a Swtpm) -> Self {
        self.spare = Some(spare);
        self
    }

    /// Kills the machine after `deadline`.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts the machine and waits until its serial line is connected.
    ///
    /// # Errors
    /// [`QemuError`]: QEMU missing, not fit for the overlay, or ended at once (with what it wrote).
    pub fn start(self) -> Result<Qemu, QemuError> {
        let qemu = Installation::find(&self.machine.binary)?;
        let folder = tempfile::tempdir().map_err(io_error("making a folder for sockets"))?;
        let serial = folder.path().join("link");
        let listener =
            UnixListener::bind(&serial).map_err(io_error("listening for the serial line"))?;
        let mut command = qemu.command();
        self.common_arguments(&mut command, folder.path());
        let (events, bridge) = self.tpm_arguments(&mut command, &qemu, folder.path())?;
        Qemu::spawn(command, folder, &listener, events, bridge, self.deadline)
    }

    fn common_arguments(&self, command: &mut Command, folder: &Path) {
        command.arg("-M").arg(&self.machine.machine);
        if let Some(cpu) = &self.machine.cpu {
            command.arg("-cpu").arg(cpu);
        }
        // Without -nic none some machines want a network ROM that is packaged apart.
        command
            .args(["-nic", "none", "-display", "none", "-monitor", "none"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let link = self.machine.serial;
        command.arg("-chardev").arg(format!(
            "socket,id=link,path={}",
            escape(&folder.join("link"))
        ));
        let last = self
            .lines
            .iter()
            .map(|(number, _)| *number)
            .fold(link, usize::max);
        for number in 0..=last {
            let line = self.lines.iter().find(|(of, _)| *of == number);
            command.arg("-serial").arg(match line {
                _ if number == link => "chardev:link",
                Some((_, other)) => other,
                None => "null",
            });
        }
        command
            .arg("-qmp")
            .arg(format!(
                "unix:{},server=on,wait=off",
                escape(&folder.join("qmp"))
            ))
            .arg("-kernel")
            .arg(self.image);
        for (file, address) in &self.loads {
            command.arg("-device").arg(format!(
                "loader,file={},addr={address:#x},force-raw=on",
                escape(file)
            ));
        }
        if let Some(shift) = self.icount_shift {
            command.arg("-icount").arg(format!("shift={shift}"));
        }
    }

    fn tpm_arguments(
        &self,
        command: &mut Command,
        qemu: &Installation,
        folder: &Path,
    ) -> Result<(Option<Events>, Option<Bridge>), QemuError> {
        if let TpmSource::Device(device) = &self.machine.tpm {
            if self.tpm.mode() != Mode::QemuEmulator {
                return Err(QemuError::Mode("without", "QemuEmulator"));
            }
            command
                .args(["-semihosting-config", "enable=on,target=native", "-chardev"])
                .arg(format!(
                    "socket,id=tpm,path={}",
                    escape(self.tpm.control_path())
                ))
                .args(["-tpmdev", "emulator,id=tpm0,chardev=tpm"])
                .args(["-device", &format!("{device},tpmdev=tpm0")]);
            return Ok((None, None));
        }
        if self.tpm.mode() != Mode::Sockets {
            return Err(QemuError::Mode("with", "Sockets"));
        }
        if self.machine.tpm == TpmSource::Bridge {
            let (bridge, events) = Bridge::start(folder, self.tpm, self.spare, &self.overlay)?;
            // The command line tells the board where the FIFOs are.
            command
                .arg("-semihosting-config")
                .arg(format!("enable=on,target=native,arg={}", escape(folder)));
            return Ok((Some(events), Some(bridge)));
        }
        symbols::check(&qemu.binary)?;
        let library = overlay::build(qemu)?;
        let stats = folder.join("stats");
        let listener = UnixListener::bind(&stats).map_err(io_error("listening for events"))?;
        let events = Events::from(listener).map_err(io_error("listening for events"))?;
        let plugin =
            self.overlay
                .plugin_argument(self.machine, &library, self.tpm, self.spare, &stats);
        command.arg("-plugin").arg(plugin);
        Ok((Some(events), None))
    }
}

/// A path inside an option list, where a comma is written twice.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
