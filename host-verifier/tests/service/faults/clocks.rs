//! A calendar that is set back or on, in the middle of a login and around a renewal.

use std::time::Duration;

use assay_common::protocol::DenyCode;
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::clock::Settled;
use assay_host_verifier::server::{Reply, RequestLogins};
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::Store;
use jiff::{SignedDuration, Timestamp};

use super::renew;
use crate::desk::{Desk, asked_of, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;

const HOUR: i64 = 3600;
/// Steps of the calendar, seconds.
const STEPS: [i64; 4] = [-8760 * HOUR, -2 * HOUR, 2 * HOUR, 8760 * HOUR];

fn step(desk: &Desk, seconds: i64) -> Timestamp {
    let to = desk.clock_now() + SignedDuration::from_secs(seconds);
    desk.clock.set_wall(to);
    to
}

async fn turn(desk: &Desk, logins: &RequestLogins, state: &[u8], message: &[u8]) -> Reply {
    let blobs = Blobs::default();
    logins
        .turn(&desk.server, "https:192.0.2.1", state, &blobs, message)
        .await
}

fn code(reply: &Reply) -> Option<DenyCode> {
    reply.denied.as_ref().map(|denied| denied.code)
}

#[tokio::test]
async fn a_calendar_that_steps_in_a_login_admits_nobody_twice_and_keeps_nobody_out() {
    for seconds in STEPS {
        for remembered in [true, false] {
            let mut tpm = FakeTpm::new();
            let desk = Desk::new(&ek_and_quote(&[&tpm]));
            let first = RequestLogins::default();
            let mut agent = desk.agent();
            let hello = agent.hello();
            let asked = turn(&desk, &first, &[], &hello).await;
            let challenge = asked_of(agent.hear(&asked.message));
            let proofs = agent.answer(&tpm, &challenge);
            let asked = turn(&desk, &first, &asked.state, &proofs).await;
            let challenge = asked_of(agent.hear(&asked.message));
            let proofs = agent.answer(&tpm, &challenge);

            let now = step(&desk, seconds);
            // The verifier that asked counts on a clock that does not step; another has only the calendar.
            let other = RequestLogins::default();
            let logins = if remembered { &first } else { &other };
            let reply = turn(&desk, logins, &asked.state, &proofs).await;
            let expected = (!remembered).then_some(DenyCode::EXPIRED);
            assert_eq!(code(&reply), expected, "{seconds} {remembered}");
            if remembered {
                let session = granted(agent.hear(&reply.message));
                assert_eq!(session.issued_at as i64, now.as_second());
                assert_eq!(session.expires_at as i64, now.as_second() + HOUR);
            }
            // Nor is it good when the calendar is right again.
            for back in [0, -seconds] {
                step(&desk, back);
                let again = turn(&desk, &other, &asked.state, &proofs).await;
                let taken = remembered || back == 0;
                assert!(!taken || code(&again).is_some(), "{seconds} {remembered}");
            }
            tpm.clock += 1;
            granted(desk.login(&tpm).await);
        }
    }
}

#[tokio::test]
async fn a_calendar_that_steps_prolongs_no_session() {
    for seconds in STEPS {
        let mut tpm = FakeTpm::new();
        let desk = Desk::new(&ek_and_quote(&[&tpm]));
        let session = granted(desk.login(&tpm).await);
        let (_, nonce, _) = session.renewal.clone().unwrap();
        tpm.clock += 1000;
        let now = step(&desk, seconds);
        let message = renew(&tpm, session.session_id, &nonce);
        let reply = turn(&desk, &RequestLogins::default(), &[], &message).await;
        match super::renewed_until(&reply.message) {
            // Never beyond an hour from what the calendar says.
            Some(until) => assert_eq!(until as i64, now.as_second() + HOUR),
            None => assert_eq!(code(&reply), Some(DenyCode::LOGIN_REQUIRED), "{seconds}"),
        }
        if seconds > 0 {
            assert!(code(&reply).is_some(), "{seconds}: it is over");
        }
        step(&desk, -seconds);
        tpm.clock += 1000;
        granted(desk.login(&tpm).await);
    }
}

#[tokio::test]
async fn a_calendar_that_steps_purges_no_session_before_somebody_could_see_it() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let session = SessionId(granted(desk.login(&tpm).await).session_id);
    let there = async || desk.store.session(session).await.unwrap().is_some();
    let mut settled = Settled::default();
    let minutes = async |count: u32, settled: &mut Settled| {
        for _ in 0..count {
            desk.clock.advance(Duration::from_secs(60));
            desk.server.purge_ended(settled).await;
        }
    };
    desk.server.purge_ended(&mut settled).await;
    // A service that starts under a wrong calendar.
    step(&desk, 8760 * HOUR);
    minutes(59, &mut settled).await;
    assert!(there().await);
    step(&desk, -8760 * HOUR);
    minutes(59, &mut settled).await;
    assert!(there().await);
    // And one that steps under it.
    step(&desk, 8760 * HOUR);
    minutes(59, &mut settled).await;
    assert!(there().await);
    // Nobody did anything about it.
    minutes(2, &mut settled).await;
    assert!(!there().await);
}
