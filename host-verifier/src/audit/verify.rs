//! Whether an audit trail is as it was written.

use core::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;

use super::{GENESIS, MAX_LINE, sha256};

/// Where a chain ends: the number of the last record and the hash of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Records so far.
    pub seq: u64,
    /// SHA-256 of the last line, without its line feed; [`GENESIS`] when there is none.
    pub hash: [u8; 32],
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: GENESIS,
        }
    }
}

impl Head {
    /// The next line for a record, which is a JSON object. The members that chain it come first.
    pub(super) fn line(&self, record: &[u8]) -> Vec<u8> {
        let mut line = format!(
            "{{\"v\":1,\"seq\":{},\"prev\":\"{}\",",
            self.seq + 1,
            hex::encode(self.hash)
        )
        .into_bytes();
        line.extend_from_slice(record.strip_prefix(b"{").unwrap_or(record));
        line
    }

    /// The head once `line` is written.
    pub(super) fn after(&self, line: &[u8]) -> Self {
        Self {
            seq: self.seq + 1,
            hash: sha256(line),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

/// A head is written as `NUMBER:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is a record's number, a colon and 64 hex digits")]
pub struct HeadError;

impl core::str::FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (seq, hash) = text.split_once(':').ok_or(HeadError)?;
        let mut head = Self {
            seq: seq.parse().map_err(|_| HeadError)?,
            hash: GENESIS,
        };
        hex::decode_to_slice(hash, &mut head.hash).map_err(|_| HeadError)?;
        Ok(head)
    }
}

/// What does not hold, and in which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not a record.
    #[error("line {line}: {reason}")]
    Record {
        /// Which.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The record is not the next one: one was taken out, put in or moved.
    #[error("line {line}: record {got} where {next} comes next")]
    Sequence {
        /// Which line.
        line: u64,
        /// What it says.
        got: u64,
        /// What it should say.
        next: u64,
    },
    /// The line before was changed after this one was written, or this one was never written behind it.
    #[error("line {line}: does not follow the line before it")]
    Chain {
        /// Which.
        line: u64,
    },
    /// A head that somebody kept is not in the file: its end was cut off, or all of it was written anew.
    #[error("record {0} is not, or no longer, as its head says")]
    Head(u64),
    /// The trail begins behind this record, and nothing in it says that what was before was removed by retention.
    #[error("begins behind record {0}, and no anchor says that those before were removed")]
    Beginning(u64),
    /// A head that somebody kept is older than what is left.
    #[error("record {0} was removed by retention, so its head cannot be checked")]
    Removed(u64),
    /// A file that was closed does not end with a whole record.
    #[error("a closed file that ends in the middle of a record")]
    Unfinished,
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl VerifyError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Record { .. } => "record",
            Self::Sequence { .. } => "sequence",
            Self::Chain { .. } => "chain",
            Self::Head(_) => "head",
            Self::Beginning(_) => "beginning",
            Self::Removed(_) => "removed",
            Self::Unfinished => "unfinished",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// The members that chain a record.
#[derive(Deserialize)]
struct Link {
    v: u32,
    seq: u64,
    prev: String,
    /// The head of a file that was removed.
    anchor: Option<String>,
}

impl Link {
    fn read(line: &[u8], number: u64) -> Result<Self, VerifyError> {
        let record = |reason: String| VerifyError::Record {
            line: number,
            reason,
        };
        if line.len() > MAX_LINE {
            return Err(record(format!("longer than {MAX_LINE} bytes")));
        }
        let link: Self = serde_json::from_slice(line).map_err(|error| record(error.to_string()))?;
        match link.v {
            1 => Ok(link),
            v => Err(record(format!("version {v} is not known"))),
        }
    }

    /// Where the chain was before this record.
    fn before(&self, number: u64) -> Result<Head, VerifyError> {
        let record = |reason: &str| VerifyError::Record {
            line: number,
            reason: reason.to_owned(),
        };
        let mut head = Head {
            seq: self
                .seq
                .checked_sub(1)
                .ok_or_else(|| record("there is no record 0"))?,
            hash: GENESIS,
        };
        hex::decode_to_slice(&self.prev, &mut head.hash)
            .map_err(|_| record("`prev` is no hash"))?;
        Ok(head)
    }
}

/// Goes from line to line, through one file after the other.
///
/// The first record of all says where the trail begins. That is the beginning of everything, or an anchor further on must
/// name it, or the trail lost its first records.
#[derive(Debug, Default)]
pub(super) struct Walker {
    head: Head,
    /// `None` before the first record.
    base: Option<Head>,
    anchored: bool,
    line: u64,
}

impl Walker {
    /// Behind the last line of a file whose own beginning is not looked at.
    pub(super) fn behind(line: &[u8], seq: u64) -> Result<Self, VerifyError> {
        let link = Link::read(line, seq)?;
        if link.seq != seq {
            return Err(VerifyError::Record {
                line: seq,
                reason: format!(
                    "record {} at the end of a file that ends with {seq}",
                    link.seq
                ),
            });
        }
        let head = link.before(seq)?.after(line);
        Ok(Self {
            head,
            base: Some(head),
            anchored: true,
            line: 0,
        })
    }

    /// The lines of another file come next.
    fn next_file(&mut self) {
        self.line = 0;
    }

    /// The next line, without its line feed.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), VerifyError> {
        self.line += 1;
        let number = self.line;
        let link = Link::read(line, number)?;
        let before = link.before(number)?;
        let base = *self.base.get_or_insert(before);
        if self.head == Head::default() {
            // The first of all.
            self.head = base;
            self.anchored = base == Head::default();
        }
        if link.seq != self.head.seq + 1 {
            return Err(VerifyError::Sequence {
                line: number,
                got: link.seq,
                next: self.head.seq + 1,
            });
        }
        if before.hash != self.head.hash {
            return Err(VerifyError::Chain { line: number });
        }
        if let Some(anchor) = link.anchor {
            self.anchored |= anchor.parse() == Ok(base);
        }
        self.head = self.head.after(line);
        Ok(())
    }

    /// What can be said when all lines were taken.
    pub(super) fn finish(&self) -> Result<(), VerifyError> {
        match self.base {
            Some(base) if !self.anchored => Err(VerifyError::Beginning(base.seq)),
            _ => Ok(()),
        }
    }

    pub(super) const fn head(&self) -> Head {
        self.head
    }

    /// What the first record follows.
    pub(super) fn base(&self) -> Head {
        self.base.unwrap_or_default()
    }
}

/// A trail that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its end.
    pub head: Head,
    /// What its first record follows: nothing, or the last record that retention removed.
    pub base: Head,
    /// Bytes behind the last whole record: one that was being written when the power failed.
    pub unfinished: u64,
}

