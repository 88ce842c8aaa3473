//! The end of a login that succeeded: a session, stored first and told afterwards, and the SVID that comes with it.

use std::net::IpAddr;

use assay_common::policy::AttestorKind;
use assay_common::protocol::{
    DenyCode, Grant, MAX_VERIFIER_MESSAGE, SealedGrant, SvidGrant, VerifierMessage, encode,
};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::binding;
use super::denial::{Refused, internal, misconfigured};
use super::session_key::SessionKey;
use super::step::{Step, StepName};
use super::{Denied, Env, LoginId, MethodKeys, Next, Progress, SvidKey, Turn, denial, plan};
use crate::attestor::source::SourceRule;
use crate::policy::Authorized;
use crate::session::{QuotedState, RenewalBasis, SessionId, Shown};
use crate::store::{
    Conflict, LoginRecord, NodeUpdate, Renewable, SessionRecord, no_ak, node_without_tpm,
};
use crate::svid::VerifiedKey;

/// A login that is decided, and whose session waits to be stored.
#[derive(Debug)]
pub struct AwaitCommit(Box<Decided>);

/// A login whose session is stored, and whose SVID, if it gets one, waits to be issued.
#[derive(Debug)]
pub struct AwaitSvid(Box<Decided>);

#[derive(Debug)]
struct Decided {
    progress: Progress,
    record: LoginRecord,
    authorized: Authorized,
    sealed_secret: [u8; 32],
    key: Option<VerifiedKey>,
}

/// An SVID that is to be issued.
#[derive(Debug, Clone, Copy)]
pub struct SvidOrder<'a> {
    /// For whom.
    pub spiffe_id: &'a str,
    /// For which key.
    pub key: &'a VerifiedKey,
    /// It ends with the session at the latest.
    pub expires_at: Timestamp,
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
    let (record, sealed_secret, key) = match draw(&progress, &authorized, env) {
        Ok(drawn) => drawn,
        Err((code, detail)) => {
            let denied = Denied::new(Some(progress.id), code, detail);
            return plan::deny(progress, denied);
        }
    };
    let mut decided = Box::new(Decided {
        progress,
        record,
        authorized,
        sealed_secret,
        key,
    });
    // Before anything is stored: what cannot be told must not be granted.
    if decided.message(&[]).is_none() {
        return decided.too_long();
    }
    let steps = core::mem::take(&mut decided.progress.steps);
    Turn {
        steps,
        next: Next::Commit(Box::new(AwaitCommit(decided))),
    }
}

type Drawn = (LoginRecord, [u8; 32], Option<VerifiedKey>);
fn draw(progress: &Progress, authorized: &Authorized, env: &Env<'_>) -> Result<Drawn, Refused> {
    let verifier = &progress.verifier;
    let facts = authorized.facts();
    let keys = sealing_keys(progress, authorized)?;
    let bound = facts.attestation_key.as_ref();
    let (key, held) = match &progress.svid_key {
        SvidKey::None | SvidKey::Available => (None, false),
        SvidKey::Refused(error) => return Err((denial::code_of(error.fault), error.to_string())),
        SvidKey::Offered(offered) => match offered.resident(bound) {
            Ok(key) => (Some(key.clone()), offered.is_held(bound)),
            Err(error) => return Err((denial::code_of(error.fault), error.to_string())),
        },
    };
    let mut first_uses = binding::first_uses(authorized, key.as_ref(), held)?;
    first_uses.extend(binding::pair(facts));
    let spiffe_id = verifier
        .spiffe_id(&progress.cluster, authorized.attributes())
        .map_err(|error| misconfigured(error.to_string()))?;

    let id = SessionId::draw(env.now.wall, env.random).map_err(|e| internal(e.to_string()))?;
    let mut secret = Zeroizing::new([0; 32]);
    env.random
        .fill(secret.as_mut_slice())
        .map_err(|e| internal(e.to_string()))?;
    // Whole seconds, as the node is told: record and message agree.
    let issued_at = Timestamp::from_second(env.now.wall.as_second()).unwrap_or(env.now.wall);
    let ends = |after| {
        let beyond = |_| misconfigured("the session's lifetime ends beyond the calendar");
        issued_at.checked_add(after).map_err(beyond)
    };
    let (expires_at, reattest_at) = (ends(verifier.session_ttl)?, ends(verifier.reattest_after)?);
    let expires_at = expires_at.min(reattest_at);
    let node = match &facts.subject {
        Some(ek_hash) => ek_hash.clone(),
        None => node_without_tpm(&spiffe_id),
    };
    let session = SessionRecord {
        id,
        login_id: progress.id.to_string(),
        cluster: progress.cluster.clone(),
        policy: authorized.policy().to_owned(),
        spiffe_id: spiffe_id.clone(),
        ek_hash: node.clone(),
        attributes: authorized.attributes().to_vec(),
        issued_at,
        expires_at,
        secret_sha256: crate::session::secret_hash(&secret),
        reattest_at,
        renewed_at: None,
        revoked_at: None,
        renewal: renewable(progress, authorized, key.as_ref(), issued_at, env)?,
        svid_key: key.as_ref().map(|key| key.spki_der().to_vec()),
    };
    let node = NodeUpdate {
        ak_name: bound.map_or_else(|| no_ak(&node), |ak| ak.name.clone()),
        ek_hash: node,
        spiffe_id,
        cluster: progress.cluster.clone(),
        boot: facts.boot,
        judged_against: progress.last_boot().copied(),
        seen_at: issued_at,
    };
    let sealed_secret = keys.keys.seal_secret(&progress.transcript, &secret);
    let record = LoginRecord {
        session,
        node,
        first_uses,
    };
    Ok((record, sealed_secret, key))
}

