//! Commands over the TSS: whole answers, limits, and what a TPM that is gone or silent comes to.

use std::process::Command;
use std::sync::Mutex;

use assay_firmware::tpm::{DurationClass, Tpm, TpmTransport};
use assay_host_agent::tpm::tcti::TctiError;
use assay_host_agent::tpm::{OpenError, TctiTpm};

use crate::swtpm::{Swtpm, until};

/// TPM2_GetRandom of 16 bytes.
const GET_RANDOM: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7B, 0, 16];

/// A TPM that hangs keeps every other from being opened, so tests of that are one after the other with all the rest.
static ALONE: Mutex<()> = Mutex::new(());

/// Asks for random bytes; the length of the answer.
fn ask(tpm: &mut TctiTpm, room: usize, class: DurationClass) -> Result<usize, TctiError> {
    let mut room = vec![0; room];
    tpm.transact(&GET_RANDOM, &mut room, class).map(<[u8]>::len)
}

pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_command_goes_out_and_its_answer_comes_back_whole() {
    let _alone = alone();
    let swtpm = Swtpm::start();
    let mut tpm = TctiTpm::open(&swtpm.place()).unwrap();
    let mut room = [0; 64];
    let mut seen = Vec::new();
    for _ in 0..3 {
        let response = tpm
            .transact(&GET_RANDOM, &mut room, DurationClass::Long)
            .unwrap();
        assert_eq!((response.len(), &response[..2]), (28, &[0x80, 1][..]));
        assert_eq!(response[10..12], [0, 16]);
        seen.push(response[12..].to_vec());
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2]);
    // An error of the TPM is an answer, too.
    let unknown = [0x80, 1, 0, 0, 0, 10, 0, 0, 0xFF, 0xFF];
    let response = tpm
        .transact(&unknown, &mut room, DurationClass::Medium)
        .unwrap();
    assert_eq!(response, [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x43]);
}

/// A program that is started while the TPM is open, as one of `extension` is, must not have it: it could speak to it.
#[test]
fn a_program_that_is_started_meanwhile_does_not_inherit_the_connection() {
    let _alone = alone();
    // A pipe that answers with what it is told will do as a device.
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("tpmrm0");
    let made = Command::new("mkfifo").arg(&device).status().unwrap();
    assert!(made.success());
    let tpm = TctiTpm::open(&format!("device:{}", device.display()).parse().unwrap()).unwrap();
    let own = std::fs::read_dir("/proc/self/fd").unwrap();
    let leads_there = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_link(entry.unwrap().path()).is_ok_and(|to| to == device)
    };
    assert!(own.into_iter().any(leads_there), "it is open here");
    let inherited = Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()
        .unwrap();
    let inherited = String::from_utf8(inherited.stdout).unwrap();
    assert!(!inherited.contains("tpmrm0"), "{inherited}");
    drop(tpm);
}

#[test]
fn the_command_layer_works_over_it() {
    let _alone = alone();
    let swtpm = Swtpm::start();
    let mut tpm = Tpm::new(TctiTpm::open(&swtpm.place()).unwrap());
    assert!(tpm.start().unwrap().already_started);
    let mut random = [0; 32];
    tpm.random(&mut random).unwrap();
    assert_ne!(random, [0; 32]);
}

#[test]
fn an_answer_longer_than_the_room_for_it_closes_the_connection() {
    let _alone = alone();
    let swtpm = Swtpm::start();
    let mut tpm = TctiTpm::open(&swtpm.place()).unwrap();
    let short = ask(&mut tpm, 27, DurationClass::Long);
    assert_eq!(short, Err(TctiError::Closed));
    let again = ask(&mut tpm, 64, DurationClass::Long);
    assert_eq!(again, Err(TctiError::Closed), "closed for good");
}

#[test]
fn no_tpm_is_an_error_that_says_what_to_look_at() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for place in [
        format!("device:{}", folder.path().join("tpmrm0").display()),
        format!("swtpm:path={}", folder.path().join("socket").display()),
        "tabrmd:bus_name=org.example.Nobody,bus_type=nobus".to_owned(),
    ] {
        let error = TctiTpm::open(&place.parse().unwrap()).unwrap_err();
        assert!(
            matches!(error, OpenError::Tss(rc) if rc != 0),
            "{place}: {error:?}"
        );
        assert!(error.hint().contains("tss"));
    }
}

#[test]
fn a_tpm_that_does_not_answer_is_given_up_and_not_asked_again_until_it_does() {
    let _alone = alone();
    let swtpm = Swtpm::start();
    let mut tpm = TctiTpm::open(&swtpm.place()).unwrap();
    swtpm.signal("-STOP");
    let silent = ask(&mut tpm, 64, DurationClass::Medium);
    assert_eq!(silent, Err(TctiError::Timeout));
    let again = ask(&mut tpm, 64, DurationClass::Medium);
    assert_eq!(again, Err(TctiError::Closed));
    let other = TctiTpm::open(&swtpm.place()).unwrap_err();
    assert_eq!(
        other,
        OpenError::Hanging,
        "one thread, however often it is tried"
    );
    drop(tpm);
    swtpm.signal("-CONT");
    let mut opened = None;
    until("the TPM answers again", || {
        opened = TctiTpm::open(&swtpm.place()).ok();
        opened.is_some()
    });
    let mut tpm = opened.unwrap();
    ask(&mut tpm, 64, DurationClass::Long).unwrap();
}

#[test]
fn whoever_waits_can_be_told_to_stop() {
    let _alone = alone();
    let swtpm = Swtpm::start();
    let mut tpm = TctiTpm::open(&swtpm.place()).unwrap();
    let canceller = tpm.canceller();
    swtpm.signal("-STOP");
    let waiting = std::thread::spawn(move || {
        // Two minutes, if nobody stopped it.
        ask(&mut tpm, 64, DurationClass::KeyGeneration)
    });
    canceller.cancel();
    assert_eq!(waiting.join().unwrap(), Err(TctiError::Cancelled));
    swtpm.signal("-CONT");
    until("the TPM answers again", || {
        TctiTpm::open(&swtpm.place()).is_ok()
    });
}

#[test]
fn a_tpm_that_goes_away_closes_the_connection() {
    let _alone = alone();
    let swtpm = Swtpm::start();
    let mut tpm = TctiTpm::open(&swtpm.place()).unwrap();
    drop(swtpm);
    let gone = ask(&mut tpm, 64, DurationClass::Long);
    assert_eq!(gone, Err(TctiError::Closed));
}
