//! The catalogue of attacks: which stage of a login, what is done there, and what it is for.

use super::attacks;
use super::{Script, Stage};

/// What is done with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// They are read, and nothing else.
    Read,
    /// A command or a response is changed on its way.
    Alter,
    /// A command does not reach the TPM.
    Drop,
    /// What was said earlier is said again.
    Replay,
    /// Something else takes the place of the message, of a key in it, or of the TPM.
    Substitute,
}

impl Operation {
    /// Every operation.
    pub const ALL: &'static [Self] = &[
        Self::Read,
        Self::Alter,
        Self::Drop,
        Self::Replay,
        Self::Substitute,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Alter => "alter",
            Self::Drop => "drop",
            Self::Replay => "replay",
            Self::Substitute => "substitute",
        }
    }
}

/// When the attack begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Begin {
    /// With the first command after power-on.
    PowerOn,
    /// After a login that he only listened to.
    SecondLogin,
    /// With the renewal of a session, after a login and a renewal that he only listened to.
    Renewal,
    /// With the first command after power-on, and he goes on through the first renewal.
    Session,
}

/// What the attacker would have if it worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Goal {
    /// A session that a node with this TPM, these measurements and this key would not get.
    OtherSession,
    /// Any session, since without the node's own TPM there must be none.
    AnySession,
    /// A session for a node that measured a tampered image.
    TamperedImage,
    /// A session for a node that measured settings which its policy does not allow.
    HiddenSettings,
    /// The secrets of a session.
    Secret,
    /// The node's nonce before the node has said it.
    Nonce,
    /// Commands in clear where the node had a session to guard them.
    Clear,
    /// A session for a node that measured into one of its TPM's banks and left the other to him.
    FreeBank,
}

/// An attack.
#[derive(Clone, Copy)]
pub struct Mode {
    /// Its name: `hil demo --interposer NAME`.
    pub name: &'static str,
    /// The stage it strikes in.
    pub stage: Stage,
    /// What is done.
    pub operation: Operation,
    /// When it begins.
    pub begin: Begin,
    /// What it is for.
    pub goal: Goal,
    /// What is done, in a sentence.
    pub tries: &'static str,
    pub(super) script: fn() -> Script,
}

impl core::fmt::Debug for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every mode, by stage.
pub const MODES: &[&[Mode]] = &[
    attacks::START,
    attacks::RANDOM,
    attacks::SESSION,
    attacks::EXTEND,
    attacks::WITNESS,
    attacks::EK,
    attacks::AK,
    attacks::CERTIFICATE,
    attacks::SVID_KEY,
    attacks::ACTIVATE,
    attacks::PCRS,
    attacks::QUOTE,
    attacks::RENEWAL,
    attacks::WHOLE,
];

impl Mode {
    /// Every mode, in the order of a login.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        MODES.iter().flat_map(|stage| stage.iter())
    }

    /// The mode with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        Self::all().find(|mode| mode.name == name)
    }

    /// The attack, ready to begin.
    #[must_use]
    pub fn script(&self) -> Script {
        (self.script)()
    }

    pub(super) const fn new(
        name: &'static str,
        stage: Stage,
        operation: Operation,
        tries: &'static str,
        script: fn() -> Script,
    ) -> Self {
        let begin = match (stage, operation) {
            (Stage::Renewal, _) => Begin::Renewal,
            (_, Operation::Replay) => Begin::SecondLogin,
            _ => Begin::PowerOn,
        };
        Self {
            name,
            stage,
            operation,
            begin,
            goal: Goal::OtherSession,
            tries,
            script,
        }
    }

    pub(super) const fn to(self, goal: Goal) -> Self {
        Self { goal, ..self }
    }

    pub(super) const fn from(self, begin: Begin) -> Self {
        Self { begin, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_stage_of_a_login_meets_every_operation() {
        let mut names = BTreeSet::new();
        let cells: BTreeSet<_> = Mode::all()
            .map(|mode| {
                assert!(names.insert(mode.name), "{} comes twice", mode.name);
                (mode.stage, mode.operation)
            })
            .collect();
        for stage in Stage::ALL.iter().filter(|stage| **stage != Stage::End) {
            for operation in Operation::ALL {
                assert!(
                    cells.contains(&(*stage, *operation)),
                    "nobody tries to {} {}",
                    operation.name(),
                    stage.name()
                );
            }
        }
    }
}
