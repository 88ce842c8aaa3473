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
    #[error("line {line}: record {got} where {line} comes next")]
    Sequence {
        /// Which line.
        line: u64,
        /// What it says.
        got: u64,
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
}

/// Goes from line to line.
#[derive(Debug, Default)]
pub(super) struct Walker(Head);

impl Walker {
    /// The next line, without its line feed.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), VerifyError> {
        let number = self.0.seq + 1;
        let record = |reason: String| VerifyError::Record {
            line: number,
            reason,
        };
        if line.len() > MAX_LINE {
            return Err(record(format!("longer than {MAX_LINE} bytes")));
        }
        let link: Link = serde_json::from_slice(line).map_err(|error| record(error.to_string()))?;
        if link.v != 1 {
            return Err(record(format!("version {} is not known", link.v)));
        }
        if link.seq != number {
            return Err(VerifyError::Sequence {
                line: number,
                got: link.seq,
            });
        }
        if link.prev != hex::encode(self.0.hash) {
            return Err(VerifyError::Chain { line: number });
        }
        self.0 = self.0.after(line);
        Ok(())
    }

    pub(super) const fn head(&self) -> Head {
        self.0
    }
}

/// A file that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its end.
    pub head: Head,
    /// Bytes behind the last whole record: one that was being written when the power failed.
    pub unfinished: u64,
}

/// Checks a file from its first record to its last; `kept` are heads that were noted down earlier.
///
/// # Errors
///
/// [`VerifyError`].
pub fn verify(file: impl BufRead, kept: &[Head]) -> Result<Summary, VerifyError> {
    let mut walker = Walker::default();
    let mut missing: Vec<Head> = kept.to_vec();
    missing.retain(|head| *head != Head::default());
    let mut file = file;
    let mut line = Vec::new();
    let unfinished = loop {
        line.clear();
        let read = read_line(&mut file, &mut line)
            .map_err(|error| VerifyError::Unreadable(error.to_string()))?;
        let Some((b'\n', record)) = line.split_last() else {
            break read;
        };
        walker.take(record)?;
        let head = walker.head();
        missing.retain(|kept| *kept != head);
    };
    match missing.first() {
        Some(head) => Err(VerifyError::Head(head.seq)),
        None => Ok(Summary {
            head: walker.head(),
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
