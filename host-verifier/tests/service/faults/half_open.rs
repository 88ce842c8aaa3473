//! Logins that are begun, say as much as a login can, and are left.

use assay_common::method::tpm_ek::MAX_CHAIN;
use assay_common::policy::AttestorKind;
use assay_common::protocol::envelope::{Blob, LoginRequest, POSTCARD};
use assay_common::protocol::{DenyCode, MAX_BLOB};
use assay_host_verifier::server::KEPT_BYTES;

use super::house::{House, Wire};
use super::idle::resident;
use crate::agent::{Answer, ek_payload_with, proofs};
use crate::desk::{asked_of, granted};
use crate::fake_tpm::FakeTpm;

/// Logins: what is said in them is half as much again as may be kept.
const LOGINS: usize = KEPT_BYTES / (MAX_CHAIN * MAX_BLOB as usize) * 3 / 2;
/// What else the service may take for all this, bytes: the requests themselves, and what its allocator keeps.
const BESIDES: usize = 48 * 1024 * 1024;

#[test]
fn logins_that_are_left_with_all_they_can_say_are_kept_in_bounded_memory() {
    let mut tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let replica = house.serve(&["limits.api.requestsPerSecond=100000"]);
    granted(house.login(&replica, &tpm));
    let mut wire = Wire::connect(replica.address).unwrap();
    let before = resident(&replica);
    let mut first = None;
    for number in 0..LOGINS {
        let mut agent = house.agent();
        let heard = wire.turn(&[], &agent.hello()).unwrap();
        let asked = asked_of(agent.hear(&heard.message));
        let blob = vec![u8::try_from(number % 251).unwrap(); MAX_BLOB as usize];
        let chain = [blob.as_slice(); MAX_CHAIN];
        let ek = ek_payload_with(&tpm.ek_public(), &tpm.ak_public(), &chain);
        let message = proofs(asked.login_id, 0, &[(AttestorKind::TPM_EK, ek)]);
        agent.said(&message);
        let blobs = chain
            .iter()
            .zip(0..)
            .map(|(bytes, blob)| Blob { blob, bytes });
        let request = LoginRequest {
            state: &heard.state,
            blobs: blobs.collect(),
            message: &message,
        };
        wire.post(POSTCARD, &postcard::to_allocvec(&request).unwrap())
            .unwrap();
        let heard = wire.hear().unwrap();
        let asked = match agent.hear(&heard.message) {
            Answer::Asked(asked) => asked,
            other => panic!("login {number}: {other:?}"),
        };
        first.get_or_insert((agent, heard.state, asked));
    }
    let after = resident(&replica);
    println!(
        "{LOGINS} half-open logins with {} KiB each: {} MiB before, {} MiB after",
        MAX_CHAIN * MAX_BLOB as usize / 1024,
        before >> 20,
        after >> 20
    );
    assert!(after < before + KEPT_BYTES + BESIDES, "{before} {after}");

    // The first of them was driven out of memory long ago, and goes on all the same.
    let (mut agent, state, asked) = first.unwrap();
    let message = agent.answer(&tpm, &asked);
    let heard = wire.turn(&state, &message).unwrap();
    granted(agent.hear(&heard.message));
    let again = wire.turn(&state, &message).unwrap();
    let answer = house.agent().hear(&again.message);
    assert!(
        matches!(answer, Answer::Denied(DenyCode::REFUSED, _)),
        "{answer:?}"
    );
    tpm.clock += 1;
    granted(house.login(&replica, &tpm));
}
