//! What goes wrong on the FIFO, and what the driver makes of it.

use assay_firmware::bus::Direction::{Read, Write};
use assay_firmware::bus::{Action, BusError, Fault, Reg, Rule, TisBus};
use assay_firmware::tis::{Limits, Tis, TisError, TisEvent, TisStep};

use crate::bytes::{response, startup};
use crate::fifo::driver;
use crate::model::{Delay, RegisterBus, Shared, answering};

fn answer() -> Vec<u8> {
    response(0x8001, 0, &[0x77; 30])
}

/// Runs one command over a bus with these faults; the result, the driver's recoveries, and time.
fn with_faults(fifo: &Shared, plan: &mut [Rule]) -> (Result<Vec<u8>, TisError>, (u16, u16), u64) {
    let delay = Delay::default();
    // Found and claimed before anything breaks, so that accesses can be counted from the command.
    let mut tis = Tis::new(Fault::new(RegisterBus::new(fifo), &mut []), delay.clone());
    tis.probe().unwrap();
    let mut tis = Tis::new(Fault::new(RegisterBus::new(fifo), plan), delay.clone());
    let mut rsp = [0; 256];
    let result = tis
        .transmit(&startup(), &mut rsp, 1_000_000)
        .map(<[u8]>::to_vec);
    assert!(tis.bus().fired() > 0, "the fault never happened");
    (result, tis.recoveries(), delay.us())
}

fn recovers(plan: &mut [Rule]) -> (u16, u16) {
    let fifo = answering(&answer());
    let (result, recoveries, _) = with_faults(&fifo, plan);
    assert_eq!(result.unwrap(), answer());
    assert_eq!(
        fifo.borrow().executed,
        [startup()],
        "executed once and unharmed"
    );
    recoveries
}

#[test]
fn a_lost_command_byte_is_cured_by_abort_and_resend() {
    let fifo = answering(&answer());
    fifo.borrow_mut().lose_command_bytes = 1;
    let (mut tis, delay) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000).unwrap(),
        answer()
    );
    assert_eq!(tis.recoveries(), (1, 0));
    assert_eq!(fifo.borrow().executed, [startup()]);
    assert!(delay.us() < 2 * u64::from(Limits::default().c_us));
    let resent = TisEvent {
        step: TisStep::Resent,
        code: TisError::Rejected.code(),
    };
    assert!(tis.events().iter().any(|e| e.event == resent));
    assert_eq!(
        recovers(&mut [Rule::nth(Reg::DATA_FIFO, Write, 0, Action::LoseByte)]),
        (1, 0)
    );
    assert_eq!(
        recovers(&mut [Rule::nth(Reg::DATA_FIFO, Write, 1, Action::Drop)]),
        (1, 0)
    );
}

#[test]
fn a_repeated_command_byte_is_noticed_before_the_command_runs() {
    assert_eq!(
        recovers(&mut [Rule::nth(Reg::DATA_FIFO, Write, 0, Action::RepeatByte)]),
        (1, 0)
    );
}

#[test]
fn a_lost_response_byte_is_cured_by_response_retry() {
    let fifo = answering(&answer());
    fifo.borrow_mut().lose_response_bytes = 1;
    let (mut tis, _) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000).unwrap(),
        answer()
    );
    assert_eq!(tis.recoveries(), (0, 1));
    assert_eq!(fifo.borrow().retries, 1);
    assert_eq!(fifo.borrow().executed.len(), 1);
}

#[test]
fn a_response_is_read_three_times_and_no_more() {
    let fifo = answering(&answer());
    fifo.borrow_mut().lose_response_bytes = u32::MAX;
    let (mut tis, _) = driver(&fifo);
    assert!(matches!(
        tis.transmit(&startup(), &mut [0; 64], 1000),
        Err(TisError::BadSize | TisError::Overrun | TisError::Leftover)
    ));
    assert_eq!(fifo.borrow().retries, 2);
    assert_eq!(
        fifo.borrow().executed.len(),
        1,
        "never sent again after the go"
    );
    // The next command is not disturbed by what is left in the FIFO.
    fifo.borrow_mut().lose_response_bytes = 0;
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000).unwrap(),
        answer()
    );
}

#[test]
fn leftover_response_bytes_are_an_error() {
    let fifo = answering(&answer());
    fifo.borrow_mut().extra_response = 1;
    let (mut tis, _) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000),
        Err(TisError::Leftover)
    );
    assert_eq!(fifo.borrow().retries, 2);
}

#[test]
fn impossible_response_lengths_are_an_error() {
    for size in [0u32, 9, 65, 0x7FFF_FFFF, 0xFFFF_FFFF] {
        let mut bad = response(0x8001, 0, &[0; 20]);
        bad[2..6].copy_from_slice(&size.to_be_bytes());
        let fifo = answering(&bad);
        let (mut tis, _) = driver(&fifo);
        assert_eq!(
            tis.transmit(&startup(), &mut [0; 64], 1000),
            Err(TisError::BadSize),
            "{size}"
        );
    }
}

