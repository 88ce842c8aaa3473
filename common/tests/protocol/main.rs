//! The link protocol and the login as two peers would see them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests stop at the first surprise"
)]

mod fields;
mod frames;
mod golden;
mod login;
mod messages;
