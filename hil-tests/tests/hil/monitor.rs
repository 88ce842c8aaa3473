//! The log of a board on its second channel: built with `defmt`, run in QEMU, decoded by the monitor.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use assay_hil_tests::board::{self, Profile};
use assay_hil_tests::manufacture::{EkKind, Recipe, cache};
use assay_hil_tests::qemu::{Launch, OverlayOptions, monitor};
use assay_hil_tests::scenario::desk::nobodys_record;
use assay_spi_tpm::swtpm::Mode;

const LIMIT: Duration = Duration::from_secs(60);

/// The image with its log, and what it logged until it had said hello to nobody.
fn logged() -> (PathBuf, Vec<u8>) {
    logged_with(OverlayOptions::default())
}

fn logged_with(overlay: OverlayOptions) -> (PathBuf, Vec<u8>) {
    let board = board::find("stm32f405").unwrap();
    let image = board::build_with(&board, Profile::Firmware, &["defmt".to_owned()]).unwrap();
    let folder = tempfile::Builder::new().prefix("assay-").tempdir().unwrap();
    let tpm = cache::copy(&Recipe::with([EkKind::P256]), &folder.path().join("made")).unwrap();
    let swtpm = tpm
        .start(&folder.path().join("tpm"), Mode::Sockets)
        .unwrap();
    let record = folder.path().join("record");
    std::fs::write(&record, nobodys_record().unwrap()).unwrap();
    let machine = board.manifest.qemu.as_ref().unwrap();
    let log = folder.path().join("log");
    let qemu = Launch::new(machine, &image, &swtpm)
        .overlay(overlay)
        .log_serial(machine.log.unwrap(), &log)
        .load(&record, board.manifest.provisioning_address)
        .start()
        .unwrap();
    let mut line = qemu.serial().unwrap();
    line.set_read_timeout(Some(LIMIT)).unwrap();
    // Its first hello comes after the TPM was started, of which it logs.
    let mut hello = [0; 16];
    std::io::Read::read_exact(&mut line, &mut hello).unwrap();
    qemu.quit().unwrap();
    let bytes = std::fs::read(log).unwrap();
    assert!(!bytes.is_empty(), "nothing on the second channel");
    (image, bytes)
}

fn monitor_with(elf: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(monitor::build().unwrap());
    command.arg("--elf").arg(elf).args(options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn decoded(elf: &Path, bytes: &[u8], options: &[&str]) -> (String, String) {
    let mut child = monitor_with(elf, options)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut into = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = thread::spawn(move || into.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_board_whose_record_can_be_written_warns_of_it_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.bin");
    // FLASH_OPTCR as delivered, and with sector 11 protected.
    for (options, warns) in [(0x0FFF_AAEC_u32, true), (0x07FF_AAEC, false)] {
        let file = settings.with_extension("bin.options");
        std::fs::write(file, options.to_le_bytes()).unwrap();
        let (image, bytes) = logged_with(OverlayOptions {
            settings: Some(settings.clone()),
            ..OverlayOptions::default()
        });
        let (lines, _) = decoded(&image, &bytes, &["--level", "warn"]);
        let warned = lines.contains("record not write-protected");
        assert_eq!(warned, warns, "{lines}");
    }
}

#[test]
fn the_log_of_a_board_is_read_line_by_line_with_time_level_and_place() {
    let (image, bytes) = logged();
    let (lines, complaints) = decoded(&image, &bytes, &[]);
    assert_eq!(complaints, "");
    let found = lines
        .lines()
        .find(|line| line.contains("TPM found: vendor 15d1 device 1d"))
        .unwrap_or_else(|| panic!("{lines}"));
    assert!(
        found.contains(" INFO  TPM found") && found.contains("  assay_firmware::tis::"),
        "{found}"
    );
    let time = found.split_whitespace().next().unwrap();
    assert!(time.parse::<f64>().is_ok(), "{found}");
    assert!(
        lines.contains("boot Some(1)  boards/stm32f405/src/main.rs:"),
        "{lines}"
    );
    assert!(
        lines.contains("TPM started: manufacturer 49424d00"),
        "{lines}"
    );

    let (warnings, _) = decoded(&image, &bytes, &["--level", "warn"]);
    assert!(!warnings.contains(" INFO "), "{warnings}");
    let (coloured, _) = decoded(&image, &bytes, &["--color", "always"]);
    assert!(coloured.contains("\x1B[32mINFO"), "{coloured:?}");
    let (json, _) = decoded(&image, &bytes, &["--json"]);
    let value: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert!(
        value["message"].is_string() && value["level"].is_string(),
        "{json}"
    );

    // Noise in the middle costs the frame that it falls into, and no other.
    let mut noisy = vec![0x55, 0xAA, 0x00];
    noisy.extend(&bytes);
    let (after_noise, _) = decoded(&image, &noisy, &[]);
    assert_eq!(after_noise, lines);

    // Of another image nothing is made up: nothing can be decoded, and it is said.
    let plain = board::build(&board::find("stm32f405").unwrap(), Profile::Firmware).unwrap();
    let (nothing, why) = decoded(&plain, &bytes, &[]);
    assert_eq!(nothing, "");
    assert!(
        why.contains("this image logs nothing") && why.contains("hint: "),
        "{why}"
    );
    reconnects(&image, &bytes);
}

/// A line that goes away and comes back is read on.
fn reconnects(image: &Path, bytes: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut running = Running::new(monitor_with(image, &["--tcp", &address]));
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(bytes).unwrap();
        running.wait_for("TPM found");
        drop(stream);
    }
}

/// A monitor that is ended with the test.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn new(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn wait_for(&mut self, part: &str) {
        loop {
            let line = self.lines.recv_timeout(LIMIT).expect("a line in time");
            if line.contains(part) {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
