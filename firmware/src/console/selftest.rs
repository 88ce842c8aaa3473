//! `selftest`: one answer to "is this board fit to log in?".

use assay_common::identity::provisioning::MAX_RECORD;
use assay_common::identity::{Pins, ProvisioningError};
use zeroize::Zeroize;

use super::problem::Problem;
use super::{Board, Console};
use crate::agent;
use crate::settings::Setting;

impl<H: Board> Console<H> {
    pub(super) fn selftest(&mut self) -> Result<(), Problem> {
        let mut failed = 0;
        let tpm = self.tpm_selftest();
        self.verdict("TPM", tpm, &mut failed)?;
        if self.board.settings().is_some() {
            let settings = self.settings_answer();
            self.verdict("settings", settings, &mut failed)?;
        }
        let record = self.record_is_whole();
        let is_whole = record.is_ok();
        self.verdict("record", record, &mut failed)?;
        if is_whole {
            self.warn_of_open_record();
        }
        if failed > 0 {
            return Err(Problem::NotFit(failed));
        }
        self.say(format_args!("fit to log in\n"));
        Ok(())
    }

    /// A row for each test; Ctrl-C ends them all.
    fn verdict(
        &mut self,
        name: &str,
        result: Result<(), Problem>,
        failed: &mut u8,
    ) -> Result<(), Problem> {
        match result {
            Ok(()) => self.row(name, format_args!("ok")),
            Err(Problem::Stopped) => return Err(Problem::Stopped),
            Err(problem) => {
                *failed += 1;
                self.row(name, format_args!("FAILED: {problem}"));
                self.row("", format_args!("hint: {}", problem.hint()));
            }
        }
        self.go_on()
    }

    fn settings_answer(&mut self) -> Result<(), Problem> {
        let settings = self.board.settings().ok_or(Problem::NoSettings)?;
        settings.get(Setting::Boots)?;
        Ok(())
    }

    /// What the agent asks of a record.
    fn record_is_whole(&mut self) -> Result<(), Problem> {
        let mut record = [0; MAX_RECORD];
        self.board.read_record(&mut record);
        let pins = agent::Opening::new(&record)?.pins();
        self.can_hold_to(&pins)
    }

    /// Whether the agent would log in by these pins: see [`Pins::lack`].
    pub(super) fn can_hold_to(&mut self, pins: &Pins<'_>) -> Result<(), Problem> {
        let mut noise = [0; 32];
        let len = self.board.noise(&mut noise);
        noise.zeroize();
        if pins.lack(len) {
            return Err(Problem::Record(ProvisioningError::NoSecret));
        }
        Ok(())
    }
}
