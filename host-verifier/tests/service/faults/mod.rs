//! Faults of what the service stands on: processes that are killed, databases that go away, calendars that step, peers
//! that do not come to the point. What holds in all of them: nobody is admitted who was not decided on, nothing is lost
//! that was answered, and the same node logs in when the fault is gone. `docs/faults.md` has the figures.

mod clocks;
mod crashes;
mod databases;
mod disks;
mod documents;
mod expiry;
mod half_open;
mod house;
mod idle;
mod kills;
mod replicas;
mod resets;

use assay_common::login::renewal_nonce;
use assay_common::protocol::{AgentMessage, Renew, Renewal, VerifierMessage, decode};

use crate::agent::{encode, quote_payload_with};
use crate::fake_tpm::FakeTpm;

/// PCRs 0 and 7 of the SHA-256 bank, as the policies of desks and sites ask.
const BANKS: [(u16, u32); 1] = [(0x000b, 0x81)];

/// An honest renewal over the nonce that the node was given.
pub(crate) fn renew(tpm: &FakeTpm, session_id: [u8; 16], nonce: &[u8; 32]) -> Vec<u8> {
    let agent_nonce = [9; 32];
    let over = renewal_nonce(&session_id, nonce, &agent_nonce);
    encode(&AgentMessage::Renew(Renew {
        session_id,
        agent_nonce,
        quote: &quote_payload_with(tpm, &BANKS, &over),
    }))
}

/// When a renewed session ends; `None` when the message is another.
pub(crate) fn renewed_until(message: &[u8]) -> Option<u64> {
    match decode::<VerifierMessage<'_>>(message).unwrap() {
        VerifierMessage::Renewed(signed) => {
            let renewal: Renewal<'_> = decode(signed.body).unwrap();
            Some(renewal.expires_at)
        }
        _ => None,
    }
}

/// What the next renewal is over.
pub(crate) fn next_nonce(message: &[u8]) -> [u8; 32] {
    match decode::<VerifierMessage<'_>>(message).unwrap() {
        VerifierMessage::Renewed(signed) => {
            decode::<Renewal<'_>>(signed.body).unwrap().renewal_nonce
        }
        other => panic!("{other:?}"),
    }
}