/// Checks a file from its first record to its last; `kept` are heads that were noted down earlier.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify(file: impl BufRead, kept: &[Head]) -> Result<Summary, VerifyError> {
    verify_files([((), file)], kept).map_err(|((), error)| error)
}

/// Checks the files of a trail, the oldest first, each with a name for errors. Only the last may end in the middle of
/// a record.
///
/// # Errors
///
/// The name of the file, and what does not hold.
pub fn verify_files<N: Default, F: BufRead>(
    files: impl IntoIterator<Item = (N, F)>,
    kept: &[Head],
) -> Result<Summary, (N, VerifyError)> {
    let mut walker = Walker::default();
    let mut missing: Vec<Head> = kept.to_vec();
    missing.retain(|head| *head != Head::default());
    let (mut unfinished, mut name) = (0, N::default());
    let mut line = Vec::new();
    for (next, mut file) in files {
        if unfinished > 0 {
            return Err((name, VerifyError::Unfinished));
        }
        name = next;
        walker.next_file();
        unfinished = loop {
            line.clear();
            let read = match read_line(&mut file, &mut line) {
                Ok(read) => read,
                Err(error) => return Err((name, VerifyError::Unreadable(error.to_string()))),
            };
            let Some((b'\n', record)) = line.split_last() else {
                break read;
            };
            if let Err(error) = walker.take(record) {
                return Err((name, error));
            }
            let head = walker.head();
            missing.retain(|kept| *kept != head);
        };
    }
    if let Err(error) = walker.finish() {
        return Err((name, error));
    }
    let base = walker.base();
    missing.retain(|head| *head != base);
    match missing.first() {
        Some(head) if head.seq < base.seq => Err((name, VerifyError::Removed(head.seq))),
        Some(head) => Err((name, VerifyError::Head(head.seq))),
        None => Ok(Summary {
            head: walker.head(),
            base,
            unfinished,
        }),
    }
}

/// Gives every whole line to `each`, without a look at the chain.
///
/// # Errors
///
/// [`VerifyError`]: the file cannot be read, or `each` cannot read a line.
pub fn read(
    mut file: impl BufRead,
    each: &mut dyn FnMut(&[u8]) -> Result<(), serde_json::Error>,
) -> Result<(), VerifyError> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        read_line(&mut file, &mut line)
            .map_err(|error| VerifyError::Unreadable(error.to_string()))?;
        let Some((b'\n', record)) = line.split_last() else {
            break;
        };
        each(record).map_err(|error| VerifyError::Record {
            line: number,
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

/// A line with its feed, or as much of one as no record has.
pub(super) fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    let longest = MAX_LINE as u64 + 2;
    let read = file.by_ref().take(longest).read_until(b'\n', line)?;
    if read as u64 == longest && line.last() != Some(&b'\n') {
        return Err(io::Error::other(format!(
            "a line longer than {MAX_LINE} bytes"
        )));
    }
    Ok(read as u64)
}
