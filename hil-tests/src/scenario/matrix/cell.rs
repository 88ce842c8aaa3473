//! Cells: which fault, in which phase, in which command, for how long.

use core::fmt;

use assay_spi_tpm::command;
use assay_spi_tpm::stats::Stats;
use assay_spi_tpm::{Fault, FaultKind, Phase};

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// It shows once, in the command with this number.
    Once(u32),
    /// It shows whenever it can for as long as the command with this number lasts, repetitions included.
    Held(u32),
    /// It shows whenever it can, from power-on.
    Always,
}

impl When {
    /// The three, without a command.
    pub const NAMES: [&'static str; 3] = ["once", "held", "always"];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Once(_) => "once",
            Self::Held(_) => "held",
            Self::Always => "always",
        }
    }

    /// The command's number; 0 where every command is meant.
    #[must_use]
    pub const fn command(self) -> u32 {
        match self {
            Self::Once(n) | Self::Held(n) => n,
            Self::Always => 0,
        }
    }
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The fault.
    pub kind: FaultKind,
    /// The phase it shows in.
    pub phase: Phase,
    /// In which command, and for how long.
    pub when: When,
}

/// Cells that differ in the command only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// The fault.
    pub kind: FaultKind,
    /// The phase it shows in.
    pub phase: Phase,
    /// One of [`When::NAMES`].
    pub when: &'static str,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.kind.name(),
            self.phase.name(),
            self.when
        )
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.row(), self.when.command())
    }
}

/// The commands of a clean login, in order; the first has number 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login(Vec<u32>);

impl Login {
    /// The commands that were counted.
    #[must_use]
    pub fn of(stats: &Stats) -> Self {
        Self(
            stats
                .commands
                .iter()
                .filter_map(|command| command.code)
                .collect(),
        )
    }

    /// A login by its command codes.
    #[must_use]
    pub const fn new(codes: Vec<u32>) -> Self {
        Self(codes)
    }

    /// Codes, in order.
    #[must_use]
    pub fn codes(&self) -> &[u32] {
        &self.0
    }

    /// Numbers with codes.
    pub fn commands(&self) -> impl Iterator<Item = (u32, u32)> {
        (1..).zip(self.0.iter().copied())
    }

    /// The code of command `number`.
    #[must_use]
    pub fn code(&self, number: u32) -> Option<u32> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.0.get(index).copied()
    }

    /// Whether `number` is the first command with its code.
    #[must_use]
    pub fn is_first(&self, number: u32) -> bool {
        let first = |code| {
            self.commands()
                .find(|(_, other)| *other == code)
                .map(|(n, _)| n)
        };
        self.code(number).and_then(first) == Some(number)
    }

    /// Command names with their numbers, for people.
    #[must_use]
    pub fn names(&self) -> String {
        let name = |(n, code)| match command::name(code) {
            Some(name) => format!("{n} {name}"),
            None => format!("{n} {code:#x}"),
        };
        self.commands().map(name).collect::<Vec<_>>().join(", ")
    }

    /// Every cell, sorted by row and command.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &kind in FaultKind::ALL {
            for &phase in kind.phases() {
                let cell = |when| Cell { kind, phase, when };
                cells.extend(self.commands().map(|(n, _)| cell(When::Once(n))));
                // A fault that outlasts a command is the same fault in the next one with that code.
                let firsts = self.commands().filter(|(n, _)| self.is_first(*n));
                cells.extend(firsts.map(|(n, _)| cell(When::Held(n))));
                cells.push(cell(When::Always));
            }
        }
        cells
    }
}

impl Cell {
    /// Its row.
    #[must_use]
    pub const fn row(&self) -> Row {
        Row {
            kind: self.kind,
            phase: self.phase,
            when: self.when.name(),
        }
    }

    /// The fault for the model.
    #[must_use]
    pub fn fault(&self, login: &Login) -> Fault {
        let fault = Fault::new(self.kind).in_phase(self.phase);
        match self.when {
            When::Once(n) => fault.at_command(n),
            // An executed command that is repeated has another number, and its code is known by then. Before its
            // tenth byte a command has no code, and one that is offered again keeps its number.
            When::Held(n) => match (self.phase, login.code(n)) {
                (Phase::Execution | Phase::Completion, Some(code)) => fault.at_code(code).always(),
                _ => fault.at_command(n).always(),
            },
            When::Always => fault.always(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Cell, FaultKind, Login, Phase, When};

    const LOGIN: [u32; 3] = [0x144, 0x17A, 0x17A];

    #[test]
    fn every_fault_meets_every_phase_and_every_command() {
        let login = Login::new(LOGIN.to_vec());
        let cells: BTreeSet<_> = login.cells().into_iter().collect();
        for &kind in FaultKind::ALL {
            for &phase in kind.phases() {
                for n in 1..=3 {
                    assert!(cells.contains(&Cell {
                        kind,
                        phase,
                        when: When::Once(n)
                    }));
                }
                assert!(cells.contains(&Cell {
                    kind,
                    phase,
                    when: When::Held(2)
                }));
                assert!(!cells.contains(&Cell {
                    kind,
                    phase,
                    when: When::Held(3)
                }));
                assert!(cells.contains(&Cell {
                    kind,
                    phase,
                    when: When::Always
                }));
            }
        }
        let rows: usize = FaultKind::ALL.iter().map(|kind| kind.phases().len()).sum();
        assert_eq!(cells.len(), rows * (3 + 2 + 1));
    }

    #[test]
    fn a_fault_that_lasts_follows_the_command_into_its_repetition() {
        let login = Login::new(LOGIN.to_vec());
        let fault = |phase| {
            let cell = Cell {
                kind: FaultKind::MisoStuckLow,
                phase,
                when: When::Held(2),
            };
            cell.fault(&login).to_string()
        };
        assert_eq!(fault(Phase::Ready), "miso-stuck-low@ready/#2/always");
        assert_eq!(
            fault(Phase::Execution),
            "miso-stuck-low@execution/GetCapability/always"
        );
    }
}
