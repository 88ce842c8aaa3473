//! What the writing thread does: records, rotation, retention.
//!
//! # A rotation, and what a crash leaves at each step
//!
//! 1. An empty file is made beside the others. Left over, it is removed at the next start.
//! 2. The file that was written gets the name of a closed one. There is no file to write to then, and the next start
//!    makes one that goes on behind the closed one.
//! 3. The empty file gets the name of the one that is written.
//! 4. The names are synced.
//!
//! Records are synced before anybody is answered and are in one of these files throughout.
//!
//! # A removal
//!
//! Before a file is removed, a record says so, with the number and hash of the file's last record: the anchor. A
//! trail that begins behind record N is whole if an anchor in it names N. One file goes per anchor.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::disk::{Closed, Disk, Names};
use super::log::AuditError;
use super::notes::{self, AT_ONCE};
use super::settings::Settings;
use super::verify::Head;
use crate::clock::Settled;
use crate::config::Keep;
use crate::telemetry::names;

pub(super) struct Writer<D> {
    pub(super) path: PathBuf,
    pub(super) disk: D,
    pub(super) head: Head,
    /// The first record of the file that is written, or the next one if it has none.
    pub(super) first: u64,
    /// Where the last whole record ends.
    pub(super) end: u64,
    pub(super) settings: Settings,
    /// Bytes behind `end` that could not be cut off.
    pub(super) torn: bool,
    /// The last write failed.
    pub(super) failed: bool,
    /// Size at which a rotation that failed is tried again.
    pub(super) rotate_at: u64,
    /// Whether anything may be removed by its age.
    pub(super) settled: Settled,
    /// When the last record was written, as it says itself.
    pub(super) newest: Option<Timestamp>,
}

/// When a record was written.
pub(super) fn time_of(record: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Timed {
        time: Timestamp,
    }
    let timed: Timed = serde_json::from_slice(record).ok()?;
    Some(timed.time)
}

/// The members of a file's last record that retention looks at.
#[derive(Deserialize)]
struct Last {
    seq: u64,
    time: Timestamp,
}

impl<D: Disk> Writer<D> {
    /// The same trail through another disk.
    pub(super) fn with<E: Disk>(self, disk: impl FnOnce(D) -> E) -> Writer<E> {
        Writer {
            disk: disk(self.disk),
            path: self.path,
            head: self.head,
            first: self.first,
            end: self.end,
            settings: self.settings,
            torn: self.torn,
            failed: self.failed,
            rotate_at: self.rotate_at,
            settled: self.settled,
            newest: self.newest,
        }
    }

    /// All of them, or none.
    pub(super) fn write(&mut self, bodies: &[Vec<u8>]) -> Result<Head, AuditError> {
        let result = self.append(bodies);
        self.failed = result.is_err();
        result
    }

