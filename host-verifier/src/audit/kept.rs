//! A record, read back.

use assay_common::policy::AttestorKind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::attestor::errand::Answered;

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
    /// Whether of some of it only hash and length were kept.
    pub reduced: bool,
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
    /// Reads a record as the trail has it.
    ///
    /// # Errors
    ///
    /// [`KeptError`] with the member's name.
    pub fn of(record: &Map<String, Value>) -> Result<Self, KeptError> {
        let text = |name: &'static str| {
            let member = record.get(name).and_then(Value::as_str);
            member.ok_or(KeptError(name))
        };
        let list = |name: &'static str| {
            let member = record.get(name).and_then(Value::as_array);
            member.ok_or(KeptError(name))
        };
        let (mut said, mut reduced) = (Vec::new(), false);
        for piece in list("evidence")? {
            if piece.get("base64").is_none() && piece.get("sha256").is_some() {
                reduced = true;
                continue;
            }
            said.push(piece_of(piece).ok_or(KeptError("evidence"))?);
        }
        let answered = list("steps")?.iter().filter_map(|step| {
            let is =
                |name: &str, value: &str| step.get(name).and_then(Value::as_str) == Some(value);
            let accepted = is("step", "response") && is("outcome", "ok");
            let method = step.get("method").and_then(Value::as_str)?;
            accepted.then(|| AttestorKind::from_name(method))?
        });
        Ok(Self {
            login_id: text("login_id")?.to_owned(),
            time: text("time")?.parse().map_err(|_| KeptError("time"))?,
            answered: answered.collect(),
            said,
            reduced,
        })
    }
}

fn piece_of(piece: &Value) -> Option<Said> {
    let of = |name: &str| piece.get(name).and_then(Value::as_str);
    let bytes = STANDARD.decode(of("base64")?).ok()?;
    match (of("from")?, of("kind")?) {
        ("agent", "message") => Some(Said::Agent(bytes)),
        ("verifier", "message") => Some(Said::Verifier(bytes)),
        ("outside", _) => Some(Said::Outside(postcard::from_bytes(&bytes).ok()?)),
        ("agent", kind) => Some(Said::Blob(kind.strip_prefix("blob ")?.parse().ok()?, bytes)),
        _ => None,
    }
}
