//! The agent has spoken and waits for the verifier.

use assay_common::identity::{SpiffeId, TrustDomain};
use assay_common::login::{Direction, LoginKeys, Transcript};
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    Challenge, Denied, Grant, SealedGrant, SignedChallenge, VerifierMessage, read,
};

use super::authenticate::PinnedKey;
use super::proving::Proving;
use super::session::Session;
use super::{Failure, MAX_ROUNDS, ProtocolError};

/// Waiting for a challenge, a grant or a denial.
#[derive(Debug)]
pub struct Waiting<'p> {
    key: PinnedKey<'p>,
    trust_domain: TrustDomain<'p>,
    /// Everything said so far.
    transcript: Transcript,
    /// Set by the first challenge; later ones must carry it.
    login_id: Option<[u8; 16]>,
    /// The round that a next challenge must have.
    round: u8,
    /// Set when a credential was opened; a grant needs them.
    keys: Option<LoginKeys>,
}

/// What the verifier's message leads to.
#[derive(Debug)]
pub enum Answer<'w, 'p, 'm> {
    /// Proofs are asked for.
    Asked(Proving<'w, 'p, 'm>),
    /// The login is done.
    Granted(Session<'m>),
}

/// Why a message did not lead on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The message is not the pinned verifier's answer in this login: noise, an echo of an earlier login, or a
    /// forgery. It changed nothing, so that nobody on the line can end a login by talking into it.
    Ignored(Failure),
    /// The login is over.
    Over(Failure),
}

impl<F: Into<Failure>> From<F> for Refusal {
    fn from(failure: F) -> Self {
        Self::Over(failure.into())
    }
}

impl<'p> Waiting<'p> {
    pub(super) const fn first(
        key: PinnedKey<'p>,
        trust_domain: TrustDomain<'p>,
        transcript: Transcript,
    ) -> Self {
        Self {
            key,
            trust_domain,
            transcript,
            login_id: None,
            round: 0,
            keys: None,
        }
    }

    /// The state after proofs were sent.
    pub(super) fn sent(&mut self, transcript: Transcript, keys: Option<LoginKeys>) {
        self.transcript = transcript;
        if keys.is_some() {
            self.keys = keys;
        }
    }

    /// Takes a message of the verifier.
    ///
    /// # Errors
    ///
    /// [`Refusal::Over`] with [`Failure::Denied`] or [`Failure::Protocol`]; after [`Refusal::Ignored`] the agent is still
    /// waiting for the same.
    pub fn handle<'m>(&mut self, message: &'m [u8]) -> Result<Answer<'_, 'p, 'm>, Refusal> {
        let Ok(decoded) = read(message) else {
            return Err(Refusal::Ignored(ProtocolError::Malformed.into()));
        };
        match decoded {
            VerifierMessage::Challenge(signed) => {
                self.challenged(message, signed).map(Answer::Asked)
            }
            VerifierMessage::Granted(sealed) => self.granted(sealed).map(Answer::Granted),
            VerifierMessage::SvidGranted(_) | VerifierMessage::Renewed(_) => {
                Err(Refusal::Ignored(ProtocolError::Malformed.into()))
            }
            VerifierMessage::Denied(Denied {
                code,
                retry_after_s,
                ..
            }) => Err(Failure::Denied {
                code,
                retry_after_s,
            }
            .into()),
        }
    }

    fn challenged<'m>(
        &mut self,
        message: &'m [u8],
        signed: SignedChallenge<'m>,
    ) -> Result<Proving<'_, 'p, 'm>, Refusal> {
        // Authenticity first: nothing in the body is looked at before the signature holds.
        let Ok(_authentic) = self
            .key
            .check(&self.transcript, signed.body, signed.signature)
        else {
            return Err(Refusal::Ignored(Failure::UntrustedVerifier));
        };
        let challenge: Challenge<'m> = read(signed.body).map_err(|_| ProtocolError::Malformed)?;
        if !VersionRange::OURS.contains(challenge.version) {
            return Err(ProtocolError::Version.into());
        }
        if challenge.round != self.round || self.round >= MAX_ROUNDS {
            return Err(ProtocolError::Round.into());
        }
        if self.login_id.is_some_and(|id| id != challenge.login_id) {
            return Err(ProtocolError::Login.into());
        }
        self.login_id = Some(challenge.login_id);
        self.round += 1;
        let transcript = self.transcript.then(Direction::Verifier, message);
        Ok(Proving::new(self, transcript, challenge))
    }

    fn granted<'m>(&self, sealed: SealedGrant<'m>) -> Result<Session<'m>, Refusal> {
        let Some(keys) = self.keys.as_ref() else {
            return Err(Refusal::Ignored(ProtocolError::Grant.into()));
        };
        if keys
            .check_grant(&self.transcript, sealed.body, &sealed.tag)
            .is_err()
        {
            return Err(Refusal::Ignored(ProtocolError::Grant.into()));
        }
        let grant: Grant<'m> = read(sealed.body).map_err(|_| ProtocolError::Malformed)?;
        let spiffe_id = SpiffeId::parse(grant.spiffe_id).map_err(|_| ProtocolError::Identity)?;
        if spiffe_id.trust_domain() != self.trust_domain {
            return Err(ProtocolError::Identity.into());
        }
        let lifetime_s = grant
            .expires_at
            .checked_sub(grant.issued_at)
            .ok_or(ProtocolError::Lifetime)?;
        let secret = keys.open_secret(&self.transcript, &grant.sealed_secret);
        Ok(Session::new(
            grant.session_id,
            spiffe_id,
            lifetime_s,
            secret,
        ))
    }
}
