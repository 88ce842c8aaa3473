//! What the methods with an agent half put into an [`Item`](crate::protocol::Item), one file per method.
//!
//! TPM structures are carried as the TPM made them and never encoded again: re-encoding is how Names stop
//! matching.

pub mod join_token;
pub mod mcu_key;
pub mod possession;
pub mod svid_key;
pub mod tpm_devid;
pub mod tpm_ek;
pub mod tpm_quote;