/// What the session is sealed under: the secret that a TPM opened for the winning policy, or else the session key that the
/// agent has shown to know.
fn sealing_keys<'p>(
    progress: &'p Progress,
    authorized: &Authorized,
) -> Result<&'p MethodKeys, Refused> {
    let policy = authorized.policy();
    let of = |kind| progress.keys.get(&kind);
    if let Some(kind) = authorized.key_origin() {
        let facts = authorized.facts();
        if facts.subject.is_none() || facts.attestation_key.is_none() {
            return Err(internal("a bound key without a subject"));
        }
        return of(kind).ok_or_else(|| internal("a bound key whose secret is gone"));
    }
    match &progress.session_key {
        SessionKey::Confirmed => {
            let keys = of(AttestorKind::SESSION_KEY);
            keys.ok_or_else(|| internal("a session key whose secret is gone"))
        }
        SessionKey::Refused(error) => Err((denial::code_of(error.fault), error.to_string())),
        SessionKey::None | SessionKey::Offered(_) => Err(misconfigured(format!(
            "policy `{policy}` binds no key of the node that a session could be sealed to, and the agent sent no key share"
        ))),
    }
}

/// How the session can be renewed: by a quote of what this login has quoted, or by the SVID's key where the login cannot be
/// repeated. An agent that knows no renewal has none.
fn renewable(
    progress: &Progress,
    authorized: &Authorized,
    key: Option<&VerifiedKey>,
    now: Timestamp,
    env: &Env<'_>,
) -> Result<Option<Renewable>, Refused> {
    if progress.version < 2 {
        return Ok(None);
    }
    let facts = authorized.facts();
    let shown = match (&facts.quoted, &facts.attestation_key) {
        (Some(quoted), Some(ak)) => Shown::Quote(QuotedState {
            ak_public: ak.public.clone(),
            selection: quoted.selection.clone(),
            values_sha256: quoted.values_sha256,
            boot: quoted.boot,
        }),
        // Where there is an attestation key, the SVID's is certified to live beside it.
        _ if key.is_some() && authorized.is_once() => Shown::SvidKey,
        _ => return Ok(None),
    };
    Ok(Some(Renewable {
        nonce: crate::random::bytes(env.random).map_err(|e| internal(e.to_string()))?,
        basis: RenewalBasis {
            shown,
            shown_at: now,
            configuration: progress.verifier.configuration_of(&progress.cluster),
            svid_key: key.map(|key| key.spki_der().to_vec()),
            renewed_for: None,
            known_as: binding::known_as(authorized),
        },
    }))
}

impl AwaitCommit {
    /// What bans of the keys, tokens and names are by that this login is proven by, where they are not its TPM's.
    #[must_use]
    pub fn known_as(&self) -> Vec<String> {
        binding::known_as(&self.0.authorized)
    }

    /// The login's name.
    #[must_use]
    pub const fn login_id(&self) -> LoginId {
        self.0.progress.id
    }

    /// What to store, all or nothing.
    #[must_use]
    pub const fn record(&self) -> &LoginRecord {
        &self.0.record
    }

    /// Holds where the login came from against where the clouds say that the node is, as far as the policy wants that: the
    /// steps to be recorded, and what the login is refused for. `peer` is the address that it came from, as far as there is one.
    #[must_use]
    pub fn from_where(&self, peer: Option<IpAddr>) -> (Vec<Step>, Option<String>) {
        let (mut steps, mut refused) = (Vec::new(), None);
        for source in self.0.authorized.sources() {
            let Some(detail) = source.contradicts(peer) else {
                continue;
            };
            let step = Step::failed(StepName::SourceAddress, &detail);
            let policy = self.0.authorized.policy();
            steps.push(step.method(source.kind).policy(policy));
            if source.rule == SourceRule::Require {
                refused = refused.or(Some(format!(
                    "{detail}; behind a proxy or a translation of addresses set `sourceAddress: warn`"
                )));
            }
        }
        (steps, refused)
    }

