//! The technician's console in QEMU: bring-up images of boards, typed at; and images for the field, which have nothing of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_hil_tests::board::{self, Board, Profile};
use assay_hil_tests::manufacture::{EkKind, Recipe, cache};
use assay_hil_tests::qemu::{OverlayOptions, Qemu};
use assay_hil_tests::scenario::desk::{Desk, PROMPT, nobodys_record};
use assay_spi_tpm::swtpm::Mode;
use tempfile::TempDir;

/// Only ends a run that has gone wrong.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(180);

/// A desk, and the folder that it stands in.
pub(crate) struct Seat {
    pub(crate) desk: Desk,
    folder: TempDir,
}

impl Seat {
    pub(crate) fn at(name: &str, overlay: OverlayOptions, record: Option<&[u8]>) -> Self {
        let board = board::find(name).unwrap();
        let image = board::build_bringup(&board, Profile::Firmware).unwrap();
        let folder = tempfile::Builder::new().prefix("assay-").tempdir().unwrap();
        let recipe = Recipe::with([EkKind::Rsa2048, EkKind::P256]);
        let tpm = cache::copy(&recipe, &folder.path().join("made")).unwrap();
        let file = record.map(|record| {
            let file = folder.path().join("record");
            std::fs::write(&file, record).unwrap();
            file
        });
        let record = file.as_deref();
        let desk = Desk::start(&board, &image, &tpm, folder.path(), overlay, record, LIFE);
        let mut desk = desk.unwrap();
        let greeting = desk.until_prompt(LIMIT).unwrap();
        assert!(
            greeting.contains(&format!("Assay bring-up console, {name} ")),
            "{greeting}"
        );
        Self { desk, folder }
    }

    pub(crate) fn asks(&mut self, command: &str) -> String {
        self.desk.asks(command, LIMIT).unwrap()
    }
}

fn stm32(overlay: OverlayOptions) -> Seat {
    Seat::at("stm32f405", overlay, None)
}

fn with_faults(plan: &str) -> OverlayOptions {
    OverlayOptions {
        faults: plan.parse().unwrap(),
        ..OverlayOptions::default()
    }
}

/// The rows of a probe that do not depend on the software TPM's version.
fn is_a_whole_probe(said: &str) {
    for row in [
        "chip            Infineon SLB96xx, vendor 0x15D1, device 0x001D, revision 0x",
        "interface       0x",
        "locality        0 granted, TPM_ACCESS 0xA",
        "family          TPM 2.0, TPM_STS 0x",
        "started         by this command\n",
        "manufacturer    IBM\n",
        "vendor string   SW   TPM\n",
        "firmware        ",
        "specification   2.0, revision 1.",
        "self-test       passed\n",
        "PCR banks       ",
        "sha256",
        "EK certificates\n",
        "  0x01C00002   RSA 2048 certificate, ",
        "  0x01C0000A   P-256 certificate, ",
    ] {
        assert!(said.contains(row), "no `{row}` in\n{said}");
    }
    assert!(!said.contains("error"), "{said}");
}

#[test]
fn a_technician_brings_a_blank_board_up_provisions_and_tests_it() {
    for (name, unique_id) in [
        ("stm32f405", "unique id       a1b2030405060708090a0b0c\n"),
        ("stm32l476", ""),
        ("nrf52840dk", ""),
    ] {
        is_brought_up(name, unique_id);
    }
}

