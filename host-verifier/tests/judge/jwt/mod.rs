//! Tokens of other issuers.
//!
//! * `algorithms`: every algorithm, signed by openssl and by the `jsonwebtoken` crate.
//! * `forms`: bytes that are no token, headers that are refused, and the attacks on them.
//! * `claims`: what a verified token must say.
//! * `keys`: JWKs, sets, PEM.

mod algorithms;
mod claims;
mod forms;
mod keys;
pub(crate) mod signer;
