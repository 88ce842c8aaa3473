//! Logins that were stored: explained, and judged again.

mod commands;
mod judged;
mod modules;

use assay_host_verifier::audit::again::{self, Judgement, Question};
use assay_host_verifier::audit::kept::Kept;
use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::policy::PolicySet;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::desk::Desk;

/// A desk with a trail on disk.
pub(crate) fn office(entries: &str) -> (Desk, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = Desk::new(entries);
    desk.server.audit = AuditLog::open(&folder.path().join(audit::FILE)).unwrap().0;
    (desk, folder)
}

pub(crate) fn last_record(folder: &TempDir) -> Map<String, Value> {
    let text = std::fs::read_to_string(folder.path().join(audit::FILE)).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

pub(crate) fn judge(kept: &Kept, policies: &PolicySet, at: Timestamp, key: &[u8]) -> Judgement {
    let question = Question {
        policies,
        at,
        challenge_key: Some(key),
    };
    again::judge(kept, &question)
}

/// The policy that wins, or everything that is said against it.
pub(crate) fn verdict(judgement: Judgement) -> Result<String, String> {
    match judgement.decision {
        Some(Ok(authorized)) => Ok(authorized.policy().to_owned()),
        Some(Err(refusal)) => Err(refusal.explanation.to_string()),
        None => Err(format!("{:?}", judgement.checks)),
    }
}