fn is_brought_up(name: &str, unique_id: &str) {
    let overlay = OverlayOptions {
        writable_record: true,
        unique_id: Some([0xA1, 0xB2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ..OverlayOptions::default()
    };
    let mut seat = Seat::at(name, overlay, None);
    let info = seat.asks("info");
    for row in [
        &*format!("board           {name}\n"),
        unique_id,
        "starts          never counted\n",
        "label           none\n",
        "record          none: no provisioning record\n",
    ] {
        assert!(info.contains(row), "no `{row}` in\n{info}");
    }
    is_a_whole_probe(&seat.asks("tpm probe"));
    assert_eq!(seat.asks("tpm selftest"), "self-test       passed\n");
    let trace = seat.asks("spi trace 5");
    assert_eq!(trace.lines().count(), 6, "{trace}");

    let record = nobodys_record().unwrap();
    let said = paste(&mut seat, "provision", &hex::encode(&record));
    assert!(
        said.contains(&format!("written, {} bytes\n", record.len())),
        "{said}"
    );
    assert!(seat.asks("settings label slot 7").contains("slot 7"));
    let fit = seat.asks("selftest");
    assert!(fit.ends_with("fit to log in\n"), "{fit}");

    // All of it outlives the board's own reset.
    seat.desk.types(b"reset\r").unwrap();
    let greeting = seat.desk.until_prompt(LIMIT).unwrap();
    assert!(
        greeting.contains("restarting\n") && greeting.contains("bring-up console"),
        "{greeting}"
    );
    let info = seat.asks("info");
    assert!(
        info.contains("label           slot 7\n") && info.contains("  cluster       lab\n"),
        "{info}"
    );
    // The TPM was not reset with it, and the probe sees that.
    let probe = seat.asks("tpm probe");
    assert!(
        probe.contains("started         before this command"),
        "{probe}"
    );

    // Another record takes its place by force only.
    let mut other = record.clone();
    let at = other.windows(3).position(|three| three == b"lab").unwrap();
    other[at..at + 3].copy_from_slice(b"bar");
    let end = other.len() - 4;
    let crc = crc32(&other[..end]);
    other[end..].copy_from_slice(&crc.to_be_bytes());
    let text = hex::encode(&other);
    let said = paste(&mut seat, "provision", &text);
    assert!(
        said.contains("error: this board has another record\n"),
        "{said}"
    );
    let said = paste(&mut seat, "provision force", &text);
    assert!(said.contains("written"), "{said}");
    assert!(seat.asks("info").contains("  cluster       bar\n"));
}

/// The flash is a chip beside the microcontroller, and the image runs from it.
#[test]
fn a_board_that_runs_from_the_flash_that_it_changes_takes_its_record_all_the_same() {
    let overlay = OverlayOptions {
        writable_record: true,
        ..OverlayOptions::default()
    };
    let mut seat = Seat::at("rp2350", overlay, None);
    let info = seat.asks("info");
    assert!(info.contains("record          none: no "), "{info}");
    let record = nobodys_record().unwrap();
    let said = paste(&mut seat, "provision", &hex::encode(&record));
    let written = format!("written, {} bytes\n", record.len());
    assert!(said.contains(&written), "{said}");
    assert!(seat.asks("settings label slot 7").contains("slot 7"));
    // It cannot reset its TPM: its watchdog restarts it.
    seat.desk.types(b"reset\r").unwrap();
    let greeting = seat.desk.until_prompt(LIMIT).unwrap();
    assert!(greeting.contains("bring-up console"), "{greeting}");
    let info = seat.asks("info");
    assert!(
        info.contains("label           slot 7\n") && info.contains("  cluster       lab\n"),
        "{info}"
    );
}

/// CRC-32/ISO-HDLC, bit by bit: a second one beside the record's own.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    !crc
}

/// Types a record in lines of 64, and returns the last answer.
pub(crate) fn paste(seat: &mut Seat, command: &str, text: &str) -> String {
    seat.asks(command);
    let mut last = String::new();
    for line in text.as_bytes().chunks(64) {
        last = seat.asks(std::str::from_utf8(line).unwrap());
    }
    last
}

#[test]
fn a_board_without_flash_shows_its_record_and_says_how_it_is_written() {
    let record = nobodys_record().unwrap();
    let mut seat = Seat::at("mps2-an386", OverlayOptions::default(), Some(&record));
    let info = seat.asks("info");
    assert!(
        info.contains("board           mps2-an386\n")
            && info.contains("  trust domain  example.org\n")
            && info.contains(
                // SHA-256 of the key's SubjectPublicKeyInfo, by openssl.
                "  verifier key  sha256 5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3\n"
            )
            && !info.contains("label"),
        "{info}"
    );
    is_a_whole_probe(&seat.asks("tpm probe"));
    let said = seat.asks("settings");
    assert!(
        said.starts_with("error: this board has no settings\n"),
        "{said}"
    );
    let mut other = record.clone();
    let at = other.windows(3).position(|three| three == b"lab").unwrap();
    other[at..at + 3].copy_from_slice(b"bar");
    let end = other.len() - 4;
    let crc = crc32(&other[..end]);
    other[end..].copy_from_slice(&crc.to_be_bytes());
    let said = paste(&mut seat, "provision force", &hex::encode(other));
    assert!(
        said.contains(
            "error: this board cannot write its own record\nhint: `./x console mps2-an386 --record FILE`, or start QEMU with -device loader,"
        ),
        "{said}"
    );
    seat.desk.types(b"reset\r").unwrap();
    let greeting = seat.desk.until_prompt(LIMIT).unwrap();
    assert!(greeting.contains("bring-up console"), "{greeting}");
    drop(seat.folder);
}

/// The rungs of docs/boards/porting.md, step 6, on the board that it copies: the same parts, and its own binary with the feature.
#[test]
fn the_rungs_of_the_porting_guide_hold_on_the_board_that_it_begins_with() {
    let overlay = with_faults("miso-stuck-high@any/any/always");
    let mut unplugged = Seat::at("stm32l476", overlay, None);
    let said = unplugged.asks("tpm probe");
    assert!(
        said.contains("MISO stays high, every byte reads 0xFF"),
        "{said}"
    );
    drop(unplugged);

    let record = nobodys_record().unwrap();
    let mut seat = Seat::at("stm32l476", OverlayOptions::default(), Some(&record));
    let info = seat.asks("info");
    for row in ["board           stm32l476\n", "record          whole\n"] {
        assert!(info.contains(row), "no `{row}` in\n{info}");
    }
    is_a_whole_probe(&seat.asks("tpm probe"));
    assert_eq!(seat.asks("tpm selftest"), "self-test       passed\n");
    let fit = seat.asks("selftest");
    assert!(fit.ends_with("fit to log in\n"), "{fit}");
    let said = paste(&mut seat, "provision force", &hex::encode(&record));
    assert!(said.contains("this record is there already"), "{said}");
}

#[test]
fn wrong_input_over_long_lines_and_noise_leave_the_console_as_it_was() {
    let mut seat = stm32(OverlayOptions::default());
    assert_eq!(
        seat.asks("help me").lines().count(),
        12,
        "all commands and a word on keys"
    );
    let said = seat.asks("frobnicate");
    assert_eq!(
        said,
        "error: no such command\nhint: type `help` for the commands\n"
    );
    let long = "x".repeat(300);
    seat.desk.types(format!("{long}\r").as_bytes()).unwrap();
    let said = seat.desk.until_prompt(LIMIT).unwrap();
    assert!(
        said.contains("error: line of more than 80 characters\n"),
        "{said}"
    );
    seat.desk.types(b"inf\x08\x7Fnfx\x08o\r").unwrap();
    let said = seat.desk.until_prompt(LIMIT).unwrap();
    assert!(said.contains("board           stm32f405\n"), "{said}");
    let noise: Vec<u8> = (0..=u8::MAX).filter(|byte| *byte != 0x03).collect();
    seat.desk.types(&noise).unwrap();
    seat.desk.types(b"\x1B\x03").unwrap();
    // Every CR and LF of the noise has its prompt; Ctrl-C has the last.
    while !seat.desk.until_prompt(LIMIT).unwrap().contains("^C") {}
    assert!(seat.asks("info").contains("board           stm32f405\n"));
}

#[test]
fn every_way_in_which_no_tpm_answers_is_told_from_the_others() {
    for (plan, why) in [
        (
            "miso-stuck-high@any/any/always",
            "error: no TPM answers: MISO stays high, every byte reads 0xFF\n",
        ),
        (
            "miso-stuck-low@any/any/always",
            "error: the TPM answers with wait states without end: MISO is low while it is selected\n",
        ),
        (
            "wait-endless@any/any/always",
            "error: the TPM answers with wait states without end: MISO is low while it is selected\n",
        ),
    ] {
        let mut seat = stm32(with_faults(plan));
        let said = seat.asks("tpm probe");
        assert!(
            said.starts_with(why) && said.contains("\nhint: "),
            "{plan}: {said}"
        );
        let fit = seat.asks("selftest");
        assert!(fit.contains("TPM             FAILED: "), "{plan}: {fit}");
        // What needs no TPM goes on.
        assert!(seat.asks("info").contains("board           stm32f405\n"));
    }
}

#[test]
fn a_tpm_that_is_stuck_ends_the_command_and_not_the_console() {
    let mut seat = stm32(with_faults("go-ignored@reception/#1/always"));
    let said = seat.asks("tpm probe");
    assert!(
        said.contains("locality        0 granted") && said.contains("error: TPM did not answer"),
        "{said}"
    );
    assert!(seat.asks("info").contains("board           stm32f405\n"));
    let said = seat.asks("spi trace 4");
    assert_eq!(said.lines().count(), 5, "{said}");
}

#[test]
fn ctrl_c_stops_a_probe() {
    let mut seat = stm32(OverlayOptions::default());
    seat.desk.types(b"tpm probe\r\x03").unwrap();
    let said = seat.desk.until_prompt(LIMIT).unwrap();
    let said = if said.contains("stopped") {
        said
    } else {
        // The byte came after the probe's last look for it, and is a line of its own.
        seat.desk.until_prompt(LIMIT).unwrap()
    };
    assert!(said.contains("^C"), "{said}");
    assert!(seat.asks("info").contains("uptime"));
}

fn texts(image: &Path) -> String {
    let bytes = std::fs::read(image).unwrap();
    let shown = bytes.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '\n',
    });
    shown.collect()
}

