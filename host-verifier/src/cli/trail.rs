//! Records of the audit trail over the API, as the trail itself has them.

use serde_json::Value;

use super::remote::{Page, Remote};
use super::service::Failure;
use super::stored::Record;
use crate::audit::found::LATER;
use crate::session::SessionId;

/// Most events that are held in memory to be put into their order.
const MAX_EVENTS: usize = 1_000_000;

/// At most `limit` records, the newest first, without what makes them long.
pub(super) async fn last(remote: &Remote, limit: usize) -> Result<Vec<Record>, Failure> {
    let page: Page<Record> = remote.get(&format!("/v1/audit?limit={limit}")).await?;
    Ok(page.items.into_iter().map(record_of).collect())
}

/// Events in the order of their records, as far back as `wanted` takes them.
pub(super) async fn events(
    remote: &Remote,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>, Failure> {
    let mut events = Vec::new();
    let mut keep = |event: Value| {
        let wanted = wanted(&event) && events.len() < MAX_EVENTS;
        if wanted {
            events.push(event);
        }
        wanted
    };
    remote.each("/v1/audit/events", &mut keep).await?;
    if events.len() >= MAX_EVENTS {
        return Err(
            Failure::failed(format!("more than {MAX_EVENTS} records")).hint(
                "ask for fewer with --from or --since, or export beside the trail with --config",
            ),
        );
    }
    events.reverse();
    Ok(events)
}

/// The record of the decision on a login, with its steps and what it said, and those that came later.
pub(super) async fn of_login(remote: &Remote, login: &str) -> Result<Record, Failure> {
    let login = super::remote::encoded(login);
    let decisions: Vec<Record> = remote.get(&format!("/v1/audit/{login}")).await?;
    let pieces: Vec<Record> = remote.get(&format!("/v1/evidence/{login}")).await?;
    let mut pieces: Vec<_> = pieces.into_iter().map(record_of).collect();
    let mut records = decisions.into_iter().map(|decision| {
        let mut record = record_of(decision);
        let own = pieces
            .iter_mut()
            .find(|pieces| pieces.get("seq") == record.get("seq"));
        if let Some(own) = own {
            for name in ["evidence", "judged_by"] {
                record.extend(own.remove(name).map(|value| (name.to_owned(), value)));
            }
        }
        record
    });
    // The verifier has put the one that decided it first.
    let mut record = records.next().ok_or_else(|| {
        Failure::failed(format!("login {login} is not decided here"))
            .hint("`assay audit list` shows the last ones; each replica has its own")
    })?;
    let later: Vec<_> = records.map(Value::Object).collect();
    if !later.is_empty() {
        record.insert(LATER.to_owned(), Value::Array(later));
    }
    Ok(record)
}

/// The record of the login that a session came from.
pub(super) async fn of_session(remote: &Remote, id: SessionId) -> Result<Record, Failure> {
    let session: Record = remote.get(&format!("/v1/sessions/{id}")).await?;
    let login = session.get("loginId").and_then(Value::as_str);
    of_login(remote, login.unwrap_or_default()).await
}

/// Answers have `loginId` where the trail has `login_id`. What a method called its attributes stays as it is.
fn record_of(answer: Record) -> Record {
    let members = answer.into_iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("svid", Value::Object(svid)) => Value::Object(record_of(svid)),
            (_, value) => value,
        };
        let mut own = String::with_capacity(name.len() + 2);
        for c in name.chars() {
            if c.is_ascii_uppercase() {
                own.push('_');
            }
            own.push(c.to_ascii_lowercase());
        }
        (own, value)
    });
    members.collect()
}
