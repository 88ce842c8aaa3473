//! Lost, doubled, damaged and exchanged frames and bytes.

use super::*;

#[test]
fn a_clean_login_has_the_frames_that_these_tests_disturb() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let frames = recorded(loopback, &mut node);
        let to_agent = frames
            .iter()
            .filter(|frame| frame.toward == Toward::Agent)
            .count();
        assert_eq!(to_agent, 3, "two challenges and the grant");
        assert!(frames.iter().filter(|frame| is_chunk(frame)).count() >= 4);
        assert!(
            frames.iter().any(|frame| is_proofs(frame, 0))
                && frames.iter().any(|frame| is_proofs(frame, 1))
        );
    });
}

#[test]
fn any_frame_may_be_lost() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let frames = recorded(loopback, &mut node);
        for (n, frame) in frames.iter().enumerate() {
            let result = meddled(loopback, &mut node, at(n, |_| Vec::new()));
            match (result, frame) {
                // The next hello is on its way already.
                (Ok(()), _) if n < 2 => {}
                (
                    Err(Failure::Denied {
                        code: DenyCode::REFUSED | DenyCode::MALFORMED,
                        ..
                    }),
                    frame,
                ) if is_chunk(frame) => {}
                (Err(Failure::NoAnswer), frame) if !is_chunk(frame) => {}
                (result, _) => panic!("frame {n}: {result:?}"),
            }
            recovers(loopback, &mut node, &format!("frame {n} lost"));
        }
    });
}

#[test]
fn any_frame_may_come_twice() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let frames = recorded(loopback, &mut node);
        for n in 0..frames.len() {
            let result = meddled(
                loopback,
                &mut node,
                at(n, |frame| vec![frame.clone(), frame]),
            );
            match result {
                Ok(())
                | Err(Failure::Denied {
                    code: DenyCode::REFUSED | DenyCode::MALFORMED,
                    ..
                }) => {}
                Err(failure) => panic!("frame {n}: {failure}"),
            }
            recovers(loopback, &mut node, &format!("frame {n} twice"));
        }
    });
}

#[test]
fn two_frames_may_change_places() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let frames = recorded(loopback, &mut node);
        for n in 0..frames.len() {
            let held = RefCell::new(None);
            let seen = Cell::new(0);
            let swap = move |frame: Frame| {
                let at = seen.replace(seen.get() + 1);
                if at == n {
                    held.replace(Some(frame));
                    Vec::new()
                } else {
                    [Some(frame), held.take()].into_iter().flatten().collect()
                }
            };
            // Frames that wait for each other cannot change places: then it is a frame that was lost.
            let _ = meddled(loopback, &mut node, Box::new(swap));
            recovers(loopback, &mut node, &format!("frame {n} late"));
        }
    });
}

#[test]
fn any_byte_may_be_lost_doubled_or_changed() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let before = loopback.line.bytes();
        node.attempt().unwrap();
        let length = usize::try_from(loopback.line.bytes() - before).unwrap();
        let change: [fn(&mut Vec<u8>, usize); 3] = [
            |bytes, at| {
                bytes.remove(at);
            },
            |bytes, at| bytes.insert(at, bytes[at]),
            |bytes, at| bytes[at] ^= 0x20,
        ];
        for (way, change) in change.into_iter().enumerate() {
            for target in (way * 7..length).step_by(67) {
                let mut passed = 0;
                loopback.line.disturb(Box::new(move |_, bytes| {
                    if let Some(at) =
                        usize::checked_sub(target, passed).filter(|at| *at < bytes.len())
                    {
                        change(bytes, at);
                    }
                    passed += bytes.len();
                }));
                let _ = attempt(loopback, &mut node);
                loopback.line.calm();
                recovers(
                    loopback,
                    &mut node,
                    &format!("way {way}, byte {target} of {length}"),
                );
            }
        }
    });
}

#[test]
fn half_a_frame_and_noise_between_frames_are_passed_over() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        loopback.line.disturb(Box::new(|to_agent, bytes| {
            if to_agent {
                // The end of something, noise without a zero in it, and half of this frame: then the frame.
                let half = bytes[..bytes.len() / 2].to_vec();
                let noise = [&[0x11, 0x22, 0x00][..], &[0xA5; 3_000], &half].concat();
                bytes.splice(0..0, noise);
            }
        }));
        attempt(loopback, &mut node).unwrap();
    });
}