/// What differs between chips, versions and runs: every digit of it is a `#`.
const OWN_NUMBERS: [&str; 10] = [
    "Assay bring-up console",
    "version ",
    "uptime ",
    "interface ",
    "locality ",
    "family ",
    "firmware ",
    "specification ",
    "  0x01C0",
    // The number of an access.
    "   1",
];

fn masked(session: &str) -> Vec<String> {
    let line = |line: &str| {
        let line = line.trim_end();
        if !OWN_NUMBERS.iter().any(|own| line.starts_with(own)) {
            return line.to_owned();
        }
        let shown = line.chars().map(|c| match c {
            '0'..='9' | 'A'..='F' => '#',
            other => other,
        });
        // Numbers of another length are as good.
        let mut shown: String = shown.collect();
        while shown.contains("##") {
            shown = shown.replace("##", "#");
        }
        shown
    };
    session.trim().lines().map(line).collect()
}

#[test]
fn the_documented_session_is_what_the_board_says() {
    let document = board::workspace_root().join("docs/boards/bring-up.md");
    let document = std::fs::read_to_string(document).unwrap();
    let session = document.split("```text\n").nth(1).unwrap();
    let session = session.split("\n```").next().unwrap();
    let typed = session
        .lines()
        .filter_map(|line| line.strip_prefix(PROMPT).or(line.strip_prefix("record> ")));
    let typed: Vec<_> = typed.collect();
    assert!(typed.len() > 6, "{typed:?}");

    let board = board::find("stm32f405").unwrap();
    let image = board::build_bringup(&board, Profile::Firmware).unwrap();
    let folder = tempfile::Builder::new().prefix("assay-").tempdir().unwrap();
    let tpm = cache::copy(&Recipe::all(), &folder.path().join("made")).unwrap();
    let overlay = OverlayOptions {
        writable_record: true,
        ..OverlayOptions::default()
    };
    let desk = Desk::start(&board, &image, &tpm, folder.path(), overlay, None, LIFE);
    let mut desk = desk.unwrap();
    let mut heard = desk.until_prompt(LIMIT).unwrap();
    for line in typed {
        desk.types(format!("{line}\r").as_bytes()).unwrap();
        heard.push_str(&desk.until_prompt(LIMIT).unwrap());
    }
    let heard = heard.strip_suffix(PROMPT).unwrap();
    assert_eq!(masked(heard), masked(session), "{heard}");
}

