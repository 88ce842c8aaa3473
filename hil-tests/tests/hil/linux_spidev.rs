//! `boards/linux-spidev` as a process: its program unmodified, in front of a stand-in of spidev that is loaded before the C library.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe, cache};
use assay_hil_tests::scenario::live::{Assayd, program};
use assay_spi_tpm::swtpm::{Mode, Swtpm};
use serialport::{SerialPort, TTYPort};
use tempfile::TempDir;

const NODE: &str = "/dev/spidev0.1";
/// A login takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    tpm: ManufacturedTpm,
    swtpm: Swtpm,
    folder: TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let tpm = cache::copy(&Recipe::with([EkKind::P256]), &folder.path().join("made")).unwrap();
    let swtpm = tpm
        .start(&folder.path().join("tpm"), Mode::Sockets)
        .unwrap();
    Bench { tpm, swtpm, folder }
}

impl Bench {
    /// The program in front of the stand-in.
    fn program(&self, chip: &str) -> Command {
        let program = program("assay-board-linux-spidev").unwrap();
        let library = program.with_file_name("libassay_spidev_preload.so");
        assert!(library.is_file(), "cargo build -p assay-spidev-preload");
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", library)
            .env("ASSAY_SPIDEV_NODE", NODE)
            .env("ASSAY_SPIDEV_TPM", self.swtpm.data_path())
            .env("ASSAY_SPIDEV_CONTROL", self.swtpm.control_path())
            .env("ASSAY_SPIDEV_CHIP", chip)
            .stdin(Stdio::null());
        command
    }

    fn probe(&self, chip: &str) -> (Output, String, String) {
        let output = self.program(chip).arg("probe").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complaint) = (text(&output.stdout), text(&output.stderr));
        (output, said, complaint)
    }
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_probe_finds_every_kind_of_chip_wait_states_or_not() {
    for (chip, id) in [
        ("slb9670", "15d1:001b"),
        ("slb9672", "15d1:001d"),
        ("st33", "104a:"),
        ("nuvoton", "1050:00fc"),
    ] {
        let bench = bench();
        let (output, said, complaint) = bench.probe(chip);
        assert!(output.status.success(), "{chip}: {said}{complaint}");
        for part in [id, "just reset", "self-test      passed"] {
            assert!(said.contains(part), "{chip}: no `{part}` in\n{said}");
        }
        // The TPM was started by the first; the second finds it running and goes on.
        let (_, said, complaint) = bench.probe(chip);
        assert!(
            said.contains("running since before"),
            "{chip}: {said}{complaint}"
        );
    }
}

#[test]
fn a_controller_that_drops_chip_select_is_told_apart_from_a_working_one() {
    for chip in ["slb9672", "st33"] {
        let bench = bench();
        let mut command = bench.program(chip);
        let output = command
            .env("ASSAY_SPIDEV_SELECT", "drops")
            .arg("probe")
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{chip}: {complaint}");
        assert!(
            complaint.contains("--chip-select gpio:"),
            "{chip}: {complaint}"
        );
    }
}

#[test]
fn a_node_that_is_not_there_is_named_with_what_to_do() {
    let bench = bench();
    let mut command = bench.program("slb9672");
    let output = command
        .args(["probe", "--spi", "/dev/spidev9.9"])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        complaint.contains("/dev/spidev9.9: ") && complaint.contains("dtparam=spi=on"),
        "{complaint}"
    );
}

/// Carries bytes both ways for as long as it lives. While nobody has the tty open, reads of the pair's other end fail; the
/// program comes, goes and comes again.
struct Relay(Arc<AtomicBool>);

impl Relay {
    fn start(port: &TTYPort, verifier: &UnixStream) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ends = || {
            let port = port.try_clone_native().unwrap();
            (port, verifier.try_clone().unwrap(), Arc::clone(&stop))
        };
        let (mut port_out, mut verifier_in, stopped) = ends();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                match port_out.read(&mut buffer) {
                    Ok(read) if verifier_in.write_all(&buffer[..read]).is_ok() => {}
                    Ok(_) => break,
                    Err(_) => thread::park_timeout(Duration::from_millis(2)),
                }
            }
        });
        let (mut port_in, mut verifier_out, _) = ends();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = verifier_out.read(&mut buffer) {
                if port_in.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
        });
        Self(stop)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn granted(assayd: &Assayd) -> String {
    loop {
        let event = assayd.event(PATIENCE).expect("no end of a login");
        if event.is_end() {
            assert!(event.is_granted(), "{event:?}");
            return event.spiffe_id.expect("an identity");
        }
    }
}

#[test]
fn the_program_logs_in_at_the_service_over_a_tty_and_again_after_a_restart() {
    let bench = bench();
    let service = bench.folder.path().join("service");
    std::fs::create_dir(&service).unwrap();
    let assayd = Assayd::start(&bench.tpm, &service, None).unwrap();
    let record: PathBuf = assayd.record().unwrap();
    // Whatever the umask: the program refuses a record that others may write.
    for (path, mode) in [(&*record, 0o600), (record.parent().unwrap(), 0o700)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let (port, tty) = TTYPort::pair().unwrap();
    let name = tty.name().unwrap();
    // The program takes the tty for itself, so nobody else may have it open.
    drop(tty);
    let _relay = Relay::start(&port, &assayd.connect().unwrap());
    let run = || {
        let mut command = bench.program("st33");
        command.arg("run").arg("--record").arg(&record);
        command.arg("--link").arg(format!("tty:{name}:115200"));
        Running(command.spawn().unwrap())
    };
    let first = run();
    let identity = granted(&assayd);
    assert!(
        identity.starts_with("spiffe://assay.example/node/"),
        "{identity}"
    );
    drop(first);
    let _second = run();
    assert_eq!(granted(&assayd), identity);
}
