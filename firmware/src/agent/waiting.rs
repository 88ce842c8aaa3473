//! The agent has spoken and waits for the verifier.

use core::ops::RangeInclusive;

use assay_common::identity::{SpiffeId, TrustDomain};
use assay_common::login::{Direction, LoginKeys, Transcript};
use assay_common::protocol::version::VersionRange;
use assay_common::protocol::{
    Challenge, Denied, Grant, SealedGrant, SignedChallenge, SvidGrant, VerifierMessage, read,
};

use super::authenticate::PinnedKey;
use super::proving::Proving;
use super::renewing::Term;
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
    /// The protocol version, set by the first challenge; later ones must have it. Before there is any, 0.
    version: u8,
    /// The round that a next challenge must have.
    round: u8,
    /// What a grant can be under.
    keys: Keys,
}

/// The secrets that the agent shares with the verifier in one login.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Of an opened credential.
    pub(super) activated: Option<LoginKeys>,
    /// Of the key share in the hello.
    pub(super) shared: Option<LoginKeys>,
    /// Of the credential of `tpm_devid`, which is another than that of `tpm_ek`: a verifier with a policy for each asks for
    /// both, and seals the session under that of the policy that wins.
    #[cfg(feature = "host")]
    pub(super) devid: Option<LoginKeys>,
}

impl Keys {
    const NONE: Self = Self {
        activated: None,
        shared: None,
        #[cfg(feature = "host")]
        devid: None,
    };

    /// What a later round brought takes the place of what there was.
    fn update(&mut self, new: Self) {
        self.activated = new.activated.or(self.activated.take());
        self.shared = new.shared.or(self.shared.take());
        #[cfg(feature = "host")]
        {
            self.devid = new.devid.or(self.devid.take());
        }
    }
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
            version: 0,
            round: 0,
            keys: Keys::NONE,
        }
    }

    /// The state after proofs were sent.
    pub(super) fn sent(&mut self, transcript: Transcript, keys: Keys) {
        self.transcript = transcript;
        self.keys.update(keys);
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
            VerifierMessage::Challenge(SignedChallenge { body, signature }) => {
                // Authenticity first: nothing in the body is looked at before the signature holds.
                let Ok(_authentic) = self.key.check(&self.transcript, body, signature) else {
                    return Err(Refusal::Ignored(Failure::UntrustedVerifier));
                };
                self.challenged(message, body).map(Answer::Asked)
            }
            VerifierMessage::Granted(sealed) => {
                let keys = self.opened(sealed, 1..=1)?;
                self.granted(sealed.body, keys).map(Answer::Granted)
            }
            VerifierMessage::SvidGranted(sealed) => {
                let keys = self.opened(sealed, 2..=u8::MAX)?;
                self.svid_granted(sealed.body, keys).map(Answer::Granted)
            }
            // No answer in a login.
            VerifierMessage::Renewed(_) => Err(Refusal::Ignored(ProtocolError::Malformed.into())),
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

    /// Takes the body of a challenge whose signature was checked.
    // Apart from the caller, as everything that comes after a check: what it needs on the stack would lie under that of the
    // check, which is the deepest of a login.
    #[inline(never)]
    fn challenged<'m>(
        &mut self,
        message: &'m [u8],
        body: &'m [u8],
    ) -> Result<Proving<'_, 'p, 'm>, Refusal> {
        let challenge: Challenge<'m> = read(body).map_err(|_| ProtocolError::Malformed)?;
        let agreed = self.login_id.is_none() || challenge.version == self.version;
        if !VersionRange::OURS.contains(challenge.version) || !agreed {
            return Err(ProtocolError::Version.into());
        }
        if challenge.round != self.round || self.round >= MAX_ROUNDS {
            return Err(ProtocolError::Round.into());
        }
        if self.login_id.is_some_and(|id| id != challenge.login_id) {
            return Err(ProtocolError::Login.into());
        }
        self.login_id = Some(challenge.login_id);
        self.version = challenge.version;
        self.round += 1;
        let transcript = self.transcript.then(Direction::Verifier, message);
        Ok(Proving::new(self, transcript, challenge))
    }

    /// The keys of a grant whose tag was made in this login with one of its secrets, when the login's version has this kind
    /// of grant.
    fn opened(
        &self,
        sealed: SealedGrant<'_>,
        versions: RangeInclusive<u8>,
    ) -> Result<&LoginKeys, Refusal> {
        let fits = |keys: &&LoginKeys| {
            let checked = keys.check_grant(&self.transcript, sealed.body, &sealed.tag);
            checked.is_ok()
        };
        let own = self.keys.activated.iter().chain(&self.keys.shared);
        #[cfg(feature = "host")]
        let own = own.chain(&self.keys.devid);
        match own.into_iter().find(fits) {
            Some(keys) if versions.contains(&self.version) => Ok(keys),
            _ => Err(Refusal::Ignored(ProtocolError::Grant.into())),
        }
    }

    /// The session of a grant by version 1, whose tag was checked.
    #[inline(never)]
    fn granted<'m>(&self, body: &'m [u8], keys: &LoginKeys) -> Result<Session<'m>, Refusal> {
        let grant: Grant<'m> = read(body).map_err(|_| ProtocolError::Malformed)?;
        self.session(&grant, keys, Term::of_grant(&grant)?, &[])
    }

    /// The session of a grant by version 2, whose tag was checked.
    #[inline(never)]
    fn svid_granted<'m>(&self, body: &'m [u8], keys: &LoginKeys) -> Result<Session<'m>, Refusal> {
        let granted: SvidGrant<'m> = read(body).map_err(|_| ProtocolError::Malformed)?;
        let term = Term::of_svid_grant(&granted)?;
        self.session(&granted.grant, keys, term, granted.svid)
    }

    fn session<'m>(
        &self,
        grant: &Grant<'m>,
        keys: &LoginKeys,
        term: Term,
        svid: &'m [u8],
    ) -> Result<Session<'m>, Refusal> {
        let spiffe_id = SpiffeId::parse(grant.spiffe_id).map_err(|_| ProtocolError::Identity)?;
        if spiffe_id.trust_domain() != self.trust_domain {
            return Err(ProtocolError::Identity.into());
        }
        let secret = keys.open_secret(&self.transcript, &grant.sealed_secret);
        Ok(Session::new(spiffe_id, term, svid, secret))
    }
}
