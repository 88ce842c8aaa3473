//! The login from the agent's side: a state machine that does no I/O and reads no clock.
//!
//! ```text
//!   Opening ──hello──> Waiting ──challenge──> Proving ──proofs──> Waiting ──granted──> Session
//!   Opening ──renew──> Renewing ──renewed──> Renewed        while the session lives
//! ```
//!
//! One type per state; [`Proving`] is made by an authentic challenge only, borrows the state before it and is used up by
//! the proofs, so a step cannot be done twice, and one left out leaves a transcript that no signature fits. Bytes come in and go out as slices; evidence comes through [`EvidenceSource`](crate::evidence::EvidenceSource).
//! What the agent trusts, and why: a challenge only with the pinned key's signature over it and over the whole
//! login so far ([`authenticate`]), a grant only under keys that the TPM opened in this login, a renewal only with the pinned
//! key's signature over it and over the very message that asked for it.

pub mod authenticate;
mod opening;
mod proving;
mod renewing;
mod session;
#[cfg(test)]
mod tests;
mod waiting;

use assay_common::identity::ProvisioningError;
use assay_common::protocol::{DenyCode, TroubleCode};

use crate::evidence::EvidenceError;
use crate::link::LinkError;

pub use authenticate::{PinnedKey, UntrustedVerifier};
pub use opening::Opening;
pub use proving::Proving;
pub use renewing::{Renewed, Renewing, Term};
pub use session::Session;
pub use waiting::{Answer, Refusal, Waiting};

/// Most rounds of one login; a verifier that asks for more is refused.
pub const MAX_ROUNDS: u8 = 4;

/// Why a login did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Failure {
    /// The node has no usable provisioning record.
    NotProvisioned(ProvisioningError),
    /// A proof could not be made.
    Evidence(EvidenceError),
    /// The verifier refused.
    Denied {
        /// The category it gave.
        code: DenyCode,
        /// When it wants to be asked again, seconds.
        retry_after_s: u32,
    },
    /// A challenge or a renewal without the pinned key's signature.
    UntrustedVerifier,
    /// Bytes or an order that the protocol does not have.
    Protocol(ProtocolError),
    /// No answer in time.
    NoAnswer,
    /// The line failed.
    Link,
}

/// What exactly broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum ProtocolError {
    /// Not a message.
    Malformed = 1,
    /// A version outside the range that was offered, or another than before in the same login.
    Version = 2,
    /// A challenge out of its round, or more rounds than [`MAX_ROUNDS`].
    Round = 3,
    /// A challenge for another login.
    Login = 4,
    /// A grant before a credential was opened, not made for this login, or of another protocol version.
    Grant = 5,
    /// A granted identity that is no SPIFFE ID of the node's own trust domain.
    Identity = 6,
    /// A term that ends before it begins, is renewed outside of it, or begins before the one it renews.
    Lifetime = 7,
    /// A proof longer than a message.
    TooLong = 8,
    /// The renewal of another session.
    Session = 9,
}

impl Failure {
    /// The failure as it is reported on the line; `None` when the peer knows already, or cannot be told.
    #[must_use]
    pub fn trouble(self) -> Option<EvidenceError> {
        let plain = |code, detail| {
            Some(EvidenceError {
                code,
                detail,
                command: 0,
            })
        };
        match self {
            Self::NotProvisioned(error) => plain(TroubleCode::NOT_PROVISIONED, error as u32),
            Self::Evidence(error) => Some(error),
            Self::UntrustedVerifier => plain(TroubleCode::UNTRUSTED_VERIFIER, 0),
            Self::Protocol(error) => plain(TroubleCode::PROTOCOL, error as u32),
            Self::NoAnswer => plain(TroubleCode::NO_ANSWER, 0),
            Self::Denied { .. } | Self::Link => None,
        }
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotProvisioned(error) => write!(f, "{error}"),
            Self::Evidence(error) => write!(f, "{error}"),
            Self::Denied {
                code,
                retry_after_s,
            } => write!(f, "denied: {code}, retry after {retry_after_s} s"),
            Self::UntrustedVerifier => {
                f.write_str("the verifier's message is not signed by the pinned key")
            }
            Self::Protocol(error) => write!(f, "the verifier broke the protocol: {error:?}"),
            Self::NoAnswer => f.write_str("no answer in time"),
            Self::Link => f.write_str("the line failed"),
        }
    }
}

impl core::error::Error for Failure {}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        Self::Evidence(error)
    }
}

impl From<ProtocolError> for Failure {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<LinkError> for Failure {
    fn from(_: LinkError) -> Self {
        Self::Link
    }
}

impl From<UntrustedVerifier> for Failure {
    fn from(_: UntrustedVerifier) -> Self {
        Self::UntrustedVerifier
    }
}
