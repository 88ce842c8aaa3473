//! The opening: what it may offer, and what is refused at once.

use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{AgentMessage, DenyCode, Hello, Trouble, TroubleCode};

use super::is_denied;
use crate::agent::{Answer, EK, QUOTE, encode, proofs};
use crate::desk::{Desk, ek_and_quote, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

#[tokio::test]
async fn an_agent_that_offers_too_little_hears_that_no_policy_fits() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    for methods in [vec![], vec![EK.0], vec![QUOTE.0], vec![EK.0, 99]] {
        let (mut link, mut agent) = (desk.link(), desk.agent());
        agent.methods = methods;
        let hello = agent.hello();
        let answer = tell(&mut link, &mut agent, &hello).await;
        let Answer::Denied(code, reason) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(code, DenyCode::NO_POLICY);
        assert_eq!(
            reason,
            "no cluster policy authorizes the provided attestors"
        );
    }
}

#[tokio::test]
async fn a_method_that_this_version_does_not_know_is_no_obstacle() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent) = (desk.link(), desk.agent());
    agent.methods = vec![200, QUOTE.0, EK.0];
    granted(desk.login_over(&mut link, &mut agent, &tpm).await);
}

#[tokio::test]
async fn every_flaw_of_a_hello_has_its_refusal() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let agent = desk.agent();
    let good = agent.hello_message();
    let long = "a".repeat(65);
    let versions = |min, max| VersionRange { min, max };
    let flaws: Vec<(Hello<'_>, DenyCode)> = vec![
        (
            Hello {
                cluster: "other",
                ..good.clone()
            },
            DenyCode::UNKNOWN_CLUSTER,
        ),
        (
            Hello {
                cluster: "",
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                cluster: &long,
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                cluster: "a/b",
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                methods: &[1, 2, 1],
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                methods: &[7; 33],
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                untrusted_board: &long,
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                untrusted_version: &long,
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                versions: versions(VersionRange::OURS.max + 1, 9),
                ..good.clone()
            },
            DenyCode::UNSUPPORTED_VERSION,
        ),
        (
            Hello {
                versions: versions(0, 0),
                ..good.clone()
            },
            DenyCode::UNSUPPORTED_VERSION,
        ),
        (
            Hello {
                versions: versions(VersionRange::OURS.max + 1, 1),
                ..good.clone()
            },
            DenyCode::UNSUPPORTED_VERSION,
        ),
        (
            Hello {
                // Of the right form, and no point of the curve.
                key_share: &[4; 65],
                ..good.clone()
            },
            DenyCode::REFUSED,
        ),
        (
            Hello {
                // A compressed point.
                key_share: &[2; 33],
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                key_share: &[5; 65],
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
        (
            Hello {
                key_share: &[4; 64],
                ..good.clone()
            },
            DenyCode::MALFORMED,
        ),
    ];
    for (hello, code) in flaws {
        let message = encode(&AgentMessage::Hello(hello.clone()));
        let answer = desk
            .agent()
            .hear(&say(&mut desk.link(), &message).await.unwrap());
        assert!(is_denied(&answer, code), "{hello:?}: {answer:?}");
    }
}

#[test]
fn a_login_begins_with_a_hello_and_nothing_else() {
    use assay_host_verifier::clock::Clock;
    use assay_host_verifier::login::{AwaitHello, Env, Next};
    use assay_host_verifier::random::SystemRandom;
    let desk = Desk::new(&ek_only("rack", &[&FakeTpm::new()]));
    let env = Env {
        now: desk.clock.now(),
        random: &SystemRandom,
    };
    let trouble = Trouble {
        code: TroubleCode::TPM_BUS,
        detail: 0,
        command: 0,
        attempt: 1,
        retry_in_ms: 0,
    };
    let hello = desk.agent().hello();
    for message in [
        proofs([0; 16], 0, &[]),
        encode(&AgentMessage::Trouble(trouble)),
        Vec::new(),
        vec![0xff; 100],
        [hello.as_slice(), &[0]].concat(),
        hello[..hello.len() - 1].to_vec(),
    ] {
        let turn = AwaitHello::new(desk.server.verifier.current()).handle(&env, &message);
        let Next::Denied(denied) = turn.next else {
            panic!("{message:?} was taken for a hello");
        };
        assert_eq!(denied.code, DenyCode::MALFORMED, "{message:?}");
    }
}

#[test]
fn without_randomness_there_is_no_login() {
    use assay_host_verifier::clock::Clock;
    use assay_host_verifier::login::{AwaitHello, Env, Next};
    use assay_host_verifier::random::{RandomError, SecureRandom};

    /// Runs dry after so many draws.
    #[derive(Debug)]
    struct Dry(std::sync::atomic::AtomicU32);
    impl SecureRandom for Dry {
        fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
            use std::sync::atomic::Ordering;
            let left = self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            left.map_err(|_| RandomError)?;
            aws_lc_rs::rand::fill(out).map_err(|_| RandomError)
        }
    }

    let desk = Desk::new(&ek_only("rack", &[&FakeTpm::new()]));
    let hello = desk.agent().hello();
    // Login id, secret, nonce: the third draw is the last that a first challenge needs.
    for draws in 0..4 {
        let random = Dry(draws.into());
        let env = Env {
            now: desk.clock.now(),
            random: &random,
        };
        let turn = AwaitHello::new(desk.server.verifier.current()).handle(&env, &hello);
        match turn.next {
            Next::Denied(denied) if draws < 3 => assert_eq!(denied.code, DenyCode::INTERNAL),
            Next::Ask(..) if draws >= 3 => {}
            other => panic!("{draws} draws: {other:?}"),
        }
    }
}
