//! `tpm selftest`: the TPM tests every algorithm that it has.

use assay_common::tpm::rc::TpmRc;

use super::info::Hex;
use super::problem::Problem;
use super::{Board, Console};
use crate::tpm::{TpmError, TpmTransport as _};

/// How often a TPM that tests in the background is asked whether it is done, and the pause between: 20 s in all. The slowest
/// known takes two.
const ASKED: u32 = 100;
const PAUSE_MS: u32 = 200;
/// Bytes shown of what a maker says about a failed test.
const SHOWN: usize = 32;

/// How the TPM's own tests stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SelfTest {
    Passed,
    /// Tests that come before the first use of an algorithm are still to be done.
    Incomplete,
    Running,
    Failed,
    Other(TpmRc),
}

impl core::fmt::Display for SelfTest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Incomplete => f.write_str("not all algorithms yet (`tpm selftest` does)"),
            Self::Running => f.write_str("running"),
            Self::Failed => f.write_str("FAILED"),
            Self::Other(rc) => write!(f, "not known: {rc}"),
        }
    }
}

impl<H: Board> Console<H> {
    pub(super) fn tpm_selftest(&mut self) -> Result<(), Problem> {
        self.started()?;
        match self.tpm.self_test_all() {
            Ok(()) | Err(TpmError::Busy(TpmRc::TESTING)) => {}
            Err(TpmError::FailureMode) => {
                self.test_result_data()?;
                return Err(TpmError::FailureMode.into());
            }
            Err(error) => return Err(error.into()),
        }
        for _ in 0..ASKED {
            self.go_on()?;
            match self.test_state()? {
                SelfTest::Running => self.tpm.transport().pause_ms(PAUSE_MS),
                SelfTest::Failed => {
                    self.test_result_data()?;
                    return Err(TpmError::FailureMode.into());
                }
                state => {
                    self.row("self-test", format_args!("{state}"));
                    return Ok(());
                }
            }
        }
        Err(Problem::StillTesting)
    }

    /// How the tests stand, without doing any.
    pub(super) fn test_state(&mut self) -> Result<SelfTest, Problem> {
        let result = self.tpm.test_result()?;
        Ok(match result.rc {
            TpmRc::SUCCESS => SelfTest::Passed,
            TpmRc::TESTING => SelfTest::Running,
            TpmRc::FAILURE => SelfTest::Failed,
            rc if rc == NEEDS_TEST => SelfTest::Incomplete,
            rc => SelfTest::Other(rc),
        })
    }

    /// What the maker's firmware says about a failed test: for the maker's support.
    pub(super) fn test_result_data(&mut self) -> Result<(), Problem> {
        let Self { tpm, terminal, .. } = self;
        let result = tpm.test_result()?;
        let data = result.data.get(..SHOWN).unwrap_or(result.data);
        let _ = core::fmt::Write::write_fmt(
            terminal,
            format_args!(
                "{:<16}FAILED, {}, data {}\n",
                "self-test",
                result.rc,
                Hex(data)
            ),
        );
        Ok(())
    }
}

/// `TPM_RC_NEEDS_TEST` ([TPM2.0 1.85 Part 2] 6.6.3).
const NEEDS_TEST: TpmRc = TpmRc(0x153);
