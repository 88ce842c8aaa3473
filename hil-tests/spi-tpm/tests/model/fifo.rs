//! The FIFO's states and registers, on a scripted TPM.

use std::sync::{Arc, Mutex};

use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::mock::{Journal, ScriptedTpm};
use assay_spi_tpm::slave::burst::Burst;
use assay_spi_tpm::{Config, SpiTpm};

use super::host::{ACCESS, FIFO, GET_RANDOM, Host, STARTUP, STS, XDATA};

const OK: [u8; 10] = [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0];

fn response(len: u8) -> Vec<u8> {
    let mut out = vec![0x80, 1, 0, 0, 0, len, 0, 0, 0, 0];
    out.extend(10..len);
    out
}

fn with(response: &[u8], config: Config) -> (Host, Arc<Mutex<Journal>>) {
    let mock = ScriptedTpm::new().always(response);
    let journal = mock.journal();
    let mut host = Host::new(SpiTpm::new(mock, config));
    host.claim().unwrap();
    (host, journal)
}

fn ready(response: &[u8]) -> (Host, Arc<Mutex<Journal>>) {
    let (mut host, journal) = with(response, Config::chip(Personality::SLB9672));
    host.ready().unwrap();
    (host, journal)
}

fn executed(journal: &Arc<Mutex<Journal>>) -> usize {
    journal.lock().unwrap().commands.len()
}

#[test]
fn a_command_goes_through_all_states_once() {
    let (mut host, journal) = with(&response(28), Config::chip(Personality::SLB9672));
    assert_eq!(host.status().unwrap().0, 0x00);
    host.ready().unwrap();
    assert_eq!(host.status().unwrap(), (0xC0, 64));
    host.write(FIFO, &STARTUP[..11]).unwrap();
    assert_eq!(host.status().unwrap().0, 0x88, "Expect until the last byte");
    host.write(FIFO, &STARTUP[11..]).unwrap();
    assert_eq!(host.status().unwrap().0, 0x80);
    host.go().unwrap();
    for _ in 0..Personality::SLB9672.busy_polls {
        assert_eq!(host.status().unwrap(), (0x80, 0), "busy");
        assert_eq!(executed(&journal), 0);
    }
    assert_eq!(host.status().unwrap(), (0x90, 28));
    assert_eq!(host.receive().unwrap(), response(28));
    host.done().unwrap();
    assert_eq!(host.status().unwrap().0, 0x00);
    assert_eq!(journal.lock().unwrap().commands, [(STARTUP.to_vec(), 0)]);
}

#[test]
fn bytes_are_refused_before_ready_and_after_the_last_announced_one() {
    let (mut host, journal) = with(&OK, Config::chip(Personality::SLB9672));
    host.write(FIFO, &[0xEE; 4]).unwrap();
    host.ready().unwrap();
    host.send(&STARTUP).unwrap();
    host.write(FIFO, &[0xEE; 4]).unwrap();
    host.go().unwrap();
    host.receive().unwrap();
    assert_eq!(journal.lock().unwrap().commands, [(STARTUP.to_vec(), 0)]);
}

#[test]
fn tpm_go_before_the_last_byte_has_no_effect() {
    let (mut host, journal) = ready(&OK);
    host.write(FIFO, &STARTUP[..11]).unwrap();
    host.go().unwrap();
    assert_eq!(host.status().unwrap().0, 0x88);
    host.write(FIFO, &STARTUP[11..]).unwrap();
    host.go().unwrap();
    host.receive().unwrap();
    assert_eq!(executed(&journal), 1);
}

#[test]
fn more_than_burst_count_in_one_frame_is_lost() {
    let config = Config {
        burst: Some(Burst::Fixed(8)),
        ..Config::chip(Personality::SLB9672)
    };
    let (mut host, _) = with(&OK, config.clone());
    host.ready().unwrap();
    host.write(FIFO, &STARTUP).unwrap();
    assert_eq!(host.status().unwrap().0, 0x88, "four bytes did not fit");
    let (mut host, _) = with(&OK, config);
    host.transact(&STARTUP).unwrap();
}

#[test]
fn commands_and_responses_pass_whatever_the_burst_count() {
    for burst in [1, 8, 32, 64, 255] {
        let config = Config {
            burst: Some(Burst::Fixed(burst)),
            ..Config::chip(Personality::SLB9672)
        };
        let (mut host, _) = with(&response(200), config);
        assert_eq!(host.transact(&GET_RANDOM).unwrap(), response(200));
    }
    for seed in 0..20 {
        let config = Config {
            burst: Some(Burst::Changing { max: 64, seed }),
            ..Config::chip(Personality::SLB9672)
        };
        let (mut host, _) = with(&response(200), config);
        assert_eq!(
            host.transact(&GET_RANDOM).unwrap(),
            response(200),
            "seed {seed}"
        );
    }
}

