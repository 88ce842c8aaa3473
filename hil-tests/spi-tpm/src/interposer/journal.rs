//! What an interposer has seen and done.

use std::sync::{Arc, Mutex, PoisonError};

use super::Stage;
use crate::message;

/// One command and what the host was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// In which run of the node: a login or a renewal, from 0.
    pub run: u32,
    /// What the login was doing.
    pub stage: Stage,
    /// TPM_CC.
    pub code: u32,
    /// As the host sent it.
    pub command: Vec<u8>,
    /// As the host received it.
    pub response: Vec<u8>,
}

/// Longest journal, exchanges. A login has some 30.
const LIMIT: usize = 4_096;

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Everything that went by, in order; the first 4,096.
    pub exchanges: Vec<Exchange>,
    /// How often the attack was carried out.
    pub strikes: u32,
    /// What it was, once for each kind.
    pub deeds: Vec<&'static str>,
    /// Whether he attacks; else he only listens.
    pub armed: bool,
    /// Whether a session is being renewed.
    pub renewing: bool,
    /// The run under way.
    pub run: u32,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            exchanges: Vec::new(),
            strikes: 0,
            deeds: Vec::new(),
            armed: true,
            renewing: false,
            run: 0,
        }
    }
}

impl Journal {
    /// Begins another run.
    pub const fn next_run(&mut self) {
        self.run = self.run.saturating_add(1);
    }

    pub(super) fn note(&mut self, stage: Stage, command: &[u8], response: &[u8]) {
        if self.exchanges.len() < LIMIT {
            self.exchanges.push(Exchange {
                run: self.run,
                stage,
                code: message::code(command).unwrap_or(0),
                command: command.to_vec(),
                response: response.to_vec(),
            });
        }
    }

    pub(super) fn strike(&mut self, deed: &'static str) {
        self.strikes = self.strikes.saturating_add(1);
        if !self.deeds.contains(&deed) {
            self.deeds.push(deed);
        }
    }

    /// The exchange of the run before that has the place of this one among those of its stage and code.
    pub(super) fn earlier(&self, stage: Stage, code: u32) -> Option<&Exchange> {
        let of = |run: u32| {
            let own = move |one: &&Exchange| (one.run, one.stage, one.code) == (run, stage, code);
            self.exchanges.iter().filter(own)
        };
        let place = of(self.run).count();
        of(self.run.checked_sub(1)?).nth(place)
    }

    /// Whether the host's or the TPM's messages of a stage contain `bytes`.
    #[must_use]
    pub fn contains(&self, stage: Stage, bytes: &[u8]) -> bool {
        let within = |message: &[u8]| {
            message
                .windows(bytes.len().max(1))
                .any(|part| part == bytes)
        };
        let mut own = self.exchanges.iter().filter(|one| one.stage == stage);
        own.any(|one| within(&one.command) || within(&one.response))
    }
}

/// A journal that is read elsewhere while the interposer works. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct JournalHandle(Arc<Mutex<Journal>>);

impl JournalHandle {
    /// Works on the journal.
    pub fn with<R>(&self, work: impl FnOnce(&mut Journal) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Journal {
        self.with(|journal| journal.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_earlier_is_found_by_its_place() {
        let mut journal = Journal::default();
        let random = message::plain_command(0x17B, &[0, 1]);
        journal.note(Stage::Random, &random, b"first");
        journal.note(Stage::Random, &random, b"second");
        assert_eq!(journal.earlier(Stage::Random, 0x17B), None, "no run before");
        journal.next_run();
        let earlier = |journal: &Journal| {
            let one = journal.earlier(Stage::Random, 0x17B)?;
            Some(one.response.clone())
        };
        assert_eq!(earlier(&journal).as_deref(), Some(&b"first"[..]));
        journal.note(Stage::Random, &random, b"first");
        assert_eq!(earlier(&journal).as_deref(), Some(&b"second"[..]));
        journal.note(Stage::Random, &random, b"second");
        assert_eq!(earlier(&journal), None, "there were two");
        assert_eq!(journal.earlier(Stage::Quote, 0x17B), None);
    }

    #[test]
    fn a_secret_is_looked_for_where_it_was_said() {
        let mut journal = Journal::default();
        journal.note(Stage::Activate, b"command", b"it is a secret");
        assert!(journal.contains(Stage::Activate, b"secret"));
        assert!(!journal.contains(Stage::Quote, b"secret"));
        assert!(!journal.contains(Stage::Activate, b"secrets"));
    }
}
