//! Why a chain is refused, by stable names.

use super::{Oid, UnixTime, algorithm::SignatureAlgorithm, spki::SpkiError};
use crate::crypto::HashAlgorithm;

/// The failed check. Names in the variants are subjects of certificates as text; they come from
/// foreign bytes, with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No certificate with the issuer's name is among anchors and intermediates.
    #[error("no certificate of the issuer {issuer:?} of {subject:?} is known")]
    UnknownIssuer {
        /// Whose issuer is missing.
        subject: String,
        /// The missing name.
        issuer: String,
    },
    /// Certificates with the issuer's name are known, and none of their keys made the signature.
    #[error("signature on {subject:?} was not made by any known key of {issuer:?}")]
    BadSignature {
        /// Whose signature.
        subject: String,
        /// Who should have made it.
        issuer: String,
    },
    /// A CA certificate presented as an end entity's.
    #[error("{subject:?} is a certification authority, not an end entity")]
    LeafIsCa {
        /// The leaf.
        subject: String,
    },
    /// An issuer that is not marked as a CA.
    #[error("{subject:?} issued a certificate and is not marked as a certification authority")]
    NotACa {
        /// The issuer.
        subject: String,
    },
    /// Past the end of validity.
    #[error("{subject:?} expired at {not_after}; judged at {at}")]
    Expired {
        /// Which element.
        subject: String,
        /// Its last second.
        not_after: UnixTime,
        /// The time of judgement.
        at: UnixTime,
    },
    /// Before the beginning of validity.
    #[error("{subject:?} is valid from {not_before}; judged at {at}")]
    NotYetValid {
        /// Which element.
        subject: String,
        /// Its first second.
        not_before: UnixTime,
        /// The time of judgement.
        at: UnixTime,
    },
    /// `keyUsage` lacks a bit.
    #[error("key usage of {subject:?} does not allow {wanted}")]
    KeyUsage {
        /// Which element.
        subject: String,
        /// The missing use.
        wanted: &'static str,
    },
    /// `extKeyUsage` lacks the usage, or is missing where it is required.
    #[error("extended key usage of {subject:?} does not contain {wanted}")]
    ExtendedKeyUsage {
        /// Which element.
        subject: String,
        /// The missing usage.
        wanted: Oid,
    },
    /// A critical extension that is not understood.
    #[error("{subject:?} has the critical extension {oid}, which is not understood")]
    CriticalExtension {
        /// Which element.
        subject: String,
        /// The extension.
        oid: Oid,
    },
    /// More intermediates below a CA than it may have.
    #[error("{subject:?} allows {allowed} intermediates below it, there are {found}")]
    PathLength {
        /// The CA.
        subject: String,
        /// Its `pathLenConstraint`.
        allowed: u64,
        /// What the chain has.
        found: u64,
    },
    /// A name outside what a CA may issue for.
    #[error("names of {subject:?} violate the name constraints of {issuer:?}")]
    NameConstraints {
        /// Whose names.
        subject: String,
        /// Who constrains.
        issuer: String,
    },
    /// An RSA key that is too small.
    #[error("key of {subject:?} has {bits} bits")]
    WeakKey {
        /// Which element.
        subject: String,
        /// Length of the modulus.
        bits: usize,
    },
    /// An RSA key that is larger than the policy lets in.
    #[error("key of {subject:?} has {bits} bits, at most {max} are let in")]
    KeyTooLarge {
        /// Which element.
        subject: String,
        /// Length of the modulus.
        bits: usize,
        /// The limit.
        max: usize,
    },
    /// Not as RFC 5280 wants it, where the policy demands that.
    #[error("{subject:?} is not as RFC 5280 wants it: {departure}")]
    Profile {
        /// Which element.
        subject: String,
        /// What is wrong.
        departure: &'static str,
    },
    /// A list of its issuer says that it is revoked.
    #[error("{subject:?} (serial {serial}) is revoked by the list of {issuer:?} of {this_update}")]
    Revoked {
        /// Which element.
        subject: String,
        /// Its serial number, hex.
        serial: String,
        /// Who revoked it.
        issuer: String,
        /// When the list was made.
        this_update: UnixTime,
    },
    /// No list of its issuer is known where one is demanded.
    #[error("no revocation list signed by {issuer:?} is known for {subject:?}")]
    CrlMissing {
        /// Which element.
        subject: String,
        /// Whose list is missing.
        issuer: String,
    },
    /// The list is past its time.
    #[error("the revocation list of {issuer:?} was to be renewed by {next_update}; judged at {at}")]
    CrlStale {
        /// Whose list.
        issuer: String,
        /// Its `nextUpdate`.
        next_update: UnixTime,
        /// The time of judgement.
        at: UnixTime,
    },
    /// The issuer's key may not sign lists.
    #[error("key usage of {subject:?} does not allow it to sign revocation lists")]
    CrlIssuer {
        /// The issuer.
        subject: String,
    },
    /// A signature over a broken hash.
    #[error("signature on {subject:?} uses {hash}")]
    WeakHash {
        /// Which element.
        subject: String,
        /// The hash.
        hash: HashAlgorithm,
    },
    /// A signature algorithm that is not supported.
    #[error("signature on {subject:?} uses the algorithm {algorithm}, which is not supported")]
    UnsupportedSignature {
        /// Which element.
        subject: String,
        /// The algorithm.
        algorithm: SignatureAlgorithm,
    },
    /// A key that cannot be used.
    #[error("key of {subject:?}: {source}")]
    UnsupportedKey {
        /// Which element.
        subject: String,
        /// Why.
        source: SpkiError,
    },
    /// No path within the longest chain allowed.
    #[error("no path of at most {max} certificates leads to an anchor")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Too many candidate signatures.
    #[error("more than {max} signatures to check for one certificate")]
    SignatureBudget {
        /// The limit.
        max: usize,
    },
}

impl PathError {
    /// The stable kebab-case name of the check, for output, tests and metrics.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::UnknownIssuer { .. } => "unknown-issuer",
            Self::BadSignature { .. } => "bad-signature",
            Self::LeafIsCa { .. } => "leaf-is-ca",
            Self::NotACa { .. } => "issuer-not-ca",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::KeyUsage { .. } => "key-usage",
            Self::ExtendedKeyUsage { .. } => "extended-key-usage",
            Self::CriticalExtension { .. } => "critical-extension",
            Self::PathLength { .. } => "path-length",
            Self::NameConstraints { .. } => "name-constraints",
            Self::WeakKey { .. } => "weak-key",
            Self::KeyTooLarge { .. } => "key-too-large",
            Self::Profile { .. } => "certificate-profile",
            Self::Revoked { .. } => "revoked",
            Self::CrlMissing { .. } => "crl-missing",
            Self::CrlStale { .. } => "crl-stale",
            Self::CrlIssuer { .. } => "crl-issuer",
            Self::WeakHash { .. } => "weak-hash",
            Self::UnsupportedSignature { .. } => "unsupported-signature",
            Self::UnsupportedKey { .. } => "unsupported-key",
            Self::TooLong { .. } => "chain-too-long",
            Self::SignatureBudget { .. } => "signature-budget",
        }
    }

    /// How much a failure tells, when several candidate paths fail: one found behind a good
    /// signature says more than one found before it.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::BadSignature { .. } => 0,
            Self::UnknownIssuer { .. } => 1,
            Self::TooLong { .. } => 2,
            _ => 3,
        }
    }
}
