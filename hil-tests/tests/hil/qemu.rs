//! The launcher and the overlay with real images: the board's own ELF boots in QEMU and uses a real TPM.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::{KEY_LEN, MAX_RECORD};
use assay_hil_tests::board::{self, Board, Profile};
use assay_hil_tests::manufacture::{Recipe, cache};
use assay_hil_tests::qemu::{CommandEvent, Event, Launch, OverlayOptions, Qemu, QemuError};
use assay_spi_tpm::swtpm::{Mode, Swtpm};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A board's image, a manufactured TPM and a provisioning record.
struct Bench {
    board: Board,
    image: PathBuf,
    tpm: Swtpm,
    record: PathBuf,
    folder: TempDir,
}

fn bench(name: &str) -> Bench {
    let board = board::all()
        .unwrap()
        .into_iter()
        .find(|board| board.name == name)
        .unwrap();
    let image = board::build(&board, Profile::Firmware).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = cache::copy(&Recipe::all(), &folder.path().join("tpm")).unwrap();
    let mode = if machine(&board).has_spi_tpm() {
        Mode::Sockets
    } else {
        Mode::QemuEmulator
    };
    let tpm = made.start(folder.path(), mode).unwrap();
    let record = folder.path().join("record");
    std::fs::write(&record, provisioning()).unwrap();
    Bench {
        board,
        image,
        tpm,
        record,
        folder,
    }
}

fn machine(board: &Board) -> &board::Machine {
    board.manifest.qemu.as_ref().unwrap()
}

fn provisioning() -> Vec<u8> {
    // The curve's base point: nobody's key, but a point that the board accepts.
    let mut key = vec![4];
    key.extend(
        hex::decode("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296").unwrap(),
    );
    key.extend(
        hex::decode("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5").unwrap(),
    );
    assert_eq!(key.len(), KEY_LEN);
    let mut out = [0; MAX_RECORD];
    let record = Provisioning {
        cluster: "lab",
        trust_domain: "example.org",
        verifier_key: &key,
    };
    let len = record.write(&mut out).unwrap();
    out[..len].to_vec()
}

impl Bench {
    fn launch(&self) -> Launch<'_> {
        Launch::new(machine(&self.board), &self.image, &self.tpm)
            .load(&self.record, self.board.manifest.provisioning_address)
    }

    fn start(&self, overlay: OverlayOptions) -> Qemu {
        self.launch().overlay(overlay).start().unwrap()
    }
}

fn startup(qemu: &Qemu) -> CommandEvent {
    qemu.events()
        .unwrap()
        .command("Startup", PATIENCE)
        .unwrap_or_else(|| panic!("no Startup: {}", qemu.stderr()))
}

/// Something, at last, on the serial line.
fn speaks(qemu: &Qemu) -> bool {
    let mut serial = qemu.serial().unwrap();
    serial.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut byte = [0];
    serial.read_exact(&mut byte).is_ok()
}

#[test]
fn the_boards_own_image_starts_the_tpm_and_speaks_on_its_line() {
    let bench = bench("stm32f405");
    let edge = |symbol| {
        board::symbol_address(&bench.image, symbol)
            .unwrap()
            .unwrap()
    };
    let stack = (edge("_stack_end"), edge("_stack_start"));
    let qemu = bench.start(OverlayOptions {
        count: true,
        stack: Some(stack),
        ..OverlayOptions::default()
    });
    let command = startup(&qemu);
    assert_eq!(command.rc, Some(0));
    assert!(command.instructions > 1_000);
    let lowest = command.stack_lowest.unwrap();
    assert!((stack.0..stack.1).contains(&lowest), "{lowest:#x}");
    assert!(speaks(&qemu));
    let (status, events) = qemu.quit().unwrap();
    assert!(status.success());
    let last = events.unwrap().rest(Duration::from_secs(2)).pop();
    let Some(Event::Exit(sums)) = last else {
        panic!("{last:?}")
    };
    assert!(sums.commands >= 2 && sums.bytes > 100);
    assert_eq!((sums.stray_bytes, sums.faults), (0, 0));
}

#[test]
fn the_same_image_runs_the_same_spi_traffic_whatever_the_load() {
    let traffic = || {
        let bench = bench("stm32f405");
        let qemu = bench.launch().icount(3).start().unwrap();
        let command = startup(&qemu);
        (command.bytes, command.chip_selects, command.polls)
    };
    assert_eq!(traffic(), traffic());
}

