//! One decision, and how it came about.

use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, decode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::sealed;
use super::sent::Sent;
use crate::attestor::errand::Answered;
use crate::crypto::seal::SealingKey;
use crate::login::piece::Piece;
use crate::login::{Denied, Granted, Step};
use crate::random::SecureRandom;
use crate::session::{JudgedBy, SessionId};
use crate::store::SessionRecord;
use crate::svid::{JwtSvid, X509Svid};
use crate::telemetry::events::by_name;

/// What was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A login.
    Login,
    /// The renewal of a session.
    Renewal,
    /// A renewal that was decided on before, and asked for with the same message again: the answer was told again. It says
    /// nothing of who asked.
    Repeat,
    /// An answer to a challenge that was answered before. It says nothing of the login whose challenge that was.
    Replay,
    /// An SVID for a session.
    Svid,
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A session.
    Granted,
    /// A refusal.
    Denied,
    /// A session that goes on.
    Renewed,
    /// An SVID for a session that lives.
    Issued,
}

/// An SVID that was issued, so that one that turns up somewhere leads back to who got it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssuedSvid {
    /// `x509` or `jwt`.
    pub kind: &'static str,
    /// The certificate's serial number, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// SHA-256 of a token, hex: it has no number, and must not be here itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whom a token is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// The authority that signed it.
    pub authority: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl IssuedSvid {
    /// Of an X.509-SVID.
    #[must_use]
    pub fn x509(svid: &X509Svid) -> Self {
        Self {
            kind: "x509",
            serial: Some(hex::encode(svid.serial)),
            sha256: None,
            audience: Vec::new(),
            authority: svid.authority.clone(),
            expires_at: svid.not_after,
        }
    }

    /// Of a JWT-SVID for this audience.
    #[must_use]
    pub fn jwt(svid: &JwtSvid, audience: &[&str]) -> Self {
        Self {
            kind: "jwt",
            serial: None,
            sha256: Some(hex::encode(super::sha256(svid.token.as_bytes()))),
            audience: audience.iter().map(|&name| name.to_owned()).collect(),
            authority: svid.authority.clone(),
            expires_at: svid.expires_at,
        }
    }
}

/// What a login has said so far. One per link; a hello begins it anew.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    cluster: Option<String>,
    steps: Vec<Step>,
    evidence: Vec<Sent>,
}

impl Trail {
    /// Begins with an agent's hello.
    #[must_use]
    pub fn begin(hello: Piece) -> Self {
        let mut trail = Self::default();
        if let Ok(AgentMessage::Hello(hello)) = decode(&hello) {
            trail.cluster = Some(hello.cluster.to_owned());
        }
        let lets_in = sealed::lets_in(&hello);
        trail.push("agent", "message".to_owned(), hello, lets_in);
        trail
    }

    /// Adds what the verifier asked.
    pub fn asked(&mut self, challenge: Piece) {
        let behind = self.has_secret();
        self.push("verifier", "message".to_owned(), challenge, behind);
    }

    /// Adds proofs, and the long fields that they name.
    pub fn proved(&mut self, proofs: Piece, blobs: &[(u8, Piece)]) {
        let lets_in = sealed::lets_in(&proofs) || self.has_secret();
        for (number, bytes) in blobs {
            self.push("agent", format!("blob {number}"), bytes.clone(), lets_in);
        }
        self.push("agent", "message".to_owned(), proofs, lets_in);
    }

    /// Adds what somebody outside answered about a proof, in the form in which it was judged.
    pub fn answered(&mut self, answered: &Answered) {
        let method = AttestorKind(answered.kind);
        if let Ok(bytes) = postcard::to_allocvec(answered) {
            // An answer holds no secret by its contract (`Errand::run`).
            self.push("outside", format!("answer {method}"), bytes.into(), false);
        }
    }

    /// Adds what was found out.
    pub fn found(&mut self, steps: &[Step]) {
        self.steps.extend_from_slice(steps);
    }

    /// Whether something in it lets in whoever reads it. All messages behind it are over it (the verifier's signatures, the
    /// nonces of a TPM), so each of them would tell a right guess of what it was from a wrong one.
    fn has_secret(&self) -> bool {
        self.evidence.iter().any(Sent::lets_in)
    }

    fn push(&mut self, from: &'static str, kind: String, bytes: Piece, lets_in: bool) {
        self.evidence.push(Sent::new(from, kind, bytes, lets_in));
    }

