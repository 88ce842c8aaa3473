//! The asynchronous driver in QEMU, under embassy: a board that does other things while its TPM works.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use assay_hil_tests::board::{self, Profile};
use assay_hil_tests::manufacture::{EkKind, Recipe, cache};
use assay_hil_tests::qemu::{Launch, OverlayOptions, Qemu};
use assay_spi_tpm::interposer::socket::InterposedSocket;
use assay_spi_tpm::interposer::{Interposer, JournalHandle, Script};
use assay_spi_tpm::swtpm::{Mode, Swtpm};
use tempfile::TempDir;

/// Only ends a run that has gone wrong.
const LIMIT: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(180);

/// How often something is tried that the emulator may be too slow for.
const TRIES: usize = 20;

const STARTUP: u32 = 0x144;
const SELF_TEST: u32 = 0x143;
const GET_RANDOM: u32 = 0x17B;
const PCR_READ: u32 = 0x17E;

/// The board, and whoever types at it.
struct Seat {
    line: BufReader<UnixStream>,
    /// What the TPM was asked and what it said, by the word of nobody but the TPM.
    journal: JournalHandle,
    _qemu: Qemu,
    _swtpm: Swtpm,
    _folder: TempDir,
}

impl Seat {
    fn with(faults: &str) -> Self {
        Self::beside(faults, Box::new(|turn| turn.pass()))
    }

    /// With somebody who uses the TPM as well.
    fn beside(faults: &str, other: Script) -> Self {
        let board = board::find("stm32f405").unwrap();
        let image = board::build_embassy(&board, Profile::Firmware).unwrap();
        let folder = tempfile::Builder::new().prefix("assay-").tempdir().unwrap();
        let recipe = Recipe::with([EkKind::P256]);
        let tpm = cache::copy(&recipe, &folder.path().join("made")).unwrap();
        let swtpm = tpm
            .start(&folder.path().join("tpm"), Mode::Sockets)
            .unwrap();
        let interposer = Interposer::new(swtpm.client(), other);
        let journal = interposer.journal();
        let socket = folder.path().join("interposed.sock");
        let socket = InterposedSocket::listen(&socket, interposer).unwrap();
        let overlay = OverlayOptions {
            faults: faults.parse().unwrap(),
            interposed: Some(socket.path().to_owned()),
            ..OverlayOptions::default()
        };
        let qemu = Launch::new(board.manifest.qemu.as_ref().unwrap(), &image, &swtpm)
            .overlay(overlay)
            .deadline(LIFE)
            .start()
            .unwrap();
        let line = qemu.serial().unwrap();
        line.set_read_timeout(Some(LIMIT)).unwrap();
        let mut seat = Self {
            line: BufReader::new(line),
            journal,
            _qemu: qemu,
            _swtpm: swtpm,
            _folder: folder,
        };
        let greeting = "Assay asynchronous driver under embassy, stm32f405 ";
        let said = seat.hears();
        assert!(said.starts_with(greeting), "{said}");
        seat
    }

    fn types(&mut self, text: &str) {
        self.line.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next line.
    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.line.read_line(&mut line).unwrap();
        let whole = line.strip_suffix("\r\n");
        whole
            .unwrap_or_else(|| panic!("the line ends in {line:?}"))
            .to_owned()
    }

    fn asks(&mut self, request: &str) -> Answer {
        self.types(&format!("{request}\r"));
        Answer::of(&self.hears())
    }

    /// The TPM's own words to the `nth` command of this code.
    fn response(&self, code: u32, nth: usize) -> Vec<u8> {
        let journal = self.journal.snapshot();
        let mut of = journal.exchanges.iter().filter(|one| one.code == code);
        let one = of.nth(nth);
        one.unwrap_or_else(|| panic!("no command {code:#x} number {nth}"))
            .response
            .clone()
    }
}

/// `random: 00ff…; 1234 us, 5 beats`
#[derive(Debug)]
struct Answer {
    said: String,
    us: u64,
    beats: u64,
}

impl Answer {
    fn of(line: &str) -> Self {
        let parts = || {
            let (said, rest) = line.rsplit_once("; ")?;
            let (us, beats) = rest.strip_suffix(" beats")?.split_once(" us, ")?;
            Some(Self {
                said: said.to_owned(),
                us: us.parse().ok()?,
                beats: beats.parse().ok()?,
            })
        };
        parts().unwrap_or_else(|| panic!("{line}"))
    }

    /// The heart beat all the time, every 10 ms. Half of the beats must be in: an emulator that was held up hands out the ticks
    /// it missed in a lump, and the beats after it. A driver that kept the processor would have let none through.
    fn was_alive(&self) {
        assert!(self.us >= 100_000, "{self:?}");
        assert!(self.beats >= self.us / 20_000, "{self:?}");
    }
}

/// The last 32 bytes of a response are the value.
fn pcr_line(index: u8, response: &[u8]) -> String {
    let value = response.last_chunk::<32>().unwrap();
    format!("pcr {index}: {}", hex::encode(value))
}

