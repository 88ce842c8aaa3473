//! What a caller demands of a chain, as data.

use crate::crypto::Legacy;

use super::{Oid, extensions::KeyUsage};

/// Longest chain, anchor included.
pub const MAX_DEPTH: usize = 8;
/// Most signature checks for one leaf, over all candidate paths.
pub const SIGNATURE_BUDGET: usize = 32;

/// Whether the certificate in question may be a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafRole {
    /// It must not be a CA. Several vendors' intermediates carry the EK extended key usage
    /// themselves, so without this rule a published CA certificate would pass as an EK's.
    EndEntity,
    /// It must be a CA: for examining a vendor's list.
    Authority,
}

/// A demand on the extended key usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedKeyUsageRule {
    /// None.
    Any,
    /// If the extension is there, it contains this usage. In an issuer anyExtendedKeyUsage will do.
    IfPresent(Oid),
    /// The extension is there and contains this usage. In an issuer anyExtendedKeyUsage will do.
    Required(Oid),
}

/// A demand on the key usage, by key type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUsageRule {
    /// None.
    Any,
    /// If the extension is there, it contains these bits.
    IfPresent {
        /// For an RSA key.
        rsa: KeyUsage,
        /// For a curve key.
        ec: KeyUsage,
    },
}

/// A demand on the subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectAltNameRule {
    /// None: the caller reads the names it knows.
    Any,
    /// When marked critical, it consists of directory names, which the caller reads.
    DirectoryNamesIfCritical,
}

/// Everything that [`super::validate`] checks beyond what RFC 5280 always demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether the leaf may be a CA.
    pub role: LeafRole,
    /// The leaf's extended key usage. Issuers may omit theirs; if they have one, it must contain
    /// the same usage or "any".
    pub extended_key_usage: ExtendedKeyUsageRule,
    /// The leaf's key usage.
    pub key_usage: KeyUsageRule,
    /// The leaf's subject alternative name.
    pub subject_alt_name: SubjectAltNameRule,
    /// What broken algorithms are let through, for every element of the chain.
    pub legacy: Legacy,
}
