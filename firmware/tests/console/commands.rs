//! Commands that need no TPM, and lines that are no commands.

use assay_firmware::console::MAX_LINE;
use assay_firmware::settings::SettingsError;

use crate::desk::Desk;
use crate::provisioning::{FINGERPRINT, pinned_record, record};
use crate::tpm::healthy;

fn desk() -> Desk {
    Desk::new(&healthy())
}

#[test]
fn the_greeting_says_what_this_image_is() {
    let greeting = desk().heard();
    assert_eq!(
        greeting,
        "\nAssay bring-up console, desk 9.9.9\n\
         This image does not log in. Type `help` for the commands.\nassay> "
    );
}

#[test]
fn help_names_only_commands_that_there_are() {
    let mut desk = desk();
    let help = desk.asks("help");
    let usages: Vec<_> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .map(|line| line.split(['[', ' ']).next().unwrap().to_owned())
        .collect();
    assert_eq!(usages.len(), 11, "{help}");
    for command in usages {
        let said = desk.types(format!("{command}\r\x03").as_bytes());
        assert!(!said.contains("no such command"), "{command}: {said}");
    }
    assert!(help.lines().all(|line| line.len() <= MAX_LINE + 10));
}

#[test]
fn a_board_without_a_record_says_so() {
    assert_eq!(
        desk().asks("info"),
        "\
board           desk
version         9.9.9
unique id       dead01
starts          7
label           none
uptime          0 d 03:04:05
record          none: no provisioning record
protection      write protection not known
"
    );
}

#[test]
fn a_record_is_shown_with_the_fingerprint_that_the_verifier_shows() {
    let mut desk = desk();
    desk.knobs.borrow_mut().record = record("lab");
    let said = desk.asks("info");
    let expected = format!(
        "\
record          whole
  cluster       lab
  trust domain  example.org
  verifier key  sha256 {FINGERPRINT}
  EK pin        none: any TPM will do
protection      write protection not known
"
    );
    assert!(said.ends_with(&expected), "{said}");
}

#[test]
fn a_pinned_record_shows_its_tpm_and_not_its_secret() {
    let mut desk = desk();
    let (record, name, secret) = pinned_record();
    desk.knobs.borrow_mut().record = record;
    let said = desk.asks("info");
    assert!(
        said.ends_with(&format!(
            "  EK pin        Name {name}\n  secret        32 bytes, not shown\n\
             protection      write protection not known\n"
        )),
        "{said}"
    );
    assert!(!said.contains(&secret), "{said}");
}

#[test]
fn a_damaged_record_is_not_shown_as_a_whole_one() {
    let mut desk = desk();
    let mut record = record("lab");
    *record.last_mut().unwrap() ^= 1;
    desk.knobs.borrow_mut().record = record;
    let said = desk.asks("info");
    assert!(
        said.contains(
            "record          none: provisioning record cut short or damaged\nprotection "
        ),
        "{said}"
    );
}

#[test]
fn what_is_no_command_does_nothing_and_says_so() {
    let mut desk = desk();
    for line in ["foo", "INF", "tpmprobe", "infoo", "; reset", "\u{7f}spi"] {
        let said = desk.types(format!("{line}\r").as_bytes());
        assert!(said.contains("error: "), "{line}: {said}");
        assert!(said.contains("\nhint: "), "{line}: {said}");
    }
    for line in ["tpm", "tpm probe now", "spi", "spi trace 1 2", "tpm reset"] {
        assert!(
            desk.asks(line).starts_with("error: it is written: "),
            "{line}"
        );
    }
    for line in ["info now", "reset now", "selftest all"] {
        let said = desk.asks(line);
        assert!(
            said.starts_with("error: this command takes no arguments\n"),
            "{line}"
        );
    }
    assert_eq!(desk.knobs.borrow().resets, 0);
    assert_eq!(desk.asks(""), "");
    assert_eq!(desk.asks("   "), "");
}