/// What every console has: of its texts, and of its functions, which the ELF names though the flash does not.
const TRACES: [&str; 6] = [
    PROMPT,
    "bring-up console",
    "cannot restart itself",
    "tpm probe",
    "7console",
    "AccessLog",
];

/// The image for the field of every board that has a console, as a binary of its own or as a feature of the same one.
fn field_images() -> Vec<(Board, PathBuf)> {
    let boards = board::all().unwrap();
    let with_console = boards.into_iter().filter(|board| {
        let features = &board.manifest.features;
        board.manifest.bringup || features.iter().any(|feature| feature == "console")
    });
    with_console
        .map(|board| {
            let field = board::build(&board, Profile::Firmware).unwrap();
            (board, field)
        })
        .collect()
}

#[test]
fn an_image_for_the_field_has_nothing_of_the_console() {
    let images = field_images();
    let of_one_binary = images.iter().filter(|(board, _)| !board.manifest.bringup);
    assert!(of_one_binary.count() >= 2, "{images:?}");
    let mut consoles = 0;
    for (board, image) in images {
        let field = texts(&image);
        for trace in TRACES {
            assert!(!field.contains(trace), "{}: `{trace}`", board.name);
        }
        // The search is not blind. A console of the same binary is another build of all that it is made of.
        if board.manifest.bringup {
            let bringup = texts(&board::build_bringup(&board, Profile::Firmware).unwrap());
            for trace in TRACES {
                assert!(bringup.contains(trace), "{}: no `{trace}`", board.name);
            }
            consoles += 1;
        }
    }
    assert!(consoles >= 2);
}

