//! `tpm_devid`: the settings only. Its proofs are made by the TPM's own source ([`crate::tpm`]).

pub use crate::tpm::devid::Config;

use super::{Method, MethodConfig, MethodError, Surroundings};

impl MethodConfig for Config {
    fn build(self: Box<Self>, _: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        let what = "the TPM's source makes its proofs";
        Err(MethodError::new(what, "report this as a bug"))
    }

    fn devid(&self) -> Option<&Config> {
        Some(self)
    }
}
