//! What a caller demands of a chain, as data.

use crate::crypto::{Legacy, MAX_RSA_BITS, USUAL_MAX_RSA_BITS};

use super::{Oid, extensions::KeyUsage};

/// Longest chain, leaf and anchor included.
pub const MAX_DEPTH: usize = 8;
/// Most intermediates between leaf and anchor.
pub const MAX_INTERMEDIATES: usize = MAX_DEPTH - 2;
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
    /// The extension is there and contains these bits.
    Required(KeyUsage),
}

/// A demand on the subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectAltNameRule {
    /// None: the caller reads the names it knows.
    Any,
    /// When marked critical, it consists of directory names, which the caller reads.
    DirectoryNamesIfCritical,
}

/// How closely certificates must follow RFC 5280, beyond what decides about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As machines of TPM vendors wrote them: see [`super`].
    Lenient,
    /// Leaf and intermediates are of version 3 and have no [`super::Certificate::departure`]. What the operator trusts
    /// as an anchor is held to the checks of a path alone.
    ///
    /// Not demanded, though RFC 5280 obliges the CA: key identifiers (issuers are found by signature), a critical
    /// basicConstraints and nameConstraints (they are enforced either way), a subject in every CA.
    Strict,
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
    /// How closely leaf and intermediates must follow RFC 5280.
    pub profile: Profile,
    /// Largest RSA modulus of any element, bits; at most [`MAX_RSA_BITS`] whatever stands here.
    pub max_rsa_bits: usize,
    /// Whether an element may have an Ed25519 key.
    pub allow_ed25519: bool,
    /// Most intermediates between leaf and anchor; at most [`MAX_INTERMEDIATES`] whatever stands here.
    pub max_intermediates: usize,
    /// What broken algorithms are let through, for every element of the chain.
    pub legacy: Legacy,
}

impl Policy {
    /// EK certificates ([TCG EK Credential Profile 2.6] 3.2).
    ///
    /// Key usage and extended key usage may be absent (profile 1.2 chips), but if they are there, they
    /// must be those of an EK: a certificate for a signing key in the same TPM says digitalSignature.
    #[must_use]
    pub const fn ek(legacy: Legacy) -> Self {
        Self {
            role: LeafRole::EndEntity,
            extended_key_usage: ExtendedKeyUsageRule::IfPresent(Oid::TCG_KP_EK_CERTIFICATE),
            key_usage: KeyUsageRule::IfPresent {
                rsa: KeyUsage::KEY_ENCIPHERMENT,
                ec: KeyUsage::KEY_AGREEMENT,
            },
            subject_alt_name: SubjectAltNameRule::DirectoryNamesIfCritical,
            profile: Profile::Lenient,
            max_rsa_bits: USUAL_MAX_RSA_BITS,
            allow_ed25519: false,
            max_intermediates: MAX_INTERMEDIATES,
            legacy,
        }
    }

    /// DevID certificates ([TCG TPM 2.0 Keys for Device Identity and Attestation 1.0] 8; IEEE 802.1AR-2018 section 8):
    /// made by the owner's CA for a key that signs. A TPM has no Ed25519 and no RSA above 4096 bits.
    #[must_use]
    pub const fn devid() -> Self {
        Self {
            // Silence is no refusal: SPIRE asks for no usage, and TPMs keep what a key is for by themselves.
            key_usage: KeyUsageRule::IfPresent {
                rsa: KeyUsage::DIGITAL_SIGNATURE,
                ec: KeyUsage::DIGITAL_SIGNATURE,
            },
            max_rsa_bits: USUAL_MAX_RSA_BITS,
            allow_ed25519: false,
            ..Self::proof_of_possession(MAX_RSA_BITS, MAX_INTERMEDIATES)
        }
    }

    /// A server's certificate of the public web, e.g. that of a cloud's service which signs documents with its key.
    #[must_use]
    pub const fn server() -> Self {
        Self {
            extended_key_usage: ExtendedKeyUsageRule::Required(Oid::KP_SERVER_AUTH),
            key_usage: KeyUsageRule::IfPresent {
                rsa: KeyUsage::DIGITAL_SIGNATURE,
                ec: KeyUsage::DIGITAL_SIGNATURE,
            },
            allow_ed25519: false,
            ..Self::proof_of_possession(USUAL_MAX_RSA_BITS, MAX_INTERMEDIATES)
        }
    }

    /// `x509pop`: a key that signs a nonce, of any purpose otherwise.
    #[must_use]
    pub const fn proof_of_possession(max_rsa_bits: usize, max_intermediates: usize) -> Self {
        Self {
            role: LeafRole::EndEntity,
            extended_key_usage: ExtendedKeyUsageRule::Any,
            key_usage: KeyUsageRule::Required(KeyUsage::DIGITAL_SIGNATURE),
            subject_alt_name: SubjectAltNameRule::Any,
            profile: Profile::Strict,
            max_rsa_bits,
            allow_ed25519: true,
            max_intermediates,
            legacy: Legacy {
                danger_allow_sha1: false,
                danger_allow_small_rsa: false,
            },
        }
    }
}