    /// Whether a method has proven something.
    fn proven(&self) -> bool {
        self.steps.iter().any(|step| step.proven)
    }
}

/// One record, without what chains it to the one before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// When it was decided.
    pub time: Timestamp,
    /// On what.
    pub kind: Kind,
    /// Which login; nothing where that is not proven.
    pub login_id: String,
    /// The login that a replayed answer was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrusted_login_id: Option<String>,
    /// The link it came over.
    pub link: String,
    /// The cluster that the agent named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The category of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What each policy made of it, where it came to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Value>,
    /// The policy that won.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What its attestors vouch for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Map<String, Value>>,
    /// What each of its methods calls the node, where it has a stable name for it: which key, token or name it was.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub identities: Map<String, Value>,
    /// Other live sessions of a node without a TPM that are too young to be those before this one: somebody else may be the
    /// same node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_beside: Option<u64>,
    /// The node's identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// The session's name. Its secret is nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The session that somebody wanted to renew who has not proven to be its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrusted_session_id: Option<String>,
    /// SHA-256 of the EK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ek_hash: Option<String>,
    /// What a renewal was judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<JudgedBy>,
    /// The SVID that went with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svid: Option<IssuedSvid>,
    steps: Vec<Step>,
    evidence: Vec<Sent>,
}

impl Record {
    fn new(time: Timestamp, login_id: &str, link: &str, outcome: Outcome, trail: &Trail) -> Self {
        Self {
            time,
            kind: Kind::Login,
            login_id: login_id.to_owned(),
            untrusted_login_id: None,
            link: link.to_owned(),
            cluster: trail.cluster.clone(),
            outcome,
            code: None,
            detail: None,
            explanation: None,
            policy: None,
            attributes: None,
            identities: Map::new(),
            live_beside: None,
            spiffe_id: None,
            session_id: None,
            untrusted_session_id: None,
            ek_hash: None,
            judged_by: None,
            svid: None,
            steps: trail.steps.clone(),
            evidence: trail.evidence.clone(),
        }
    }

    /// A login that was granted.
    #[must_use]
    pub fn granted(time: Timestamp, link: &str, granted: &Granted, trail: &Trail) -> Self {
        let session = &granted.session;
        Self {
            policy: Some(session.policy.clone()),
            attributes: Some(by_name(&session.attributes)),
            identities: granted
                .authorized
                .identities()
                .iter()
                .map(|(kind, identity)| (kind.to_string(), identity.as_str().into()))
                .collect(),
            spiffe_id: Some(session.spiffe_id.clone()),
            session_id: Some(session.id.to_string()),
            ek_hash: Some(session.ek_hash.clone()),
            explanation: serde_json::to_value(&granted.authorized.explanation().policies).ok(),
            ..Self::new(
                time,
                &granted.login_id.to_string(),
                link,
                Outcome::Granted,
                trail,
            )
        }
    }

    /// A login that was refused; `None` for one that was turned away before it had a name, which is no decision. Where no
    /// method has proven anything, anybody may have sent it: of what was said it has hashes and lengths.
    #[must_use]
    pub fn denied(time: Timestamp, link: &str, denied: &Denied, trail: &Trail) -> Option<Self> {
        let explanation = denied.explanation.as_ref();
        let record = Self {
            code: Some(denied.code.to_string()),
            detail: Some(denied.detail.clone()),
            explanation: explanation.and_then(|e| serde_json::to_value(&e.policies).ok()),
            ..Self::new(
                time,
                &denied.login_id?.to_string(),
                link,
                Outcome::Denied,
                trail,
            )
        };
        Some(match trail.proven() {
            true => record,
            false => record.reduced(),
        })
    }

    /// As an answer to a challenge that was answered before, by whomever: the record of the login is the one that was
    /// written then.
    #[must_use]
    pub fn replayed(self) -> Self {
        let login = self.login_id.clone();
        Self {
            kind: Kind::Replay,
            login_id: String::new(),
            untrusted_login_id: Some(login).filter(|login| !login.is_empty()),
            ..self.reduced()
        }
    }

    /// With hashes and lengths for what was said.
    #[must_use]
    pub fn reduced(mut self) -> Self {
        self.evidence.iter_mut().for_each(Sent::reduced);
        self
    }

    /// With the other live sessions of the node, if there are any.
    #[must_use]
    pub fn beside(self, others: u64) -> Self {
        Self {
            live_beside: Some(others).filter(|others| *others > 0),
            ..self
        }
    }

