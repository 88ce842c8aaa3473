//! The TPM half of the firmware on the host: bus, FIFO driver, commands and keys against a model of the
//! FIFO, scripted transports and a second implementation of the marshalling.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests: a panic is the failure report"
)]

#[cfg(feature = "async")]
mod asynchronous;
mod bytes;
mod chip;
mod commands;
mod differential;
mod differential_responses;
mod ek;
mod failure_mode;
mod fifo;
mod frugality;
mod golden;
mod keys;
mod measure;
mod model;
mod pcr;
mod recovery;
mod retries;
mod scripted;
#[cfg(feature = "secure-bus")]
mod sessions;
mod slave;
mod spi;
mod stress;
mod svid_key;
#[cfg(feature = "secure-bus")]
mod swtpm;
mod truncation;
#[cfg(any(not(feature = "secure-bus"), feature = "host"))]
mod unguarded;
