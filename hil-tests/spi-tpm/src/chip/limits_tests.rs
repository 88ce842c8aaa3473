//! Tests of the limits, on a scripted TPM.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use super::*;
use crate::mock::ScriptedTpm;

fn made(handle: u32) -> Vec<u8> {
    let mut response = error_response(0);
    response.extend_from_slice(&handle.to_be_bytes());
    set_u32(&mut response, 2, 14);
    response
}

fn nv_read(size: u16) -> Vec<u8> {
    let mut body = vec![0u8; 8];
    body.extend_from_slice(&9u32.to_be_bytes());
    body.extend_from_slice(&[0x40, 0, 0, 9, 0, 0, 1, 0, 0]);
    body.extend_from_slice(&size.to_be_bytes());
    body.extend_from_slice(&[0, 0]);
    let mut command = plain_command(NV_READ, &body);
    command.splice(0..2, message::TAG_SESSIONS.to_be_bytes());
    command
}

fn rc(tpm: &mut LimitedTpm<ScriptedTpm>, command: &[u8]) -> u32 {
    message::code(&tpm.execute(command, 0).unwrap()).unwrap()
}

#[test]
fn refuses_a_command_of_1025_bytes_and_takes_1024() {
    let mock = ScriptedTpm::new().always(&error_response(0));
    let journal = mock.journal();
    let mut tpm = LimitedTpm::new(mock, ChipLimits::SILICON);
    assert_eq!(
        rc(&mut tpm, &plain_command(0x17D, &[0; 1015])),
        RC_COMMAND_SIZE
    );
    assert_eq!(rc(&mut tpm, &plain_command(0x17D, &[0; 1014])), 0);
    assert_eq!(journal.lock().unwrap().commands.len(), 1);
}

#[test]
fn refuses_an_nv_read_of_769_bytes_and_takes_768() {
    let mut tpm = LimitedTpm::new(
        ScriptedTpm::new().always(&error_response(0)),
        ChipLimits::SILICON,
    );
    assert_eq!(rc(&mut tpm, &nv_read(769)), RC_SIZE_P1);
    assert_eq!(rc(&mut tpm, &nv_read(768)), 0);
}

#[test]
fn the_fourth_object_and_the_fourth_session_find_no_slot() {
    let mut mock = ScriptedTpm::new();
    for i in 0..3 {
        mock = mock.then(&made(0x8000_0000 + i));
    }
    for i in 0..3 {
        mock = mock.then(&made(0x0200_0000 + i));
    }
    let mut tpm = LimitedTpm::new(mock.always(&error_response(0)), ChipLimits::SILICON);
    let primary = plain_command(0x131, &[0; 20]);
    let session = plain_command(START_AUTH_SESSION, &[0; 20]);
    for _ in 0..3 {
        assert_eq!(rc(&mut tpm, &primary), 0);
    }
    assert_eq!(rc(&mut tpm, &primary), RC_OBJECT_MEMORY);
    for _ in 0..3 {
        assert_eq!(rc(&mut tpm, &session), 0);
    }
    assert_eq!(rc(&mut tpm, &session), RC_SESSION_MEMORY);
    let flush = plain_command(0x165, &0x8000_0001u32.to_be_bytes());
    assert_eq!(rc(&mut tpm, &flush), 0);
    assert_eq!(rc(&mut tpm, &primary), 0);
    tpm.reset().unwrap();
    assert_eq!((tpm.held().transient(), tpm.held().sessions()), (0, 0));
}

#[test]
fn get_capability_tells_the_chips_own_nv_buffer() {
    let mut answer = error_response(0);
    answer.push(0);
    answer.extend_from_slice(&6u32.to_be_bytes());
    answer.extend_from_slice(&2u32.to_be_bytes());
    for (property, value) in [(0x12Cu32, 2048u32), (0x12D, 1)] {
        answer.extend_from_slice(&property.to_be_bytes());
        answer.extend_from_slice(&value.to_be_bytes());
    }
    let mut tpm = LimitedTpm::new(ScriptedTpm::new().then(&answer), ChipLimits::SILICON);
    let ask = plain_command(GET_CAPABILITY, &[0, 0, 0, 6, 0, 0, 1, 0x2C, 0, 0, 0, 2]);
    let got = tpm.execute(&ask, 0).unwrap();
    assert_eq!(u32_at(&got, 23), Some(768));
    assert_eq!(u32_at(&got, 31), Some(1), "other properties pass unchanged");
}

#[test]
fn get_random_gives_no_more_than_the_chip_does() {
    let mock = ScriptedTpm::new().always(&error_response(0));
    let journal = mock.journal();
    let mut tpm = LimitedTpm::new(mock, ChipLimits::SILICON);
    tpm.execute(&plain_command(GET_RANDOM, &64u16.to_be_bytes()), 0)
        .unwrap();
    let seen = journal.lock().unwrap().commands.clone();
    assert_eq!(seen.first().unwrap().0, plain_command(GET_RANDOM, &[0, 32]));
}
