//! Many random faults: the FIFO driver ends, says what happened, and works again afterwards.

use assay_firmware::bus::{Action, BusError, Direction, Fault, Reg, Rule};
use assay_firmware::tis::{Limits, Tis, TisError};
use proptest::prelude::*;

use crate::bytes::{response, startup};
use crate::model::{Delay, RegisterBus, answering};

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0u8..8, any::<u8>()).prop_map(|(at, mask)| Action::Flip { at, mask }),
        Just(Action::Drop),
        Just(Action::LoseByte),
        Just(Action::RepeatByte),
        any::<u8>().prop_map(Action::Fill),
        any::<[u8; 4]>().prop_map(Action::Substitute),
        Just(Action::FailAfter(BusError::Spi)),
        Just(Action::FailBefore(BusError::WaitState)),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let reg = prop_oneof![
        Just(None),
        Just(Some(Reg::STS)),
        Just(Some(Reg::DATA_FIFO)),
        Just(Some(Reg::ACCESS)),
    ];
    let direction = prop_oneof![
        Just(None),
        Just(Some(Direction::Read)),
        Just(Some(Direction::Write)),
    ];
    (reg, direction, 0u16..30, 1u16..4, action()).prop_map(
        |(reg, direction, skip, times, action)| Rule {
            reg,
            direction,
            skip,
            times,
            action,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_plan_of_faults_ends_in_bounded_time_and_leaves_a_working_driver(
        mut plan in proptest::collection::vec(rule(), 1..6),
        bursts in proptest::collection::vec(prop_oneof![Just(0u16), 1u16..70, Just(u16::MAX)], 1..5),
        body in 0usize..200,
        idles in any::<bool>(),
    ) {
        let answer = response(0x8001, 0, &vec![0x42; body]);
        let fifo = answering(&answer);
        // A burst count that is always 0 is a fault of its own, tested elsewhere.
        fifo.borrow_mut().bursts = bursts;
        fifo.borrow_mut().bursts.push(5);
        fifo.borrow_mut().idle_after_command = idles;
        let delay = Delay::default();
        let mut tis = Tis::new(Fault::new(RegisterBus::new(&fifo), &mut plan), delay.clone());
        let limits = Limits::default();
        // Every submission may run into each limit once, every reading into C.
        let bound = 5 * u64::from(limits.a_us * 3 + limits.b_us + limits.c_us + limits.d_us * 3)
            + 2 * u64::from(limits.b_us) + 2_000_000;
        let mut worked = false;
        for _ in 0..40 {
            let before = delay.us();
            let result = tis.transmit(&startup(), &mut [0; 256], 750_000).map(<[u8]>::to_vec);
            prop_assert!(delay.us() - before < bound, "{} us", delay.us() - before);
            if let Ok(response) = &result {
                prop_assert!(response.len() >= 10);
            }
            worked = result.as_deref() == Ok(&answer[..]);
        }
        prop_assert!(worked, "{:?}", tis.events().iter().collect::<Vec<_>>());
    }
}

fn matrix_answer() -> Vec<u8> {
    response(0x8001, 0, &[0x77; 30])
}

#[test]
fn every_injected_access_fault_ends_in_a_whole_response_or_a_clean_error() {
    let actions = [
        Action::Drop,
        Action::LoseByte,
        Action::RepeatByte,
        Action::Fill(0x00),
        Action::Fill(0xFF),
        Action::Flip { at: 0, mask: 0x01 },
        Action::Flip { at: 1, mask: 0xFF },
        Action::Flip { at: 5, mask: 0x80 },
        Action::Substitute([0xFF, 0, 0xFF, 0]),
        Action::FailBefore(BusError::Spi),
        Action::FailAfter(BusError::ModeFault),
    ];
    let mut outcomes = [0; 2];
    for action in actions {
        for direction in [Direction::Read, Direction::Write] {
            for n in 0..14 {
                for times in [1, 2, u16::MAX] {
                    let fifo = answering(&matrix_answer());
                    let delay = Delay::default();
                    let mut plan = [Rule {
                        reg: None,
                        direction: Some(direction),
                        skip: n,
                        times,
                        action,
                    }];
                    let bus = Fault::new(RegisterBus::new(&fifo), &mut plan);
                    let mut tis = Tis::new(bus, delay.clone());
                    let result = tis
                        .transmit(&startup(), &mut [0; 256], 750_000)
                        .map(<[u8]>::to_vec);
                    let what = format!("{action:?} {direction:?} access {n} times {times}");
                    outcomes[usize::from(result.is_err())] += 1;
                    // A flipped response byte can't be told from a true one without a session's HMAC;
                    // its length can.
                    if let Ok(response) = result {
                        assert_eq!(response.len(), matrix_answer().len(), "{what}");
                    }
                    assert!(fifo.borrow().executed.len() <= 1, "{what}");
                    assert!(delay.us() < 30_000_000, "{what}: {} us", delay.us());
                }
            }
        }
    }
    assert!(outcomes[0] > 300 && outcomes[1] > 100, "{outcomes:?}");
}

#[test]
fn every_error_has_a_number_of_its_own() {
    let errors = [
        TisError::Absent,
        TisError::Locality,
        TisError::NotReady,
        TisError::Burst,
        TisError::Rejected,
        TisError::Overrun,
        TisError::Timeout,
        TisError::Stuck,
        TisError::BadSize,
        TisError::Leftover,
        TisError::Buffer,
        TisError::Bus(BusError::Overrun),
        TisError::Bus(BusError::ModeFault),
        TisError::Bus(BusError::FrameFormat),
        TisError::Bus(BusError::Spi),
        TisError::Bus(BusError::ChipSelect),
        TisError::Bus(BusError::WaitState),
        TisError::Bus(BusError::Length),
    ];
    let mut codes: Vec<_> = errors.iter().map(|e| e.code()).collect();
    codes.dedup();
    assert_eq!(codes.len(), errors.len());
    assert!(codes.is_sorted() && codes.iter().all(|c| usize::from(*c) < TisError::CODES));
    assert!(errors.iter().all(|e| !e.to_string().is_empty()));
}
