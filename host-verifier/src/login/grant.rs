//! The end of a login that succeeded: a session, stored first and told afterwards.

use assay_common::identity::SpiffeId;
use assay_common::protocol::{
    DenyCode, Grant, MAX_VERIFIER_MESSAGE, SealedGrant, VerifierMessage, encode,
};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::step::{Step, StepName};
use super::{Denied, Env, LoginId, Next, Progress, Turn, plan};
use crate::policy::Authorized;
use crate::session::SessionId;
use crate::store::{Conflict, LoginRecord, NodeUpdate, SessionRecord};

/// A login that is decided, and whose session waits to be stored.
#[derive(Debug)]
pub struct AwaitCommit {
    progress: Progress,
    record: LoginRecord,
    authorized: Authorized,
    message: Vec<u8>,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct Granted {
    /// Which login.
    pub login_id: LoginId,
    /// The message for the node.
    pub message: Vec<u8>,
    /// The session as stored.
    pub session: SessionRecord,
    /// Which policy, and why.
    pub authorized: Authorized,
}

/// Makes the session of an authorized login, and the message that will carry it.
pub(super) fn prepare(progress: Progress, authorized: Authorized, env: &Env<'_>) -> Turn {
    match seal(&progress, &authorized, env) {
        Ok((record, message)) => progress.turn(|progress| {
            Next::Commit(Box::new(AwaitCommit {
                progress,
                record,
                authorized,
                message,
            }))
        }),
        Err((code, detail)) => {
            let denied = Denied::new(Some(progress.id), code, detail);
            plan::deny(progress, denied)
        }
    }
}

type Sealed = (LoginRecord, Vec<u8>);

fn seal(
    progress: &Progress,
    authorized: &Authorized,
    env: &Env<'_>,
) -> Result<Sealed, (DenyCode, String)> {
    let internal = |detail: String| (DenyCode::INTERNAL, detail);
    let misconfigured = |detail: String| (DenyCode::MISCONFIGURED, detail);
    let verifier = &progress.verifier;
    let keys = authorized
        .key_origin()
        .and_then(|kind| progress.keys.get(&kind))
        .ok_or_else(|| {
            let policy = authorized.policy();
            misconfigured(format!(
                "policy `{policy}` binds no key of the node that a session could be sealed to"
            ))
        })?;
    let facts = authorized.facts();
    let (Some(subject), Some(key)) = (&facts.subject, &facts.attestation_key) else {
        return Err(internal("a bound key without a subject".to_owned()));
    };
    let path = verifier
        .path_template
        .render(authorized.attributes())
        .map_err(|error| misconfigured(error.to_string()))?;
    let spiffe_id = format!("spiffe://{}{path}", verifier.trust_domain);
    SpiffeId::parse(&spiffe_id).map_err(|error| misconfigured(format!("{spiffe_id}: {error}")))?;

    let id: [u8; 16] = crate::random::bytes(env.random).map_err(|e| internal(e.to_string()))?;
    let mut secret = Zeroizing::new([0; 32]);
    env.random
        .fill(secret.as_mut_slice())
        .map_err(|e| internal(e.to_string()))?;
    // Whole seconds, as the node is told: record and message agree.
    let issued_at = Timestamp::from_second(env.now.wall.as_second()).unwrap_or(env.now.wall);
    let expires_at = issued_at
        .checked_add(verifier.session_ttl)
        .map_err(|_| misconfigured("the session's lifetime ends beyond the calendar".to_owned()))?;
    let seconds = |at: Timestamp| {
        u64::try_from(at.as_second()).map_err(|_| internal("the clock is before 1970".to_owned()))
    };
    let grant = Grant {
        session_id: id,
        issued_at: seconds(issued_at)?,
        expires_at: seconds(expires_at)?,
        spiffe_id: &spiffe_id,
        sealed_secret: keys.keys.seal_secret(&progress.transcript, &secret),
    };
    let too_long = |_| misconfigured(format!("{spiffe_id} does not fit a message"));
    let mut body = [0; MAX_VERIFIER_MESSAGE];
    let body = encode(&grant, &mut body).map_err(too_long)?;
    let tag = keys.keys.grant_tag(&progress.transcript, body);
    let sealed = VerifierMessage::Granted(SealedGrant { body, tag });
    let message = encode(&sealed, &mut [0; MAX_VERIFIER_MESSAGE])
        .map_err(too_long)?
        .to_vec();

    let session = SessionRecord {
        id: SessionId(id),
        login_id: progress.id.to_string(),
        cluster: progress.cluster.clone(),
        policy: authorized.policy().to_owned(),
        spiffe_id: spiffe_id.clone(),
        ek_hash: subject.clone(),
        attributes: authorized.attributes().to_vec(),
        issued_at,
        expires_at,
        secret_sha256: crate::session::secret_hash(&secret),
        reattest_at: expires_at,
        renewed_at: None,
        revoked_at: None,
        renewal: None,
    };
    let node = NodeUpdate {
        ek_hash: subject.clone(),
        ak_name: key.name.clone(),
        spiffe_id,
        cluster: progress.cluster.clone(),
        boot: facts.boot,
        judged_against: progress.last_boot().copied(),
        seen_at: issued_at,
    };
    Ok((LoginRecord { session, node }, message))
}

impl AwaitCommit {
    /// The login's name.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.progress.id
    }

    /// What to store, all or nothing.
    #[must_use]
    pub const fn record(&self) -> &LoginRecord {
        &self.record
    }

    /// The record is stored: the node may be told.
    #[must_use]
    pub fn stored(mut self) -> (Vec<Step>, Granted) {
        let mut steps = core::mem::take(&mut self.progress.steps);
        steps.push(Step::ok(StepName::Session).detail(self.record.session.id.to_string()));
        let granted = Granted {
            login_id: self.progress.id,
            message: self.message,
            session: self.record.session,
            authorized: self.authorized,
        };
        (steps, granted)
    }

    /// The store holds something that this login contradicts.
    #[must_use]
    pub fn refused(self, conflict: &Conflict) -> Turn {
        let denied = Denied::new(
            Some(self.progress.id),
            DenyCode::REFUSED,
            conflict.to_string(),
        );
        plan::deny(self.progress, denied)
    }

    /// The store did not take it.
    #[must_use]
    pub fn unavailable(self, what: &dyn core::fmt::Display) -> Turn {
        let denied = Denied::new(
            Some(self.progress.id),
            DenyCode::UNAVAILABLE,
            what.to_string(),
        );
        plan::deny(self.progress, denied)
    }
}
