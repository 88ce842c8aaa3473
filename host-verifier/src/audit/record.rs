//! One decision, and how it came about.

use assay_common::protocol::{AgentMessage, decode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::blobs::Blobs;
use crate::login::{Denied, Granted, Step};
use crate::session::SessionId;
use crate::store::SessionRecord;
use crate::svid::{JwtSvid, X509Svid};
use crate::telemetry::events::by_name;

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

/// A message of a login as it was on the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Sent {
    /// `agent` or `verifier`.
    from: &'static str,
    /// `message`, or `blob` and its number: a long field that the next message names.
    kind: String,
    base64: String,
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
    pub fn begin(hello: &[u8]) -> Self {
        let mut trail = Self::default();
        if let Ok(AgentMessage::Hello(hello)) = decode(hello) {
            trail.cluster = Some(hello.cluster.to_owned());
        }
        trail.push("agent", "message".to_owned(), hello);
        trail
    }

    /// Adds what the verifier asked.
    pub fn asked(&mut self, challenge: &[u8]) {
        self.push("verifier", "message".to_owned(), challenge);
    }

    /// Adds proofs, and the long fields that came ahead of them.
    pub fn proved(&mut self, proofs: &[u8], blobs: &Blobs) {
        for (number, bytes) in blobs.iter() {
            self.push("agent", format!("blob {number}"), bytes);
        }
        self.push("agent", "message".to_owned(), proofs);
    }

    /// Adds what was found out.
    pub fn found(&mut self, steps: &[Step]) {
        self.steps.extend_from_slice(steps);
    }

    fn push(&mut self, from: &'static str, kind: String, bytes: &[u8]) {
        self.evidence.push(Sent {
            from,
            kind,
            base64: STANDARD.encode(bytes),
        });
    }
}

/// One record, without what chains it to the one before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// When it was decided.
    pub time: Timestamp,
    /// Which login; of a renewal that was refused, nothing.
    pub login_id: String,
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
    /// The node's identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// The session's name. Its secret is nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// SHA-256 of the EK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ek_hash: Option<String>,
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
            login_id: login_id.to_owned(),
            link: link.to_owned(),
            cluster: trail.cluster.clone(),
            outcome,
            code: None,
            detail: None,
            explanation: None,
            policy: None,
            attributes: None,
            spiffe_id: None,
            session_id: None,
            ek_hash: None,
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

    /// A login that was refused; `None` for one that was turned away before it had a name, which is no decision.
    #[must_use]
    pub fn denied(time: Timestamp, link: &str, denied: &Denied, trail: &Trail) -> Option<Self> {
        let explanation = denied.explanation.as_ref();
        Some(Self {
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
        })
    }

    /// A session that was renewed.
    #[must_use]
    pub fn renewed(time: Timestamp, link: &str, session: &SessionRecord, trail: &Trail) -> Self {
        Self {
            login_id: session.login_id.clone(),
            cluster: Some(session.cluster.clone()),
            policy: Some(session.policy.clone()),
            spiffe_id: Some(session.spiffe_id.clone()),
            session_id: Some(session.id.to_string()),
            ek_hash: Some(session.ek_hash.clone()),
            ..Self::new(time, "", link, Outcome::Renewed, trail)
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
            outcome: Outcome::Issued,
            svid: Some(svid),
            ..Self::renewed(time, link, session, &Trail::default())
        }
    }

    /// A renewal that was refused. Of its session only the name is known: nothing proved that it is the sender's.
    #[must_use]
    pub fn renewal_denied(
        time: Timestamp,
        link: &str,
        session: SessionId,
        denied: &Denied,
        trail: &Trail,
    ) -> Self {
        Self {
            code: Some(denied.code.to_string()),
            detail: Some(denied.detail.clone()),
            session_id: Some(session.to_string()),
            ..Self::new(time, "", link, Outcome::Denied, trail)
        }
    }
}
