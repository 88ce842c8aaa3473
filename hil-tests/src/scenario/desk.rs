//! A technician's desk: a board with its bring-up image in QEMU, and somebody who types.
//!
//! A command is done when its prompt is back; nothing here waits for a time.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::MAX_RECORD;
use assay_spi_tpm::swtpm::{Mode, Swtpm};

use crate::board::Board;
use crate::manufacture::ManufacturedTpm;
use crate::qemu::{Launch, OverlayOptions, Qemu};

/// What the console says when it waits.
pub const PROMPT: &str = "assay> ";
/// The same in the middle of a record.
pub const RECORD_PROMPT: &str = "record> ";

/// A provisioning record of a verifier that there is not: its key, the base point of P-256, is nobody's.
///
/// # Errors
///
/// Never, while a record has room for what it says.
pub fn nobodys_record() -> Result<Vec<u8>> {
    let mut key = vec![4];
    for coordinate in [
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    ] {
        key.extend(hex::decode(coordinate)?);
    }
    let record = Provisioning {
        cluster: "lab",
        trust_domain: "example.org",
        verifier_key: &key,
    };
    let mut out = vec![0; MAX_RECORD];
    let len = record.write(&mut out)?;
    out.truncate(len);
    Ok(out)
}

/// A board at whose console somebody sits.
pub struct Desk {
    /// The machine.
    pub qemu: Qemu,
    /// The software TPM.
    pub swtpm: Swtpm,
    line: UnixStream,
    /// What came and was not yet asked for.
    heard: String,
}

impl Desk {
    /// Starts the board with `image`, its bring-up image, and hears its greeting. `record` is loaded where the agent looks
    /// for one.
    ///
    /// # Errors
    ///
    /// When a program is missing or does not start, or the board does not greet.
    pub fn start(
        board: &Board,
        image: &Path,
        tpm: &ManufacturedTpm,
        folder: &Path,
        overlay: OverlayOptions,
        record: Option<&Path>,
        life: Duration,
    ) -> Result<Self> {
        let machine = board.manifest.qemu.as_ref();
        let machine = machine.with_context(|| format!("QEMU cannot run boards/{}", board.name))?;
        let swtpm = tpm
            .start(&folder.join("tpm"), Mode::Sockets)
            .context("swtpm")?;
        let mut launch = Launch::new(machine, image, &swtpm)
            .overlay(overlay)
            .deadline(life);
        if let Some(record) = record {
            launch = launch.load(record, board.manifest.provisioning_address);
        }
        let qemu = launch.start()?;
        let line = qemu.serial()?;
        Ok(Self {
            qemu,
            swtpm,
            line,
            heard: String::new(),
        })
    }

    /// The line itself, for a person.
    ///
    /// # Errors
    ///
    /// When the handle could not be copied.
    pub fn line(&self) -> Result<UnixStream> {
        Ok(self.line.try_clone()?)
    }

    /// Types bytes as they are.
    ///
    /// # Errors
    ///
    /// When the line is gone.
    pub fn types(&mut self, bytes: &[u8]) -> Result<()> {
        self.line.write_all(bytes).context("the line")
    }

    /// All that comes until a prompt, the prompt without its blank included, with line ends of one byte.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`, with what came.
    pub fn until_prompt(&mut self, limit: Duration) -> Result<String> {
        self.until(&[PROMPT, RECORD_PROMPT], limit)
    }

    /// Types a command, and returns its answer without echo and prompt.
    ///
    /// # Errors
    ///
    /// When the prompt does not come back within `limit`, or the command is not echoed.
    pub fn asks(&mut self, command: &str, limit: Duration) -> Result<String> {
        self.types(format!("{command}\r").as_bytes())?;
        let said = self.until_prompt(limit)?;
        let answer = said.strip_prefix(command).and_then(|said| {
            let said = said.strip_prefix('\n')?;
            said.strip_suffix(PROMPT)
                .or_else(|| said.strip_suffix(RECORD_PROMPT))
        });
        let answer = answer.with_context(|| format!("`{command}` was answered by {said:?}"))?;
        Ok(answer.to_owned())
    }

    fn until(&mut self, ends: &[&str], limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            // A prompt stands at the end of what came, since the board waits then.
            if ends.iter().any(|end| self.heard.ends_with(end)) {
                let said = std::mem::take(&mut self.heard);
                return Ok(said.replace("\r\n", "\n"));
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                bail!(
                    "no prompt within {limit:?}; the board said {:?}",
                    self.heard
                );
            };
            let left = left.max(Duration::from_millis(1));
            self.line.set_read_timeout(Some(left))?;
            let mut buffer = [0; 1024];
            match self.line.read(&mut buffer) {
                Ok(0) => bail!(
                    "the machine has ended: {}; the board said {:?}",
                    self.qemu.stderr(),
                    self.heard
                ),
                Ok(read) => {
                    let bytes = buffer.get(..read).unwrap_or_default();
                    // The console speaks ASCII, but for a label of somebody else's.
                    self.heard.push_str(&String::from_utf8_lossy(bytes));
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the line"),
            }
        }
    }
}
