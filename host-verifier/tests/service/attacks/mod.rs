//! Attacks that worked on other verifiers, by their number in the project's list; each test is one that must not
//! work here. Attacks on parsers, keys, certificates and quotes as such are with the attestors.

mod binding;
mod keys;
mod outcomes;
mod replays;

use assay_common::policy::AttestorKind;
use assay_common::protocol::DenyCode;

use crate::agent::{Answer, Asked};
use crate::desk::{Desk, tell};
use crate::fake_tpm::FakeTpm;

/// Runs round 1 with items of the test's choosing.
pub(super) async fn round_1(
    desk: &Desk,
    tpm: &FakeTpm,
    items: impl FnOnce(&mut crate::agent::Agent, &Asked) -> Vec<(AttestorKind, Vec<u8>)>,
) -> Answer {
    let (mut link, mut agent, asked) = desk.at_round_1(tpm).await;
    let items = items(&mut agent, &asked);
    let message = agent.proofs(&asked, &items);
    tell(&mut link, &mut agent, &message).await
}

pub(super) fn assert_refused(answer: &Answer) {
    assert!(
        matches!(answer, Answer::Denied(DenyCode::REFUSED, _)),
        "{answer:?}"
    );
}
