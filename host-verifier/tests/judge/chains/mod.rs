//! The path validator, one test per check, each failing only because of that check.

mod elements;
mod paths;
mod purposes;

use assay_host_verifier::attestor::tpm_ek::certificate::{
    self, Dangers, EkCertificateError, VerifiedEkCertificate,
};
use assay_host_verifier::x509::{Certificate, TrustStore, UnixTime};

use crate::pki::now;

/// Judges an EK certificate with nothing weakened.
fn judge_at(
    leaf: &Certificate,
    hints: &[Certificate],
    store: &TrustStore,
    at: UnixTime,
) -> Result<VerifiedEkCertificate, EkCertificateError> {
    certificate::verify(leaf, hints, store, Dangers::default(), at)
}

fn judge(leaf: &Certificate, list: &[Certificate]) -> Result<VerifiedEkCertificate, String> {
    let store = TrustStore::from_mixed(list.to_vec());
    judge_at(leaf, &[], &store, now()).map_err(|error| error.check().to_owned())
}

#[track_caller]
fn refused(leaf: &Certificate, list: &[Certificate], check: &str) {
    assert_eq!(judge(leaf, list).err().as_deref(), Some(check));
}
