//! The login against a verifier that does as a test tells it, right and wrong.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

mod loops;
mod renewals;
mod sessions;
mod states;
mod turns;
mod verifier;
