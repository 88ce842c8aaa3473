//! The renewal of a live session, from the verifier's side: one message, one answer.
//!
//! A renewal proves again what the login has proven about the node's state, and nothing more: that the same attestation
//! key in the same TPM quotes the same PCR values, without a reset in between. Everything else that the login was granted
//! for was judged then, and is judged anew by the next full login, which [`Verifier::reattest_after`] forces. Whatever is
//! not as it was ends in `login-required`: the node can always log in.
//!
//! # Why one round trip is fresh enough
//!
//! The quote is over the nonce of the last grant or renewal, which is good once. So it was made after that, but perhaps
//! not now: a node that was taken over later could show a quote from before. The TPM's clock is in the quote and runs
//! while the TPM has power, so a quote that was made earlier stands still where the verifier's clock has moved on: it must
//! have advanced by half of the time that has passed since the last one. TPMs count to within a third
//! ([TPM2.0 1.83 Part 1] 36.3), so an honest one is never that late.
//! # Without a TPM
//!
//! Where every method of a login can be repeated, a node without an attestation key logs in anew: what it was let in for is
//! proven again. Only where one cannot, as with a join token, or binds the node to its SVID's key (`tofu`), does the node renew by a signature of its SVID's key, which
//! is in the CSR that the login's transcript holds. It shows that the node still has the key, and nothing more;
//! [`Verifier::reattest_after`] bounds it as well.
//!
//! # When the answer is lost
//!
//! The nonce is taken before the node has the next one. Where the answer does not arrive, or cannot be given since the SVID or
//! the audit trail fails, the node asks with the same message again, and gets what came of it then: within [`REPEAT`], the
//! same end, the same nonce, and the SVID anew. Nothing is prolonged twice, and another message over the old nonce is refused.

use assay_common::login::{RenewDigest, renewal_by_key, renewal_nonce};
use assay_common::protocol::{
    DenyCode, MAX_VERIFIER_MESSAGE, Renew, Renewal, SignedRenewal, VerifierMessage, encode,
};
use assay_common::tpm::public::Public;
use jiff::{SignedDuration, Timestamp};

use super::{Denied, Env, SvidOrder, Verifier, plan};
use crate::attestor::tpm_quote::verify::VerifiedQuote;
use crate::attestor::tpm_quote::{payload, verify};
use crate::attestor::{AttestError, BootState, Fault};
use crate::session::{JudgedBy, QuotedState, RenewalBasis, SessionId, Shown};
use crate::store::{SessionRecord, SessionRenewal};
use crate::svid::VerifiedKey;
use crate::tpm::AttestationKey;

/// How far a TPM's clock may be behind, beyond the half that is allowed anyway: the time that the messages took.
const SLACK: SignedDuration = SignedDuration::from_secs(10);

/// For how long after a renewal the same message gets the same answer.
pub const REPEAT: SignedDuration = SignedDuration::from_secs(120);

/// A renewal whose proof is judged, and that waits to be stored.
#[derive(Debug)]
pub struct AwaitRenewal {
    session: SessionRecord,
    judged_by: JudgedBy,
    renewal: SessionRenewal,
    key: Option<VerifiedKey>,
    asked: RenewDigest,
}

/// A session that goes on.
#[derive(Debug)]
pub struct Renewed {
    /// The message for the node.
    pub message: Vec<u8>,
    /// The session as it is now.
    pub session: SessionRecord,
    /// What the renewal was judged by.
    pub judged_by: JudgedBy,
}

/// A renewal that was stored before, and is asked for again with the same message.
#[derive(Debug)]
pub struct Repeated {
    session: SessionRecord,
    key: Option<VerifiedKey>,
    asked: RenewDigest,
}

/// A renewal that is refused.
#[derive(Debug, Clone)]
pub struct RefusedRenewal {
    /// The refusal.
    pub denied: Denied,
    /// The session and what the renewal was judged by, if its quote is one of the session's key over the session's nonce.
    /// `None`: nothing is known of who sent it.
    pub proven: Option<Box<(SessionRecord, JudgedBy)>>,
}

impl From<Denied> for RefusedRenewal {
    fn from(denied: Denied) -> Self {
        Self {
            denied,
            proven: None,
        }
    }
}

/// The session that a renewal names; what it says is not proven.
#[must_use]
pub const fn untrusted_session(renew: &Renew<'_>) -> SessionId {
    SessionId(renew.session_id)
}

