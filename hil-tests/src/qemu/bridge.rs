//! The other end of a board whose SPI bus is bridged: the model of an SPI TPM behind two FIFOs.
//!
//! | message | answer | meaning |
//! |---|---|---|
//! | 0x00 | none | the bridge ends (sent by its owner, never by a board) |
//! | 0x01 | none | chip select low |
//! | 0x02 | none | chip select high |
//! | 0x03, length, that many bytes | as many bytes | bytes clocked out, bytes clocked in |
//! | 0x04 | [`MARK`] | a machine has started: chip select high |
//!
//! The board opens both FIFOs by semihosting, an interface that QEMU documents, unlike what the overlay calls. So
//! this path serves where the overlay cannot be loaded. It reports the same events; instructions and stores to memory
//! it does not see.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use assay_spi_tpm::chip::{ChipLimits, Personality};
use assay_spi_tpm::stats::{CommandRecord, Totals};
use assay_spi_tpm::swtpm::{Swtpm, SwtpmSocket};
use assay_spi_tpm::{Config, SpiTpm};

use super::events::{CommandEvent, Event, Events, ExitEvent};
use super::{OverlayOptions, QemuError, io_error};

/// From the board to the bridge, below the folder.
const TO_BRIDGE: &str = "spi.tx";
/// From the bridge to the board.
const TO_BOARD: &str = "spi.rx";
/// The answer to a start: the board throws away all before it, so a reset between a message and its answer does no harm.
const MARK: [u8; 8] = *b"\xA5ASSAY\x5A\x01";

const END: u8 = 0x00;
const LOW: u8 = 0x01;
const HIGH: u8 = 0x02;
const EXCHANGE: u8 = 0x03;
const START: u8 = 0x04;

/// A bridge that serves. Dropping it ends its thread; the machine should be gone by then.
#[derive(Debug)]
pub(super) struct Bridge {
    /// Kept open, so that neither side ever waits for the other to open the FIFO.
    to_bridge: File,
    serving: Option<JoinHandle<()>>,
}

impl Bridge {
    /// Makes the FIFOs in `folder` and serves them with the model, set up by `options`, in front of `tpm`.
    ///
    /// # Errors
    /// [`QemuError::Io`] when the FIFOs cannot be made, [`QemuError::Option`] for an option that a bridge has not.
    pub(super) fn start(
        folder: &Path,
        tpm: &Swtpm,
        spare: Option<&Swtpm>,
        options: &OverlayOptions,
    ) -> Result<(Self, Events), QemuError> {
        let config = config(options)?;
        let personality = config.personality.name.to_owned();
        let (tx, rx) = (folder.join(TO_BRIDGE), folder.join(TO_BOARD));
        make_fifos(&[&tx, &rx])?;
        let open = |path: &Path| {
            // For both directions: opening then waits for nobody (fifo(7)).
            let file = OpenOptions::new().read(true).write(true).open(path);
            file.map_err(io_error("opening the bridge's FIFO"))
        };
        let (to_bridge, to_board) = (open(&tx)?, open(&rx)?);
        let from_board = to_bridge
            .try_clone()
            .map_err(io_error("copying the bridge's FIFO"))?;

        let socket = |data, tpm: &Swtpm| SwtpmSocket::new(data, Some(tpm.control_path()));
        let mut model = SpiTpm::new(socket(options.data_path(tpm), tpm), config);
        if let Some(spare) = spare {
            model = model.with_spare(socket(spare.data_path(), spare));
        }
        let (sender, events) = Events::channel();
        let _ = sender.send(Event::Start {
            personality,
            plugin_api: 0,
        });
        let commands = sender.clone();
        model.observe(Box::new(move |record, totals| {
            let _ = commands.send(Event::Command(command_event(record, totals)));
        }));
        let serving = thread::spawn(move || {
            // A machine that was killed leaves nothing to say to it.
            let _ = serve(&mut model, BufReader::new(from_board), to_board, &sender);
            let totals = model.stats().totals();
            let _ = sender.send(Event::Exit(exit_event(&totals)));
        });
        let bridge = Self {
            to_bridge,
            serving: Some(serving),
        };
        Ok((bridge, events))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // Boards send each message in one piece, so this does not land inside one.
        if self.to_bridge.write_all(&[END]).is_ok()
            && let Some(serving) = self.serving.take()
        {
            let _ = serving.join();
        }
    }
}

fn make_fifos(paths: &[&Path]) -> Result<(), QemuError> {
    let output = Command::new("mkfifo")
        .args(["-m", "600"])
        .args(paths)
        .output()
        .map_err(io_error("running mkfifo (Debian package \"coreutils\")"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io_error("making the bridge's FIFOs")(io::Error::other(
        said,
    )))
}

/// The model as the overlay would set it up.
fn config(options: &OverlayOptions) -> Result<Config, QemuError> {
    let refused = |option: &'static str, reason: &str| QemuError::Option {
        option,
        reason: reason.to_owned(),
    };
    let absent = [
        ("reset_pin", options.reset_pin.is_some()),
        ("unique_id", options.unique_id.is_some()),
        ("writable_record", options.writable_record),
        ("count", options.count),
        ("span", options.span.is_some()),
    ];
    if let Some((option, _)) = absent.into_iter().find(|(_, wanted)| *wanted) {
        return Err(refused(option, "only the overlay can do that"));
    }
    let personality = match &options.personality {
        None => Personality::SLB9672,
        Some(name) => Personality::from_name(name)
            .ok_or_else(|| refused("personality", "there is no such chip"))?,
    };
    let parsed = |option, error: String| refused(option, &error);
    let burst = options.burst.as_ref().map(|text| text.parse()).transpose();
    let wait = options.wait.as_ref().map(|text| text.parse()).transpose();
    Ok(Config {
        burst: burst.map_err(|error| parsed("burst", format!("{error}")))?,
        wait: wait.map_err(|error| parsed("wait", format!("{error}")))?,
        busy_polls: options.busy,
        limits: (!options.without_limits).then_some(ChipLimits::SILICON),
        faults: options.faults.clone(),
        ..Config::chip(personality)
    })
}

