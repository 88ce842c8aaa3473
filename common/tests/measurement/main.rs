//! Event logs: against bytes and PCR values that something else made, and against whoever made them up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets the unexpected must stop"
)]

mod golden;
mod roundtrip;
mod strict;

use assay_common::measurement::{Boot, Image, Witness};

/// Bytes of hexadecimal text; line ends are of no account.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

/// One type, length and value.
fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((value.len() as u32).to_be_bytes());
    bytes.extend(value);
    bytes
}

fn image() -> Image<'static> {
    Image::measure("stm32f405", "0.3.1", b"an image")
}

fn boot() -> Boot {
    let mut witness = [7; Witness::LEN];
    witness[..2].copy_from_slice(&[0x00, 0x0B]);
    Boot {
        counter: Some(7),
        reset_count: 41,
        restart_count: 2,
        witness: Witness(witness),
    }
}
