//! Why a TLS connection is none, in a word.

/// What is wrong with the other side's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// Its certificate comes from an authority that is not trusted here.
    UnknownAuthority,
    /// Its certificate is for another name.
    Name,
    /// Its certificate has ended, or has not begun.
    Time,
    /// Its certificate was revoked or is otherwise unusable.
    Certificate,
    /// It speaks no TLS, or none that we speak.
    Protocol,
}

impl core::fmt::Display for TlsFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownAuthority => "the certificate's authority is unknown",
            Self::Name => "the certificate is for another name",
            Self::Time => "the certificate is not valid now",
            Self::Certificate => "the certificate cannot be used",
            Self::Protocol => "the handshake failed",
        })
    }
}

#[cfg(feature = "http")]
impl TlsFault {
    /// What is wrong, without the library's words: they tell names out of the certificate.
    #[must_use]
    pub fn of(error: &std::io::Error) -> Self {
        use rustls::{CertificateError, Error};

        let inner = error.get_ref().and_then(|e| e.downcast_ref());
        let Some(Error::InvalidCertificate(error)) = inner else {
            return Self::Protocol;
        };
        match error {
            // An authority of the same name with another key is another authority.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::UnknownAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::Name
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Time,
            _ => Self::Certificate,
        }
    }
}