#[test]
fn a_response_that_announces_more_than_it_has_is_an_error() {
    let mut bad = response(0x8001, 0, &[0; 20]);
    bad[5] = 60;
    let fifo = answering(&bad);
    let (mut tis, delay) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000),
        Err(TisError::Overrun)
    );
    assert!(delay.us() < 4 * u64::from(Limits::default().c_us));
}

#[test]
fn an_ignored_command_ready_is_repeated() {
    for deaf in [1, 3] {
        let fifo = answering(&answer());
        fifo.borrow_mut().deaf_to_ready = deaf;
        let (mut tis, delay) = driver(&fifo);
        assert_eq!(
            tis.transmit(&startup(), &mut [0; 64], 1000).unwrap(),
            answer()
        );
        assert!(delay.us() < u64::from(Limits::default().b_us));
    }
}

#[test]
fn a_tpm_that_never_becomes_ready_is_an_error_in_bounded_time() {
    let fifo = answering(&answer());
    fifo.borrow_mut().deaf_to_ready = u32::MAX;
    let (mut tis, delay) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000),
        Err(TisError::NotReady)
    );
    let submissions = u64::from(tis.chip().quirks().submissions);
    assert!(delay.us() <= submissions * (u64::from(Limits::default().b_us) + 2_000));
}

#[test]
fn a_stuck_burst_count_is_an_error_in_bounded_time() {
    let fifo = answering(&answer());
    fifo.borrow_mut().bursts = vec![0];
    let (mut tis, delay) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000),
        Err(TisError::Burst)
    );
    let submissions = u64::from(tis.chip().quirks().submissions);
    assert!(delay.us() <= submissions * (u64::from(Limits::default().a_us) + 2_000));
}

#[test]
fn an_execution_that_takes_too_long_is_aborted_within_its_limit() {
    let fifo = answering(&answer());
    fifo.borrow_mut().busy_polls = 1_000_000;
    let (mut tis, delay) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 750_000),
        Err(TisError::Timeout)
    );
    assert!((700_000..800_000).contains(&delay.us()), "{}", delay.us());
    assert_eq!(fifo.borrow().cancels, 0);
    fifo.borrow_mut().busy_polls = 0;
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 750_000).unwrap(),
        answer()
    );
}

#[test]
fn an_execution_that_cannot_be_aborted_is_cancelled() {
    let fifo = answering(&answer());
    fifo.borrow_mut().hangs = true;
    let (mut tis, _) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 750_000),
        Err(TisError::Timeout)
    );
    assert_eq!(fifo.borrow().cancels, 1);
    assert!(tis.transmit(&startup(), &mut [0; 64], 750_000).is_ok());
}

#[test]
fn a_stuck_execution_ends_in_bounded_time() {
    let fifo = answering(&answer());
    fifo.borrow_mut().hangs = true;
    fifo.borrow_mut().deaf_to_cancel = true;
    let (mut tis, delay) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 750_000),
        Err(TisError::Stuck)
    );
    let limits = Limits::default();
    let bound = 750_000 + 2 * u64::from(limits.b_us) + u64::from(limits.c_us);
    assert!(delay.us() <= bound + 100_000, "{}", delay.us());
}

#[test]
fn an_ignored_go_ends_as_a_timeout() {
    let fifo = answering(&answer());
    fifo.borrow_mut().deaf_to_go = true;
    let (mut tis, _) = driver(&fifo);
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 750_000),
        Err(TisError::Timeout)
    );
    assert!(fifo.borrow().executed.is_empty());
}

#[test]
fn a_locality_lost_before_the_go_is_claimed_again() {
    let fifo = answering(&answer());
    let (mut tis, delay) = driver(&fifo);
    tis.transmit(&startup(), &mut [0; 64], 1000).unwrap();
    fifo.borrow_mut().reset();
    let before = delay.us();
    assert_eq!(
        tis.transmit(&startup(), &mut [0; 64], 1000).unwrap(),
        answer()
    );
    assert_eq!(tis.recoveries(), (1, 0));
    assert!(
        delay.us() - before < 20_000,
        "noticed without waiting for TIMEOUT_D"
    );
}

#[test]
fn a_locality_lost_after_the_go_is_an_error_and_the_command_is_not_sent_again() {
    let fifo = answering(&answer());
    // Status reads of one command: ready, Expect, whole; from the fourth on nobody is there.
    let plan = &mut [Rule {
        skip: 4,
        times: u16::MAX,
        ..Rule::nth(Reg::STS, Read, 0, Action::Fill(0xFF))
    }];
    let (result, ..) = with_faults(&fifo, plan);
    assert_eq!(result, Err(TisError::Locality));
    assert_eq!(fifo.borrow().executed.len(), 1);
}

#[test]
fn one_garbled_status_costs_one_poll_in_every_phase() {
    // Bits that always read as zero: the read is known to be wrong.
    for n in 0..6 {
        for mask in [0x01, 0x02, 0x20, 0x3F] {
            let action = Action::Flip { at: 0, mask };
            assert_eq!(
                recovers(&mut [Rule::nth(Reg::STS, Read, n, action)]),
                (0, 0),
                "read {n}"
            );
        }
        let floating = Rule::nth(Reg::STS, Read, n, Action::Drop);
        assert_eq!(recovers(&mut [floating]), (0, 0), "read {n}");
    }
}