#[test]
fn no_byte_on_the_link_of_an_image_for_the_field_opens_a_console() {
    let board = board::find("stm32f405").unwrap();
    let image = board::build(&board, Profile::Firmware).unwrap();
    let folder = tempfile::Builder::new().prefix("assay-").tempdir().unwrap();
    let tpm = cache::copy(&Recipe::with([EkKind::P256]), &folder.path().join("made")).unwrap();
    let swtpm = tpm
        .start(&folder.path().join("tpm"), Mode::Sockets)
        .unwrap();
    let record = folder.path().join("record");
    std::fs::write(&record, nobodys_record().unwrap()).unwrap();
    let machine = board.manifest.qemu.as_ref().unwrap();
    let qemu = assay_hil_tests::qemu::Launch::new(machine, &image, &swtpm)
        .load(&record, board.manifest.provisioning_address)
        .start()
        .unwrap();
    let mut asked: Vec<u8> = (0..=u8::MAX).collect();
    asked.extend(b"\r\n\r\n\x03help\r\ninfo\r\n\x1B[A\r\nprovision force\r\n");
    let said = hellos_between(&qemu, &asked);
    // Frames and nothing else: what a person could read is no answer to what was asked.
    let text = String::from_utf8_lossy(&said);
    for trace in ["assay>", "record>", "error:", "hint:", "help", "^C"] {
        assert!(!text.contains(trace), "{text}");
    }
}

/// What the board says until its third hello, with `asked` typed after each.
fn hellos_between(qemu: &Qemu, asked: &[u8]) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut line = qemu.serial().unwrap();
    line.set_read_timeout(Some(LIMIT)).unwrap();
    let mut said = Vec::new();
    let mut frames = 0;
    while frames < 3 {
        let mut byte = [0];
        line.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
        // A frame ends in a zero; one that is empty is none.
        if byte == [0] && said.len() > 40 * (frames + 1) {
            frames += 1;
            line.write_all(asked).unwrap();
        }
    }
    said
}