#[test]
fn xdata_fifo_is_the_same_fifo() {
    let (mut host, journal) = ready(&response(40));
    host.fifo = XDATA;
    assert_eq!(host.transact(&GET_RANDOM).unwrap(), response(40));
    assert_eq!(journal.lock().unwrap().commands, [(GET_RANDOM.to_vec(), 0)]);
}

#[test]
fn response_retry_gives_the_response_from_its_first_byte() {
    let (mut host, journal) = ready(&response(30));
    host.send(&GET_RANDOM).unwrap();
    host.go().unwrap();
    while host.status().unwrap().0 & 0x10 == 0 {}
    let first: [u8; 12] = host.read(FIFO).unwrap();
    assert_eq!(first[..], response(30)[..12]);
    host.write(STS, &[0x02]).unwrap();
    assert_eq!(host.receive().unwrap(), response(30));
    host.done().unwrap();
    assert_eq!(executed(&journal), 1);
    assert_eq!(host.tpm.stats().snapshot().commands[0].retries, 1);
}

#[test]
fn command_ready_aborts_a_command_that_is_being_sent() {
    let (mut host, journal) = ready(&OK);
    host.write(FIFO, &[0x80, 1, 0, 0, 0, 50, 9, 9]).unwrap();
    host.write(STS, &[0x40]).unwrap();
    assert_eq!(
        host.status().unwrap().0,
        0x00,
        "idle, as the state table has it"
    );
    host.transact(&STARTUP).unwrap();
    assert_eq!(journal.lock().unwrap().commands, [(STARTUP.to_vec(), 0)]);
    let record = host.tpm.stats().snapshot().commands[0].clone();
    assert_eq!((record.number, record.aborts), (1, 1));
}

#[test]
fn a_chip_that_readies_by_itself_is_ready_after_a_command() {
    let (mut host, _) = with(&OK, Config::chip(Personality::NUVOTON));
    host.transact(&STARTUP).unwrap();
    assert_eq!(host.status().unwrap().0 & 0x40, 0x40);
}

#[test]
fn command_ready_aborts_a_command_that_runs_and_frees_an_unread_response() {
    let (mut host, journal) = ready(&OK);
    host.send(&STARTUP).unwrap();
    host.go().unwrap();
    host.write(STS, &[0x40]).unwrap();
    assert_eq!(executed(&journal), 0);
    host.ready().unwrap();
    host.send(&STARTUP).unwrap();
    host.go().unwrap();
    while host.status().unwrap().0 & 0x10 == 0 {}
    host.write(STS, &[0x40]).unwrap();
    assert_eq!(
        host.status().unwrap().0 & 0x10,
        0,
        "nothing is left to read"
    );
    assert_eq!(executed(&journal), 1);
    let records = host.tpm.stats().snapshot().commands;
    assert_eq!(
        records.iter().map(|r| r.rc).collect::<Vec<_>>(),
        [None, Some(0)]
    );
}

#[test]
fn command_cancel_answers_canceled_and_runs_nothing() {
    let (mut host, journal) = ready(&OK);
    host.send(&STARTUP).unwrap();
    host.go().unwrap();
    host.write(0x1B, &[0x01]).unwrap();
    assert_eq!(
        host.receive().unwrap(),
        [0x80, 1, 0, 0, 0, 10, 0, 0, 0x09, 0x09]
    );
    assert_eq!(executed(&journal), 0);
}

#[test]
fn two_requests_in_one_write_are_none() {
    let (mut host, _) = ready(&OK);
    host.send(&STARTUP).unwrap();
    host.write(STS, &[0x60]).unwrap();
    assert_eq!(
        host.status().unwrap().0,
        0x80,
        "neither aborted nor started"
    );
}

#[test]
fn registers_of_a_locality_that_is_not_active_read_as_ones() {
    let (mut host, journal) = ready(&OK);
    assert_eq!(host.read_at::<4>(2, STS).unwrap(), [0xFF; 4]);
    host.write_at(2, STS, &[0x40]).unwrap();
    host.write_at(2, FIFO, &STARTUP).unwrap();
    assert_eq!(host.status().unwrap().0, 0xC0, "nothing has happened");
    assert_eq!(executed(&journal), 0);
    host.write(ACCESS, &[0x20]).unwrap();
    assert_eq!(host.read::<1>(ACCESS).unwrap(), [0x80]);
    assert_eq!(host.read::<4>(STS).unwrap(), [0xFF; 4]);
}

