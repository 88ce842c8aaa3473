//! Every check on a DevID before its TPM is challenged. Pure: bytes, settings, nonce and time come in.
//!
//! Three keys are in play, and each check ties two of them: the certificate's key is the DevID key; the DevID key lives
//! beside the AK; the AK lives beside the EK, which is what the challenge shows. Without any one of them a DevID copied
//! into a file would pass.

use assay_common::{
    method::tpm_devid::possession_message,
    tpm::{
        alg::AlgId,
        attributes::ObjectAttributes,
        name::{Name, NameError},
        public::Public,
    },
};

pub use super::error::DevidError;
use super::{error::of_path, payload::Untrusted};
use crate::{
    attestor::tpm_ek::{
        self,
        verify::{Acceptable as Endorsed, is_roca},
    },
    crypto::PublicKey,
    tpm::{
        key::public_key,
        signature::{verify_attest, verify_by},
    },
    x509::{
        Policy, TrustStore, UnixTime, VerifiedChain, path::validate_unrevoked,
        revocation::Revocation,
    },
};

/// The attributes without which a DevID key could be somewhere else, too: it cannot leave its TPM, and nobody brought it
/// in. It need not be restricted, since it signs for its holder.
pub const DEVID_ATTRIBUTES: ObjectAttributes = ObjectAttributes::FIXED_TPM
    .union(ObjectAttributes::FIXED_PARENT)
    .union(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
    .union(ObjectAttributes::SIGN);

/// What a DevID is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// How its TPM is let in.
    pub endorsement: tpm_ek::Rules<'a>,
    /// Who certifies DevIDs.
    pub authorities: &'a TrustStore,
    /// Which of their certificates no longer count; `None` where nobody is asked.
    pub revocation: Option<&'a Revocation>,
}

/// A DevID whose key was shown and lives beside the AK, in a TPM that is let in and still to be challenged: only
/// [`verify`] makes one.
#[derive(Debug)]
pub struct Acceptable {
    endorsed: Endorsed,
    chain: VerifiedChain,
    key_hash: [u8; 32],
}

impl Acceptable {
    /// EK and AK.
    #[must_use]
    pub fn endorsed(&self) -> &Endorsed {
        &self.endorsed
    }

    /// The DevID's chain, its own certificate included.
    #[must_use]
    pub fn chain(&self) -> &VerifiedChain {
        &self.chain
    }

    /// SHA-256 of the DevID key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn key_hash(&self) -> [u8; 32] {
        self.key_hash
    }
}

/// Judges what [`super::payload::parse`] read, at the time `at`, for the login with this nonce.
///
/// Proves: a configured authority certifies the DevID key; whoever answers can use it now; it cannot leave the TPM that
/// the AK is in. Does not prove: that the AK's TPM is the EK's; the challenge does.
///
/// # Errors
/// The failed check, see [`DevidError`].
pub fn verify(
    untrusted: &Untrusted<'_>,
    rules: &Rules<'_>,
    nonce: &[u8; 32],
    at: UnixTime,
) -> Result<Acceptable, DevidError> {
    let key = public_key(&untrusted.public).map_err(DevidError::Key)?;
    // First of all: anyone's published certificate beside a key of his own must not help. What cannot be read is the
    // path validator's to refuse.
    if let Ok(certified) = untrusted.certificate.key() {
        check_same(certified, &key)?;
    }
    check_attributes(&untrusted.public)?;
    if is_roca(&key, rules.endorsement.dangers) {
        return Err(DevidError::Roca);
    }
    let chain = validate_unrevoked(
        &untrusted.certificate,
        &untrusted.chain,
        rules.authorities,
        &Policy::devid(),
        rules.revocation,
        at,
    )
    .map_err(of_path)?;
    // The comparison above was over what could be read; this one is over what was verified.
    let certified = chain.leaf().key().map_err(DevidError::CertificateKey)?;
    check_same(certified, &key)?;

    let endorsed = tpm_ek::verify::verify(&untrusted.endorsement, &rules.endorsement, at)?;
    check_residence(untrusted, &endorsed, nonce)?;
    // By the certificate's key, and by the scheme that the TPM's key has.
    let message = possession_message(nonce).concat();
    verify_by(
        certified,
        fixed_scheme(&untrusted.public),
        &message,
        &untrusted.possession,
    )
    .map_err(DevidError::Possession)?;
    Ok(Acceptable {
        endorsed,
        key_hash: key.spki_sha256(),
        chain,
    })
}

fn check_same(certified: &PublicKey, key: &PublicKey) -> Result<(), DevidError> {
    if certified == key {
        return Ok(());
    }
    Err(DevidError::KeyMismatch {
        certificate: hex::encode(certified.spki_sha256()),
        key: hex::encode(key.spki_sha256()),
    })
}

fn check_attributes(public: &Public<'_>) -> Result<(), DevidError> {
    let got = public.attributes;
    if got.reserved().0 != 0 {
        return Err(DevidError::Reserved { got });
    }
    if got.contains(DEVID_ATTRIBUTES) && !got.intersects(ObjectAttributes::DECRYPT) {
        Ok(())
    } else {
        Err(DevidError::Attributes { got })
    }
}

/// Does the AK say, in this login, that the DevID key is loaded in its TPM?
fn check_residence(
    untrusted: &Untrusted<'_>,
    endorsed: &Endorsed,
    nonce: &[u8; 32],
) -> Result<(), DevidError> {
    let attest = &untrusted.attest;
    let info = attest
        .certify()
        .ok_or(DevidError::AttestType { got: attest.kind })?;
    if attest.extra_data != nonce {
        return Err(DevidError::Nonce {
            got: hex::encode(attest.extra_data),
            expected: hex::encode(nonce),
        });
    }
    let name: Result<Name, NameError> = Name::of(&untrusted.public);
    let name = name.map_err(DevidError::Name)?;
    if info.name != name.as_bytes() {
        return Err(DevidError::OtherObject {
            got: hex::encode(info.name),
            expected: hex::encode(name.as_bytes()),
        });
    }
    verify_attest(endorsed.ak(), attest.raw(), &untrusted.attest_signature)
        .map_err(DevidError::AttestSignature)?;
    Ok(())
}

/// Scheme and hash that the key always signs with; `None` for a key that leaves them to its user.
fn fixed_scheme(public: &Public<'_>) -> Option<(AlgId, AlgId)> {
    let scheme = public.parameters.scheme();
    (scheme.alg != AlgId::NULL).then_some((scheme.alg, scheme.hash))
}
