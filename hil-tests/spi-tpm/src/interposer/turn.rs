//! One command in the interposer's hands.

use std::time::Duration;

use super::parts::{Command, Response};
use super::{Answer, Exchange, JournalHandle, Stage};
use crate::backend::{BackendError, TpmBackend};
use crate::clock::VirtualClock;

/// A command under way, and everything that can be done with it.
pub struct Turn<'t> {
    /// The command as the host sent it.
    pub command: &'t [u8],
    /// TPM_CC.
    pub code: u32,
    /// What the login is doing.
    pub stage: Stage,
    pub(super) locality: u8,
    pub(super) tpm: &'t mut dyn TpmBackend,
    pub(super) other: Option<&'t mut dyn TpmBackend>,
    pub(super) journal: &'t JournalHandle,
    pub(super) clock: Option<&'t VirtualClock>,
}

impl Turn<'_> {
    /// Whether it is the command that an attack waits for.
    #[must_use]
    pub fn is(&self, stage: Stage, code: u32) -> bool {
        self.stage == stage && self.code == code
    }

    /// Passes the command on as it is.
    ///
    /// # Errors
    /// As [`TpmBackend::execute`]; so with all that ask a TPM.
    pub fn pass(&mut self) -> Answer {
        self.tpm.execute(self.command, self.locality)
    }

    /// Asks the TPM something else.
    ///
    /// # Errors
    /// As [`pass`](Self::pass).
    pub fn ask(&mut self, command: &[u8]) -> Answer {
        self.tpm.execute(command, self.locality)
    }

    /// Asks the other TPM.
    ///
    /// # Errors
    /// As [`pass`](Self::pass), and [`BackendError::Unsupported`] when he has none.
    pub fn ask_other(&mut self, command: &[u8]) -> Answer {
        match &mut self.other {
            Some(other) => other.execute(command, self.locality),
            None => Err(BackendError::Unsupported("ask another TPM")),
        }
    }

    /// Has the other TPM answer this command, without the sessions that it knows nothing of.
    ///
    /// # Errors
    /// As [`ask_other`](Self::ask_other).
    pub fn pass_to_other(&mut self) -> Answer {
        let command = self.command;
        match Command::parse(command).filter(Command::is_protected) {
            None => self.ask_other(command),
            Some(parts) => {
                let answer = self.ask_other(&parts.stripped())?;
                Ok(dressed(answer, &parts))
            }
        }
    }

    /// Resets the TPM and starts it, as somebody who holds its reset line can.
    ///
    /// # Errors
    /// As [`TpmBackend::reset`].
    pub fn reset_and_start(&mut self) -> Result<(), BackendError> {
        const STARTUP_CLEAR: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];
        self.tpm.reset()?;
        self.tpm.execute(&STARTUP_CLEAR, 0).map(drop)
    }

    /// Holds the command back for so long.
    pub fn hold(&self, time: Duration) {
        if let Some(clock) = self.clock {
            clock.advance_ns(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// What the host was told in the run before, at this place.
    #[must_use]
    pub fn earlier(&self) -> Option<Vec<u8>> {
        let earlier = self.earlier_exchange();
        earlier.map(|one| one.response)
    }

    /// What the host asked in the run before, at this place.
    #[must_use]
    pub fn asked_earlier(&self) -> Option<Vec<u8>> {
        let earlier = self.earlier_exchange();
        earlier.map(|one| one.command)
    }

    fn earlier_exchange(&self) -> Option<Exchange> {
        self.journal
            .with(|journal| journal.earlier(self.stage, self.code).cloned())
    }

    /// What the host was last told to a command of this stage and code, in any run.
    #[must_use]
    pub fn told(&self) -> Option<Vec<u8>> {
        self.journal.with(|journal| {
            let mut exchanges = journal.exchanges.iter().rev();
            let last = exchanges.find(|one| (one.stage, one.code) == (self.stage, self.code));
            last.map(|one| one.response.clone())
        })
    }

    /// Notes that the attack was carried out; `deed` says on what.
    pub fn strike(&self, deed: &'static str) {
        self.journal.with(|journal| journal.strike(deed));
    }
}

/// A plain answer in the form that the host expects of `command`; an error is one as it is.
pub(super) fn dressed(answer: Vec<u8>, command: &Command<'_>) -> Vec<u8> {
    match Response::parse(&answer, command.code) {
        Some(parts) => parts.dressed_for(command),
        None => answer,
    }
}
