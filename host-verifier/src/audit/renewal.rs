//! Judges the renewals of a stored login again.
//!
//! Each renewal is judged by what it was judged by, which its record has, and that has to follow from the one before it:
//! the same key and PCRs, and the counters and the clock where the quote before left them. The first one's key is the
//! key that the login has proven.

use assay_common::login::RenewDigest;
use assay_common::protocol::{AgentMessage, decode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::again::Check;
use super::kept::{Kept, Said};
use super::record::Kind;
use crate::login::renewal;
use crate::session::{JudgedBy, RenewalBasis, Shown};

/// The renewals among the records behind a login, in their order: each with what becomes of it now. `attestation_key` is
/// the public area of the key that the login has proven, as far as it could be judged.
#[must_use]
pub fn judge(later: &[Map<String, Value>], attestation_key: Option<&[u8]>) -> Vec<(String, Check)> {
    let mut expected: Option<RenewalBasis> = None;
    let mut judged = Vec::new();
    for record in later {
        let judged_by = match kind(record) {
            (Some(Kind::Renewal), Some("renewed")) => {
                let why = "recorded by a version that did not keep what it was judged by";
                record
                    .contains_key("judged_by")
                    .then_some(record)
                    .ok_or(why)
            }
            (Some(Kind::Repeat), _) => {
                let asked = asked(record);
                let before = expected.as_ref().and_then(|basis| basis.renewed_for);
                if asked.is_some() && asked == before {
                    continue;
                }
                // It was stored, and could not be told: its refusal has what it was judged by, if that could be written.
                let refused = |one: &&Map<String, Value>| {
                    kind(one) == (Some(Kind::Renewal), Some("denied"))
                        && one.contains_key("judged_by")
                        && self::asked(one) == asked
                };
                let why = "told again; what it was judged by could not be written when it was first asked for";
                let first = later.iter().find(refused);
                first.filter(|_| asked.is_some()).ok_or(why)
            }
            _ => continue,
        };
        let check = match judged_by.map(|first| one(first, expected.as_ref(), attestation_key)) {
            Err(why) => {
                expected = None;
                Check::Skipped(why.to_owned())
            }
            Ok(Ok(next)) => {
                let seen = match &next.shown {
                    Shown::Quote(state) => format!("the TPM's clock at {} ms", state.boot.clock),
                    Shown::SvidKey => "signed by the SVID's key".to_owned(),
                };
                expected = Some(next);
                Check::Passed(seen)
            }
            Ok(Err(why)) => {
                expected = None;
                Check::Failed(why)
            }
        };
        let time = record.get("time").and_then(Value::as_str);
        judged.push((time.unwrap_or_default().to_owned(), check));
    }
    judged
}

/// What a record is of, and how that ended.
fn kind(record: &Map<String, Value>) -> (Option<Kind>, Option<&str>) {
    let outcome = record.get("outcome").and_then(Value::as_str);
    (super::found::kind_of(record), outcome)
}

/// SHA-256 of the message with which a record's renewal was asked for.
fn asked(record: &Map<String, Value>) -> Option<[u8; 32]> {
    let kept = Kept::of(record).ok()?;
    kept.said.iter().find_map(|said| match said {
        Said::Agent(message) => match decode(message) {
            Ok(AgentMessage::Renew(_)) => Some(*RenewDigest::of(message).as_bytes()),
            _ => None,
        },
        _ => None,
    })
}

/// One renewal; returns what the next one was judged by.
fn one(
    record: &Map<String, Value>,
    expected: Option<&RenewalBasis>,
    attestation_key: Option<&[u8]>,
) -> Result<RenewalBasis, String> {
    let unreadable = |what: &str| format!("the record's `{what}` cannot be read");
    let judged_by = record
        .get("judged_by")
        .ok_or_else(|| unreadable("judged_by"))?;
    let judged_by = JudgedBy::deserialize(judged_by).map_err(|_| unreadable("judged_by"))?;
    let kept = Kept::of(record).map_err(|error| error.to_string())?;
    let renew = kept.said.iter().find_map(|said| match said {
        Said::Agent(message) => match decode(message) {
            Ok(AgentMessage::Renew(renew)) => Some((renew, RenewDigest::of(message))),
            _ => None,
        },
        _ => None,
    });
    let (renew, asked) = renew.ok_or_else(|| unreadable("evidence"))?;
    let session = renewal::untrusted_session(&renew).to_string();
    if record.get("session_id").and_then(Value::as_str) != Some(session.as_str()) {
        return Err(format!("the message renews session {session}"));
    }
    let basis = &judged_by.basis;
    if let (Some(proven), Some(key)) = (attestation_key, basis.ak_public())
        && proven != key
    {
        return Err("judged by another key than the login has proven".to_owned());
    }
    if expected.is_some_and(|expected| expected != basis) {
        return Err("not judged by what the renewal before it left".to_owned());
    }
    let shown = renewal::judge_again(&judged_by, &renew).map_err(|error| error.to_string())?;
    Ok(RenewalBasis {
        shown,
        shown_at: judged_by.at,
        renewed_for: Some(*asked.as_bytes()),
        ..judged_by.basis
    })
}
