//! What policy speaks about on both sides: the names of methods, sets of them, and decisions.
//!
//! The engine that reads policy documents lives in the verifier; an agent needs to name what it can prove
//! and to understand an answer.

mod kind;
mod set;

pub use kind::AttestorKind;
pub use set::AttestorSet;

/// The outcome of a policy, without the proofs behind it (those have types of their own in the verifier).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decision {
    /// A policy is satisfied in full.
    Allow,
    /// None is.
    Deny,
}
