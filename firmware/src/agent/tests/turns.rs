//! Login after login: what lies between them, and who learns of them.

use assay_common::identity::provisioning::MIN_NOISE;
use assay_common::identity::{Pins, ProvisioningError};
use assay_common::protocol::{
    AgentMessage, Denied, DenyCode, FrameKind, TroubleCode, VerifierMessage, decode,
};

use super::loops::{GRANTED, frame, granting, node, observed};
use super::verifier::{Source, message, pinned_record, record};
use crate::agent::{Failure, Session};
use crate::evidence::EvidenceError;

#[test]
fn nodes_that_are_denied_together_do_not_come_back_together() {
    let record = record(1);
    let mut waits: Vec<u32> = (0..8)
        .map(|n| {
            let mut told = false;
            let denied = Denied {
                code: DenyCode::OVERLOADED,
                reason: "",
                retry_after_s: 30,
            };
            let answer = frame(&message(&VerifierMessage::Denied(denied)));
            // Each is told the same, some milliseconds after the other: after its n-th hello.
            let mut hellos = 0;
            let peer = move |_, _: &[u8]| {
                hellos += 1;
                told |= hellos > n;
                if told { answer.clone() } else { Vec::new() }
            };
            let (_, mut node) = node(&record, Source::default(), Box::new(peer));
            node.attempt().unwrap_err().1
        })
        .collect();
    assert!(waits.iter().all(|wait| *wait >= 30_000), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 4, "{waits:?}");
}

#[test]
fn a_granted_session_is_shown_to_the_observer_whole() {
    let record = record(1);
    let mut seen = Vec::new();
    let mut observer = |session: &Session<'_>| {
        seen.push((
            *session.id(),
            session.spiffe_id().to_string(),
            session.lifetime_s(),
            *session.secret(),
        ));
    };
    let mut outer = granting(b"");
    let mut hellos = 0;
    // The second login is not answered.
    let peer = move |kind, body: &[u8]| {
        if kind == FrameKind::MESSAGE && matches!(decode(body), Ok(AgentMessage::Hello(_))) {
            hellos += 1;
        }
        if hellos > 1 {
            return Vec::new();
        }
        outer(kind, body)
    };
    let (_, mut node) = observed(&record, Source::default(), Box::new(peer), &mut observer);
    assert_eq!(node.login(), Ok(GRANTED));
    assert!(node.login().is_err());
    drop(node);
    let id = "spiffe://example.org/node/1".to_owned();
    assert_eq!(seen, [([9; 16], id, 3_600, [0xAB; 32])]);
}

/// Lets a node take so many turns in which its source fails with `code`; when the board was restarted, in ms.
fn restarts(code: TroubleCode, turns: u32) -> Vec<u64> {
    let record = record(1);
    let source = Source {
        fail: Some(EvidenceError::new(code)),
        ..Source::default()
    };
    let (setup, mut node) = node(&record, source, granting(b""));
    for _ in 0..turns {
        node.turn();
    }
    setup.restarts.take()
}

#[test]
fn a_tpm_that_is_stuck_or_absent_is_reset_with_the_board_after_a_minute() {
    for code in [
        TroubleCode::TPM_ABSENT,
        TroubleCode::TPM_LOCALITY,
        TroubleCode::TPM_TIMEOUT,
    ] {
        assert_eq!(restarts(code, 5), [], "{code}");
        let [at_ms] = restarts(code, 6)[..] else {
            panic!("{code}")
        };
        assert!((60_000..90_000).contains(&at_ms), "{code}: {at_ms}");
        // A board that could not do it is asked again, no sooner.
        let [first, second] = restarts(code, 12)[..] else {
            panic!("{code}")
        };
        assert!(second - first >= 60_000, "{code}");
    }
}

#[test]
fn no_other_trouble_restarts_the_board() {
    for code in [
        TroubleCode::TPM_BUS,
        TroubleCode::TPM_TRANSFER,
        TroubleCode::TPM_RESPONSE,
        TroubleCode::TPM_FAILURE_MODE,
        TroubleCode::TPM_UPGRADE_MODE,
        TroubleCode::TPM_LOCKOUT,
        TroubleCode::TPM_OUT_OF_MEMORY,
        TroubleCode::TPM_RESET,
        TroubleCode::TPM_BUSY,
        TroubleCode::TPM_COMMAND,
        TroubleCode::TPM_UNSUPPORTED,
        TroubleCode::PCR_UNSTABLE,
    ] {
        assert_eq!(restarts(code, 8), [], "{code}");
    }
    // Nor a verifier that is away, nor a node without a record.
    let record = record(1);
    for record in [&record[..], &[0xFF; 64]] {
        let (setup, mut node) = node(record, Source::default(), Box::new(|_, _| Vec::new()));
        for _ in 0..8 {
            node.turn();
        }
        assert_eq!(setup.restarts.take(), []);
    }
}

#[test]
fn a_login_in_between_begins_the_count_of_attempts_without_a_tpm_anew() {
    let record = record(1);
    let (setup, mut node) = node(&record, Source::default(), granting(b""));
    let absent = Some(EvidenceError::new(TroubleCode::TPM_ABSENT));
    for _ in 0..4 {
        node.source_mut().fail = absent;
        for _ in 0..5 {
            node.turn();
        }
        node.source_mut().fail = None;
        node.turn();
    }
    assert_eq!(setup.restarts.take(), []);
}

/// A pin promises a guarded bus. Without noise and without a secret, whoever is on that bus knows all that the session's
/// secrets are made of; so there is no login, and the TPM is not asked for anything.
#[test]
fn a_pinned_tpm_is_for_boards_that_have_a_secret_or_noise() {
    let (mut ek_name, secret) = ([0x0B; 34], [0x5E; 32]);
    // TPM_ALG_SHA256, 0x000B.
    ek_name[0] = 0;
    let pinned = |secret| {
        let ek_name = &ek_name;
        pinned_record(1, &Pins { ek_name, secret })
    };
    for (record, noise, is_refused) in [
        (pinned(&[]), 0, true),
        (pinned(&[]), MIN_NOISE - 1, true),
        (pinned(&[]), MIN_NOISE, false),
        (pinned(&secret), 0, false),
        (record(1), 0, false),
    ] {
        let (setup, mut node) = node(&record, Source::default(), granting(b""));
        *setup.noise.borrow_mut() = noise;
        let result = node.attempt();
        let refused = Failure::NotProvisioned(ProvisioningError::NoSecret);
        assert_eq!(
            result.err().map(|(failure, _)| failure),
            is_refused.then_some(refused)
        );
        assert_eq!(node.source_mut().begun == 0, is_refused);
    }
}
