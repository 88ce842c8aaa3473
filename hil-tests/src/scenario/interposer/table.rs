//! The tables of `docs/security/bus.md`.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use assay_spi_tpm::interposer::{Operation, Stage};

use super::expected::{EXCEPTIONS, ROWS, of_stage};
use super::verdict::{Bus, Verdict};
use crate::manufacture::EkKind;

/// The line above the generated part.
pub const BEGIN: &str = "<!-- Generated from hil-tests/src/scenario/interposer/expected.rs: ASSAY_OVERWRITE=1 and the tests. -->";
/// The line below it.
pub const END: &str = "<!-- End of the generated part. -->";

/// Replaces the generated part of `document`.
///
/// # Errors
///
/// When the document has no such part.
pub fn replace(document: &str) -> Result<String> {
    let (head, rest) = document
        .split_once(BEGIN)
        .context("no begin of the generated part")?;
    let (_, tail) = rest
        .split_once(END)
        .context("no end of the generated part")?;
    Ok(format!("{head}{BEGIN}\n\n{}\n{END}{tail}", tables()))
}

/// All tables, in Markdown.
#[must_use]
pub fn tables() -> String {
    let mut out = totals();
    for stage in Stage::ALL {
        let _ = write!(
            out,
            "\n### {}\n\n| attack | | what is done | plain bus | protected bus |\n|---|---|---|---|---|\n",
            title(*stage)
        );
        for operation in Operation::ALL {
            for (mode, row) in of_stage(*stage).filter(|(mode, _)| mode.operation == *operation) {
                let why = if row.why.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", row.why)
                };
                let _ = writeln!(
                    out,
                    "| `{}` | {} | {} | {} | {}{why} |",
                    mode.name,
                    operation.name(),
                    mode.tries,
                    row.plain,
                    row.protected
                );
            }
        }
    }
    out.push_str(
        "\n### Other kinds of EK\n\n| EK | attack | bus | outcome | why |\n|---|---|---|---|---|\n",
    );
    for one in EXCEPTIONS {
        let (kind, bus) = (one.kind, one.bus.name());
        let _ = writeln!(
            out,
            "| {kind} | `{}` | {bus} | {} | {} |",
            one.mode, one.outcome, one.why
        );
    }
    out
}

/// How many attacks ended how.
fn totals() -> String {
    type Kind = (&'static str, fn(Verdict) -> bool);
    const KINDS: [Kind; 5] = [
        ("the node gives up and says why", |of| {
            matches!(of, Verdict::Node(_))
        }),
        ("the verifier refuses", |of| {
            matches!(of, Verdict::Verifier(_))
        }),
        ("harmless", |of| of == Verdict::Harmless),
        ("nothing to attack", |of| of == Verdict::Absent),
        ("the attacker has what he wanted", |of| of == Verdict::Fell),
    ];
    let mut out = String::from("| outcome | plain bus | protected bus |\n|---|---:|---:|\n");
    for (name, is) in KINDS {
        let count = |bus: Bus| {
            ROWS.iter()
                .filter(|row| is(row.outcome(bus, EkKind::P256)))
                .count()
        };
        let _ = writeln!(
            out,
            "| {name} | {} | {} |",
            count(Bus::Plain),
            count(Bus::Protected)
        );
    }
    let _ = writeln!(out, "| all | {} | {} |", ROWS.len(), ROWS.len());
    out
}

const fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Start => "Start of the TPM",
        Stage::Random => "Random bytes",
        Stage::Session => "The session that guards the bus",
        Stage::Extend => "Measurements",
        Stage::Witness => "Reset witness",
        Stage::Ek => "Endorsement key",
        Stage::Ak => "Attestation key",
        Stage::Certificate => "Certificates in NV",
        Stage::SvidKey => "The SVID's key",
        Stage::Activate => "Credential",
        Stage::Pcrs => "Reading PCRs",
        Stage::Quote => "Quote",
        Stage::Renewal => "Renewal of a session",
        Stage::End => "The whole of a login",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::{BEGIN, END, ROWS, replace};

    #[test]
    fn only_the_generated_part_of_a_document_changes() {
        let text = replace(&format!("# Head\n\n{BEGIN}\nstale\n{END}\n\ntail\n")).unwrap();
        assert!(text.starts_with(&format!("# Head\n\n{BEGIN}\n")));
        assert!(text.ends_with(&format!("\n{END}\n\ntail\n")));
        assert!(!text.contains("stale"));
        for row in ROWS {
            assert!(
                text.contains(&format!("| `{}` |", row.mode)),
                "{}",
                row.mode
            );
        }
        assert_eq!(replace(&text).unwrap(), text);
        assert!(replace("# Head\n").is_err());
    }
}
