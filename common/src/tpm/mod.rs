//! TPM 2.0 structures that the agent and the verifier must read alike.
//!
//! Every type here is a checked *view*: `parse` walks foreign bytes once, keeps slices into them and
//! refuses what does not fit. Nothing is copied or re-encoded, because a Name is a hash over the
//! bytes as the TPM sent them. The crate neither allocates nor panics on any input.
//!
//! # Rules that hold in every module
//!
//! * All integers are big-endian ([TPM2.0 1.83 Part 1] 5.3, "canonical form").
//! * `parse` consumes its input exactly; bytes left over are an error. Only `read`, which takes a
//!   [`codec::Reader`], leaves bytes for the caller.
//! * Numbers with an open registry ([`alg::AlgId`], [`rc::TpmRc`], [`attest::AttestType`],
//!   [`properties::PropertyTag`]) are newtypes over the number, never closed enums: an unknown one
//!   is carried, printed in hexadecimal and compared like any other.
//! * A view is *well-formed*, nothing more. Signatures, attributes, freshness and policy are the
//!   verifier's business and live in other crates.

pub mod alg;
pub mod attest;
pub mod attributes;
pub mod codec;
pub mod credential;
pub mod handle;
pub mod name;
pub mod pcr;
pub mod properties;
pub mod public;
pub mod rc;
pub mod signature;
