//! The five calls: from the session and the bundle to the messages of the Workload API.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::jwt;
use super::serve::Api;
use super::status::{Code, Status};
use super::wire::{Message, texts};
use crate::config::WorkloadEntry;
use crate::session::Current;
use crate::svid::bundle::Bundle;

/// Most audiences of one token, as the verifier has it.
const MAX_AUDIENCES: usize = 8;

/// A stream: what it sends now. It is asked again whenever the session or the bundle changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    X509Svid,
    X509Bundles,
    JwtBundles,
}

impl Api {
    fn session(&self) -> Result<Arc<Current>, Status> {
        let current = self.sessions.borrow().clone();
        let none = || Status::new(Code::Unavailable, "the agent has no session yet");
        current.filter(|current| current.is_live()).ok_or_else(none)
    }

    fn bundle(&self) -> Result<Arc<Bundle>, Status> {
        let bundle = self.bundles.borrow().clone();
        bundle.ok_or_else(|| Status::new(Code::Unavailable, "the agent has no bundle yet"))
    }

    /// The trust domain's SPIFFE ID.
    fn domain(&self) -> String {
        format!("spiffe://{}", self.trust_domain)
    }

    /// What a stream sends to this workload now.
    pub(super) fn now(&self, stream: Stream, entry: &WorkloadEntry) -> Result<Vec<u8>, Status> {
        let bundle = self.bundle()?;
        let message = match stream {
            Stream::X509Svid => {
                let current = self.session()?;
                let none = |what: &str| Status::new(Code::FailedPrecondition, what);
                if current.svid.is_empty() {
                    return Err(none("the verifier issues no X.509-SVID here"));
                }
                let key = current.key.as_ref().ok_or_else(|| {
                    none("the X.509-SVID's private key is in the TPM; JWT-SVIDs are to be had")
                })?;
                let svid = Message::default()
                    .text(1, &current.spiffe_id)
                    .bytes(2, &current.svid.concat())
                    .bytes(3, key)
                    .bytes(4, &bundle.x509.concat())
                    .text(5, &entry.hint);
                Message::default().message(1, &svid)
            }
            Stream::X509Bundles => {
                Message::default().entry(2, &self.domain(), &bundle.x509.concat())
            }
            Stream::JwtBundles => Message::default().entry(1, &self.domain(), &bundle.jwt),
        };
        Ok(message.into_bytes())
    }

    /// `FetchJWTSVID`.
    pub(super) async fn jwt_svid(
        &self,
        request: &[u8],
        entry: &WorkloadEntry,
    ) -> Result<Vec<u8>, Status> {
        let wrong = |what: &str| Status::new(Code::InvalidArgument, what);
        let fields = texts(request).ok_or_else(|| wrong("not a JWTSVIDRequest"))?;
        let mut audiences = Vec::new();
        let mut wanted = String::new();
        for (number, text) in fields {
            match number {
                1 => audiences.push(text),
                2 => wanted = text,
                _ => {}
            }
        }
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            return Err(wrong("audience must be specified"));
        }
        if audiences.len() > MAX_AUDIENCES {
            return Err(wrong("more than 8 audiences"));
        }
        let current = self.session()?;
        if !wanted.is_empty() && wanted != current.spiffe_id {
            return Err(Status::new(Code::PermissionDenied, "no identity issued"));
        }
        let token = self.tokens.fetch(&current, audiences).await?;
        let svid = Message::default()
            .text(1, &current.spiffe_id)
            .text(2, &token)
            .text(3, &entry.hint);
        Ok(Message::default().message(1, &svid).into_bytes())
    }

    /// `ValidateJWTSVID`.
    pub(super) fn validate(&self, request: &[u8]) -> Result<Vec<u8>, Status> {
        let wrong = |what: String| Status::new(Code::InvalidArgument, what);
        let fields = texts(request);
        let fields = fields.ok_or_else(|| wrong("not a ValidateJWTSVIDRequest".to_owned()))?;
        let field = |wanted| {
            let found = fields.iter().rev().find(|(number, _)| *number == wanted);
            found.map_or("", |(_, text)| text.as_str())
        };
        let (audience, token) = (field(1), field(2));
        if audience.is_empty() || token.is_empty() {
            return Err(wrong("audience and svid must be specified".to_owned()));
        }
        let bundle = self.bundle()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(u64::MAX, |now| now.as_secs());
        let valid = jwt::validate(token, audience, &self.trust_domain, &bundle.jwt, now);
        let valid = valid.map_err(|error| wrong(error.to_string()))?;
        let claims = Message::claims(&valid.claims);
        let claims = claims.ok_or_else(|| wrong("claims without an end".to_owned()))?;
        let answer = Message::default()
            .text(1, &valid.spiffe_id)
            .message(2, &claims);
        Ok(answer.into_bytes())
    }
}
