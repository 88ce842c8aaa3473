//! `assay_common`, one file for each of its modules.

mod identity;
mod login;
mod measurement;
mod method;
mod policy;
mod protocol;
mod tpm;

use crate::Prover;

/// Every public function.
pub(crate) fn prove(prover: &mut impl Prover) {
    identity::prove(prover);
    login::prove(prover);
    measurement::prove(prover);
    method::prove(prover);
    policy::prove(prover);
    protocol::prove(prover);
    tpm::prove(prover);
}