#[test]
fn a_line_that_is_too_long_is_not_half_done() {
    let mut desk = desk();
    desk.heard();
    let long = format!("reset{}\r", " ".repeat(MAX_LINE));
    let said = desk.types(long.as_bytes());
    assert!(
        said.contains("error: line of more than 80 characters\n"),
        "{said}"
    );
    assert_eq!(desk.knobs.borrow().resets, 0);
    assert!(desk.asks("info").starts_with("board "));
}

#[test]
fn bytes_of_any_value_neither_panic_nor_hang() {
    let mut desk = desk();
    let mut noise: u32 = 0x1234_5678;
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..64)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect();
        desk.types(&bytes);
    }
    desk.types(b"\x03");
    assert!(desk.asks("info").starts_with("board "));
    assert_eq!(desk.knobs.borrow().record_writes, 0);
}

#[test]
fn a_label_is_kept_shown_and_bounded() {
    let mut desk = desk();
    assert_eq!(desk.asks("settings label"), "label           none\n");
    assert_eq!(
        desk.asks("settings label rack 7, slot 2"),
        "label           rack 7, slot 2\n"
    );
    assert_eq!(
        desk.asks("settings"),
        "starts          7\nlabel           rack 7, slot 2\n"
    );
    assert!(
        desk.asks("info")
            .contains("label           rack 7, slot 2\n")
    );
    let long = format!("settings label {}", "x".repeat(65));
    assert!(desk.asks(&long).starts_with("error: setting too long\n"));
    assert!(
        desk.asks("settings name x")
            .starts_with("error: it is written: ")
    );
}

#[test]
fn a_command_is_known_in_any_case_and_a_label_keeps_its_own() {
    let mut desk = desk();
    let info = desk.asks("info");
    assert!(info.starts_with("board "), "{info}");
    assert_eq!(desk.asks("  INFO"), info);
    let probe = desk.asks("TPM Probe");
    assert!(probe.starts_with("chip "), "{probe}");
    assert_eq!(
        desk.asks("Settings LABEL Rack 7"),
        "label           Rack 7\n"
    );
    assert_eq!(desk.asks("SETTINGS label"), "label           Rack 7\n");
}

#[test]
fn a_label_of_somebody_elses_cannot_move_the_terminals_cursor() {
    let mut desk = desk();
    let label = b"a\x1B[2Jb".to_vec();
    desk.knobs
        .borrow_mut()
        .settings
        .as_mut()
        .unwrap()
        .insert(3, label);
    assert_eq!(desk.asks("settings label"), "label           a.[2Jb\n");
}

#[test]
fn settings_that_fail_and_settings_that_are_not_there_are_told_apart() {
    let mut desk = desk();
    desk.knobs.borrow_mut().settings_fault = Some(SettingsError::Damaged);
    assert!(
        desk.asks("settings")
            .starts_with("error: settings damaged beyond repair\n")
    );
    assert!(
        desk.asks("info")
            .contains("label           not known: settings damaged")
    );
    desk.knobs.borrow_mut().settings = None;
    assert!(
        desk.asks("settings")
            .starts_with("error: this board has no settings\n")
    );
    assert!(!desk.asks("info").contains("label"));
}

#[test]
fn one_answer_says_whether_the_board_is_fit() {
    let mut desk = desk();
    let said = desk.asks("selftest");
    assert!(
        said.contains("record          FAILED: no provisioning record\n")
            && said.ends_with("error: one test failed\nhint: the lines above say what is wrong\n"),
        "{said}"
    );
    desk.knobs.borrow_mut().record = record("lab");
    assert_eq!(
        desk.asks("selftest"),
        "self-test       passed\n\
         TPM             ok\n\
         settings        ok\n\
         record          ok\n\
         fit to log in\n"
    );
    desk.knobs.borrow_mut().settings_fault = Some(SettingsError::Flash);
    let said = desk.asks("selftest");
    assert!(
        said.contains("settings        FAILED: flash failed\n"),
        "{said}"
    );
}

#[test]
fn a_reset_asks_the_board_and_says_when_it_is_still_there() {
    let mut desk = desk();
    assert_eq!(
        desk.asks("reset"),
        "restarting\nerror: this board cannot restart itself\nhint: press its reset button\n"
    );
    assert_eq!(desk.knobs.borrow().resets, 1);
}
