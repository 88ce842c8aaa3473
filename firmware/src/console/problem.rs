//! Why a command did not do what it was asked for, and what the technician can do about it.

use core::fmt;

use assay_common::identity::ProvisioningError;

use super::board::{ProtectFault, RecordFault};
use super::diagnosis::Diagnosis;
use super::line::MAX_LINE;
use super::paste::PasteError;
use crate::agent::Failure;
use crate::settings::SettingsError;
use crate::tis::TisError;
use crate::tpm::{TpmError, TransportError};

/// One line, and one hint.
#[derive(Debug, Clone, Copy)]
pub(super) enum Problem {
    /// Ctrl-C.
    Stopped,
    /// The line was too long.
    TooLong,
    /// No such command.
    Unknown,
    /// A command without arguments was given one.
    NoArguments,
    /// How the command is written.
    Usage(&'static str),
    /// No TPM that could be talked to.
    Bus(Diagnosis),
    /// The locality is somebody else's; what `TPM_ACCESS` said.
    Locality(u8),
    /// A TPM command failed.
    Tpm(TpmError),
    /// The TPM tests itself for longer than anybody waits.
    StillTesting,
    /// Some of the tests of `selftest` failed.
    NotFit(u8),
    /// A setting could not be read or kept.
    Settings(SettingsError),
    /// The board has no settings.
    NoSettings,
    /// The text is no record.
    Paste(PasteError),
    /// The record was given up before its end.
    GivenUp,
    /// The record is damaged or illegal.
    Record(ProvisioningError),
    /// The record's key is not on the curve.
    RecordKey,
    /// Another record is there.
    Provisioned,
    /// The record was not written; how else it is.
    Write(RecordFault, &'static str),
    /// What was written is not what is there.
    Verify,
    /// The record's flash is write-protected; how that is taken back.
    Protected(&'static str),
    /// The board cannot protect its record.
    NoProtection,
    /// There is no record that the agent would take.
    NothingToProtect,
    /// What `protect` does is not taken back here.
    ForGood,
    /// The record was not protected.
    Protect(ProtectFault),
    /// The chip did what it was told, and the record can still be written.
    StillOpen,
    /// The board is still here.
    NoReset,
}

impl Problem {
    /// What to do.
    pub(super) const fn hint(&self) -> &'static str {
        match self {
            Self::Stopped => "whatever was done until then is done",
            Self::TooLong => "nothing was done; a record may be given in several lines",
            Self::Unknown => "type `help` for the commands",
            Self::NoArguments => "type the command alone",
            Self::Usage(_) => "`help` says what each of them does",
            Self::Bus(diagnosis) => diagnosis.hint(),
            Self::Locality(_) => "switch the TPM's power off and on, then `tpm probe`",
            Self::Tpm(error) => tpm_hint(*error),
            Self::StillTesting => "wait a minute, then `tpm probe` says whether it passed",
            Self::NotFit(_) => "the lines above say what is wrong",
            Self::Settings(SettingsError::TooLong) => "64 bytes at most",
            Self::Settings(SettingsError::Flash) => "the flash is worn out or write-protected",
            Self::Settings(_) => "restart the board; if it stays so, erase its settings' sectors",
            Self::NoSettings => "this board remembers nothing over a loss of power",
            Self::Paste(PasteError::NotARecord) => {
                "paste what `assay provision record` wrote, as `xxd -p` or `base64` shows it"
            }
            Self::Paste(PasteError::TooLong) => "no record is so long: was a line lost?",
            Self::Paste(_) => "nothing was written; begin again with `provision`",
            Self::GivenUp => "nothing was written",
            Self::Record(ProvisioningError::NoSecret) => {
                "make the record with `assay provision record --new-secret`, a new one for each board"
            }
            Self::Record(_) | Self::RecordKey => {
                "nothing was written; make the record with `assay provision record`"
            }
            Self::Provisioned => "`info` shows it; `provision force` puts another in its place",
            Self::Write(RecordFault::NotHere, how) => how,
            Self::Write(RecordFault::Flash, _) => {
                "is the sector write-protected? The board may have no record now"
            }
            Self::Write(RecordFault::TooLong, _) | Self::Verify => {
                "the board may have no record now; `info` shows what it has"
            }
            Self::Protected(how) => how,
            Self::NoProtection => "the board's README says what its chip has, \"In the field\"",
            Self::NothingToProtect => "`info` says what is wrong with it; `provision` writes one",
            Self::ForGood => {
                "if this record is the right one, and the power stays on: `protect force`"
            }
            Self::Protect(ProtectFault::InUse) => {
                "the chip's ranges protect something else; set them with a probe"
            }
            Self::Protect(_) | Self::StillOpen => {
                "`info` shows the state; at read-out level 2 nothing can be changed"
            }
            Self::NoReset => "press its reset button",
        }
    }
}

const fn tpm_hint(error: TpmError) -> &'static str {
    match error {
        TpmError::Transport(TransportError::Tis(error)) => match error {
            TisError::Absent | TisError::Bus(_) => "`tpm probe` looks at the bus",
            TisError::Stuck | TisError::NotReady | TisError::Timeout => {
                "switch the TPM's power off and on; `spi trace` shows where it stopped"
            }
            TisError::Locality => "was the TPM reset? `tpm probe` begins anew",
            _ => "noise on the bus? shorter wires, a ground beside the clock; `spi trace` shows it",
        },
        TpmError::Transport(_) => "`tpm probe` looks at the bus",
        TpmError::Reset | TpmError::Lost(_) => "the TPM was reset meanwhile; `tpm probe` starts it",
        TpmError::FailureMode => {
            "switch the TPM's power off and on; if it fails again it is broken"
        }
        TpmError::FieldUpgrade => "finish the firmware's update with the maker's tool",
        TpmError::Lockout => "leave it powered until the lockout is over, or reset its lockout",
        TpmError::Busy(_) => "wait a minute and try again",
        TpmError::Family => "a TPM 1.2 cannot be used: fit a TPM 2.0",
        _ => "`spi trace` shows what went over the bus",
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::TooLong => write!(f, "line of more than {MAX_LINE} characters"),
            Self::Unknown => f.write_str("no such command"),
            Self::NoArguments => f.write_str("this command takes no arguments"),
            Self::Usage(usage) => write!(f, "it is written: {usage}"),
            Self::Bus(diagnosis) => write!(f, "{diagnosis}"),
            Self::Locality(access) => {
                write!(f, "locality 0 is not granted: TPM_ACCESS is 0x{access:02X}")
            }
            Self::Tpm(error) => write!(f, "{error}"),
            Self::StillTesting => f.write_str("the TPM still tests itself"),
            Self::NotFit(1) => f.write_str("one test failed"),
            Self::NotFit(failed) => write!(f, "{failed} tests failed"),
            Self::Settings(error) => write!(f, "{error}"),
            Self::NoSettings => f.write_str("this board has no settings"),
            Self::Paste(PasteError::NotARecord) => f.write_str("this is no provisioning record"),
            Self::Paste(PasteError::Character(place)) => {
                write!(f, "character {place} is neither hex nor base64")
            }
            Self::Paste(PasteError::TooLong) => f.write_str("longer than any record"),
            Self::Paste(PasteError::Trailing) => f.write_str("text after the end of the record"),
            Self::GivenUp => f.write_str("the record is not whole"),
            Self::Record(error) => write!(f, "{error}"),
            Self::RecordKey => f.write_str("the verifier's key is not a point of P-256"),
            Self::Provisioned => f.write_str("this board has another record"),
            Self::Write(RecordFault::NotHere, _) => {
                f.write_str("this board cannot write its own record")
            }
            Self::Write(RecordFault::Flash, _) => f.write_str("the flash refused the record"),
            Self::Write(RecordFault::TooLong, _) => f.write_str("no room for a record so long"),
            Self::Verify => f.write_str("the flash does not hold what was written"),
            Self::Protected(_) => f.write_str("the record is write-protected"),
            Self::NoProtection | Self::Protect(ProtectFault::NotHere) => {
                f.write_str("this board cannot write-protect its record")
            }
            Self::NothingToProtect => f.write_str("there is no record to protect"),
            Self::ForGood => f.write_str("this console does not take it back"),
            Self::Protect(ProtectFault::InUse) => {
                f.write_str("the chip has no write protection left")
            }
            Self::Protect(ProtectFault::Refused) => {
                f.write_str("the chip refused the write protection")
            }
            Self::StillOpen => f.write_str("the record can still be written"),
            Self::NoReset => f.write_str("this board cannot restart itself"),
        }
    }
}

impl From<TpmError> for Problem {
    fn from(error: TpmError) -> Self {
        Self::Tpm(error)
    }
}

impl From<TisError> for Problem {
    fn from(error: TisError) -> Self {
        Self::Tpm(TpmError::Transport(TransportError::Tis(error)))
    }
}

impl From<SettingsError> for Problem {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<PasteError> for Problem {
    fn from(error: PasteError) -> Self {
        Self::Paste(error)
    }
}

/// What an agent would say to a record.
impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotProvisioned(error) => Self::Record(error),
            _ => Self::RecordKey,
        }
    }
}