#[test]
fn every_chip_starts_with_its_own_waits_and_bursts() {
    for (chip, wait, burst) in [
        ("slb9670", "0", "255"),
        ("st33", "3", "1"),
        ("nuvoton", "random:5:7", "changing:64:3"),
    ] {
        let bench = bench("stm32f405");
        let qemu = bench.start(OverlayOptions {
            personality: Some(chip.to_owned()),
            wait: Some(wait.to_owned()),
            burst: Some(burst.to_owned()),
            ..OverlayOptions::default()
        });
        assert_eq!(startup(&qemu).rc, Some(0), "{chip}");
    }
}

#[test]
fn a_board_without_a_tpm_speaks_all_the_same() {
    let bench = bench("stm32f405");
    let qemu = bench.start(OverlayOptions {
        faults: "miso-stuck-high@any/any/always".parse().unwrap(),
        ..OverlayOptions::default()
    });
    assert!(speaks(&qemu), "the failure must be reported on the line");
    let (_, events) = qemu.quit().unwrap();
    let commands = events.unwrap().rest(Duration::from_secs(2));
    assert!(
        !commands
            .iter()
            .any(|event| matches!(event, Event::Command(_))),
        "{commands:?}"
    );
}

#[test]
fn a_dead_software_tpm_never_ends_qemu() {
    let bench = bench("stm32f405");
    let qemu = bench.start(OverlayOptions {
        faults: "dead@execution/#2/once".parse().unwrap(),
        ..OverlayOptions::default()
    });
    startup(&qemu);
    assert!(speaks(&qemu));
    assert!(qemu.is_running());
    assert!(!qemu.stderr().contains("panicked"), "{}", qemu.stderr());
}

#[test]
fn the_reset_button_restarts_the_board_and_leaves_the_tpm_running() {
    let bench = bench("stm32f405");
    let qemu = bench.start(OverlayOptions::default());
    assert_eq!(startup(&qemu).rc, Some(0));
    qemu.reset().unwrap();
    let events = qemu.events().unwrap();
    loop {
        if events.next(PATIENCE).expect("an event before the reset") == Event::SystemReset {
            break;
        }
    }
    // TPM_RC_INITIALIZE: it was started before, and was not reset.
    assert_eq!(startup(&qemu).rc, Some(0x100));
}

#[test]
fn the_deadline_kills_the_machine() {
    let bench = bench("stm32f405");
    let started = Instant::now();
    let qemu = bench
        .launch()
        .deadline(Duration::from_millis(1500))
        .start()
        .unwrap();
    let mut sink = Vec::new();
    // Ends when the process does.
    let _ = qemu.serial().unwrap().read_to_end(&mut sink);
    assert!(started.elapsed() < PATIENCE);
    assert!(!qemu.is_running());
}

#[test]
fn a_refused_argument_ends_with_the_overlays_own_words() {
    let bench = bench("stm32f405");
    let options = OverlayOptions {
        personality: Some("nonesuch".to_owned()),
        ..OverlayOptions::default()
    };
    match bench.launch().overlay(options).start() {
        Err(QemuError::Ended { stderr, .. }) => {
            assert!(
                stderr.contains("personality=nonesuch: no such chip"),
                "{stderr}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tpm_in_the_wrong_mode_is_refused_before_the_start() {
    let bench = bench("stm32f405");
    let sockets = bench.folder.path().join("other");
    let state = bench.folder.path().join("otherstate");
    let other = Swtpm::start(&state, &sockets, Mode::QemuEmulator).unwrap();
    let refused = Launch::new(machine(&bench.board), Path::new("/nowhere"), &other).start();
    assert!(
        matches!(refused, Err(QemuError::Mode("with", "Sockets"))),
        "{refused:?}"
    );
}

#[test]
fn the_memory_mapped_board_speaks_on_its_line() {
    let bench = bench("qemu-virt-aarch64");
    let qemu = bench.launch().start().unwrap();
    assert!(speaks(&qemu), "{}", qemu.stderr());
    assert!(qemu.events().is_none());
    assert!(qemu.quit().unwrap().0.success());
}
