//! Why a source proves nothing, in words.

use assay_common::protocol::TroubleCode;

use crate::method::MethodError;

/// What keeps a source from proving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The method, or `tpm`.
    pub source: String,
    /// What is wrong, and what to do about it.
    pub error: MethodError,
}

/// What to do about a trouble of the TPM.
pub(super) const fn tpm_hint(code: TroubleCode) -> &'static str {
    match code {
        TroubleCode::TPM_LOCKOUT => "wait, or clear the lockout with `tpm2_dictionarylockout -c`",
        TroubleCode::TPM_OUT_OF_MEMORY => {
            "use the kernel's resource manager, /dev/tpmrm0, and not /dev/tpm0"
        }
        TroubleCode::PCR_UNSTABLE => "something extends PCRs without pause; find out what",
        _ => "`assay agent doctor` looks at the TPM",
    }
}
