//! `audit`: how long the trail's files grow and which are kept.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_saphyr::Spanned;

use super::model::Report;
use super::schema::SpanText;
use super::values::Span;
use crate::document::DocumentError;

const HOUR: Duration = Duration::from_secs(3600);
const FILE_SIZE: (u64, u64) = (64 * KIB, 1 << 40);
const KEEP_FILES: (usize, usize) = (1, 1_000_000);
const KEEP_FOR: (Duration, Duration) = (HOUR, Duration::from_secs(100 * 366 * 24 * 3600));
const KIB: u64 = 1024;
/// Bytes at which a file is closed unless the configuration says otherwise: what is read when the service starts.
const MAX_FILE_SIZE: u64 = 256 * KIB * KIB;

/// Which closed files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// So many, the newest.
    Files(usize),
    /// Those with a record that is not older than this.
    For(Duration),
}

/// How the files of a trail are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditFiles {
    /// Bytes at which a file is closed.
    pub max_file_size: u64,
    /// Which closed files are kept.
    pub keep: Keep,
}

impl Default for AuditFiles {
    fn default() -> Self {
        Self {
            max_file_size: MAX_FILE_SIZE,
            keep: Keep::All,
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Source {
    /// A file that has grown so far is closed and a new one begun: 64KiB to 1024GiB, default 256MiB.
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9]+ *[KMG]iB$"))]
    max_file_size: Option<Spanned<Size>>,
    /// How many closed files are kept. Default: all.
    #[schemars(with = "Option<usize>", range(min = 1, max = 1_000_000))]
    keep_files: Option<Spanned<usize>>,
    /// How long closed files are kept. Default: for ever.
    #[schemars(with = "Option<SpanText>")]
    keep_for: Option<Spanned<Span>>,
}

/// Bytes as people write them: `64KiB`, `256MiB`, `1GiB`.
#[derive(Debug, Clone, Copy)]
struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let units = [("KiB", KIB), ("MiB", KIB * KIB), ("GiB", KIB * KIB * KIB)];
        let bytes = units.iter().find_map(|(unit, bytes)| {
            let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            number.checked_mul(*bytes)
        });
        bytes.map(Self).ok_or_else(|| {
            de::Error::custom(format_args!(
                "`{text}` is no size; write a whole number with a unit, e.g. `64KiB`, `256MiB` or `1GiB`"
            ))
        })
    }
}

pub(super) fn check(report: &Report<'_>, source: &Source) -> Result<AuditFiles, DocumentError> {
    let size = source.max_file_size.as_ref();
    let size = size.map(|v| Spanned::new(v.value.0, v.referenced, v.defined));
    let shown = |bytes: u64| format!("{}KiB", bytes / KIB);
    let max_file_size = report.within(size.as_ref(), MAX_FILE_SIZE, FILE_SIZE, shown)?;
    let keep = match (&source.keep_files, &source.keep_for) {
        (Some(_), Some(both)) => {
            return Err(report
                .at(both, "audit: keepFiles and keepFor together")
                .hint("choose one: a number of files, or a span of time"));
        }
        (None, None) => Keep::All,
        (files @ Some(_), None) => {
            let files = report.within(files.as_ref(), 1, KEEP_FILES, |files| files.to_string())?;
            Keep::Files(files)
        }
        (None, age) => Keep::For(report.span(age.as_ref(), HOUR, KEEP_FOR)?),
    };
    Ok(AuditFiles {
        max_file_size,
        keep,
    })
}
