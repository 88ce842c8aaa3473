//! Outcomes, and the file that keeps them: one line per row, commands with the same outcome together.
//!
//! ```text
//! login 0x144,0x17a,0x17a
//! wait-endless reception once: granted 1-3
//! wait-endless reception held: tpm-bus 1-2
//! wait-endless reception always: tpm-bus
//! ```
//!
//! A cell that is not named is one in which the fault never showed.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use assay_common::protocol::{DenyCode, TroubleCode};
use assay_spi_tpm::{FaultKind, Phase};

use super::cell::{Cell, Login, Row, When};

/// How a login with a fault ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The node overcame the fault, and the session is the clean login's.
    Granted,
    /// The node gave up and said why.
    Trouble(TroubleCode),
    /// The verifier refused the proofs.
    Denied(DenyCode),
}

impl Outcome {
    /// All, in the order in which a person wants them.
    pub fn all() -> impl Iterator<Item = Self> {
        let troubles = TroubleCode::ALL.iter().map(|code| Self::Trouble(*code));
        let denials = DenyCode::ALL.iter().map(|code| Self::Denied(*code));
        core::iter::once(Self::Granted)
            .chain(troubles)
            .chain(denials)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted => f.write_str("granted"),
            Self::Trouble(code) => write!(f, "{code}"),
            Self::Denied(code) => write!(f, "denied:{code}"),
        }
    }
}

impl FromStr for Outcome {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::all()
            .find(|outcome| outcome.to_string() == text)
            .with_context(|| format!("no outcome `{text}`"))
    }
}

/// The outcome of every cell of one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    login: Login,
    rows: BTreeMap<Row, Vec<(u32, Outcome)>>,
}

impl Record {
    /// A record without cells.
    #[must_use]
    pub const fn new(login: Login) -> Self {
        Self {
            login,
            rows: BTreeMap::new(),
        }
    }

    /// The commands that the cells are numbered by.
    #[must_use]
    pub const fn login(&self) -> &Login {
        &self.login
    }

    /// Adds the outcome of a cell, `None` when the fault never showed.
    pub fn add(&mut self, cell: &Cell, outcome: Option<Outcome>) {
        let row = self.rows.entry(cell.row()).or_default();
        if let Some(outcome) = outcome {
            let at = row.partition_point(|(n, _)| *n < cell.when.command());
            row.insert(at, (cell.when.command(), outcome));
        }
    }

    /// The outcome of a cell.
    #[must_use]
    pub fn outcome(&self, cell: &Cell) -> Option<Outcome> {
        let row = self.rows.get(&cell.row())?;
        row.iter()
            .find(|(n, _)| *n == cell.when.command())
            .map(|(_, outcome)| *outcome)
    }

    /// Rows with the outcomes of their commands.
    pub fn rows(&self) -> impl Iterator<Item = (&Row, &[(u32, Outcome)])> {
        self.rows.iter().map(|(row, cells)| (row, cells.as_slice()))
    }