    fn append(&mut self, bodies: &[Vec<u8>]) -> Result<Head, AuditError> {
        if self.torn {
            self.disk.truncate(self.end).map_err(|e| self.error(&e))?;
            self.torn = false;
        }
        let mut head = self.head;
        let mut lines = Vec::new();
        for body in bodies {
            let line = head.line(body);
            head = head.after(&line);
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        match self.disk.append(&lines) {
            Ok(()) => {
                self.head = head;
                self.end += lines.len() as u64;
                if let Keep::For(_) = self.settings.files.keep {
                    self.newest = bodies.last().and_then(|body| time_of(body)).or(self.newest);
                }
                Ok(head)
            }
            Err(error) => {
                // A full disk takes half a line; the next record must not be put behind it. Should this fail too, it is
                // tried again before the next record, and at the next start.
                self.torn = self.disk.truncate(self.end).is_err();
                Err(self.error(&error))
            }
        }
    }

    /// Closes the file if it is long enough. Nobody waits for this; a failure is told by the log.
    pub(super) fn rotate_when_long(&mut self) -> Result<(), AuditError> {
        if self.end < self.rotate_at {
            return Ok(());
        }
        let rotated = self.rotate();
        if rotated.is_err() {
            // Not at every record: the disk has its reasons, and they do not go away so soon.
            self.rotate_at = self
                .end
                .saturating_add(self.settings.files.max_file_size / 8);
        }
        rotated.and_then(|_| self.retain())
    }

    /// Closes the file, if there is a record in it.
    pub(super) fn rotate(&mut self) -> Result<Option<Closed>, AuditError> {
        if self.torn || self.first > self.head.seq {
            return Ok(None);
        }
        let closed = Closed {
            first: self.first,
            last: self.head.seq,
        };
        let disk = &mut self.disk;
        let begun = disk
            .prepare()
            .and_then(|()| disk.close(closed))
            .and_then(|()| disk.begin(closed));
        begun.map_err(|e| self.rotation(&e))?;
        self.first = self.head.seq + 1;
        self.end = 0;
        self.rotate_at = self.settings.files.max_file_size;
        self.disk.sync_names().map_err(|e| self.rotation(&e))?;
        Ok(Some(closed))
    }

    /// Removes what need not be kept, the oldest first.
    ///
    /// By age only while the calendar is settled ([`Settled`]), and as seen from the last record: a trail to which nothing
    /// is added does not grow old.
    pub(super) fn retain(&mut self) -> Result<(), AuditError> {
        let moment = self.settings.clock.now();
        let settled = self.settled.observe(moment);
        match self.settings.files.keep {
            Keep::All => return Ok(()),
            Keep::For(_) if !settled => return Ok(()),
            Keep::For(_) | Keep::Files(_) => {}
        }
        let now = moment.wall;
        let seen_from = self.newest.map_or(now, |newest| newest.min(now));
        loop {
            let closed = self.disk.closed().map_err(|e| self.rotation(&e))?;
            let Some(oldest) = closed.first().copied() else {
                return Ok(());
            };
            let line = self.disk.last_line(oldest);
            let line = line.map_err(|e| self.rotation(&e))?;
            let last: Last =
                serde_json::from_slice(&line).map_err(|e| self.rotation(&io::Error::other(e)))?;
            if last.seq != oldest.last {
                return Err(self.rotation(&io::Error::other(format!(
                    "{} ends with record {}",
                    Names::of(&self.path).file_name(oldest),
                    last.seq
                ))));
            }
            let why = match self.settings.files.keep {
                Keep::Files(kept) if closed.len() > kept => format!("{kept} files are kept"),
                Keep::For(age) if old(last.time, seen_from, age) => {
                    format!("kept for {} hours", age.as_secs() / 3600)
                }
                _ => return Ok(()),
            };
            let before = Head {
                seq: oldest.last - 1,
                hash: super::GENESIS,
            };
            let name = Names::of(&self.path).file_name(oldest);
            let anchor = json!({
                "time": now,
                "outcome": "removed",
                "detail": format!("{name} is removed: {why}"),
                "anchor": before.after(&line).to_string(),
            });
            self.write(&[anchor.to_string().into_bytes()])?;
            let removed = self.disk.remove(oldest);
            let synced = removed.and_then(|()| self.disk.sync_names());
            synced.map_err(|e| self.rotation(&e))?;
        }
    }

    /// Records what other processes have left; how many records that were.
    pub(super) fn take_notes(&mut self) -> Result<usize, AuditError> {
        let notes = self.disk.notes(AT_ONCE).map_err(|e| self.error(&e))?;
        let (mut bodies, mut taken) = (Vec::new(), Vec::new());
        for (name, text) in notes {
            match notes::read(&text) {
                Ok(act) => {
                    // As it was read, not as it was written: one line, and every member once.
                    bodies.push(serde_json::to_vec(&act).unwrap_or_default());
                    taken.push(name);
                }
                Err(reason) => {
                    tracing::error!(name, reason, "{}", names::AUDIT_NOTE_REFUSED);
                    self.disk.noted(&name, false).map_err(|e| self.error(&e))?;
                }
            }
        }
        if bodies.is_empty() {
            return Ok(0);
        }
        self.write(&bodies)?;
        for name in taken {
            self.disk.noted(&name, true).map_err(|e| self.error(&e))?;
        }
        Ok(bodies.len())
    }

    /// What is to be done from time to time.
    pub(super) fn tend(&mut self) -> Result<(), AuditError> {
        if self.failed {
            self.disk.probe().map_err(|e| self.error(&e))?;
            self.failed = false;
        }
        if self.disk.asked(false).map_err(|e| self.rotation(&e))? {
            let rotated = self.rotate();
            // Also when it failed: whoever asked sees that nothing was closed.
            self.disk.asked(true).map_err(|e| self.rotation(&e))?;
            rotated?;
        }
        self.retain()
    }

    fn rotation(&self, error: &io::Error) -> AuditError {
        AuditError::Rotation {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        }
    }

    fn error(&self, error: &io::Error) -> AuditError {
        AuditError::File {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        }
    }
}

fn old(last: Timestamp, now: Timestamp, age: std::time::Duration) -> bool {
    now.checked_sub(age).is_ok_and(|limit| last < limit)
}
