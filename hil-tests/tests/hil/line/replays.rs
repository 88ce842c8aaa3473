//! Logins and parts of logins that are not this one.

use super::*;

/// A host without a verifier: it answers each frame of the node with what another login had at this place.
fn player(tape: &[Frame]) -> Meddler {
    let mut answers: Vec<_> = tape
        .iter()
        .filter(|frame| frame.toward == Toward::Agent)
        .cloned()
        .rev()
        .collect();
    Box::new(move |frame| {
        if is_chunk(&frame) {
            Vec::new()
        } else {
            answers.pop().into_iter().collect()
        }
    })
}

#[test]
fn a_whole_login_played_to_a_fresh_node_is_ignored() {
    on_a_line(|loopback| {
        let tape = recorded(loopback, &mut loopback.node().unwrap());
        let mut fresh = loopback.node().unwrap();
        let commands = || loopback.tpm.with(|model| model.stats().snapshot().commands);
        let before = commands().len();
        let failure = meddled(loopback, &mut fresh, player(&tape)).unwrap_err();
        assert_eq!(failure, Failure::UntrustedVerifier);
        // No key was made for it but the EK, which the guard of the bus stands on, and nothing was signed.
        let names: Vec<_> = commands()
            .iter()
            .skip(before)
            .map(|command| command.name())
            .collect();
        let made = names.iter().filter(|name| *name == "CreatePrimary");
        assert!(made.count() <= 1, "{names:?}");
        assert!(!names.iter().any(|name| name == "Quote"), "{names:?}");
        recovers(loopback, &mut fresh, "a replay");
    });
}

#[test]
fn a_whole_login_played_to_the_verifier_ends_at_its_first_proof() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let tape = recorded(loopback, &mut node);
        let granted = loopback.line.with_peer(|verifier| verifier.granted());
        let mut said = tape
            .into_iter()
            .filter(|frame| frame.toward == Toward::Verifier);
        let failure = meddled(
            loopback,
            &mut node,
            Box::new(move |frame| match frame.toward {
                Toward::Verifier => said.next().into_iter().collect(),
                Toward::Agent => Vec::new(),
            }),
        );
        assert_eq!(failure, Err(Failure::NoAnswer));
        loopback.line.with_peer(|verifier| {
            assert_eq!(verifier.granted(), granted);
        });
        recovers(loopback, &mut node, "a replay");
    });
}

#[test]
fn a_grant_of_another_login_is_not_taken() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let tape = recorded(loopback, &mut node);
        let old = tape.last().unwrap().clone();
        let mut answers = 0;
        let failure = meddled(
            loopback,
            &mut node,
            Box::new(move |frame| {
                if frame.toward == Toward::Verifier {
                    return vec![frame];
                }
                answers += 1;
                if answers == 3 {
                    vec![old.clone()]
                } else {
                    vec![frame]
                }
            }),
        );
        assert!(matches!(failure, Err(Failure::Protocol(_))), "{failure:?}");
        recovers(loopback, &mut node, "an old grant");
    });
}

#[test]
fn a_proof_of_another_login_mixed_in_is_refused() {
    on_a_line(|loopback| {
        let mut node = loopback.node().unwrap();
        let tape = recorded(loopback, &mut node);
        for round in 0..2 {
            let old = tape
                .iter()
                .find(|frame| is_proofs(frame, round))
                .unwrap()
                .clone();
            let granted = loopback.line.with_peer(|verifier| verifier.granted());
            let swap = move |frame: Frame| {
                vec![if is_proofs(&frame, round) {
                    old.clone()
                } else {
                    frame
                }]
            };
            let failure = meddled(loopback, &mut node, Box::new(swap)).unwrap_err();
            assert!(
                matches!(
                    failure,
                    Failure::Denied {
                        code: DenyCode::MALFORMED,
                        ..
                    }
                ),
                "{failure}"
            );
            assert_eq!(
                loopback.line.with_peer(|verifier| verifier.granted()),
                granted
            );
            recovers(loopback, &mut node, "a foreign proof");
        }
    });
}

#[test]
fn a_verifier_with_another_key_learns_nothing_and_is_reported() {
    on_a_line(|loopback| {
        let other = ChallengeKey::generate().unwrap();
        let right = loopback.line.with_peer(|verifier| verifier.key().to_vec());
        loopback.pin(other.public()).unwrap();
        let mut node = loopback.node().unwrap();
        let failure = attempt(loopback, &mut node).unwrap_err();
        assert_eq!(failure, Failure::UntrustedVerifier);
        loopback.line.with_peer(|verifier| {
            let told = verifier.outcomes.iter().any(|outcome| {
                matches!(outcome, Outcome::Trouble(trouble) if trouble.code == TroubleCode::UNTRUSTED_VERIFIER)
            });
            assert!(told, "{:?}", verifier.outcomes);
        });
        let stats = loopback.tpm.with(|model| model.stats().snapshot());
        // But for the EK, which the guard of the bus stands on.
        let made = stats.commands.iter();
        let made = made.filter(|command| command.name() == "CreatePrimary");
        assert!(made.count() <= 1);
        drop(node);
        loopback.pin(&right).unwrap();
        attempt(loopback, &mut loopback.node().unwrap()).unwrap();
    });
}