#[test]
fn one_flipped_status_bit_never_harms_a_command() {
    for n in 0..6 {
        for mask in [0x80, 0x40, 0x10, 0x08, 0x04] {
            let fifo = answering(&answer());
            let action = Action::Flip { at: 0, mask };
            let (result, ..) = with_faults(&fifo, &mut [Rule::nth(Reg::STS, Read, n, action)]);
            let executed = fifo.borrow().executed.clone();
            assert!(
                executed.iter().all(|c| *c == startup()),
                "read {n} mask {mask:x}"
            );
            assert!(executed.len() <= 1, "read {n} mask {mask:x}");
            match result {
                Ok(response) => assert_eq!(response, answer(), "read {n} mask {mask:x}"),
                // dataAvail seen too early: what is then read isn't a response.
                Err(error) => assert!(mask == 0x10, "read {n} mask {mask:x}: {error}"),
            }
        }
    }
}

#[test]
fn one_bus_error_is_overcome_in_every_phase() {
    for action in [
        Action::FailBefore(BusError::Overrun),
        Action::FailAfter(BusError::WaitState),
    ] {
        for n in 0..6 {
            recovers(&mut [Rule::nth(Reg::STS, Read, n, action)]);
        }
        for (direction, n) in [(Write, 0), (Write, 1), (Read, 0), (Read, 1)] {
            recovers(&mut [Rule::nth(Reg::DATA_FIFO, direction, n, action)]);
        }
        // commandReady, go, done.
        for n in 0..3 {
            recovers(&mut [Rule::nth(Reg::STS, Write, n, action)]);
        }
    }
}

#[test]
fn a_bus_that_keeps_failing_is_an_error_in_bounded_time() {
    for reg in [Reg::STS, Reg::DATA_FIFO] {
        for direction in [Read, Write] {
            let fifo = answering(&answer());
            let fail = Action::FailBefore(BusError::WaitState);
            let (result, _, us) = with_faults(&fifo, &mut [Rule::always(reg, direction, fail)]);
            assert!(
                matches!(
                    result,
                    Err(TisError::Bus(BusError::WaitState) | TisError::Locality)
                ),
                "{reg:?} {direction:?}: {result:?}"
            );
            assert!(fifo.borrow().executed.len() <= 1);
            assert!(us < 20_000_000, "{us}");
        }
    }
}

#[test]
fn a_fault_bus_passes_on_what_its_plan_does_not_name() {
    let fifo = answering(&answer());
    let mut bus = Fault::new(RegisterBus::new(&fifo), &mut []);
    let mut id = [0; 4];
    bus.read(Reg::DID_VID, &mut id).unwrap();
    assert_eq!(id, 0x001B_15D1u32.to_le_bytes());
    assert_eq!((bus.fired(), bus.traffic().frames), (0, 1));
}

/// Burst counts of a FIFO that takes or gives a byte, and then nothing for some time that is within TIMEOUT_A.
fn dribble() -> Vec<u16> {
    let mut bursts = vec![0; 200];
    bursts.push(1);
    bursts
}

#[test]
fn a_fifo_that_dribbles_does_not_hold_a_command_for_minutes() {
    let command = [&[0x80, 0x01, 0, 0, 2, 0][..], &[7; 506]].concat();
    let answer = response(0x8001, 0, &[9; 502]);
    let limits = Limits::default();
    // Three attempts of one direction, each with TIMEOUT_B for its bursts and the last wait of TIMEOUT_A.
    let most = 3 * u64::from(limits.b_us + 2 * limits.a_us);
    for responding in [false, true] {
        let fifo = answering(&answer);
        if responding {
            fifo.borrow_mut().response_bursts = dribble();
        } else {
            fifo.borrow_mut().bursts = dribble();
        }
        let (mut tis, delay) = driver(&fifo);
        let mut buffer = [0; 1024];
        let result = tis.transmit(&command, &mut buffer, 1_000_000);
        assert_eq!(result, Err(TisError::Burst), "responding: {responding}");
        // More than one byte's worth: a pause is no fault as such.
        assert!(
            (2 * u64::from(limits.a_us)..most).contains(&delay.us()),
            "responding: {responding}: {}",
            delay.us()
        );
    }
}

#[test]
fn a_fifo_that_is_only_slow_is_waited_for() {
    let command = [&[0x80, 0x01, 0, 0, 2, 0][..], &[7; 506]].concat();
    let answer = response(0x8001, 0, &[9; 502]);
    let fifo = answering(&answer);
    // A byte at a time, and three looks for each: a tenth of a second or two per direction.
    fifo.borrow_mut().bursts = vec![0, 0, 1];
    let (mut tis, _) = driver(&fifo);
    let mut buffer = [0; 1024];
    let response = tis.transmit(&command, &mut buffer, 1_000_000);
    assert_eq!(response.unwrap(), answer);
    assert_eq!(tis.recoveries(), (0, 0));
}