#[test]
fn a_command_carries_the_locality_that_sent_it() {
    let mock = ScriptedTpm::new().always(&OK);
    let journal = mock.journal();
    let mut host = Host::new(SpiTpm::new(mock, Config::default()));
    host.write_at(3, ACCESS, &[0x02]).unwrap();
    host.write_at(3, STS, &[0x40]).unwrap();
    host.read_at::<4>(3, STS).unwrap();
    host.write_at(3, FIFO, &STARTUP).unwrap();
    host.write_at(3, STS, &[0x20]).unwrap();
    for _ in 0..5 {
        host.read_at::<4>(3, STS).unwrap();
    }
    assert_eq!(journal.lock().unwrap().commands, [(STARTUP.to_vec(), 3)]);
}

#[test]
fn a_seized_locality_loses_its_command() {
    let (mut host, _) = ready(&OK);
    host.write(FIFO, &STARTUP[..5]).unwrap();
    host.write_at(4, ACCESS, &[0x08]).unwrap();
    assert_eq!(host.read::<1>(ACCESS).unwrap(), [0x90], "beenSeized");
    assert_eq!(host.read::<4>(STS).unwrap(), [0xFF; 4]);
}

#[test]
fn an_oversized_command_fills_the_fifo_and_is_answered_with_command_size() {
    let (mut host, journal) = ready(&OK);
    let mut command = vec![0x80, 1, 0, 0, 0x10, 0, 0, 0, 1, 0x7B];
    command.resize(4096, 0);
    host.send(&command).unwrap();
    host.go().unwrap();
    assert_eq!(host.receive().unwrap()[6..], [0, 0, 0x01, 0x42]);
    assert_eq!(executed(&journal), 0);
}

#[test]
fn a_length_below_ten_is_answered_with_command_size() {
    let (mut host, journal) = ready(&OK);
    host.send(&[0x80, 1, 0, 0, 0, 3, 0, 0, 1, 0x7B]).unwrap();
    host.go().unwrap();
    assert_eq!(host.receive().unwrap()[6..], [0, 0, 0x01, 0x42]);
    assert_eq!(executed(&journal), 0);
}

#[test]
fn a_back_end_that_fails_is_a_tpm_that_does_not_answer() {
    let mut host = Host::new(SpiTpm::new(ScriptedTpm::new(), Config::default()));
    host.claim().unwrap();
    host.ready().unwrap();
    host.send(&STARTUP).unwrap();
    host.go().unwrap();
    assert!(host.receive().is_err());
    assert!(host.tpm.is_dead());
    assert_eq!(host.read::<4>(0xF00).err(), None);
    assert_eq!(host.read::<4>(0xF00).unwrap(), [0xFF; 4]);
    assert!(
        host.tpm
            .stats()
            .snapshot()
            .backend_error
            .unwrap()
            .contains("no answer")
    );
}

#[test]
fn the_reset_line_ends_everything_and_reaches_the_tpm() {
    let (mut host, journal) = ready(&OK);
    host.write(FIFO, &STARTUP[..5]).unwrap();
    host.tpm.reset_line(true);
    assert_eq!(host.read::<4>(0xF00).unwrap(), [0xFF; 4], "held in reset");
    host.tpm.reset_line(false);
    assert_eq!(
        host.read::<1>(ACCESS).unwrap(),
        [0x80],
        "no locality is active"
    );
    assert_eq!(journal.lock().unwrap().resets, 1);
    host.tpm.power_cycle();
    assert_eq!(journal.lock().unwrap().power_cycles, 1);
}

#[test]
fn the_counters_add_up() {
    let (mut host, _) = with(&response(28), Config::chip(Personality::SLB9672));
    for _ in 0..3 {
        host.transact(&GET_RANDOM).unwrap();
    }
    let stats = host.tpm.stats().snapshot();
    assert_eq!(stats.totals.commands, 3);
    assert_eq!(
        stats.commands.iter().map(|c| c.bytes).sum::<u64>(),
        stats.totals.bytes
    );
    assert_eq!(
        stats.commands.iter().map(|c| c.chip_selects).sum::<u64>(),
        stats.totals.chip_selects
    );
    let last = &stats.commands[2];
    assert_eq!(
        (last.code, last.command_len, last.response_len),
        (Some(0x17B), 12, 28)
    );
    assert_eq!(u64::try_from(host.seen.len()).unwrap(), stats.totals.bytes);
}
