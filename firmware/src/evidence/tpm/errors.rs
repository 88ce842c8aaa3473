//! From the TPM's errors to what a technician reads: one code per thing that can be done about it.

use assay_common::protocol::TroubleCode;

use crate::evidence::EvidenceError;
use crate::keys::KeyError;
use crate::tis::TisError;
use crate::tpm::{TpmError, TransportError};

impl From<TpmError> for EvidenceError {
    fn from(error: TpmError) -> Self {
        let code = match error {
            TpmError::Transport(error) => return error.into(),
            TpmError::Reset | TpmError::Lost(_) => TroubleCode::TPM_RESET,
            TpmError::FailureMode => TroubleCode::TPM_FAILURE_MODE,
            TpmError::FieldUpgrade => TroubleCode::TPM_UPGRADE_MODE,
            TpmError::Lockout => TroubleCode::TPM_LOCKOUT,
            TpmError::Busy(_) => TroubleCode::TPM_BUSY,
            TpmError::Memory(_) | TpmError::Slots => TroubleCode::TPM_OUT_OF_MEMORY,
            TpmError::Family | TpmError::NoPcr => TroubleCode::TPM_UNSUPPORTED,
            TpmError::Rc(_) => TroubleCode::TPM_COMMAND,
            TpmError::Malformed(_) => TroubleCode::TPM_RESPONSE,
            TpmError::Encode(_) | TpmError::Buffer => TroubleCode::UNSUPPORTED_REQUEST,
            TpmError::PcrsMoving => TroubleCode::PCR_UNSTABLE,
            TpmError::Forged => TroubleCode::TPM_FORGED,
            TpmError::NoSession => TroubleCode::TPM_UNSUPPORTED,
        };
        let detail = error.rc().map_or(0, |rc| rc.0);
        Self {
            detail,
            ..Self::new(code)
        }
    }
}

impl From<TransportError> for EvidenceError {
    fn from(error: TransportError) -> Self {
        let TransportError::Tis(error) = error else {
            let code = match error {
                TransportError::Timeout => TroubleCode::TPM_TIMEOUT,
                _ => TroubleCode::TPM_ABSENT,
            };
            return Self::new(code);
        };
        let code = match error {
            TisError::Absent => TroubleCode::TPM_ABSENT,
            TisError::Locality => TroubleCode::TPM_LOCALITY,
            TisError::NotReady | TisError::Timeout | TisError::Stuck => TroubleCode::TPM_TIMEOUT,
            TisError::Bus(_) => TroubleCode::TPM_BUS,
            TisError::Burst
            | TisError::Rejected
            | TisError::Overrun
            | TisError::BadSize
            | TisError::Leftover
            | TisError::Buffer => TroubleCode::TPM_TRANSFER,
        };
        Self {
            detail: error.code().into(),
            ..Self::new(code)
        }
    }
}

impl From<KeyError> for EvidenceError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Tpm(error) => error.into(),
            KeyError::NoTemplate | KeyError::UnknownPolicy | KeyError::UnknownHash => {
                Self::new(TroubleCode::TPM_UNSUPPORTED)
            }
            KeyError::NotACertificate(index) | KeyError::BadNv(index) => Self {
                detail: index.0,
                ..Self::new(TroubleCode::TPM_RESPONSE)
            },
            KeyError::Disagree => Self::new(TroubleCode::PCR_UNSTABLE),
            KeyError::OtherEk => Self::new(TroubleCode::TPM_REPLACED),
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_common::tpm::rc::TpmRc;

    use super::{EvidenceError, TisError, TpmError, TransportError, TroubleCode};

    #[test]
    fn what_a_technician_must_tell_apart_has_its_own_code() {
        let tis = |error| EvidenceError::from(TransportError::Tis(error)).code;
        let codes = [
            tis(TisError::Absent),
            tis(TisError::Locality),
            tis(TisError::Timeout),
            tis(TisError::Rejected),
            EvidenceError::from(TpmError::Reset).code,
            EvidenceError::from(TpmError::FailureMode).code,
            EvidenceError::from(TpmError::FieldUpgrade).code,
            EvidenceError::from(TpmError::Lockout).code,
            EvidenceError::from(TpmError::Busy(TpmRc::RETRY)).code,
            EvidenceError::from(TpmError::Memory(TpmRc::OBJECT_MEMORY)).code,
            EvidenceError::from(TpmError::Rc(TpmRc::VALUE)).code,
        ];
        for (i, code) in codes.iter().enumerate() {
            assert!(
                !codes.iter().skip(i + 1).any(|other| other == code),
                "{code}"
            );
        }
    }

    #[test]
    fn an_unknown_response_code_is_reported_as_its_number() {
        let error = EvidenceError::from(TpmError::Rc(TpmRc(0x0007_0901)));
        assert_eq!(
            (error.code, error.detail),
            (TroubleCode::TPM_COMMAND, 0x0007_0901)
        );
    }
}