#[test]
fn what_the_board_says_is_what_the_tpm_said() {
    // Somebody else measures something into PCR 7 before each random number, so that a PCR has a value that no board guesses.
    const DIGEST: [u8; 32] = [0x5A; 32];
    let mut seat = Seat::beside(
        "",
        Box::new(|turn| {
            if turn.code == GET_RANDOM {
                let mut extend = hex::decode(
                    "80020000004100000182000000070000000940000009000000000000000001000b",
                )
                .unwrap();
                extend.extend(DIGEST);
                // Refused before the TPM was started; that it took the other is in the PCR.
                turn.ask(&extend)?;
            }
            turn.pass()
        }),
    );
    let probe = seat.asks("probe").said;
    assert!(
        probe.starts_with("probe: vendor 0x15D1, device 0x001D, revision 0x"),
        "{probe}"
    );
    // A TPM that was not started says so, and the board too.
    let early = seat.asks("random").said;
    assert_eq!(early, "random failed: TPM_RC_INITIALIZE, 0x100");
    assert_eq!(seat.asks("startup").said, "startup done");
    let again = seat.asks("startup").said;
    assert_eq!(again, "startup failed: TPM_RC_INITIALIZE, 0x100");
    assert_eq!(seat.asks("selftest").said, "selftest done");

    let blank = seat.asks("pcr 7").said;
    assert_eq!(blank, format!("pcr 7: {}", "00".repeat(32)));
    let random = seat.asks("random").said;
    let response = seat.response(GET_RANDOM, 1);
    assert_eq!(response.len(), 10 + 2 + 32);
    assert_eq!(random, format!("random: {}", hex::encode(&response[12..])));
    let pcr = seat.asks("pcr 7").said;
    assert_eq!(pcr, pcr_line(7, &seat.response(PCR_READ, 1)));
    let extended = [[0; 32], DIGEST].concat();
    let extended = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &extended);
    assert_eq!(pcr, format!("pcr 7: {}", hex::encode(extended)));
    let launched = seat.asks("pcr 17").said;
    assert_eq!(launched, format!("pcr 17: {}", "ff".repeat(32)));

    let journal = seat.journal.snapshot();
    let codes: Vec<_> = journal.exchanges.iter().map(|one| one.code).collect();
    assert_eq!(
        codes,
        [
            GET_RANDOM, STARTUP, STARTUP, SELF_TEST, PCR_READ, GET_RANDOM, PCR_READ, PCR_READ
        ]
    );
}

#[test]
fn other_tasks_go_on_while_the_tpm_works() {
    let mut seat = Seat::with("slow=400@execution/SelfTest/always");
    assert_eq!(seat.asks("startup").said, "startup done");
    // Each time in one piece. How fast the emulator feeds the line nobody promises, so the second request may come too late;
    // it never came early with a driver that keeps the processor.
    let is_early = (0..TRIES).any(|_| {
        seat.types("selftest\rstatus\r");
        let (first, second) = (seat.hears(), seat.hears());
        let is_early = first.starts_with("status: tpm busy, ");
        let tested = Answer::of(if is_early { &second } else { &first });
        assert_eq!(tested.said, "selftest done");
        // As long as the pauses between so many polls, at least.
        assert!(tested.us > 500_000, "{tested:?}");
        tested.was_alive();
        is_early
    });
    assert!(is_early, "nobody was answered while the TPM worked");
    seat.types("status\r");
    let status = seat.hears();
    assert!(status.starts_with("status: tpm idle, "), "{status}");
}

#[test]
fn a_command_that_somebody_gave_up_does_not_hurt_the_next_one() {
    // Random numbers take two milliseconds at least, the self-test half a second.
    let mut seat = Seat::with("slow=400@execution/SelfTest;slow=20@execution/GetRandom/always");
    assert_eq!(seat.asks("startup").said, "startup done");
    // In the TPM's hands.
    let dropped = seat.asks("within 100000 selftest");
    assert_eq!(dropped.said, "selftest given up");
    dropped.was_alive();
    let whole = |random: &Answer| random.said.starts_with("random: ") && random.said.len() == 72;
    let random = seat.asks("random");
    assert!(whole(&random), "{random:?}");
    // And everywhere on the way to it, a tenth of a millisecond later each time.
    let mut given_up = 0;
    for patience in (0..).step_by(100) {
        let random = seat.asks(&format!("within {patience} random"));
        if whole(&random) {
            break;
        }
        assert_eq!(random.said, "random given up", "{patience}");
        given_up += 1;
        let next = seat.asks("pcr 0").said;
        assert_eq!(next, format!("pcr 0: {}", "00".repeat(32)), "{patience}");
    }
    assert!(given_up >= 20, "{given_up}");
    let random = seat.asks("random");
    assert!(whole(&random), "{random:?}");
}

#[test]
fn a_tpm_that_never_answers_is_an_error_within_its_limit_and_the_next_command_works() {
    let mut seat = Seat::with("data-never@execution/SelfTest");
    assert_eq!(seat.asks("startup").said, "startup done");
    let failed = seat.asks("selftest");
    assert_eq!(
        failed.said,
        "selftest failed: TPM did not answer in time; command aborted"
    );
    assert!(failed.us >= 2_000_000, "{failed:?}");
    failed.was_alive();
    assert_eq!(seat.asks("selftest").said, "selftest done");
}

#[test]
fn a_missing_tpm_is_an_error_and_the_board_lives_on() {
    let mut seat = Seat::with("miso-stuck-high@any/any/always");
    let missing = seat.asks("probe");
    assert_eq!(missing.said, "probe failed: no TPM answers on the bus");
    missing.was_alive();
    let missing = seat.asks("random");
    assert_eq!(missing.said, "random failed: no TPM answers on the bus");
    missing.was_alive();
    assert!(seat.journal.snapshot().exchanges.is_empty());
}

#[test]
fn a_line_that_is_no_request_is_answered_by_what_is() {
    let mut seat = Seat::with("");
    let long = "x".repeat(500);
    for nonsense in [
        "nonsense",
        "pcr",
        "pcr 24",
        "random 1",
        "within random",
        &long,
    ] {
        seat.types(&format!("{nonsense}\r"));
        let said = seat.hears();
        assert!(said.starts_with("what? "), "{nonsense}: {said}");
    }
    assert!(seat.asks("probe").said.starts_with("probe: "));
}
