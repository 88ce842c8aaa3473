//! The attacker's ear on the line, and what he makes of what he has heard there and on the bus.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use assay_common::login::{Direction, LoginKeys, Transcript};
use assay_common::protocol::{AgentMessage, FrameKind, VerifierMessage, decode};
use assay_spi_tpm::clock::VirtualClock;
use assay_spi_tpm::interposer::parts::{Response, tpm2b};
use assay_spi_tpm::interposer::{Journal, Stage};
use aws_lc_rs::digest::{Context, SHA256};

use crate::scenario::line::{Frame, Line, Toward};
use crate::scenario::local_verifier::LocalVerifier;

/// A message that went by.
struct Heard {
    toward: Toward,
    body: Vec<u8>,
    at: Duration,
}

/// What was said on a line since he began to listen. Clones share it.
#[derive(Clone, Default)]
pub struct Eavesdropper(Rc<RefCell<Vec<Heard>>>);

const GET_RANDOM: u32 = 0x17B;
const ACTIVATE_CREDENTIAL: u32 = 0x147;

/// How long before a hello its nonce may have been made: what the attacker must guess of the node's clock.
const WINDOW_US: u64 = 20_000;

impl Eavesdropper {
    /// Listens to `line`, whose times are `clock`'s.
    #[must_use]
    pub fn on(line: &Line<LocalVerifier>, clock: VirtualClock) -> Self {
        let ear = Self::default();
        let own = ear.clone();
        line.meddle(Box::new(move |frame: Frame| {
            if frame.kind == FrameKind::MESSAGE {
                own.0.borrow_mut().push(Heard {
                    toward: frame.toward,
                    body: frame.body.clone(),
                    at: clock.now(),
                });
            }
            vec![frame]
        }));
        ear
    }

    /// What the verifier said, in order.
    #[must_use]
    pub fn to_agent(&self) -> Vec<Vec<u8>> {
        let heard = self.0.borrow();
        let own = heard.iter().filter(|one| one.toward == Toward::Agent);
        own.map(|one| one.body.clone()).collect()
    }

    /// Forgets what was said so far.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// Whether he can open the last grant: with the secrets that went over the bus he makes the session's keys.
    #[must_use]
    pub fn opens_grant(&self, journal: &Journal) -> bool {
        let heard = self.0.borrow();
        let mut transcript = Transcript::new();
        for one in heard.iter() {
            if let (Toward::Agent, Some((body, tag))) = (one.toward, grant(&one.body)) {
                let opens = |secret| {
                    LoginKeys::new(secret)
                        .check_grant(&transcript, body, &tag)
                        .is_ok()
                };
                return secrets(journal).into_iter().any(opens);
            }
            let direction = match one.toward {
                Toward::Agent => Direction::Verifier,
                Toward::Verifier => Direction::Agent,
            };
            transcript = transcript.then(direction, &one.body);
        }
        false
    }

    /// Whether he knew the nonce of the last hello before it was said, but for the moment at which it was made.
    #[must_use]
    pub fn knew_nonce(&self, journal: &Journal) -> bool {
        let heard = self.0.borrow();
        let hello = heard.iter().rev().find_map(|one| match decode(&one.body) {
            Ok(AgentMessage::Hello(hello)) if one.toward == Toward::Verifier => {
                Some((hello.agent_nonce, one.at))
            }
            _ => None,
        });
        let Some((nonce, at)) = hello else {
            return false;
        };
        let said_at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let moments = said_at.saturating_sub(WINDOW_US)..=said_at;
        randoms(journal).iter().any(|random| {
            let mut moments = moments.clone();
            moments.any(|now| (0..2).any(|attempt| nonce_of(random, now, attempt) == nonce))
        })
    }
}

/// The nonce that a node with a plain bus makes of its TPM's random bytes.
fn nonce_of(random: &[u8], now_us: u64, attempt: u32) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(random);
    hash.update(&now_us.to_le_bytes());
    hash.update(&attempt.to_le_bytes());
    let mut nonce = [0; 32];
    for (to, from) in nonce.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    nonce
}

/// Body and tag of a grant.
fn grant(message: &[u8]) -> Option<(&[u8], [u8; 32])> {
    match decode(message) {
        Ok(VerifierMessage::Granted(sealed) | VerifierMessage::SvidGranted(sealed)) => {
            Some((sealed.body, sealed.tag))
        }
        _ => None,
    }
}

/// Everything of 32 bytes that the node was given as a credential's secret.
fn secrets(journal: &Journal) -> Vec<[u8; 32]> {
    first_fields(journal, Stage::Activate, ACTIVATE_CREDENTIAL)
        .filter_map(|field| field.try_into().ok())
        .collect()
}

/// The random bytes of the run under way, as the node was given them.
fn randoms(journal: &Journal) -> Vec<Vec<u8>> {
    first_fields(journal, Stage::Random, GET_RANDOM).collect()
}

fn first_fields(journal: &Journal, stage: Stage, code: u32) -> impl Iterator<Item = Vec<u8>> {
    let own = journal
        .exchanges
        .iter()
        .filter(move |one| (one.run, one.stage, one.code) == (journal.run, stage, code));
    own.filter_map(|one| {
        let parts = Response::parse(&one.response, one.code)?;
        Some(tpm2b(parts.parameters)?.0.to_vec())
    })
}
