//! Why a proof by `x509pop` fails.

use crate::{
    attestor::{AttestError, Fault},
    x509::{ParseError, PathError},
};

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum X509PopError {
    /// The payload is not the JSON object that is expected.
    #[error("payload cannot be read: {0}")]
    Payload(String),
    /// A member is not base64 with the standard alphabet.
    #[error("{0}: not base64")]
    Base64(&'static str),
    /// No certificate.
    #[error("no certificate in the payload")]
    NoCertificate,
    /// More than the settings let in.
    #[error("{got} intermediate certificates, at most {max} are let in")]
    TooManyIntermediates {
        /// How many.
        got: usize,
        /// The setting.
        max: usize,
    },
    /// A certificate cannot be read.
    #[error("certificate {number} (0 is the leaf): {source}")]
    Certificate {
        /// Which, 0 for the leaf.
        number: usize,
        /// What is wrong.
        source: ParseError,
    },
    /// A check of the certificate or of its chain.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The agent's nonce is not 32 bytes.
    #[error("the nonce of the response is not 32 bytes long")]
    ResponseNonce,
    /// The signature is by another algorithm than the key's.
    #[error("{signature} signature for a key of type {key}")]
    SignatureType {
        /// What was sent.
        signature: &'static str,
        /// The certificate's key.
        key: &'static str,
    },
    /// A number of an ECDSA signature has leading zeros, or is none.
    #[error("r or s of the ecdsa signature is not written without leading zeros")]
    NotMinimal,
    /// The signature was not made by the key, or not in this login.
    #[error("the signature is not by the certificate's key over this login's nonces")]
    Signature,
    /// Not exactly one SPIFFE ID in the certificate.
    #[error("the certificate has {0} SPIFFE IDs, one is expected")]
    SpiffeIds(usize),
    /// What should be a SPIFFE ID is none.
    #[error("the certificate's SPIFFE ID cannot be read: {0}")]
    SpiffeId(String),
    /// The SPIFFE ID is of another trust domain.
    #[error("the certificate's SPIFFE ID is in trust domain `{got}`, not in `{expected}`")]
    TrustDomain {
        /// The certificate's.
        got: String,
        /// The setting.
        expected: String,
    },
    /// The path of the SPIFFE ID does not begin as the settings say.
    #[error("the path `{path}` of the certificate's SPIFFE ID does not begin with `{prefix}`")]
    Prefix {
        /// The certificate's.
        path: String,
        /// The setting.
        prefix: String,
    },
    /// A URI of the scheme `x509pop` in our trust domain that is not of the form.
    #[error("alternative name {0:?} is not of the form x509pop://<trust domain>/<type>/<value>")]
    SanForm(String),
    /// Two URIs of the scheme `x509pop` give one attribute.
    #[error("two alternative names give x509_pop.san.{0}")]
    SanTwice(String),
}

impl X509PopError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Payload(_) | Self::Base64(_) => "x509pop-payload",
            Self::NoCertificate => "x509pop-no-certificate",
            Self::TooManyIntermediates { .. } => "x509pop-too-many-intermediates",
            Self::Certificate { .. } => "x509pop-certificate",
            Self::Path(error) => error.check(),
            Self::ResponseNonce => "x509pop-response-nonce",
            Self::SignatureType { .. } => "x509pop-signature-type",
            Self::NotMinimal => "x509pop-signature-encoding",
            Self::Signature => "x509pop-signature",
            Self::SpiffeIds(_) | Self::SpiffeId(_) => "x509pop-spiffe-id",
            Self::TrustDomain { .. } => "x509pop-trust-domain",
            Self::Prefix { .. } => "x509pop-prefix",
            Self::SanForm(_) => "x509pop-san-form",
            Self::SanTwice(_) => "x509pop-san-twice",
        }
    }
}

impl From<X509PopError> for AttestError {
    fn from(error: X509PopError) -> Self {
        let fault = match &error {
            X509PopError::Payload(_)
            | X509PopError::Base64(_)
            | X509PopError::NoCertificate
            | X509PopError::TooManyIntermediates { .. }
            | X509PopError::Certificate { .. }
            | X509PopError::ResponseNonce
            | X509PopError::NotMinimal => Fault::Malformed,
            _ => Fault::Refused,
        };
        Self::new(fault, error.check(), error.to_string())
    }
}