/// The renewal that this very message came to before, if it did within [`REPEAT`] and the session has not changed since. What
/// the message proves was judged then.
///
/// # Errors
///
/// The refusal, when what is stored of it cannot be read.
pub fn repeated(
    verifier: &Verifier,
    env: &Env<'_>,
    session: Option<&SessionRecord>,
    message: &[u8],
) -> Result<Option<Repeated>, Denied> {
    let now = env.now.wall;
    let asked = RenewDigest::of(message);
    let Some(session) = session.filter(|session| session.is_live(now)) else {
        return Ok(None);
    };
    let (Some(renewable), Some(renewed_at)) = (&session.renewal, session.renewed_at) else {
        return Ok(None);
    };
    let basis = &renewable.basis;
    // A calendar that is set back makes no renewal young again for longer than that.
    let recent = now.duration_since(renewed_at).abs() <= REPEAT;
    let same = basis.renewed_for.as_ref() == Some(asked.as_bytes());
    if !recent || !same || basis.configuration != verifier.configuration_of(&session.cluster) {
        return Ok(None);
    }
    let key = basis.svid_key.as_deref().map(VerifiedKey::recall);
    let key = key
        .transpose()
        .map_err(|error| Denied::new(None, DenyCode::INTERNAL, error.to_string()))?;
    Ok(Some(Repeated {
        session: session.clone(),
        key,
        asked,
    }))
}

impl Repeated {
    /// The SVID to issue; `None` when the session's login named no key.
    #[must_use]
    pub fn order(&self) -> Option<SvidOrder<'_>> {
        self.key.as_ref().map(|key| SvidOrder {
            spiffe_id: &self.session.spiffe_id,
            key,
            expires_at: self.session.expires_at,
        })
    }

    /// The session as the renewal left it, and the message for the node.
    ///
    /// # Errors
    ///
    /// As [`AwaitRenewal::issued`].
    pub fn issued(
        self,
        verifier: &Verifier,
        svid: &[u8],
    ) -> Result<(SessionRecord, Vec<u8>), Denied> {
        let message = message(verifier, &self.session, &self.asked, svid).ok_or_else(unsigned)?;
        Ok((self.session, message))
    }
}

/// Judges a renewal by what the store knows of its session. `message` is the whole message that `renew` was read from.
///
/// # Errors
///
/// The refusal: `login-required` when the session cannot go on, else the fault of the proof.
pub fn judge(
    verifier: &Verifier,
    env: &Env<'_>,
    session: Option<SessionRecord>,
    renew: &Renew<'_>,
    message: &[u8],
) -> Result<AwaitRenewal, RefusedRenewal> {
    let now = Timestamp::from_second(env.now.wall.as_second()).unwrap_or(env.now.wall);
    let login = |detail: String| Denied::new(None, DenyCode::LOGIN_REQUIRED, detail);
    let session = session
        .filter(|session| session.is_live(now))
        .ok_or_else(|| login("there is no such session, or it has ended".to_owned()))?;
    let Some(renewable) = &session.renewal else {
        return Err(login("the session was granted without renewal".to_owned()).into());
    };
    let basis = &renewable.basis;
    if basis.configuration != verifier.configuration_of(&session.cluster) {
        let detail = "the cluster's policies are not those of the login any more";
        return Err(login(detail.to_owned()).into());
    }
    let expires_at = now
        .checked_add(verifier.session_ttl)
        .map_or(session.reattest_at, |end| end.min(session.reattest_at));
    if expires_at <= session.expires_at && session.expires_at == session.reattest_at {
        return Err(login("it is time for a full login".to_owned()).into());
    }
    let refused = |error: &AttestError| {
        let code = match error.fault {
            Fault::Malformed => DenyCode::MALFORMED,
            Fault::Internal => DenyCode::INTERNAL,
            _ => DenyCode::LOGIN_REQUIRED,
        };
        Denied::new(None, code, error.to_string())
    };
    let judged_by = JudgedBy {
        at: now,
        nonce: renewable.nonce,
        basis: basis.clone(),
    };
    let shown = match authentic(&judged_by, renew).map_err(|error| refused(&error))? {
        Authentic::SvidKey => Shown::SvidKey,
        Authentic::Quote(state, quote) => match unchanged(&judged_by, state, &quote) {
            Ok(boot) => Shown::Quote(QuotedState {
                boot,
                ..state.clone()
            }),
            Err(error) => {
                return Err(RefusedRenewal {
                    denied: refused(&error),
                    proven: Some(Box::new((session, judged_by))),
                });
            }
        },
    };
    let internal = |detail: String| Denied::new(None, DenyCode::INTERNAL, detail);
    let key = basis.svid_key.as_deref().map(VerifiedKey::recall);
    let key = key
        .transpose()
        .map_err(|error| internal(error.to_string()))?;
    let renewal = SessionRenewal {
        id: session.id,
        nonce: renewable.nonce,
        next_nonce: crate::random::bytes(env.random).map_err(|e| internal(e.to_string()))?,
        basis: RenewalBasis {
            shown,
            shown_at: now,
            renewed_for: Some(*RenewDigest::of(message).as_bytes()),
            ..basis.clone()
        },
        renewed_at: now,
        expires_at,
    };
    Ok(AwaitRenewal {
        session,
        judged_by,
        renewal,
        key,
        asked: RenewDigest::of(message),
    })
}

