//! Bookkeeping of one model: sums, the command under way, and who is told when it ends.

use crate::message;
use crate::stats::{CommandRecord, StatsHandle, Totals};

/// Called with each command that ended, and the sums at that time.
pub type Observer = Box<dyn FnMut(&CommandRecord, &Totals) + Send>;

#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) totals: Totals,
    at_last_close: Totals,
    aborts: u32,
    retries: u32,
    rc: Option<u32>,
    closed: Vec<CommandRecord>,
    observer: Option<Observer>,
    handle: StatsHandle,
}

impl Meter {
    pub(crate) fn handle(&self) -> StatsHandle {
        self.handle.clone()
    }

    pub(crate) fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Number of the command under way or about to come.
    pub(crate) fn next_number(&self) -> u32 {
        self.totals.commands.saturating_add(1)
    }

    pub(crate) fn poll(&mut self) {
        self.totals.polls = self.totals.polls.saturating_add(1);
    }

    pub(crate) fn aborted(&mut self) {
        self.aborts = self.aborts.saturating_add(1);
    }

    pub(crate) fn retried(&mut self) {
        self.retries = self.retries.saturating_add(1);
    }

    pub(crate) fn answered(&mut self, response: &[u8]) {
        self.rc = message::code(response);
    }

    /// The command ended. Its bytes include the frame that ended it only from the next rise of
    /// chip select on, so the record is completed in [`Meter::publish`].
    pub(crate) fn close(&mut self, command: &[u8], response_len: usize, tpm_us: u64, at_ns: u64) {
        self.closed.push(CommandRecord {
            number: self.next_number(),
            code: message::code(command),
            command_len: command.len(),
            response_len,
            rc: self.rc.take(),
            bytes: 0,
            chip_selects: 0,
            polls: 0,
            aborts: std::mem::take(&mut self.aborts),
            retries: std::mem::take(&mut self.retries),
            tpm_us,
            at_ns,
        });
        self.totals.commands = self.totals.commands.saturating_add(1);
    }

    /// End of a frame: completes records, tells the observer, and shows the sums to the handle.
    pub(crate) fn publish(&mut self) {
        for mut record in self.closed.drain(..) {
            let (now, then) = (&self.totals, &self.at_last_close);
            record.bytes = now.bytes.saturating_sub(then.bytes);
            record.chip_selects = now.chip_selects.saturating_sub(then.chip_selects);
            record.polls = now.polls.saturating_sub(then.polls);
            self.at_last_close = self.totals;
            if let Some(observer) = &mut self.observer {
                observer(&record, &self.totals);
            }
            self.handle.update(|stats| stats.commands.push(record));
        }
        let totals = self.totals;
        self.handle.update(|stats| stats.totals = totals);
    }
}
