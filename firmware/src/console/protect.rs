//! `protect`: the record's flash is closed against writing, where the chip can do that and the board's image knows how.
//!
//! What a board logs in to, and which TPM it takes for its own, is as good as the flash that says so. A protection is taken
//! back from outside only, so the technician has to say `force`; nothing but the record's write protection changes.

use core::fmt;

use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::MAX_RECORD;

use super::problem::Problem;
use super::{Board, Console};
use crate::agent;
use crate::platform::{Protection, ReadOut, WriteProtection};

/// In one line, with the words of the boards' READMEs.
struct Shown(Protection);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.write {
            WriteProtection::Protected => "record write-protected",
            WriteProtection::Open => "record not write-protected",
            WriteProtection::Unknown => "write protection not known",
        })?;
        f.write_str(match self.0.read_out {
            ReadOut::Level0 => ", read-out level 0",
            ReadOut::Level1 => ", read-out level 1",
            ReadOut::Level2 => ", read-out level 2",
            ReadOut::Unknown => "",
        })
    }
}

impl<H: Board> Console<H> {
    pub(super) fn protect(&mut self, rest: &str) -> Result<(), Problem> {
        let force = match rest {
            "" => false,
            force if force.eq_ignore_ascii_case("force") => true,
            _ => return Err(Problem::Usage("protect | protect force")),
        };
        if !self.board.can_protect_record() {
            return Err(Problem::NoProtection);
        }
        if self.record_is_protected() {
            self.say(format_args!("the record is write-protected already\n"));
            self.show_protection();
            return Ok(());
        }
        let mut record = [0; MAX_RECORD];
        self.board.read_record(&mut record);
        agent::Opening::new(&record).map_err(|_| Problem::NothingToProtect)?;
        let (provisioning, pins) =
            Provisioning::read_pinned(&record).map_err(|_| Problem::NothingToProtect)?;
        self.show_record(&provisioning, &pins);
        if !force {
            return Err(Problem::ForGood);
        }
        self.say(format_args!("protecting; the board may restart for it\n"));
        self.board.protect_record().map_err(Problem::Protect)?;
        if !self.record_is_protected() {
            return Err(Problem::StillOpen);
        }
        self.show_protection();
        Ok(())
    }

    /// Whether the record's flash is known to be closed.
    pub(super) fn record_is_protected(&mut self) -> bool {
        self.board.protection().write == WriteProtection::Protected
    }

    /// The row of `info`.
    pub(super) fn show_protection(&mut self) {
        let protection = Shown(self.board.protection());
        self.row("protection", format_args!("{protection}"));
    }

    /// A record that any code can change is no reason not to log in, and one to look at before the board leaves.
    pub(super) fn warn_of_open_record(&mut self) {
        if self.board.protection().write != WriteProtection::Open {
            return;
        }
        self.row("", format_args!("warning: record not write-protected"));
        let hint = if self.board.can_protect_record() {
            "`protect` closes it, once the record is the right one"
        } else {
            "nothing here can close it: see the board's README, \"In the field\""
        };
        self.row("", format_args!("hint: {hint}"));
    }
}
