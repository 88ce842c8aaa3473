//! Counters: what a host clocked, frame by frame and command by command.
//!
//! The model fills them in; a [`StatsHandle`] reads them from elsewhere at any time. A command's
//! figures cover everything since the previous command ended, so the commands' bytes add up to the
//! total (apart from what follows the last one).

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::command;
use crate::fault::FiredFault;

/// Sums since the model was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes clocked while chip select was low.
    pub bytes: u64,
    /// Falls of chip select.
    pub chip_selects: u64,
    /// Bytes that were wait states.
    pub wait_bytes: u64,
    /// Reads of STS.
    pub polls: u64,
    /// Commands that ended.
    pub commands: u32,
    /// Resets and power losses.
    pub resets: u32,
    /// Faults that showed.
    pub faults: u64,
    /// Bytes clocked while chip select was high: a host that forgot to select.
    pub stray_bytes: u64,
}

/// One command, from the end of the one before to its own end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// Number, from 1.
    pub number: u32,
    /// TPM_CC; `None` when fewer than ten bytes came.
    pub code: Option<u32>,
    /// Length of the command, bytes.
    pub command_len: usize,
    /// Length of the response in the FIFO, bytes; 0 when the command was abandoned.
    pub response_len: usize,
    /// TPM_RC; `None` when the command was abandoned.
    pub rc: Option<u32>,
    /// Bytes clocked.
    pub bytes: u64,
    /// Falls of chip select.
    pub chip_selects: u64,
    /// Reads of STS.
    pub polls: u64,
    /// Submissions that the host aborted before this one.
    pub aborts: u32,
    /// Uses of responseRetry.
    pub retries: u32,
    /// Real time that the TPM behind the model took, µs.
    pub tpm_us: u64,
    /// Virtual time at the command's end, ns.
    pub at_ns: u64,
}

impl CommandRecord {
    /// Name of the command, or its code in hex.
    #[must_use]
    pub fn name(&self) -> String {
        match self.code {
            Some(code) => command::name(code).map_or_else(|| format!("{code:#x}"), str::to_owned),
            None => "?".to_owned(),
        }
    }

    /// One JSON object on one line, without a line end. Keys: `event` ("command"), `n`, `name`,
    /// `code`, `rc` (null when abandoned), `command_len`, `response_len`, `bytes`,
    /// `chip_selects`, `polls`, `aborts`, `retries`, `tpm_us`, `at_ns`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(256);
        // Names come from a table of identifiers, so nothing needs escaping.
        let _ = write!(
            out,
            "{{\"event\":\"command\",\"n\":{},\"name\":\"{}\",\"code\":{},\"rc\":{},\
             \"command_len\":{},\"response_len\":{},\"bytes\":{},\"chip_selects\":{},\
             \"polls\":{},\"aborts\":{},\"retries\":{},\"tpm_us\":{},\"at_ns\":{}}}",
            self.number,
            self.name(),
            optional(self.code),
            optional(self.rc),
            self.command_len,
            self.response_len,
            self.bytes,
            self.chip_selects,
            self.polls,
            self.aborts,
            self.retries,
            self.tpm_us,
            self.at_ns,
        );
        out
    }
}

impl Totals {
    /// The sums as JSON members, without braces: `"bytes":…,"chip_selects":…` and so on.
    #[must_use]
    pub fn to_json_members(&self) -> String {
        format!(
            "\"bytes\":{},\"chip_selects\":{},\"wait_bytes\":{},\"polls\":{},\"commands\":{},\
             \"resets\":{},\"faults\":{},\"stray_bytes\":{}",
            self.bytes,
            self.chip_selects,
            self.wait_bytes,
            self.polls,
            self.commands,
            self.resets,
            self.faults,
            self.stray_bytes
        )
    }
}

fn optional(value: Option<u32>) -> String {
    value.map_or_else(|| "null".to_owned(), |v| v.to_string())
}

/// Everything counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sums.
    pub totals: Totals,
    /// Every command that ended, in order.
    pub commands: Vec<CommandRecord>,
    /// Faults that showed, the first 256.
    pub fired: Vec<FiredFault>,
    /// What the back end last failed with, if it did.
    pub backend_error: Option<String>,
}

/// A view of a model's counters that outlives borrows of the model. Up to date as of the last rise
/// of chip select.
#[derive(Debug, Clone, Default)]
pub struct StatsHandle(Arc<Mutex<Stats>>);

impl StatsHandle {
    /// A copy of everything.
    #[must_use]
    pub fn snapshot(&self) -> Stats {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The sums only.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).totals
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json() {
        let record = CommandRecord {
            number: 1,
            code: Some(0x17B),
            command_len: 12,
            response_len: 28,
            rc: Some(0),
            bytes: 123,
            chip_selects: 13,
            polls: 4,
            aborts: 0,
            retries: 0,
            tpm_us: 40,
            at_ns: 9,
        };
        assert_eq!(
            record.to_json(),
            "{\"event\":\"command\",\"n\":1,\"name\":\"GetRandom\",\"code\":379,\"rc\":0,\
             \"command_len\":12,\"response_len\":28,\"bytes\":123,\"chip_selects\":13,\"polls\":4,\
             \"aborts\":0,\"retries\":0,\"tpm_us\":40,\"at_ns\":9}"
        );
        let lost = CommandRecord {
            code: None,
            rc: None,
            ..record
        };
        assert!(lost.to_json().contains("\"code\":null,\"rc\":null"));
    }
}