/// Judges a renewal again by what it was judged by; returns what the next one has to show.
///
/// # Errors
///
/// The first check that does not hold.
pub fn judge_again(judged_by: &JudgedBy, renew: &Renew<'_>) -> Result<Shown, AttestError> {
    match authentic(judged_by, renew)? {
        Authentic::SvidKey => Ok(Shown::SvidKey),
        Authentic::Quote(state, quote) => {
            let boot = unchanged(judged_by, state, &quote)?;
            Ok(Shown::Quote(QuotedState {
                boot,
                ..state.clone()
            }))
        }
    }
}

/// A proof that is known to be of the session's key and over its nonce.
enum Authentic<'a> {
    /// By the SVID's key. There is nothing else to see in it.
    SvidKey,
    /// A quote, beside what the last one has shown.
    Quote(&'a QuotedState, VerifiedQuote),
}

fn authentic<'a>(judged_by: &'a JudgedBy, renew: &Renew<'_>) -> Result<Authentic<'a>, AttestError> {
    let JudgedBy { nonce, basis, .. } = judged_by;
    let nonce = renewal_nonce(&renew.session_id, nonce, &renew.agent_nonce);
    match &basis.shown {
        Shown::Quote(state) => {
            let quote = quoted(state, &nonce, renew)?;
            Ok(Authentic::Quote(state, quote))
        }
        Shown::SvidKey => {
            let spki = basis.svid_key.as_deref().unwrap_or_default();
            let key = VerifiedKey::recall(spki).map_err(|error| {
                AttestError::new(Fault::Internal, "renewal-basis", error.to_string())
            })?;
            let message = renewal_by_key(&nonce).concat();
            key.verify(&message, renew.quote).map_err(|error| {
                let detail = format!("the SVID's key did not sign this renewal: {error}");
                AttestError::new(Fault::Refused, "renewal-key", detail)
            })?;
            Ok(Authentic::SvidKey)
        }
    }
}

/// The quote, once it is known to be of the session's key, over its nonce and of its PCRs.
fn quoted(
    state: &QuotedState,
    nonce: &[u8; 32],
    renew: &Renew<'_>,
) -> Result<VerifiedQuote, AttestError> {
    let internal = |detail: String| AttestError::new(Fault::Internal, "renewal-basis", detail);
    let payload = payload::parse_bare(renew.quote).ok_or_else(|| {
        AttestError::new(
            Fault::Malformed,
            "payload-malformed",
            "quote cannot be read",
        )
    })?;
    let selection = payload::parse_request(&state.selection)
        .ok_or_else(|| internal("the selection cannot be read".to_owned()))?;
    let public = Public::parse(&state.ak_public).map_err(|error| internal(error.to_string()))?;
    let key = AttestationKey::from_public(&public)?;
    let untrusted = verify::Untrusted::parse(payload.attest, payload.signature)?;
    Ok(verify::verify(
        &untrusted,
        &key,
        nonce,
        &selection,
        payload.pcr_values,
    )?)
}

