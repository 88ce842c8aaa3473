//! Chapters 9 and 10: start-up, shutdown, tests; and the state every login begins from.

use assay_common::tpm::rc::TpmRc;

use super::capability::Identity;
use super::exchange::{HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};
use crate::fmt::info;

const STARTUP: Op = Op::new(0x144, DurationClass::Medium);
const SHUTDOWN: Op = Op::new(0x145, DurationClass::Medium);
const SELF_TEST: Op = Op::new(0x143, DurationClass::Long);
const GET_TEST_RESULT: Op = Op::new(0x17C, DurationClass::Medium);

/// `TPM_SU_CLEAR`.
const CLEAR: u16 = 0;

const _: () = assert!(HEADER + 2 <= COMMAND_MAX - MAKING_ROOM);

/// How the TPM was found at [`Tpm::start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The TPM had been started before: it was not reset together with this processor, and its PCRs
    /// hold measurements from earlier. The verifier sees the same in its reset count.
    pub already_started: bool,
    /// Objects and sessions of earlier software that were flushed.
    pub flushed: u16,
    /// Who made the TPM.
    pub identity: Identity,
}

/// Result of `TPM2_GetTestResult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestResult<'a> {
    /// Vendor-specific data.
    pub data: &'a [u8],
    /// `TPM_RC_SUCCESS`, `TPM_RC_TESTING`, `TPM_RC_NEEDS_TEST` or `TPM_RC_FAILURE`.
    pub rc: TpmRc,
}

impl<T: TpmTransport> Tpm<T> {
    /// Brings the TPM into the state that everything else assumes: started, nothing of earlier
    /// software loaded, its buffer sizes known.
    ///
    /// A TPM that answers "already started" kept its objects and sessions over our reset, and chips
    /// have room for three of each, so all are flushed. After a start of our own there are none, since
    /// a TPM reset drops them (`[TPM2.0 1.85 Part 1]` 12.2.3), and asking would only cost time.
    ///
    /// # Errors
    /// [`TpmError::FailureMode`], [`TpmError::FieldUpgrade`] and [`TpmError::Transport`] as what they
    /// are; any other if the TPM refuses one of these commands.
    pub fn start(&mut self) -> Result<Start, TpmError> {
        self.forget_all();
        self.run_with_u16(STARTUP, CLEAR);
        let startup = self.finish();
        let already_started = startup == Err(TpmError::Reset);
        if !already_started {
            startup?;
        }
        let flushed = if already_started {
            self.flush_stale()?
        } else {
            0
        };
        let identity = self.identity()?;
        self.read_sizes()?;
        info!(
            "TPM started: manufacturer {=u32:x}, was started before {=bool}, flushed {=u16}",
            identity.manufacturer, already_started, flushed
        );
        Ok(Start {
            already_started,
            flushed,
            identity,
        })
    }

    /// `TPM2_Shutdown(CLEAR)` (9.4): an orderly end, after which `clock` goes on without a jump.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn shutdown(&mut self) -> Result<(), TpmError> {
        self.run_with_u16(SHUTDOWN, CLEAR);
        self.finish()
    }

    /// `TPM2_SelfTest` (10.2) of what was not tested yet. The TPM tests each algorithm before its
    /// first use by itself, so this only moves the time to a convenient moment.
    ///
    /// # Errors
    /// [`TpmError::FailureMode`] when a test fails.
    pub fn self_test(&mut self) -> Result<(), TpmError> {
        /// `fullTest` = NO.
        const MISSING_ONLY: u8 = 0;
        self.begin(SELF_TEST, &[]).put(&[MISSING_ONLY]);
        self.run();
        self.finish()
    }

    /// `TPM2_GetTestResult` (10.4): works in failure mode and says why.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn test_result(&mut self) -> Result<TestResult<'_>, TpmError> {
        self.begin(GET_TEST_RESULT, &[]);
        self.run();
        let x = &mut self.exchange;
        let data = x.tpm2b(usize::MAX);
        let rc = TpmRc(x.u32());
        self.finish()?;
        Ok(TestResult {
            data: self.exchange.part(data),
            rc,
        })
    }
}
