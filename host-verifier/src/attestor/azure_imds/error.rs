//! Why a proof by `azure_imds` fails.

use crate::attestor::{AttestError, Fault};
use crate::cms::CmsError;
use crate::x509::{ParseError, PathError};

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImdsError {
    /// The payload is not the JSON object that is expected.
    #[error("payload cannot be read: {0}")]
    Payload(&'static str),
    /// The document is in another encoding.
    #[error("the document's encoding is not pkcs7")]
    Encoding,
    /// The name of a scale set is none.
    #[error("vmssName is no name of a scale set")]
    ScaleSetName,
    /// A certificate cannot be read.
    #[error("a certificate beside the document: {0}")]
    Certificate(ParseError),
    /// The signed message.
    #[error("failed to validate attested document: {0}")]
    Cms(#[from] CmsError),
    /// The signer's certificate is for another name.
    #[error("the signer's certificate has no name {0} and none below it")]
    SignerName(&'static str),
    /// What was signed is no attested document.
    #[error("what was signed is no attested document: {0}")]
    Document(&'static str),
    /// The document is older than the subscription's name in it.
    #[error("missing subscription ID: the agent asked with an api-version before 2019-04-30")]
    NoSubscription,
    /// The document has another nonce.
    #[error("nonce mismatch: the document was not made for this login")]
    Nonce,
    /// The document's time.
    #[error("the document is valid from {from} to {to}, and it is {now}")]
    Window {
        /// `createdOn`.
        from: jiff::Timestamp,
        /// `expiresOn`.
        to: jiff::Timestamp,
        /// The login's time.
        now: jiff::Timestamp,
    },
    /// The subscription is nobody's.
    #[error("subscription {0} is not authorized")]
    Subscription(String),
    /// There is no root.
    #[error(
        "there are no roots: the system's store has none of Azure's, and `clouds.azure.roots` of assayd.yaml names none"
    )]
    NoRoots,
    /// A check of the signer's certificate or of its chain.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The machine is not there.
    #[error("Azure knows no virtual machine {vm_id} in subscription {subscription}")]
    NoMachine {
        /// The document's.
        vm_id: String,
        /// The document's.
        subscription: String,
    },
    /// The settings ask the resource manager for the machine, and nobody did.
    #[error("{asked} was not asked for virtual machine {vm_id} of subscription {subscription}")]
    NotAsked {
        /// The resource manager.
        asked: String,
        /// The document's.
        vm_id: String,
        /// The document's.
        subscription: String,
    },
    /// What is kept of an answer cannot be read, or is of somebody else.
    #[error("the answer that is kept cannot be used: {0}")]
    Kept(&'static str),
}

impl ImdsError {
    /// The stable name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Payload(_) | Self::Encoding | Self::Certificate(_) => "payload-malformed",
            Self::ScaleSetName => "vmss-name",
            Self::Cms(error) => error.check(),
            Self::SignerName(_) => "signer-name",
            Self::Document(_) => "document-malformed",
            Self::NoSubscription => "document-subscription",
            Self::Nonce => "nonce",
            Self::Window { .. } => "document-time",
            Self::Subscription(_) => "subscription-not-allowed",
            Self::NoRoots => "roots",
            Self::Path(error) => error.check(),
            Self::NoMachine { .. } => "vm-not-found",
            Self::Kept(_) | Self::NotAsked { .. } => "answer-kept",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Payload(_) | Self::Encoding | Self::Certificate(_) | Self::Document(_) => {
                Fault::Malformed
            }
            Self::Cms(error) if error.is_malformed() => Fault::Malformed,
            Self::NoRoots => Fault::Misconfigured,
            Self::Kept(_) | Self::NotAsked { .. } => Fault::Internal,
            _ => Fault::Refused,
        }
    }
}

impl From<ImdsError> for AttestError {
    fn from(error: ImdsError) -> Self {
        Self::new(error.fault(), error.check(), error.to_string())
    }
}
