//! Why a proof by `ssh_pop` fails.

use crate::{
    attestor::{AttestError, Fault},
    ssh::{CertificateError, SignatureError},
};

/// The failed check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshPopError {
    /// The payload is not the JSON object that is expected.
    #[error("payload cannot be read: {0}")]
    Payload(String),
    /// A member is not base64 with the standard alphabet.
    #[error("{0}: not base64")]
    Base64(&'static str),
    /// The certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The agent's nonce is not 32 bytes.
    #[error("the nonce of the response is not 32 bytes long")]
    ResponseNonce,
    /// The signature has more to it.
    #[error("the signature has a `Rest`, as those of security keys do")]
    Rest,
    /// A user's certificate.
    #[error("the certificate is a user's, not a host's")]
    User,
    /// Its authority is not among those that count.
    #[error("the certificate is of the authority SHA256:{0}, which is not among certAuthorities")]
    Authority(String),
    /// An RSA key that is too short or too long.
    #[error("the {0} has {1} bits: 2048 to 8192 are let in")]
    KeySize(&'static str, usize),
    /// No principals: OpenSSH takes such a certificate for any host's.
    #[error("the certificate names no host, so it would be any host's")]
    NoPrincipal,
    /// A principal is not a host's name.
    #[error("the certificate's principal {0:?} is not a host's name")]
    Principal(String),
    /// A principal is outside the domain.
    #[error("the certificate's principal {got:?} is not below {domain:?}")]
    Domain {
        /// The principal.
        got: String,
        /// The setting.
        domain: String,
    },
    /// It is for some addresses only.
    #[error(
        "the certificate has source-address: the address of a login proves nothing here, so it is refused"
    )]
    SourceAddress,
    /// A critical option that is not enforced.
    #[error("the certificate has the critical option {0:?}, which is not enforced here")]
    CriticalOption(String),
    /// Not valid yet.
    #[error("the certificate is valid from {}", shown(*.0))]
    NotYetValid(u64),
    /// No longer valid.
    #[error("the certificate was valid until {}", shown(*.0))]
    Expired(u64),
    /// The authority did not sign it.
    #[error("the authority's signature on the certificate: {0}")]
    AuthoritySignature(SignatureError),
    /// A list revokes it.
    #[error("the certificate is revoked: {0} is on a list")]
    Revoked(&'static str),
    /// The host's key did not sign for this login.
    #[error("the host's signature over this login's nonces: {0}")]
    Signature(SignatureError),
}

/// A time of a certificate, RFC 3339; as it stands there when no calendar has it.
fn shown(unix: u64) -> String {
    let time = i64::try_from(unix)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{unix} (Unix time)"), |time| time.to_string())
}

impl SshPopError {
    /// The stable kebab-case name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Payload(_) | Self::Base64(_) => "sshpop-payload",
            Self::Certificate(_) => "sshpop-certificate",
            Self::ResponseNonce => "sshpop-response-nonce",
            Self::Rest => "sshpop-signature-rest",
            Self::User => "sshpop-user-certificate",
            Self::Authority(_) => "sshpop-authority",
            Self::KeySize(..) => "sshpop-key-size",
            Self::NoPrincipal => "sshpop-no-principal",
            Self::Principal(_) => "sshpop-principal",
            Self::Domain { .. } => "sshpop-domain",
            Self::SourceAddress => "sshpop-source-address",
            Self::CriticalOption(_) => "sshpop-critical-option",
            Self::NotYetValid(_) => "sshpop-not-yet-valid",
            Self::Expired(_) => "sshpop-expired",
            Self::AuthoritySignature(_) => "sshpop-authority-signature",
            Self::Revoked(_) => "sshpop-revoked",
            Self::Signature(_) => "sshpop-signature",
        }
    }
}

impl From<SshPopError> for AttestError {
    fn from(error: SshPopError) -> Self {
        let fault = match &error {
            SshPopError::Payload(_)
            | SshPopError::Base64(_)
            | SshPopError::Certificate(_)
            | SshPopError::ResponseNonce
            | SshPopError::Rest => Fault::Malformed,
            _ => Fault::Refused,
        };
        Self::new(fault, error.check(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::SshPopError;

    #[test]
    fn times_are_told_as_people_write_them() {
        let expired = SshPopError::Expired(1_795_314_522).to_string();
        assert!(expired.ends_with("until 2026-11-22T02:28:42Z"), "{expired}");
        let never = SshPopError::NotYetValid(u64::MAX - 1).to_string();
        assert!(never.ends_with("from 18446744073709551614 (Unix time)"));
    }
}
