//! Hosts that say nothing, too early, or too late.

use super::*;

#[test]
fn a_silent_host_is_asked_for_a_minute_and_then_again() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let hellos = Rc::new(Cell::new(0));
        let count = Rc::clone(&hellos);
        let failure = meddled(
            loopback,
            &mut node,
            Box::new(move |_| {
                count.set(count.get() + 1);
                Vec::new()
            }),
        );
        assert_eq!(failure, Err(Failure::NoAnswer));
        assert!((10..=40).contains(&hellos.get()), "{} hellos", hellos.get());
        recovers(loopback, &mut node, "silence");
    });
}

#[test]
fn a_host_that_falls_silent_in_the_middle_does_not_hold_the_node() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let frames = recorded(loopback, &mut node);
        for cut in 1..frames.len() {
            let mut seen = 0;
            let result = meddled(
                loopback,
                &mut node,
                Box::new(move |frame| {
                    seen += 1;
                    if seen > cut { Vec::new() } else { vec![frame] }
                }),
            );
            assert_eq!(result, Err(Failure::NoAnswer), "silent after {cut} frames");
            recovers(loopback, &mut node, "silence");
        }
    });
}

#[test]
fn what_a_host_says_before_the_node_runs_belongs_to_no_login() {
    on_a_line(|loopback| {
        let frames = recorded(loopback, &mut loopback.node().unwrap());
        for frame in frames.iter().filter(|frame| frame.toward == Toward::Agent) {
            loopback.line.inject(&frame.wire());
        }
        loopback.line.inject(b"login: root\r\nPassword: \x00\xFF");
        attempt(loopback, &mut loopback.node().unwrap()).unwrap();
    });
}

#[test]
fn a_host_that_opens_the_port_late_finds_many_hellos_and_still_logs_the_node_in() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let kept = RefCell::new(Vec::new());
        let result = meddled(
            loopback,
            &mut node,
            Box::new(move |frame| {
                let mut kept = kept.borrow_mut();
                if frame.toward == Toward::Agent || kept.len() >= 5 {
                    return vec![frame];
                }
                kept.push(frame);
                if kept.len() < 5 {
                    Vec::new()
                } else {
                    kept.clone()
                }
            }),
        );
        assert_eq!(
            result,
            Ok(()),
            "{:?}",
            loopback.line.with_peer(|verifier| verifier.steps.clone())
        );
    });
}

#[test]
fn an_answer_that_comes_late_is_taken_in_time_and_ignored_afterwards() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        for answer in 0..3 {
            for (delay_s, expected) in [(20, Ok(())), (40, Err(Failure::NoAnswer))] {
                let mut seen = 0;
                let result = meddled(
                    loopback,
                    &mut node,
                    Box::new(move |frame| {
                        if frame.toward == Toward::Verifier {
                            return vec![frame];
                        }
                        seen += 1;
                        let late = seen == answer + 1;
                        vec![if late {
                            frame.after(Duration::from_secs(delay_s))
                        } else {
                            frame
                        }]
                    }),
                );
                // A late answer to a hello comes while hellos are repeated, and the newest is answered at once.
                if answer > 0 {
                    assert_eq!(result, expected, "answer {answer} after {delay_s} s");
                }
                // What comes now finds nobody.
                loopback.wait(Duration::from_secs(60));
                recovers(loopback, &mut node, "a late answer");
            }
        }
    });
}
