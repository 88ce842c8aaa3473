//! The tables of `docs/faults.md`, from a [`Record`].

use std::fmt::Write as _;

use anyhow::{Context, Result};
use assay_spi_tpm::fault::Layer;
use assay_spi_tpm::{FaultKind, Phase};

use super::cell::{Row, When};
use super::record::{Outcome, Record};

/// The line above the generated part.
pub const BEGIN: &str =
    "<!-- Generated from hil-tests/golden/faults.txt by `hil faults --overwrite`. -->";
/// The line below it.
pub const END: &str = "<!-- End of the generated part. -->";

/// Replaces the generated part of `document`.
///
/// # Errors
///
/// When the document has no such part.
pub fn replace(document: &str, record: &Record) -> Result<String> {
    let (head, rest) = document
        .split_once(BEGIN)
        .context("no begin of the generated part")?;
    let (_, tail) = rest
        .split_once(END)
        .context("no end of the generated part")?;
    Ok(format!("{head}{BEGIN}\n\n{}\n{END}{tail}", tables(record)))
}

/// All tables, in Markdown.
#[must_use]
pub fn tables(record: &Record) -> String {
    let mut out = totals(record);
    let layers = [
        (Layer::Bus, "Bus"),
        (Layer::Fifo, "FIFO"),
        (Layer::Tpm, "TPM"),
    ];
    for (when, title) in
        When::NAMES
            .into_iter()
            .zip(["once", "for as long as one command lasts", "always"])
    {
        for (layer, name) in layers {
            let _ = write!(out, "\n### {name}: {title}\n\n| fault |");
            for phase in Phase::ALL {
                let _ = write!(out, " {} |", phase.name());
            }
            let _ = writeln!(out, "\n|---|{}", "---|".repeat(Phase::ALL.len()));
            for &kind in FaultKind::ALL.iter().filter(|kind| kind.layer() == layer) {
                let _ = write!(out, "| `{}` |", kind.name());
                for &phase in Phase::ALL {
                    let row = Row { kind, phase, when };
                    let _ = write!(out, " {} |", summary(record, &row));
                }
                out.push('\n');
            }
        }
    }
    out
}

/// One field: what the row's cells ended in, the most frequent first.
fn summary(record: &Record, row: &Row) -> String {
    if !row.kind.phases().contains(&row.phase) {
        return String::new();
    }
    let outcomes = record.summary(row);
    if outcomes.is_empty() {
        return "–".to_owned();
    }
    let words: Vec<_> = outcomes.iter().map(|(outcome, _)| word(*outcome)).collect();
    words.join(", ")
}

fn word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Granted => "ok".to_owned(),
        Outcome::Trouble(code) => format!("`{code}`"),
        Outcome::Denied(code) => format!("denied: `{code}`"),
    }
}

/// How many cells ended how.
fn totals(record: &Record) -> String {
    let mut out = String::from("| outcome | once | one command | always |\n|---|---:|---:|---:|\n");
    let cells = |when: &str, wanted: Option<Outcome>| {
        let rows = record.rows().filter(|(row, _)| row.when == when);
        rows.flat_map(|(_, cells)| cells)
            .filter(|(_, outcome)| wanted.is_none_or(|w| w == *outcome))
            .count()
    };
    let mut line = |name: &str, outcome: Option<Outcome>| {
        let counts = When::NAMES.map(|when| cells(when, outcome));
        if counts.iter().any(|count| *count > 0) {
            let counts = counts.map(|count| count.to_string()).join(" | ");
            let _ = writeln!(out, "| {name} | {counts} |");
        }
    };
    for outcome in Outcome::all() {
        line(&word(outcome), Some(outcome));
    }
    line("all", None);
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::super::cell::{Cell, Login};
    use super::{BEGIN, END, FaultKind, Outcome, Phase, Record, When, replace};

    #[test]
    fn only_the_generated_part_of_a_document_changes() {
        let mut record = Record::new(Login::new(vec![0x144]));
        let cell = Cell {
            kind: FaultKind::DataNever,
            phase: Phase::Execution,
            when: When::Once(1),
        };
        record.add(&cell, Some(Outcome::Granted));
        let text = replace(
            &format!("# Head\n\n{BEGIN}\nstale\n{END}\n\ntail\n"),
            &record,
        )
        .unwrap();
        assert!(
            text.starts_with(&format!("# Head\n\n{BEGIN}\n"))
                && text.ends_with(&format!("\n{END}\n\ntail\n"))
        );
        assert!(
            text.contains("| `data-never` |  |  |  | ok |  |\n"),
            "{text}"
        );
        assert!(!text.contains("stale"));
        assert_eq!(replace(&text, &record).unwrap(), text);
        assert!(replace("# Head\n", &record).is_err());
    }
}