/// Whether the node is as it was, and the quote of now; returns where the TPM's clock and counters stand.
fn unchanged(
    judged_by: &JudgedBy,
    state: &QuotedState,
    quote: &VerifiedQuote,
) -> Result<BootState, AttestError> {
    let JudgedBy { at: now, basis, .. } = judged_by;
    let refused = |check, detail: String| Err(AttestError::new(Fault::Refused, check, detail));
    if quote.values_sha256() != state.values_sha256 {
        let detail = "the PCR values are not those of the login";
        return refused("renewal-pcrs", detail.to_owned());
    }
    let (before, boot) = (&state.boot, *quote.boot_as_signed());
    let counts = |boot: &BootState| (boot.reset_count, boot.restart_count, boot.firmware_version);
    if counts(before) != counts(&boot) {
        let detail = format!(
            "the TPM was reset, restarted or changed its firmware since: {:?} before, {:?} now",
            counts(before),
            counts(&boot)
        );
        return refused("renewal-boot", detail);
    }
    // Both clocks may be set back or stand still; neither makes a quote look younger than it is.
    let passed = now.duration_since(basis.shown_at);
    let counted = boot.clock.checked_sub(before.clock);
    let counted = counted
        .and_then(|ms| i64::try_from(ms).ok())
        .map(SignedDuration::from_millis);
    if counted.is_none_or(|counted| counted + SLACK < passed / 2) {
        let detail = format!(
            "the TPM's clock went from {} to {} ms while {} s passed: the quote is not of now",
            before.clock,
            boot.clock,
            passed.as_secs()
        );
        return refused("renewal-stale", detail);
    }
    Ok(boot)
}

impl AwaitRenewal {
    /// The session as it was.
    #[must_use]
    pub const fn session(&self) -> &SessionRecord {
        &self.session
    }

    /// What to store.
    #[must_use]
    pub const fn renewal(&self) -> &SessionRenewal {
        &self.renewal
    }

    /// The SVID to issue; `None` when the session's login named no key.
    #[must_use]
    pub fn order(&self) -> Option<SvidOrder<'_>> {
        self.key.as_ref().map(|key| SvidOrder {
            spiffe_id: &self.session.spiffe_id,
            key,
            expires_at: self.renewal.expires_at,
        })
    }

    /// The refusal of one that the store did not take: another renewal came first, or the session has just ended.
    #[must_use]
    pub fn refused(&self) -> RefusedRenewal {
        let detail = "the session has ended, or was renewed over the same nonce before";
        self.refused_with(Denied::new(None, DenyCode::LOGIN_REQUIRED, detail))
    }

    /// The refusal of one that is good, and cannot be gone through with.
    #[must_use]
    pub fn refused_with(&self, denied: Denied) -> RefusedRenewal {
        RefusedRenewal {
            denied,
            proven: Some(Box::new((self.session.clone(), self.judged_by.clone()))),
        }
    }

    /// It is stored, and the node may be told. `svid` is what was issued to the order, as for a login.
    ///
    /// # Errors
    ///
    /// The refusal, when the message cannot be signed or does not fit.
    pub fn issued(self, verifier: &Verifier, svid: &[u8]) -> Result<Renewed, Denied> {
        let Self {
            mut session,
            judged_by,
            renewal,
            asked,
            ..
        } = self;
        session.expires_at = renewal.expires_at;
        session.renewed_at = Some(renewal.renewed_at);
        if let Some(renewable) = &mut session.renewal {
            renewable.nonce = renewal.next_nonce;
            renewable.basis = renewal.basis;
        }
        let message = message(verifier, &session, &asked, svid).ok_or_else(unsigned)?;
        Ok(Renewed {
            message,
            session,
            judged_by,
        })
    }
}

fn unsigned() -> Denied {
    let detail = "the renewal cannot be signed, or does not fit a message";
    Denied::new(None, DenyCode::INTERNAL, detail)
}

fn message(
    verifier: &Verifier,
    session: &SessionRecord,
    asked: &RenewDigest,
    svid: &[u8],
) -> Option<Vec<u8>> {
    let seconds = |at: Timestamp| u64::try_from(at.as_second()).ok();
    let renewal = Renewal {
        session_id: session.id.0,
        issued_at: seconds(session.renewed_at?)?,
        expires_at: seconds(session.expires_at)?,
        renew_after: seconds(session.renew_after().unwrap_or(Timestamp::UNIX_EPOCH))?,
        renewal_nonce: session.renewal.as_ref()?.nonce,
        svid,
    };
    let mut body = [0; MAX_VERIFIER_MESSAGE];
    let body = encode(&renewal, &mut body).ok()?;
    let signature = verifier.key.sign_renewal(asked, body).ok()?;
    let renewed = VerifierMessage::Renewed(SignedRenewal {
        body,
        signature: &signature,
    });
    // Whoever renews speaks version 2 at least.
    plan::to_message(&renewed, 2)
}
