//! `provision`: the record that says whom the board logs in to.
//!
//! The record is checked as the agent checks it, before anything is erased. One that is there already stays, unless the
//! technician says `force`: a board of another cluster on the wrong bench is not to be taken over by habit.

use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::MAX_RECORD;

use super::paste::Paste;
use super::problem::Problem;
use super::{Board, Console};
use crate::agent;

impl<H: Board> Console<H> {
    /// Begins a record, with what stands on the command's own line.
    pub(super) fn provision(&mut self, rest: &str) -> Result<(), Problem> {
        // Before anybody types a record in vain.
        if self.record_is_protected() {
            return Err(Problem::Protected(self.board.how_to_unprotect()));
        }
        let space = rest.bytes().position(|byte| byte == b' ');
        let (word, text) = space
            .and_then(|space| rest.split_at_checked(space))
            .unwrap_or((rest, ""));
        let force = word.eq_ignore_ascii_case("force");
        let text = if force { text.trim() } else { rest };
        let paste = Paste::new(force);
        if text.is_empty() {
            self.say(format_args!(
                "the record as hex or base64, in lines of at most 80; an empty line gives up\n"
            ));
            self.paste = Some(paste);
            return Ok(());
        }
        self.more_of_record(paste, text)
    }

    /// One more line of a record.
    pub(super) fn more_of_record(&mut self, mut paste: Paste, line: &str) -> Result<(), Problem> {
        if line.trim().is_empty() {
            return Err(Problem::GivenUp);
        }
        if !paste.line(line)? {
            if let (have, Some(whole)) = paste.progress() {
                self.say(format_args!("{have} of {whole} bytes\n"));
            }
            self.paste = Some(paste);
            return Ok(());
        }
        self.put_record(&paste)
    }

    fn put_record(&mut self, paste: &Paste) -> Result<(), Problem> {
        let record = paste.bytes();
        agent::Opening::new(record)?;
        let (provisioning, pins) = Provisioning::read_pinned(record).map_err(Problem::Record)?;
        self.can_hold_to(&pins)?;
        let mut there = [0; MAX_RECORD];
        self.board.read_record(&mut there);
        let is_there = there.get(..record.len()) == Some(record);
        if is_there {
            self.say(format_args!("this record is there already\n"));
        } else {
            if Provisioning::read(&there).is_ok() && !paste.force {
                return Err(Problem::Provisioned);
            }
            let how = self.board.how_to_flash_record();
            let written = self.board.write_record(record);
            written.map_err(|fault| Problem::Write(fault, how))?;
            self.board.read_record(&mut there);
            if there.get(..record.len()) != Some(record) {
                return Err(Problem::Verify);
            }
            self.say(format_args!("written, {} bytes\n", record.len()));
        }
        self.show_record(&provisioning, &pins);
        Ok(())
    }
}