    /// With what lets its reader in sealed by this key. Where that fails, and where it is not done before the record is
    /// written, there are hash and length of it.
    #[must_use]
    pub fn sealed(mut self, key: &SealingKey, random: &dyn SecureRandom) -> Self {
        for (position, sent) in self.evidence.iter_mut().enumerate() {
            sent.sealed((&self.login_id, position), key, random);
        }
        self
    }

    /// Bytes of what was said that it has whole or sealed, about as they are written.
    #[must_use]
    pub fn evidence_len(&self) -> usize {
        self.evidence.iter().map(Sent::len).sum()
    }

    /// A session that was renewed.
    #[must_use]
    pub fn renewed(
        time: Timestamp,
        link: &str,
        session: &SessionRecord,
        judged_by: JudgedBy,
        trail: &Trail,
    ) -> Self {
        Self {
            kind: Kind::Renewal,
            judged_by: Some(judged_by),
            ..Self::of_session(time, link, session, Outcome::Renewed, trail)
        }
    }

    /// The answer to a renewal that was told again.
    #[must_use]
    pub fn repeated(time: Timestamp, link: &str, session: &SessionRecord, trail: &Trail) -> Self {
        Self {
            kind: Kind::Repeat,
            ..Self::of_session(time, link, session, Outcome::Renewed, trail)
        }
    }

    fn of_session(
        time: Timestamp,
        link: &str,
        session: &SessionRecord,
        outcome: Outcome,
        trail: &Trail,
    ) -> Self {
        Self {
            login_id: session.login_id.clone(),
            cluster: Some(session.cluster.clone()),
            policy: Some(session.policy.clone()),
            spiffe_id: Some(session.spiffe_id.clone()),
            session_id: Some(session.id.to_string()),
            ek_hash: Some(session.ek_hash.clone()),
            ..Self::new(time, "", link, outcome, trail)
        }
    }

    /// With the SVID that goes with it.
    #[must_use]
    pub fn with_svid(self, svid: Option<IssuedSvid>) -> Self {
        Self { svid, ..self }
    }

    /// An SVID that the holder of a session asked for.
    #[must_use]
    pub fn issued(time: Timestamp, link: &str, session: &SessionRecord, svid: IssuedSvid) -> Self {
        Self {
            kind: Kind::Svid,
            svid: Some(svid),
            ..Self::of_session(time, link, session, Outcome::Issued, &Trail::default())
        }
    }

    /// A renewal that was refused to the session's node.
    #[must_use]
    pub fn renewal_denied(
        time: Timestamp,
        link: &str,
        (session, judged_by): (&SessionRecord, JudgedBy),
        denied: &Denied,
        trail: &Trail,
    ) -> Self {
        Self {
            kind: Kind::Renewal,
            code: Some(denied.code.to_string()),
            detail: Some(denied.detail.clone()),
            judged_by: Some(judged_by),
            ..Self::of_session(time, link, session, Outcome::Denied, trail)
        }
    }

    /// A renewal that was refused to somebody who named this session, and has proven nothing.
    #[must_use]
    pub fn stray_renewal(
        time: Timestamp,
        link: &str,
        untrusted: SessionId,
        denied: &Denied,
        trail: &Trail,
    ) -> Self {
        Self {
            kind: Kind::Renewal,
            code: Some(denied.code.to_string()),
            detail: Some(denied.detail.clone()),
            untrusted_session_id: Some(untrusted.to_string()),
            ..Self::new(time, "", link, Outcome::Denied, trail).reduced()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Trail;

    /// Bytes that are no message might be anything.
    const BEARER: &[u8] = &[0xFF];

    #[test]
    fn what_is_over_a_secret_is_kept_like_the_secret() {
        let mut trail = Trail::default();
        trail.asked(vec![1].as_slice().into());
        trail.proved(BEARER.into(), &[(0, vec![2].as_slice().into())]);
        trail.asked(vec![3].as_slice().into());
        let sealed: Vec<_> = trail.evidence.iter().map(super::Sent::lets_in).collect();
        // The challenge before it; its long field and itself; the challenge that signs it.
        assert_eq!(sealed, [false, true, true, true]);
        let text = serde_json::to_string(&trail.evidence).unwrap_or_default();
        assert_eq!(text.matches("base64").count(), 1, "{text}");
        assert!(!text.contains("sha256"), "{text}");
    }
}