/// Serves until the end, or until what comes makes no sense.
fn serve(
    model: &mut SpiTpm,
    mut from_board: impl Read,
    mut to_board: impl Write,
    events: &Sender<Event>,
) -> io::Result<()> {
    let (clock, powered) = (model.clock(), Instant::now());
    let mut started = false;
    let mut buffer = [0; 256];
    loop {
        let kind = byte(&mut from_board)?;
        clock.set_ns(u64::try_from(powered.elapsed().as_nanos()).unwrap_or(u64::MAX));
        match kind {
            END => return Ok(()),
            LOW => model.cs(true),
            HIGH => model.cs(false),
            EXCHANGE => {
                let length = usize::from(byte(&mut from_board)?);
                let bytes = buffer.get_mut(..length).unwrap_or_default();
                from_board.read_exact(bytes)?;
                for byte in bytes.iter_mut() {
                    *byte = model.xfer(*byte);
                }
                to_board.write_all(bytes)?;
            }
            START => {
                model.cs(false);
                // Not the first one: the microcontroller was reset, the TPM was not.
                if started {
                    let _ = events.send(Event::SystemReset);
                }
                started = true;
                to_board.write_all(&MARK)?;
            }
            other => {
                let text = format!("{other:#04x} is no message of the bridge");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    let [byte] = byte;
    Ok(byte)
}

fn command_event(record: &CommandRecord, totals: &Totals) -> CommandEvent {
    CommandEvent {
        n: record.number,
        name: record.name(),
        code: record.code,
        rc: record.rc,
        command_len: record.command_len as u64,
        response_len: record.response_len as u64,
        bytes: record.bytes,
        chip_selects: record.chip_selects,
        polls: record.polls,
        aborts: record.aborts,
        retries: record.retries,
        tpm_us: record.tpm_us,
        at_ns: record.at_ns,
        total_bytes: totals.bytes,
        total_chip_selects: totals.chip_selects,
        instructions: 0,
        stack_lowest: None,
    }
}

fn exit_event(totals: &Totals) -> ExitEvent {
    ExitEvent {
        bytes: totals.bytes,
        chip_selects: totals.chip_selects,
        wait_bytes: totals.wait_bytes,
        polls: totals.polls,
        commands: totals.commands,
        resets: totals.resets,
        faults: totals.faults,
        stray_bytes: totals.stray_bytes,
        instructions: 0,
        stack_lowest: None,
        noise_words: 0,
        watchdog: None,
        closed: Vec::new(),
        closed_late: false,
        late_alarms: 0,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use std::sync::mpsc;

    use assay_spi_tpm::mock::ScriptedTpm;

    use super::*;

    fn answers(messages: &[u8]) -> (io::Result<()>, Vec<u8>, Vec<Event>) {
        let mut model = SpiTpm::new(ScriptedTpm::new(), Config::chip(Personality::SLB9672));
        let (sender, receiver) = mpsc::channel();
        let mut out = Vec::new();
        let end = serve(&mut model, messages, &mut out, &sender);
        drop(sender);
        (end, out, receiver.iter().collect())
    }

    const READ_ID: [u8; 8] = [0x83, 0xD4, 0x0F, 0x00, 0, 0, 0, 0];
    const ID: [u8; 8] = [0, 0, 0, 1, 0xD1, 0x15, 0x1D, 0x00];

    #[test]
    fn a_register_is_read_through_the_bridge() {
        let messages = [&[LOW, EXCHANGE, 8][..], &READ_ID, &[HIGH, END]].concat();
        let (end, out, events) = answers(&messages);
        end.unwrap();
        assert_eq!(out, ID);
        assert_eq!(events, []);
    }

    #[test]
    fn a_reset_in_the_middle_of_a_frame_ends_the_frame_and_is_reported_once() {
        let half = [START, LOW, EXCHANGE, 2, 0x83, 0xD4];
        let whole = [&[START, LOW, EXCHANGE, 8][..], &READ_ID, &[HIGH, END]].concat();
        let (end, out, events) = answers(&[&half[..], &whole].concat());
        end.unwrap();
        assert_eq!(out, [&MARK[..], &[0, 0], &MARK, &ID].concat());
        assert_eq!(events, [Event::SystemReset]);
    }

    #[test]
    fn bytes_clocked_without_chip_select_read_as_an_empty_bus() {
        let (end, out, _) = answers(&[EXCHANGE, 2, 0x83, 0xD4, END]);
        end.unwrap();
        assert_eq!(out, [0xFF, 0xFF]);
    }

    #[test]
    fn what_is_no_message_ends_the_bridge_and_so_does_half_a_message() {
        let (end, _, _) = answers(&[0x7F]);
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (end, _, _) = answers(&[EXCHANGE, 4, 1]);
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_option_that_needs_the_overlay_is_refused_by_name() {
        let options = OverlayOptions {
            count: true,
            ..OverlayOptions::default()
        };
        let error = config(&options).err().unwrap().to_string();
        assert_eq!(error, "option count: only the overlay can do that");
        let options = OverlayOptions {
            wait: Some("never".to_owned()),
            ..OverlayOptions::default()
        };
        let error = config(&options).err().unwrap().to_string();
        assert!(error.starts_with("option wait: "), "{error}");
    }
}
