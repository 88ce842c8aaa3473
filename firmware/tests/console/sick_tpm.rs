//! TPMs that are absent, hang or fail: each is told from the others, and no command hangs with them.

use std::time::Duration;

use crate::desk::Desk;
use crate::model::{Shared, fifo};
use crate::tpm::{answer, healthy, response};

/// What `command` says, and the virtual time that it took.
fn asked(tpm: &Shared, command: &str) -> (String, Duration) {
    let mut desk = Desk::new(tpm);
    let said = desk.asks(command);
    (said, Duration::from_micros(desk.delay.us()))
}

/// The longest that any command may take, whatever the TPM does.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn no_tpm_is_told_at_once_and_with_a_hint() {
    let tpm = healthy();
    tpm.borrow_mut().floating = u32::MAX;
    for command in ["tpm probe", "tpm selftest"] {
        let (said, took) = asked(&tpm, command);
        assert_eq!(
            said,
            "error: no TPM answers: MISO stays high, every byte reads 0xFF\n\
             hint: check the TPM's supply, its reset line (high?), chip select and MISO\n"
        );
        assert_eq!(took, Duration::ZERO);
    }
}

#[test]
fn a_locality_that_is_not_granted_is_shown_as_it_is() {
    let tpm = healthy();
    tpm.borrow_mut().deaf_to_request = u32::MAX;
    let (said, took) = asked(&tpm, "tpm probe");
    assert!(
        said.ends_with(
            "error: locality 0 is not granted: TPM_ACCESS is 0x81\n\
             hint: switch the TPM's power off and on, then `tpm probe`\n"
        ),
        "{said}"
    );
    assert!(took < LIMIT);
}

#[test]
fn a_tpm_that_hangs_ends_every_command_within_its_limit() {
    for command in ["tpm probe", "tpm selftest", "selftest"] {
        let tpm = healthy();
        tpm.borrow_mut().hangs = true;
        tpm.borrow_mut().deaf_to_cancel = true;
        let (said, took) = asked(&tpm, command);
        assert!(
            said.contains("TPM did not answer in time and cannot be aborted; reset it\n"),
            "{command}: {said}"
        );
        assert!(
            took > Duration::from_millis(500) && took < LIMIT,
            "{took:?}"
        );
    }
}

#[test]
fn a_tpm_that_is_never_ready_ends_every_command_within_its_limit() {
    let tpm = healthy();
    tpm.borrow_mut().deaf_to_ready = u32::MAX;
    let (said, took) = asked(&tpm, "tpm probe");
    assert!(
        said.contains("error: TPM does not become ready for a command\n"),
        "{said}"
    );
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn a_tpm_in_failure_mode_says_why() {
    let tpm = fifo(|command| match command[6..10] {
        [0, 0, 1, 0x44] => answer(command),
        // Works in failure mode: four bytes of the maker's, and the result.
        [0, 0, 1, 0x7C] => response(0, &[0, 4, 0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 1, 1]),
        _ => response(0x101, &[]),
    });
    for command in ["tpm probe", "tpm selftest"] {
        let (said, _) = asked(&tpm, command);
        assert!(
            said.ends_with(
                "self-test       FAILED, TPM_RC_FAILURE, 0x101, data cafebabe\n\
                 error: TPM is in failure mode\n\
                 hint: switch the TPM's power off and on; if it fails again it is broken\n"
            ),
            "{said}"
        );
    }
}

#[test]
fn a_self_test_without_end_is_given_up() {
    let tpm = fifo(|command| match command[6..10] {
        [0, 0, 1, 0x7C] => response(0, &[0, 0, 0, 0, 0x09, 0x0A]),
        _ => answer(command),
    });
    let (said, took) = asked(&tpm, "tpm selftest");
    assert!(
        said.starts_with("error: the TPM still tests itself\n"),
        "{said}"
    );
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn ctrl_c_stops_a_command_between_two_tpm_commands_and_what_was_typed_with_it() {
    let mut desk = Desk::new(&healthy());
    desk.heard();
    let said = desk.types(b"tpm probe\rinfo\r\x03");
    assert!(
        said.contains("^C\nerror: stopped\n") && said.ends_with("assay> "),
        "{said}"
    );
    assert!(!said.contains("EK certificates") && !said.contains("uptime"));
    assert!(desk.asks("tpm probe").contains("EK certificates\n"));
}

#[test]
fn ctrl_c_stops_the_wait_for_a_self_test() {
    let mut polls = 0;
    let tpm = fifo(move |command| match command[6..10] {
        [0, 0, 1, 0x7C] => {
            polls += 1;
            assert!(polls < 2, "the wait goes on");
            response(0, &[0, 0, 0, 0, 0x09, 0x0A])
        }
        _ => answer(command),
    });
    // The model's delay does not let time pass for the person, so the byte is there from the start; the first look
    // for it comes before the test.
    let said = Desk::new(&tpm).types(b"tpm selftest\r\x03");
    assert!(said.contains("error: stopped\n"), "{said}");
}

#[test]
fn what_is_typed_while_a_command_runs_is_the_next_command() {
    let mut desk = Desk::new(&healthy());
    let said = desk.types(b"tpm probe\rinfo\r");
    assert!(
        said.contains("EK certificates") && said.contains("uptime"),
        "{said}"
    );
}

#[test]
fn the_watchdog_is_kicked_between_steps() {
    let mut desk = Desk::new(&healthy());
    desk.asks("tpm probe");
    assert!(desk.knobs.borrow().kicks > 5);
}
