//! A session is about to be renewed: the agent has asked, and waits for the verifier.

use assay_common::login::RenewDigest;
use assay_common::protocol::{
    Denied, Grant, Renewal, SignedRenewal, SvidGrant, VerifierMessage, read,
};

use super::authenticate::PinnedKey;
use super::waiting::Refusal;
use super::{Failure, ProtocolError};

/// What a node keeps of a live session to renew it, and how long it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The session's name.
    pub session_id: [u8; 16],
    /// The verifier's contribution to the next renewal's quote.
    pub renewal_nonce: [u8; 32],
    /// The verifier's clock when it granted or renewed last, Unix seconds.
    issued_at: u64,
    /// How long the session lasts from then, seconds.
    pub lifetime_s: u64,
    /// How long from then until it may be renewed, seconds; `None` when it may not.
    pub renew_in_s: Option<u64>,
}

impl Term {
    /// The term of a grant by protocol version 1, which is not renewed.
    pub(super) fn of_grant(grant: &Grant<'_>) -> Result<Self, ProtocolError> {
        Self {
            session_id: grant.session_id,
            renewal_nonce: [0; 32],
            issued_at: grant.issued_at,
            lifetime_s: 0,
            renew_in_s: None,
        }
        .until(grant.expires_at, 0)
    }

    /// The term of a grant by protocol version 2.
    pub(super) fn of_svid_grant(granted: &SvidGrant<'_>) -> Result<Self, ProtocolError> {
        Self {
            renewal_nonce: granted.renewal_nonce,
            ..Self::of_grant(&granted.grant)?
        }
        .until(granted.grant.expires_at, granted.renew_after)
    }

    /// The term of a renewal of this one.
    fn renewed(self, renewal: &Renewal<'_>) -> Result<Self, ProtocolError> {
        if renewal.session_id != self.session_id {
            return Err(ProtocolError::Session);
        }
        // The answer is signed for this very question, so it is no older than the last one; a verifier whose clock has
        // been turned back behind it does not know when its own sessions end.
        if renewal.issued_at < self.issued_at {
            return Err(ProtocolError::Lifetime);
        }
        Self {
            renewal_nonce: renewal.renewal_nonce,
            issued_at: renewal.issued_at,
            ..self
        }
        .until(renewal.expires_at, renewal.renew_after)
    }

    /// With its two ends, Unix seconds; neither is before its beginning, and it is renewed while it lasts.
    fn until(self, expires_at: u64, renew_after: u64) -> Result<Self, ProtocolError> {
        let since = |time: u64| time.checked_sub(self.issued_at);
        let lifetime_s = since(expires_at).ok_or(ProtocolError::Lifetime)?;
        let renew_in_s = match renew_after {
            0 => None,
            time => Some(
                since(time)
                    .filter(|wait| *wait <= lifetime_s)
                    .ok_or(ProtocolError::Lifetime)?,
            ),
        };
        Ok(Self {
            lifetime_s,
            renew_in_s,
            ..self
        })
    }
}

/// Waiting for the answer to a renewal.
#[derive(Debug)]
pub struct Renewing<'p> {
    key: PinnedKey<'p>,
    term: Term,
    asked: RenewDigest,
}

/// A session that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed<'m> {
    pub(super) term: Term,
    pub(super) svid: &'m [u8],
}

impl<'m> Renewed<'m> {
    /// What the session lasts now.
    #[must_use]
    pub const fn term(&self) -> &Term {
        &self.term
    }

    /// A fresh SVID for the same key: DER certificates one after the other, the leaf first. Empty when the session has none.
    #[must_use]
    pub const fn svid(&self) -> &'m [u8] {
        self.svid
    }
}

impl<'p> Renewing<'p> {
    pub(super) const fn asked(key: PinnedKey<'p>, term: Term, asked: RenewDigest) -> Self {
        Self { key, term, asked }
    }

    /// Takes a message of the verifier. The term that was asked from is over when it succeeds.
    ///
    /// # Errors
    ///
    /// [`Refusal::Over`] with [`Failure::Denied`] or [`Failure::Protocol`]; after [`Refusal::Ignored`] the agent is still
    /// waiting for the same.
    pub fn handle<'m>(&self, message: &'m [u8]) -> Result<Renewed<'m>, Refusal> {
        match read(message) {
            Ok(VerifierMessage::Renewed(SignedRenewal { body, signature })) => {
                // Authenticity first: nothing in the body is looked at before the signature holds.
                let Ok(_authentic) = self.key.check_renewal(&self.asked, body, signature) else {
                    return Err(Refusal::Ignored(Failure::UntrustedVerifier));
                };
                self.renewed(body)
            }
            Ok(VerifierMessage::Denied(Denied {
                code,
                retry_after_s,
                ..
            })) => Err(Failure::Denied {
                code,
                retry_after_s,
            }
            .into()),
            _ => Err(Refusal::Ignored(ProtocolError::Malformed.into())),
        }
    }

    /// Takes the body of a renewal whose signature was checked.
    #[inline(never)]
    fn renewed<'m>(&self, body: &'m [u8]) -> Result<Renewed<'m>, Refusal> {
        let renewal: Renewal<'m> = read(body).map_err(|_| ProtocolError::Malformed)?;
        Ok(Renewed {
            term: self.term.renewed(&renewal)?,
            svid: renewal.svid,
        })
    }
}
