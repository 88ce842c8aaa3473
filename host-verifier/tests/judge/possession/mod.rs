//! Methods by which a node shows that it has a certified key: keys, certificates, lists and signatures by `openssl` and
//! `ssh-keygen`.

mod again;
mod spire;
mod ssh_pop;
mod ssh_pop_lists;
pub(crate) mod x509pop;
mod x509pop_crl;

use assay_common::method::possession;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// The verifier's nonce of every case here: 00 to 1f.
pub(crate) fn server() -> [u8; 32] {
    core::array::from_fn(|i| i as u8)
}

/// The agent's: 20 to 3f.
fn agent() -> [u8; 32] {
    core::array::from_fn(|i| 0x20 + i as u8)
}

/// What is signed.
fn digest() -> [u8; 32] {
    possession::digest(&server(), &agent())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A copy with one member set; `path` has dots in it.
fn with(payload: &Value, path: &str, value: Value) -> Value {
    let mut changed = payload.clone();
    let pointer = format!("/{}", path.replace('.', "/"));
    *changed.pointer_mut(&pointer).unwrap() = value;
    changed
}
