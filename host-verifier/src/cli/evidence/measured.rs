//! The event log beside a quote, from files.

use std::path::Path;

use assay_common::measurement::{Log, LogError, PcrBank, Reason};
use serde::Deserialize;
use serde_json::json;

use crate::attestor::tpm_quote::measured::images::{Reference, Sha256Text, decide};
use crate::attestor::tpm_quote::measured::{EventLogError, Measured, MeasuredImage, pcrs, read};
use crate::attestor::tpm_quote::verify::VerifiedQuote;
use crate::cli::report::{Report, Unreadable, read_file};

/// Longest file, bytes.
const MAX_FILE: usize = 1024 * 1024;

/// A reference value as `assay image list` and `assay image measure` print it; what else they print is of no use here.
#[derive(Deserialize)]
struct Printed {
    name: String,
    version: String,
    digest: Sha256Text,
    #[serde(default)]
    revoked_at: Option<String>,
}

/// One, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    List(Vec<Printed>),
    One(Printed),
}

/// Judges a log by what was quoted, and its images by reference values if there are any.
pub(super) fn judge(
    report: &mut Report,
    quote: &VerifiedQuote,
    log: &Path,
    images: Option<&Path>,
) -> Result<(), Unreadable> {
    let bytes = read_file(log, MAX_FILE)?;
    let references = images.map(references).transpose()?;
    let quoted = |index| quote.values().iter().any(|value| value.index == index);
    if !pcrs().iter().all(quoted) {
        report.fail(
            "event-log-replay",
            "PCRs 8 and 9 were not both quoted, so nothing bears the log out",
        );
        return Ok(());
    }
    let measured = match measured(&bytes, quote) {
        Ok(measured) => measured,
        Err(error) => {
            report.fail(error.check(), error.to_string());
            return Ok(());
        }
    };
    report.pass(
        "event-log-replay",
        format!(
            "{} images, and PCRs 8 and 9 as quoted",
            measured.images.len()
        ),
    );
    if let Some(boot) = &measured.boot {
        report.detail(
            "boot",
            json!({
                "counter": boot.counter,
                "reset_count": boot.reset_count,
                "restart_count": boot.restart_count,
            }),
        );
    }
    let shown = |image: &MeasuredImage| {
        json!({
            "name": image.name,
            "version": image.version,
            "digest": Sha256Text(image.sha256),
            "len": image.len,
        })
    };
    let all: Vec<_> = measured.images.iter().map(shown).collect();
    report.detail("images", all);
    let Some(references) = references else {
        report.skip(
            "image-digest",
            "no reference values are given: names and versions are the images' own claims",
        );
        return Ok(());
    };
    match decide(&measured.images, &[], &references) {
        Err(error) => report.fail(error.check(), error.to_string()),
        Ok(known) => match known.iter().find(|(_, reference)| reference.is_none()) {
            Some((image, _)) => {
                report.fail(
                    "image-unknown",
                    format!("image {image} has no reference value"),
                );
            }
            None => report.pass(
                "image-digest",
                format!("{} reference values", references.len()),
            ),
        },
    }
    Ok(())
}

fn measured(bytes: &[u8], quote: &VerifiedQuote) -> Result<Measured, EventLogError> {
    let log = Log::parse(bytes)?;
    let no_bank = LogError {
        record: 0,
        reason: Reason::Bank,
    };
    let bank = quote
        .values()
        .first()
        .and_then(|value| PcrBank::of(value.bank));
    let bank = bank.ok_or(no_bank)?;
    read(&log, bank, |index| quote.value(bank.alg(), index))
}

fn references(path: &Path) -> Result<Vec<Reference>, Unreadable> {
    let name = path.display().to_string();
    let bytes = read_file(path, MAX_FILE)?;
    let file: File = serde_json::from_slice(&bytes).map_err(|error| {
        Unreadable::new(&name, error)
            .with_hint("give what `assay image list --json` or `assay image measure --json` prints")
    })?;
    let printed = match file {
        File::List(list) => list,
        File::One(one) => vec![one],
    };
    if printed.is_empty() {
        return Err(Unreadable::new(
            &name,
            "the list of reference values is empty",
        ));
    }
    let reference = |printed: Printed| Reference {
        name: printed.name,
        version: printed.version,
        digest: printed.digest,
        revoked: printed.revoked_at.is_some(),
    };
    Ok(printed.into_iter().map(reference).collect())
}
