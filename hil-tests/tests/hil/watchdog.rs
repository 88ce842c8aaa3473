//! The boards' watchdog, in QEMU with their flashed images: what it ends. That it is kicked in time is asserted wherever a whole
//! login is run (`scenario::live`, `measure::machine`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assay_hil_tests::board::{self, Board, Profile};
use assay_hil_tests::manufacture::{EkKind, Recipe, cache};
use assay_hil_tests::qemu::{Event, Launch, OverlayOptions, Qemu};
use assay_hil_tests::scenario::live::Live;
use assay_spi_tpm::swtpm::{Mode, Swtpm};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::emulated::{Bench, granted};

/// Of which the clocks are modelled far enough.
const CLOCKED: [&str; 3] = ["stm32f405", "stm32l476", "rp2350"];
const BOARDS: [&str; 4] = ["stm32f405", "stm32l476", "nrf52840dk", "rp2350"];
/// Of which an alarm ends a sleep, and no tick does.
const ALARMED: [&str; 2] = ["nrf52840dk", "rp2350"];
/// Longest wait for a bite, which comes 8 s after a start.
const LIMIT: Duration = Duration::from_secs(60);
/// Thumb's `b .`.
const FOR_EVER: [u8; 2] = [0xFE, 0xE7];

/// Bites and resets until there were so many of both.
fn bites(qemu: &Qemu, wanted: usize) -> Vec<(u64, u64)> {
    let started = Instant::now();
    let (mut bites, mut resets) = (Vec::new(), 0);
    while started.elapsed() < LIMIT && (bites.len() < wanted || resets < wanted) {
        match qemu.events().unwrap().next(Duration::from_millis(200)) {
            Some(Event::WatchdogBite {
                at_ns,
                longest_gap_us,
            }) => bites.push((at_ns, longest_gap_us)),
            Some(Event::SystemReset) => resets += 1,
            _ => {}
        }
    }
    assert_eq!((bites.len(), resets), (wanted, wanted));
    bites
}

/// All boards at the same time: most of it is waiting.
fn each(boards: &'static [&'static str], work: impl Fn(&'static str) + Copy + Send) {
    std::thread::scope(|scope| {
        for name in boards {
            scope.spawn(move || work(name));
        }
    });
}

/// The board with a verifier, in the folder of the bench.
fn start(name: &str, overlay: OverlayOptions) -> (Bench, Live) {
    let board = board::find(name).unwrap();
    let bench = Bench::new(&Recipe::with([EkKind::P256]));
    let live = bench.start(&board, overlay);
    (bench, live)
}

#[test]
fn a_board_whose_clock_does_not_start_is_restarted_until_it_does() {
    each(&CLOCKED, |name| {
        let (_bench, live) = start(
            name,
            OverlayOptions {
                dead_pll: 1,
                ..OverlayOptions::default()
            },
        );
        for (_, gap_us) in bites(&live.qemu, 1) {
            // 8 s, and what the machine takes to notice.
            assert!(
                (8_000_000..12_000_000).contains(&gap_us),
                "{name}: {gap_us}"
            );
        }
        granted(&live);
        let seen = live.commands(Duration::ZERO);
        assert!(!seen.is_empty(), "{name}");
        let refused = live.end().unwrap_err().to_string();
        assert!(refused.contains("bites: 1"), "{name}: {refused}");
    });
}

/// A TPM may take longer for its keys than the watchdog waits: who waits for it kicks.
#[test]
fn a_tpm_that_outlasts_the_watchdog_costs_no_restart() {
    each(&BOARDS, |name| {
        // 700 polls, 5 ms and more apart, for each of four keys; the driver gives a P-256 key 6 s.
        let faults = "slow=700@execution/CreatePrimary/always".parse().unwrap();
        let least = Duration::from_millis(4 * 700 * 5);
        let (_bench, live) = start(
            name,
            OverlayOptions {
                faults,
                ..OverlayOptions::default()
            },
        );
        granted(&live);
        let commands = live.commands(Duration::ZERO);
        let took = Duration::from_nanos(commands.last().unwrap().at_ns);
        assert!(took > least, "{name}: {took:?}");
        let kicks = live.end().unwrap().unwrap();
        eprintln!("{name}: {kicks:?}, {took:?}");
        // Not only between commands, each of which takes nearly 4 s.
        assert!(kicks.longest_gap_us < 2_000_000, "{name}: {kicks:?}");
    });
}

/// A copy of the image whose agent stops at its first instruction: clocks, timers and watchdog run by then.
fn hanging(image: &Path, folder: &Path) -> PathBuf {
    let mut elf = std::fs::read(image).unwrap();
    let file = object::File::parse(elf.as_slice()).unwrap();
    let agent = file.symbols().find(|symbol| {
        let name = symbol.name().unwrap_or_default();
        name.contains("assay_firmware3run") && name.contains("$GT$3run")
    });
    let address = agent.unwrap().address() & !1;
    let place = file.sections().find_map(|section| {
        let (start, len) = section.file_range()?;
        let into = address.checked_sub(section.address())?;
        (into < len).then_some(start + into)
    });
    let at = usize::try_from(place.unwrap()).unwrap();
    elf[at..at + 2].copy_from_slice(&FOR_EVER);
    let path = folder.join("hanging.elf");
    std::fs::write(&path, elf).unwrap();
    path
}

/// The board without a verifier, and its TPM.
fn alone(board: &Board, image: &Path, folder: &Path) -> (Qemu, Swtpm) {
    let tpm = cache::copy(&Recipe::with([EkKind::P256]), &folder.join("made")).unwrap();
    let swtpm = tpm.start(&folder.join("tpm"), Mode::Sockets).unwrap();
    let machine = board.manifest.qemu.as_ref().unwrap();
    let launch = Launch::new(machine, image, &swtpm).overlay(OverlayOptions::default());
    (launch.deadline(LIMIT * 2).start().unwrap(), swtpm)
}

#[test]
fn an_image_that_hangs_is_restarted_again_and_again() {
    each(&BOARDS, |name| {
        let folder = tempfile::tempdir().unwrap();
        let board = board::find(name).unwrap();
        let image = board::build(&board, Profile::Firmware).unwrap();
        let image = hanging(&image, folder.path());
        let (qemu, _swtpm) = alone(&board, &image, folder.path());
        let bites = bites(&qemu, 2);
        for pair in bites.windows(2) {
            let apart = Duration::from_nanos(pair[1].0 - pair[0].0);
            assert!(apart > Duration::from_secs(7), "{name}: {bites:?}");
        }
    });
}

/// Time that passes between two instructions: the alarm that was to end a sleep is behind by the time that it is set.
#[test]
fn a_board_that_is_held_up_before_it_sleeps_does_not_sleep_through_its_alarm() {
    each(&ALARMED, |name| {
        // Waits in which no byte of the link comes and ends a sleep.
        let faults = "slow=100@execution/CreatePrimary/always".parse().unwrap();
        let (_bench, live) = start(
            name,
            OverlayOptions {
                late_alarms: true,
                faults,
                ..OverlayOptions::default()
            },
        );
        granted(&live);
        let ended = live.end_with_sums();
        let (kicks, sums) = ended.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(kicks.is_some(), "{name}");
        let late = sums.unwrap().late_alarms;
        assert!(late > 0, "{name}: no alarm was late");
    });
}