    /// The outcomes of a row and in how many cells each has come, the most frequent first.
    #[must_use]
    pub fn summary(&self, row: &Row) -> Vec<(Outcome, usize)> {
        let cells = self.rows.get(row).map_or(&[][..], Vec::as_slice);
        let mut counts: Vec<_> = Outcome::all()
            .map(|outcome| {
                (
                    outcome,
                    cells.iter().filter(|(_, other)| *other == outcome).count(),
                )
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort_by_key(|(_, count)| core::cmp::Reverse(*count));
        counts
    }

    /// Up to `SAMPLES` cells for every outcome of every row, other commands from row to row: what the tests run.
    #[must_use]
    pub fn sample(&self) -> Vec<Cell> {
        let mut sample = Vec::new();
        for (turn, (row, cells)) in self.rows.iter().enumerate() {
            for (outcome, count) in self.summary(row) {
                let same: Vec<_> = cells
                    .iter()
                    .filter(|(_, other)| *other == outcome)
                    .collect();
                let skip = turn.checked_rem(count).unwrap_or(0);
                let step = count.div_ceil(SAMPLES).max(1);
                let chosen = same
                    .iter()
                    .cycle()
                    .skip(skip)
                    .step_by(step)
                    .take(SAMPLES.min(count));
                sample.extend(chosen.map(|(n, _)| cell(row, *n)));
            }
        }
        sample.sort();
        sample.dedup();
        sample
    }
}

/// Cells with the same outcome that the tests run of each row.
const SAMPLES: usize = 2;

/// The cell of a row.
fn cell(row: &Row, command: u32) -> Cell {
    let when = match row.when {
        "once" => When::Once(command),
        "held" => When::Held(command),
        _ => When::Always,
    };
    Cell {
        kind: row.kind,
        phase: row.phase,
        when,
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<_> = self
            .login
            .codes()
            .iter()
            .map(|code| format!("{code:#x}"))
            .collect();
        writeln!(
            f,
            "# Outcome of every fault of the matrix. Written by `hil faults --overwrite`, never by hand."
        )?;
        writeln!(f, "# Commands: {}", self.login.names())?;
        writeln!(f, "login {}", codes.join(","))?;
        for (row, cells) in &self.rows {
            write!(f, "{row}:")?;
            for (i, (outcome, _)) in self.summary(row).into_iter().enumerate() {
                let same = cells
                    .iter()
                    .filter(|(_, other)| *other == outcome)
                    .map(|(n, _)| *n);
                let separator = if i == 0 { "" } else { ";" };
                write!(f, "{separator} {outcome}{}", ranges(same))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// ` 1-3,5`; nothing for the 0 of a row without commands.
fn ranges(numbers: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for n in numbers.filter(|n| *n > 0) {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(n) => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let text = |(first, last): &(u32, u32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    let runs: Vec<_> = runs.iter().map(text).collect();
    if runs.is_empty() {
        String::new()
    } else {
        format!(" {}", runs.join(","))
    }
}

impl FromStr for Record {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let codes = lines
            .next()
            .and_then(|line| line.strip_prefix("login "))
            .context("no login")?;
        let codes = codes.split(',').map(|code| {
            let hex = code
                .strip_prefix("0x")
                .context("a command code without 0x")?;
            Ok(u32::from_str_radix(hex, 16)?)
        });
        let mut record = Self::new(Login::new(codes.collect::<Result<_>>()?));
        for line in lines {
            let (name, outcomes) = line
                .split_once(':')
                .with_context(|| format!("no row: {line}"))?;
            let row = parse_row(name).with_context(|| format!("no row: {line}"))?;
            if record.rows.insert(row, parse_outcomes(outcomes)?).is_some() {
                bail!("twice: {name}");
            }
        }
        Ok(record)
    }
}

fn parse_row(name: &str) -> Option<Row> {
    let mut words = name.split(' ');
    let row = Row {
        kind: FaultKind::from_name(words.next()?)?,
        phase: Phase::from_name(words.next()?)?,
        when: {
            let word = words.next()?;
            When::NAMES.into_iter().find(|name| *name == word)?
        },
    };
    words.next().is_none().then_some(row)
}

fn parse_outcomes(text: &str) -> Result<Vec<(u32, Outcome)>> {
    let mut cells = Vec::new();
    for part in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (outcome, numbers) = part.split_once(' ').unwrap_or((part, "0"));
        let outcome: Outcome = outcome.parse()?;
        for run in numbers.split(',') {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let (first, last): (u32, u32) = (first.parse()?, last.parse()?);
            cells.extend((first..=last).map(|n| (n, outcome)));
        }
    }
    cells.sort_by_key(|(n, _)| *n);
    Ok(cells)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::{Cell, DenyCode, FaultKind, Login, Outcome, Phase, Record, TroubleCode, When};

    fn record() -> Record {
        let mut record = Record::new(Login::new(vec![0x144, 0x17A, 0x17B, 0x17A]));
        let cell = |when| Cell {
            kind: FaultKind::WaitEndless,
            phase: Phase::Ready,
            when,
        };
        let bus = Outcome::Trouble(TroubleCode::TPM_BUS);
        for (n, outcome) in [(4, Some(bus)), (1, Some(bus)), (2, Some(bus)), (3, None)] {
            record.add(&cell(When::Once(n)), outcome);
        }
        record.add(
            &cell(When::Held(3)),
            Some(Outcome::Denied(DenyCode::REFUSED)),
        );
        record.add(&cell(When::Held(1)), Some(Outcome::Granted));
        record.add(&cell(When::Always), Some(Outcome::Granted));
        record
    }

    #[test]
    fn a_record_reads_as_it_is_written() {
        let text = record().to_string();
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "login 0x144,0x17a,0x17b,0x17a",
                "wait-endless ready always: granted",
                "wait-endless ready held: granted 1; denied:refused 3",
                "wait-endless ready once: tpm-bus 1-2,4",
            ]
        );
        assert_eq!(text.parse::<Record>().unwrap(), record());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in [
            "",
            "login 144",
            "login 0x144\nno-fault ready once: granted 1",
            "login 0x144\nwait-endless ready never: granted 1",
            "login 0x144\nwait-endless ready once: perhaps 1",
            "login 0x144\nwait-endless ready once: granted x",
            "login 0x144\nwait-endless ready once: granted 1\nwait-endless ready once: granted 1",
        ] {
            assert!(text.parse::<Record>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_sample_has_every_outcome_of_every_row() {
        let record = record();
        let sample = record.sample();
        assert_eq!(sample.len(), 5, "{sample:?}");
        for (row, cells) in record.rows() {
            for (_, outcome) in cells {
                let hit =
                    |cell: &&Cell| cell.row() == *row && record.outcome(cell) == Some(*outcome);
                assert!(sample.iter().any(|cell| hit(&cell)), "{row} {outcome}");
            }
        }
    }
}
