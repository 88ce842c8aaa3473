//! What the verifier asks of others: names, addresses and servers, all of them real.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod addresses;
mod answers;
mod aws;
mod dns;
mod extension;
mod gcp;
mod http_dns;
mod issuers;
mod kubernetes;
mod method;
mod upstream;
mod upstreams;
