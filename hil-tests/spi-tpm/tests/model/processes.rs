//! The software TPM as a process: what is refused before the start, and that nothing outlives its handle.

use std::path::Path;
use std::time::Duration;

use assay_spi_tpm::backend::BackendError;
use assay_spi_tpm::swtpm::{Mode, StartError, Swtpm, SwtpmSocket};
use assay_spi_tpm::{SpiTpm, TpmBackend};

use super::host::{GET_RANDOM, Host, STARTUP, rc};
use super::software_tpm::swtpm;

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/cmdline")).exists()
}

#[test]
fn the_process_ends_with_its_handle() {
    let (_folder, process) = swtpm();
    let pid = process.pid();
    assert!(runs(pid));
    drop(process);
    assert!(!runs(pid));
}

#[test]
fn a_relative_state_folder_and_a_long_socket_path_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Swtpm::start(Path::new("state"), folder.path(), Mode::Sockets);
    assert!(matches!(refused, Err(StartError::RelativeState(_))));
    let long = folder.path().join("x".repeat(100));
    let refused = Swtpm::start(&folder.path().join("state"), &long, Mode::Sockets);
    assert!(matches!(refused, Err(StartError::PathTooLong(_))));
}

#[test]
fn a_state_that_is_no_state_ends_with_swtpms_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("tpm2-00.permall"), b"not a state").unwrap();
    let started = Swtpm::start(&state, folder.path(), Mode::Sockets);
    match started {
        Err(StartError::Ended { .. }) => {}
        // It may fail only at the first command.
        Ok(process) => assert!(process.client().execute(&STARTUP, 0).is_err_or_failure()),
        other => panic!("{other:?}"),
    }
}

trait IsErrOrFailure {
    fn is_err_or_failure(&self) -> bool;
}

impl IsErrOrFailure for Result<Vec<u8>, BackendError> {
    fn is_err_or_failure(&self) -> bool {
        self.as_ref().map_or(true, |response| rc(response) != 0)
    }
}

#[test]
fn state_survives_a_power_cycle_and_the_client_finds_the_new_process() {
    let (_folder, mut process) = swtpm();
    let mut client = process.client();
    client.execute(&STARTUP, 0).unwrap();
    let pid = process.pid();
    process.power_on().unwrap();
    assert_ne!(process.pid(), pid);
    // The first command meets the dead connection, the next connects anew.
    let _ = client.execute(&GET_RANDOM, 0);
    assert_eq!(rc(&client.execute(&GET_RANDOM, 0).unwrap()), 0x100);
    assert_eq!(rc(&client.execute(&STARTUP, 0).unwrap()), 0);
}

#[test]
fn a_killed_process_is_an_unresponsive_tpm_and_never_a_panic() {
    let (_folder, mut process) = swtpm();
    let mut host = Host::new(SpiTpm::new(
        process.client(),
        assay_spi_tpm::Config::default(),
    ));
    host.claim().unwrap();
    host.transact(&STARTUP).unwrap();
    process.power_off();
    assert!(host.transact(&GET_RANDOM).is_err());
    assert!(host.tpm.is_dead());
    assert_eq!(host.read::<4>(0xF00).unwrap(), [0xFF; 4]);
}

#[test]
fn a_socket_that_nobody_serves_is_named() {
    let mut client = SwtpmSocket::new(Path::new("/nonexistent/tpm.sock"), None);
    let error = client.connect().unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/tpm.sock"),
        "{error}"
    );
    assert!(matches!(client.reset(), Err(BackendError::Unsupported(_))));
}

#[test]
fn a_tpm_that_does_not_answer_in_time_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mute");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut client = SwtpmSocket::new(&path, None).with_timeout(Duration::from_millis(50));
    assert!(matches!(
        client.execute(&STARTUP, 0),
        Err(BackendError::Io { .. })
    ));
}
