//! Decisions over claims that somebody wrote down: for tests of policies and for what an operator asks.
//!
//! An [`Assumed`] is not an [`Attested`](crate::attestor::run::Attested), and a verdict over it is another type than the
//! one that a session is made from, so nothing of this can reach a login:
//!
//! ```compile_fail
//! use assay_host_verifier::policy::what_if::Assumed;
//! use assay_host_verifier::policy::{Authorized, Outcomes, PolicySet, decide};
//!
//! fn rehearse(set: &PolicySet, outcomes: &Outcomes<Assumed>) -> Authorized {
//!     decide(set, outcomes).unwrap() // an `Authorized<Assumed>`
//! }
//! ```

use super::engine::Outcomes;
use super::proof::Proof;
use crate::attestor::Claims;

/// Claims that nobody proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumed(Claims);

impl Assumed {
    /// What a method would have proven.
    #[must_use]
    pub const fn new(claims: Claims) -> Self {
        Self(claims)
    }
}

impl Proof for Assumed {
    fn claims(&self) -> &Claims {
        &self.0
    }
}

impl Outcomes<Assumed> {
    /// Nothing assumed yet.
    #[must_use]
    pub fn assumed() -> Self {
        Self::empty()
    }
}
