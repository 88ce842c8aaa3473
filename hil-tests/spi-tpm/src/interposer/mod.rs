//! Somebody between the FIFO and the TPM, who sees every whole command and response and answers as he likes.
//!
//! What he can do is everything short of opening the TPM or the microcontroller: read, change, hold back, repeat and make
//! up messages in both directions, ask the TPM for himself, reset it, and put another genuine TPM in its place. He knows
//! the protocol and the firmware. He does not know the TPM's keys, nor what the node keeps in its flash that is secret.
//!
//! * [`stage`] tells what a login is doing by its commands; [`parts`] cuts messages and makes them up.
//! * [`journal`] is what he has seen and done.
//! * [`mode`] is the catalogue of attacks, each a [`Script`].
//!
//! An [`Interposer`] is a [`TpmBackend`], so it stands wherever a TPM does: behind the model in a test, or, by
//! [`socket`], in front of an emulated board's software TPM.

mod attacks;
pub mod journal;
pub mod mode;
pub mod parts;
pub mod socket;
pub mod stage;
mod turn;

use crate::backend::{BackendError, TpmBackend};
use crate::clock::VirtualClock;
use crate::message;

pub use attacks::extend as measured;
pub use journal::{Exchange, Journal, JournalHandle};
pub use mode::{Begin, Goal, MODES, Mode, Operation};
pub use stage::Stage;
pub use turn::Turn;

/// What becomes of a command: the response that the host is given.
pub type Answer = Result<Vec<u8>, BackendError>;

/// An attack: asked for the answer to every command while it is on.
pub type Script = Box<dyn FnMut(&mut Turn<'_>) -> Answer + Send>;

/// An attacker in front of a TPM.
pub struct Interposer {
    tpm: Box<dyn TpmBackend>,
    other: Option<Box<dyn TpmBackend>>,
    script: Script,
    journal: JournalHandle,
    clock: Option<VirtualClock>,
}

impl Interposer {
    /// Puts `script` in front of `tpm`. It is on from the first command, unless the journal is told otherwise.
    #[must_use]
    pub fn new(tpm: impl TpmBackend + 'static, script: Script) -> Self {
        Self {
            tpm: Box::new(tpm),
            other: None,
            script,
            journal: JournalHandle::default(),
            clock: None,
        }
    }

    /// Gives him another TPM, as genuine as the first and started.
    #[must_use]
    pub fn with_other(mut self, other: impl TpmBackend + 'static) -> Self {
        self.other = Some(Box::new(other));
        self
    }

    /// Has him hold messages back by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: VirtualClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What he has seen and done, and the switch that turns him on and off.
    #[must_use]
    pub fn journal(&self) -> JournalHandle {
        self.journal.clone()
    }
}

impl TpmBackend for Interposer {
    fn execute(&mut self, command: &[u8], locality: u8) -> Answer {
        let (stage, armed) = self
            .journal
            .with(|journal| (Stage::of(command, journal.renewing), journal.armed));
        let mut turn = Turn {
            command,
            code: message::code(command).unwrap_or(0),
            stage,
            locality,
            tpm: &mut *self.tpm,
            other: self.other.as_deref_mut().map(|other| other as _),
            journal: &self.journal,
            clock: self.clock.as_ref(),
        };
        let answer = if armed {
            (self.script)(&mut turn)
        } else {
            turn.pass()
        }?;
        self.journal.with(|journal| {
            journal.note(stage, command, &answer);
        });
        Ok(answer)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.tpm.reset()
    }

    fn power_cycle(&mut self) -> Result<(), BackendError> {
        self.tpm.power_cycle()
    }

    fn cancel(&mut self) -> Result<(), BackendError> {
        self.tpm.cancel()
    }

    fn disconnect(&mut self) {
        self.tpm.disconnect();
    }
}
