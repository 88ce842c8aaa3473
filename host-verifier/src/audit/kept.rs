//! A record, read back.

use assay_common::policy::AttestorKind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::sealed::Place;
use crate::attestor::errand::Answered;
use crate::crypto::seal::SealingKey;

/// What is needed of a record to judge its login again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which login.
    pub login_id: String,
    /// When it was decided.
    pub time: Timestamp,
    /// What was said, in order.
    pub said: Vec<Said>,
    /// The methods whose response to a challenge was accepted then.
    pub answered: Vec<AttestorKind>,
    /// Why some of it is not in `said`.
    pub lack: Option<Lack>,
}

/// Why not all that was said is there to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// Of some of it only hash and length were kept.
    #[error(
        "nothing was proven in it, or too much was sent: of what was said there are hashes and lengths only"
    )]
    Reduced,
    /// Some of it is sealed, and there is no key.
    #[error(
        "sealed: needs the verifier's data directory (--config); it holds a token or a secret that lets its reader in"
    )]
    Sealed,
    /// Some of it is sealed, and does not open.
    #[error(
        "sealed under another verifier's challenge key, or changed, or moved here from another record"
    )]
    Unopened,
}

/// A piece of a login as it went over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A message of the agent.
    Agent(Vec<u8>),
    /// A message of the verifier.
    Verifier(Vec<u8>),
    /// A long field of the agent's next message, by its number.
    Blob(u8, Vec<u8>),
    /// What somebody outside answered about a proof.
    Outside(Answered),
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record's `{0}` cannot be read")]
pub struct KeptError(pub &'static str);

impl Kept {
    /// Reads a record as the trail has it, without the key of what is sealed in it.
    ///
    /// # Errors
    ///
    /// [`KeptError`] with the member's name.
    pub fn of(record: &Map<String, Value>) -> Result<Self, KeptError> {
        Self::opened(record, None)
    }

    /// Reads a record as the trail has it. What is sealed in it is opened with the verifier's evidence key
    /// ([`crate::login::ChallengeKey::evidence_key`]).
    ///
    /// # Errors
    ///
    /// [`KeptError`] with the member's name.
    pub fn opened(
        record: &Map<String, Value>,
        key: Option<&SealingKey>,
    ) -> Result<Self, KeptError> {
        let text = |name: &'static str| {
            let member = record.get(name).and_then(Value::as_str);
            member.ok_or(KeptError(name))
        };
        let list = |name: &'static str| {
            let member = record.get(name).and_then(Value::as_array);
            member.ok_or(KeptError(name))
        };
        let (mut said, mut lack) = (Vec::new(), None);
        let login_id = text("login_id")?;
        for (position, piece) in list("evidence")?.iter().enumerate() {
            let piece = PieceOf { piece };
            match piece.bytes((login_id, position), key)? {
                Ok(bytes) => said.push(piece.said(bytes).ok_or(KeptError("evidence"))?),
                Err(lacks) => {
                    lack.get_or_insert(lacks);
                }
            }
        }
        let answered = list("steps")?.iter().filter_map(|step| {
            let is =
                |name: &str, value: &str| step.get(name).and_then(Value::as_str) == Some(value);
            let accepted = is("step", "response") && is("outcome", "ok");
            let method = step.get("method").and_then(Value::as_str)?;
            accepted.then(|| AttestorKind::from_name(method))?
        });
        Ok(Self {
            login_id: login_id.to_owned(),
            time: text("time")?.parse().map_err(|_| KeptError("time"))?,
            answered: answered.collect(),
            said,
            lack,
        })
    }
}

/// Whether anything in a record is sealed.
#[must_use]
pub fn has_sealed(record: &Map<String, Value>) -> bool {
    let pieces = record.get("evidence").and_then(Value::as_array);
    let mut pieces = pieces.into_iter().flatten();
    pieces.any(|piece| piece.get("sealed").is_some())
}

/// A piece of a record.
struct PieceOf<'a> {
    piece: &'a Value,
}

impl PieceOf<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.piece.get(name).and_then(Value::as_str)
    }

    /// Its bytes, or why there are none.
    fn bytes(
        &self,
        (login_id, position): (&str, usize),
        key: Option<&SealingKey>,
    ) -> Result<Result<Vec<u8>, Lack>, KeptError> {
        let decoded = |text| STANDARD.decode(text).map_err(|_| KeptError("evidence"));
        if let Some(bytes) = self.text("base64") {
            return decoded(bytes).map(Ok);
        }
        let (sealed, key) = match (self.text("sealed"), key) {
            (None, _) if self.piece.get("len").is_some() => return Ok(Err(Lack::Reduced)),
            (None, _) => return Err(KeptError("evidence")),
            (Some(_), None) => return Ok(Err(Lack::Sealed)),
            (Some(sealed), Some(key)) => (decoded(sealed)?, key),
        };
        let place = Place {
            login_id,
            position,
            from: self.text("from").unwrap_or_default(),
            kind: self.text("kind").unwrap_or_default(),
        };
        let opened = place.open(key, &sealed);
        Ok(opened.map(|bytes| bytes.to_vec()).ok_or(Lack::Unopened))
    }

    fn said(&self, bytes: Vec<u8>) -> Option<Said> {
        match (self.text("from")?, self.text("kind")?) {
            ("agent", "message") => Some(Said::Agent(bytes)),
            ("verifier", "message") => Some(Said::Verifier(bytes)),
            ("outside", _) => Some(Said::Outside(postcard::from_bytes(&bytes).ok()?)),
            ("agent", kind) => Some(Said::Blob(kind.strip_prefix("blob ")?.parse().ok()?, bytes)),
            _ => None,
        }
    }
}
