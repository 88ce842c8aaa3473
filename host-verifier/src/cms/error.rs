//! Why a signed message does not count.

use crate::crypto::VerifyError;
use crate::x509::Oid;
use crate::x509::der::DerError;
use crate::x509::spki::SpkiError;

use super::ber::BerError;

/// Why a signed message does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// Not BER, or beyond the limits.
    #[error("not a CMS message: {0}")]
    Ber(#[from] BerError),
    /// Not the structure that it should be.
    #[error("{field} of the CMS message: {source}")]
    Der {
        /// Where.
        field: &'static str,
        /// What is wrong.
        source: DerError,
    },
    /// Another kind of message.
    #[error("CMS content type {0} where signedData was expected")]
    NotSignedData(Oid),
    /// A version that messages of this kind do not have.
    #[error("version {got} of {field}, {wanted} was expected")]
    Version {
        /// Of what.
        field: &'static str,
        /// What it says.
        got: u64,
        /// What it should be.
        wanted: u64,
    },
    /// The content is elsewhere.
    #[error("a signature without the content that it is for")]
    Detached,
    /// Content of another type than `data`.
    #[error("signed content of type {0} where data was expected")]
    ContentType(Oid),
    /// None or several signers.
    #[error("{0} signers where exactly one was expected")]
    Signers(usize),
    /// The signer is named by a key's identifier and not by a certificate's issuer and serial number.
    #[error("the signer is not named by issuer and serial number")]
    SignerName,
    /// More certificates than are read, or one in another form.
    #[error("the certificates in the message are too many, or in another form than X.509")]
    Certificates,
    /// Not exactly one of the certificates in the message is the signer's.
    #[error("{0} certificates in the message are the signer's where exactly one was expected")]
    SignerCertificate(usize),
    /// The message names another certificate than the one that it is judged by.
    #[error("signed under another certificate than the one that counts")]
    AnotherSigner,
    /// The two digest algorithms of the message differ, or there is not exactly one.
    #[error("the message and its signer do not name the same one digest algorithm")]
    DigestMismatch,
    /// A digest that does not count.
    #[error("digest algorithm {0} is not accepted")]
    Digest(Oid),
    /// A signature algorithm that does not count.
    #[error("signature algorithm {0} is not accepted")]
    SignatureAlgorithm(Oid),
    /// The signature algorithm brings another digest than the message names.
    #[error("signature algorithm {0} does not fit the digest algorithm")]
    AlgorithmMismatch(Oid),
    /// No signed attributes where they are wanted.
    #[error("no signed attributes")]
    NoSignedAttributes,
    /// A signed attribute twice, without a value or with several.
    #[error("signed attribute {0} does not stand there once with one value")]
    Attribute(Oid),
    /// A signed attribute that has to be there.
    #[error("no signed attribute {0}")]
    NoAttribute(&'static str),
    /// The signed content type is not the content's.
    #[error("the signed content type is not the content's")]
    SignedContentType,
    /// The content is not what was signed.
    #[error("the content is not what was signed: its digest differs")]
    MessageDigest,
    /// The signed algorithms are not those of the message (RFC 6211).
    #[error("the signed algorithms are not those of the message")]
    AlgorithmProtection,
    /// Content that could be taken for signed attributes.
    #[error("no signed attributes, and the content is no JSON object")]
    NotJson,
    /// The certificate's key cannot be used.
    #[error("the signer's key: {0}")]
    Key(#[from] SpkiError),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] VerifyError),
}

impl CmsError {
    /// Stable name, for records and metrics.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Ber(_) | Self::Der { .. } => "cms-malformed",
            Self::NotSignedData(_) | Self::Version { .. } => "cms-not-signed-data",
            Self::Detached => "cms-detached",
            Self::ContentType(_) | Self::SignedContentType => "cms-content-type",
            Self::Signers(_) => "cms-signers",
            Self::SignerName | Self::AnotherSigner => "cms-signer",
            Self::Certificates | Self::SignerCertificate(_) => "cms-certificates",
            Self::DigestMismatch
            | Self::Digest(_)
            | Self::SignatureAlgorithm(_)
            | Self::AlgorithmMismatch(_) => "cms-algorithm",
            Self::NoSignedAttributes | Self::Attribute(_) | Self::NoAttribute(_) => {
                "cms-attributes"
            }
            Self::MessageDigest => "cms-digest",
            Self::AlgorithmProtection => "cms-algorithm-protection",
            Self::NotJson => "cms-content",
            Self::Key(_) => "cms-key",
            Self::Signature(_) => "cms-signature",
        }
    }

    /// Whether the bytes cannot be read at all, and no check of theirs failed.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        matches!(self, Self::Ber(_) | Self::Der { .. })
    }
}
