//! `assay_firmware`, one file for each of its modules.

mod agent;
mod bus;
mod console;
#[cfg(feature = "secure-bus")]
mod entropy;
mod evidence;
mod keys;
mod link;
mod measure;
mod platform;
mod run;
pub(crate) mod settings;
mod tis;
mod tpm;
mod trace;

use crate::Prover;

/// Every public function.
pub(crate) fn prove(prover: &mut impl Prover) {
    agent::prove(prover);
    bus::prove(prover);
    console::prove(prover);
    #[cfg(feature = "secure-bus")]
    entropy::prove(prover);
    evidence::prove(prover);
    keys::prove(prover);
    link::prove(prover);
    measure::prove(prover);
    platform::prove(prover);
    run::prove(prover);
    settings::prove(prover);
    tis::prove(prover);
    tpm::prove(prover);
    trace::prove(prover);
}
