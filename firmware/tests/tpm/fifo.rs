//! The FIFO state machine where nothing goes wrong, and where the TPM isn't there at all.

use assay_firmware::tis::{Limits, Tis, TisError};

use crate::bytes::{response, startup};
use crate::model::{Delay, RegisterBus, Shared, State, answering, fifo};

pub fn driver(fifo: &Shared) -> (Tis<RegisterBus, Delay>, Delay) {
    let delay = Delay::default();
    (Tis::new(RegisterBus::new(fifo), delay.clone()), delay)
}

fn ok() -> Vec<u8> {
    response(0x8001, 0, &[])
}

#[test]
fn a_command_is_executed_once_and_its_response_is_whole() {
    for len in [10, 11, 63, 64, 65, 127, 128, 129, 512, 1024] {
        let mut command = vec![0xA5; len];
        command[..6].copy_from_slice(&[0x80, 0x01, 0, 0, (len >> 8) as u8, len as u8]);
        let answer = response(0x8001, 0, &vec![0x5A; len - 10]);
        let fifo = answering(&answer);
        let (mut tis, _) = driver(&fifo);
        assert_eq!(
            tis.transmit(&command, &mut [0; 1024], 1000).unwrap(),
            answer,
            "{len}"
        );
        assert_eq!(fifo.borrow().executed, [command], "{len}");
        assert_eq!(fifo.borrow().bad_moves(), [""; 0]);
        assert_eq!(fifo.borrow().state, State::Ready);
    }
}

#[test]
fn any_burst_count_works() {
    let command = [&[0x80, 0x01, 0, 0, 1, 0x2C][..], &[7; 294]].concat();
    let answer = response(0x8001, 0, &[9; 600]);
    for bursts in [
        vec![1],
        vec![2],
        vec![8],
        vec![32],
        vec![63],
        vec![255],
        vec![u16::MAX],
        vec![64, 1, 9],
    ] {
        let fifo = answering(&answer);
        fifo.borrow_mut().bursts = bursts.clone();
        let (mut tis, _) = driver(&fifo);
        assert_eq!(
            tis.transmit(&command, &mut [0; 1024], 1000).unwrap(),
            answer,
            "{bursts:?}"
        );
        assert!(fifo.borrow().executed.iter().eq([&command]), "{bursts:?}");
        assert_eq!(fifo.borrow().bad_moves(), [""; 0]);
    }
}

#[test]
fn a_burst_count_that_is_zero_for_a_while_is_waited_for() {
    let fifo = answering(&response(0x8001, 0, &[1; 90]));
    fifo.borrow_mut().bursts = vec![0, 0, 0, 10];
    let (mut tis, _) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 128], 1000).unwrap().len(),
        100
    );
    assert_eq!(tis.recoveries(), (0, 0));
}

#[test]
fn a_long_execution_is_waited_for_with_growing_pauses() {
    let fifo = answering(&ok());
    fifo.borrow_mut().busy_polls = 300;
    let (mut tis, delay) = driver(&fifo);
    tis.transmit(&startup(), &mut [0; 64], 120_000_000).unwrap();
    // 300 pauses of the shortest length would be 30 ms.
    assert!(delay.us() > 300_000, "{}", delay.us());
    assert_eq!(tis.recoveries(), (0, 0));
}

#[test]
fn both_ways_of_ending_a_command_are_learned() {
    for idles in [false, true] {
        let fifo = answering(&ok());
        fifo.borrow_mut().idle_after_command = idles;
        let (mut tis, _) = driver(&fifo);
        let mut polls = Vec::new();
        for _ in 0..4 {
            let before = fifo.borrow().polls;
            tis.transmit(&startup(), &mut [0; 64], 1000).unwrap();
            polls.push(fifo.borrow().polls - before);
        }
        assert_eq!(polls[2..], [5, 5], "idles: {idles}");
        assert_eq!(fifo.borrow().executed.len(), 4);
    }
}

#[test]
fn the_locality_is_claimed_once_and_kept() {
    let fifo = answering(&ok());
    let (mut tis, _) = driver(&fifo);
    let id = tis.probe().unwrap();
    assert_eq!((id.vendor, id.device, id.revision), (0x15D1, 0x001B, 0x10));
    assert_eq!(tis.chip().name(), "Infineon SLB96xx");
    tis.transmit(&startup(), &mut [0; 64], 1000).unwrap();
    assert!(fifo.borrow().active);
    tis.release().unwrap();
    assert!(!fifo.borrow().active);
    tis.transmit(&startup(), &mut [0; 64], 1000).unwrap();
    assert!(fifo.borrow().active);
}

#[test]
fn an_absent_tpm_is_told_apart_within_its_time_limit() {
    for id in [0, u32::MAX] {
        let fifo = answering(&ok());
        fifo.borrow_mut().did_vid = id;
        let (mut tis, delay) = driver(&fifo);
        assert_eq!(
            tis.transmit(&startup(), &mut [0; 64], 1000),
            Err(TisError::Absent)
        );
        let limit = u64::from(Limits::default().a_us);
        assert!(
            (limit * 9 / 10..=limit).contains(&delay.us()),
            "{}",
            delay.us()
        );
        assert_eq!(tis.errors().get(TisError::Absent.code()), 1);
    }
}

#[test]
fn a_floating_bus_does_not_grant_the_locality() {
    let fifo = answering(&ok());
    let (mut tis, _) = driver(&fifo);
    tis.probe().unwrap();
    tis.release().unwrap();
    fifo.borrow_mut().floating = u32::MAX;
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000),
        Err(TisError::Absent)
    );
    assert!(fifo.borrow().executed.is_empty());
}

#[test]
fn a_tpm_that_still_powers_up_is_waited_for() {
    let fifo = answering(&ok());
    fifo.borrow_mut().floating = 40;
    let (mut tis, _) = driver(&fifo);
    assert!(tis.transmit(&startup(), &mut [0; 64], 1000).is_ok());
}

#[test]
fn a_dropped_request_for_the_locality_is_repeated() {
    let fifo = answering(&ok());
    fifo.borrow_mut().deaf_to_request = 2;
    let (mut tis, _) = driver(&fifo);
    assert!(tis.transmit(&startup(), &mut [0; 64], 1000).is_ok());
}

#[test]
fn a_locality_that_is_never_granted_is_an_error() {
    let fifo = answering(&ok());
    fifo.borrow_mut().deaf_to_request = u32::MAX;
    let (mut tis, delay) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000),
        Err(TisError::Locality)
    );
    // Each of the submissions waits TIMEOUT_A.
    assert!(delay.us() < 5 * u64::from(Limits::default().a_us));
}

#[test]
fn buffers_below_a_header_are_refused_before_anything_is_sent() {
    let fifo = fifo(|_| ok());
    let (mut tis, _) = driver(&fifo);
    assert_eq!(
        tis.transmit(&[0; 9], &mut [0; 64], 1000),
        Err(TisError::Buffer)
    );
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 9], 1000),
        Err(TisError::Buffer)
    );
    assert_eq!(fifo.borrow().polls, 0);
}
