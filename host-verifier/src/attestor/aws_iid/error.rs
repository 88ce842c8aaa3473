//! Why an instance identity document does not count.

use core::time::Duration;

use jiff::Timestamp;

use crate::attestor::{AttestError, Fault};
use crate::cms::CmsError;
use crate::crypto::VerifyError;
use crate::jwt::shown;

/// Where AWS publishes the certificates.
pub const PAGE: &str = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/regions-certs.md";

/// Why a payload proves nothing, before anybody is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The payload is no payload.
    #[error("the payload cannot be read: {0}")]
    Payload(&'static str),
    /// A signature in it is no base64.
    #[error("a signature is not base64")]
    Base64,
    /// There is no signature of a kind that is known.
    #[error("instance identity cryptographic signature is required: there is no `rsa2048`")]
    NoSignature,
    /// There is only the signature with DSA and SHA-1.
    #[error(
        "`pkcs7` is a DSA signature over SHA-1, which is not accepted; have the agent send `rsa2048`"
    )]
    Dsa,
    /// There is only the signature with 1024 bits.
    #[error(
        "`signature` is of an RSA key of 1024 bits, which legacySignatures does not let in; have the agent send `rsa2048`"
    )]
    Legacy,
    /// The message is none, or its signature does not count.
    #[error("failed verification of instance identity cryptographic signature: {0}")]
    Message(#[from] CmsError),
    /// The raw signature does not verify.
    #[error("failed verification of instance identity cryptographic signature: {0}")]
    Signature(VerifyError),
    /// The document that was sent beside the message is another one.
    #[error("instance identity document does not match the verified PKCS7 content")]
    Beside,
    /// The document is none.
    #[error("failed to unmarshal the IID: {0}")]
    Document(&'static str),
    /// No certificate is pinned for the region.
    #[error(
        "no certificate of AWS for region {region}: unsupported region, or clouds.aws.certificates lacks it; {PAGE} has them all"
    )]
    Region {
        /// The region, as the document says.
        region: String,
    },
    /// The signer is not one whose certificate is pinned for the region.
    #[error("the signature names another certificate than those pinned for region {region}")]
    Signer {
        /// The region.
        region: String,
    },
    /// The instance was started in the future.
    #[error("the instance's pendingTime {0} is in the future")]
    Future(Timestamp),
    /// The instance was started too long ago.
    #[error("the instance was started at {started}, longer ago than maxInstanceAge, {most:?}")]
    Old {
        /// When.
        started: Timestamp,
        /// `maxInstanceAge`.
        most: Duration,
    },
    /// The region is not let in.
    #[error("region {} is not in allowedRegions", shown(.0))]
    RegionNotAllowed(String),
    /// The account is not let in.
    #[error("account {} is neither in awsAccountsAllowed nor otherwise let in", shown(.0))]
    AccountNotAllowed(String),
}

impl DocumentError {
    /// The check's stable name.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Payload(_) => "payload-malformed",
            Self::Base64 => "signature-malformed",
            Self::NoSignature => "no-signature",
            Self::Dsa => "dsa-signature",
            Self::Legacy => "legacy-signature",
            Self::Message(error) => error.check(),
            Self::Signature(_) => "signature",
            Self::Beside => "document-mismatch",
            Self::Document(_) => "document-malformed",
            Self::Region { .. } => "region-not-pinned",
            Self::Signer { .. } => "signer-not-pinned",
            Self::Future(_) => "instance-in-future",
            Self::Old { .. } => "instance-too-old",
            Self::RegionNotAllowed(_) => "region-not-allowed",
            Self::AccountNotAllowed(_) => "account-not-allowed",
        }
    }

    const fn fault(&self) -> Fault {
        match self {
            // Without any signature it is no payload of this method's.
            Self::Payload(_) | Self::Base64 | Self::NoSignature | Self::Document(_) => {
                Fault::Malformed
            }
            Self::Message(error) if error.is_malformed() => Fault::Malformed,
            Self::Region { .. } => Fault::Misconfigured,
            _ => Fault::Refused,
        }
    }
}

impl From<DocumentError> for AttestError {
    fn from(error: DocumentError) -> Self {
        Self::new(error.fault(), error.check(), error.to_string())
    }
}
