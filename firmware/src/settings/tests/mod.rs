//! Settings over a flash of which power, wear and strangers take their share.

#![expect(clippy::unwrap_used, reason = "tests")]

pub(crate) mod flash;
mod power_cuts;
mod values;