    /// The login came from elsewhere.
    #[must_use]
    pub fn from_elsewhere(self, detail: String) -> Turn {
        self.0.deny(DenyCode::REFUSED, detail)
    }

    /// The record is stored.
    #[must_use]
    pub fn stored(mut self) -> AwaitSvid {
        let session = self.0.record.session.id.to_string();
        let step = Step::ok(StepName::Session).detail(session);
        self.0.progress.steps.push(step);
        AwaitSvid(self.0)
    }

    /// The store holds something that this login contradicts.
    #[must_use]
    pub fn refused(self, conflict: &Conflict) -> Turn {
        let detail = binding::told(conflict, &self.0.authorized);
        self.0.deny(DenyCode::REFUSED, detail)
    }

    /// The store did not take it.
    #[must_use]
    pub fn unavailable(self, what: &dyn core::fmt::Display) -> Turn {
        self.0.deny(DenyCode::UNAVAILABLE, what.to_string())
    }
}

impl AwaitSvid {
    /// The SVID to issue; `None` when the node named no key.
    #[must_use]
    pub fn order(&self) -> Option<SvidOrder<'_>> {
        let session = &self.0.record.session;
        self.0.key.as_ref().map(|key| SvidOrder {
            spiffe_id: &session.spiffe_id,
            key,
            expires_at: session.expires_at,
        })
    }

    /// The node may be told. `svid` is what was issued to the order: DER certificates one after the other, leaf first, and
    /// what to call it in the log; `None` without an order.
    ///
    /// # Errors
    ///
    /// The refusal, when the message does not fit.
    pub fn issued(
        mut self,
        svid: Option<(&[u8], &str)>,
    ) -> Result<(Vec<Step>, Granted), Box<Turn>> {
        if let Some((_, name)) = svid {
            let step = Step::ok(StepName::Svid).detail(name);
            self.0.progress.steps.push(step);
        }
        let Some(message) = self.0.message(svid.map_or(&[], |(chain, _)| chain)) else {
            return Err(Box::new(self.0.too_long()));
        };
        let steps = core::mem::take(&mut self.0.progress.steps);
        let granted = Granted {
            login_id: self.0.progress.id,
            message,
            session: self.0.record.session,
            authorized: self.0.authorized,
        };
        Ok((steps, granted))
    }

    /// No SVID can be issued now. The session stays stored; its secret is nowhere, and it ends by itself.
    #[must_use]
    pub fn unavailable(self, what: &dyn core::fmt::Display) -> Turn {
        self.0.deny(DenyCode::UNAVAILABLE, what.to_string())
    }
}

impl Decided {
    fn deny(self, code: DenyCode, detail: String) -> Turn {
        let denied = Denied::new(Some(self.progress.id), code, detail);
        plan::deny(self.progress, denied)
    }

    fn too_long(self) -> Turn {
        let detail = format!(
            "{} and its SVID do not fit a message of protocol version {}",
            self.record.session.spiffe_id, self.progress.version
        );
        self.deny(DenyCode::MISCONFIGURED, detail)
    }

    /// The message for the node; `None` when it is too long for the node's protocol version.
    fn message(&self, svid: &[u8]) -> Option<Vec<u8>> {
        let Self {
            progress,
            record: LoginRecord { session, .. },
            ..
        } = self;
        let keys = sealing_keys(progress, &self.authorized).ok()?;
        let seconds = |at: Timestamp| u64::try_from(at.as_second()).ok();
        let grant = Grant {
            session_id: session.id.0,
            issued_at: seconds(session.issued_at)?,
            expires_at: seconds(session.expires_at)?,
            spiffe_id: &session.spiffe_id,
            sealed_secret: self.sealed_secret,
        };
        let mut body = [0; MAX_VERIFIER_MESSAGE];
        let body = if progress.version < 2 {
            encode(&grant, &mut body).ok()?
        } else {
            let svid_grant = SvidGrant {
                grant,
                renew_after: seconds(session.renew_after().unwrap_or(Timestamp::UNIX_EPOCH))?,
                renewal_nonce: session
                    .renewal
                    .as_ref()
                    .map_or([0; 32], |renewal| renewal.nonce),
                svid,
            };
            encode(&svid_grant, &mut body).ok()?
        };
        let tag = keys.keys.grant_tag(&progress.transcript, body);
        let sealed = SealedGrant { body, tag };
        let message = match progress.version {
            0 | 1 => VerifierMessage::Granted(sealed),
            _ => VerifierMessage::SvidGranted(sealed),
        };
        plan::to_message(&message, progress.version)
    }
}
