//! Records as events of the Open Cybersecurity Schema Framework, version 1.2.0: class Authentication (3002) for what nodes
//! ask for, Entity Management (3004, `acts`) for what operators do.
//!
//! ```text
//!   outcome granted          Logon, Success
//!   outcome denied           Logon, Failure; status_code is the category, status_detail why
//!   outcome revoked          Logoff
//!   anything else decided    Other, with its own name
//!   what is no decision      nothing (files that retention removed)
//! ```
//!
//! The node is the user, the device and the actor. What the schema has no place for is in `unmapped`, with the number and
//! chain of the record, so that an event leads back to the trail. The evidence stays there, and what a renewal was judged by.

mod acts;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Version of the schema.
pub const VERSION: &str = "1.2.0";
/// The class: Authentication.
pub const CLASS: u64 = 3002;

const CATEGORY: u64 = 3;

/// What a record's outcome is in the schema.
struct Activity {
    id: u64,
    name: String,
    succeeded: bool,
}

fn activity(outcome: &str) -> Activity {
    let (id, name) = match outcome {
        "granted" | "denied" => (1, "Logon"),
        "revoked" => (2, "Logoff"),
        other => (99, other),
    };
    Activity {
        id,
        name: name.to_owned(),
        succeeded: outcome != "denied",
    }
}

/// The event of a record, or `None` for what is no decision.
#[must_use]
pub fn event(record: &Map<String, Value>) -> Option<Value> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let outcome = text("outcome")?;
    if record.contains_key("anchor") {
        return None;
    }
    if record.contains_key("action") {
        return acts::event(record);
    }
    let Activity {
        id,
        name,
        succeeded,
    } = activity(outcome);
    let spiffe_id = text("spiffe_id");
    let trust_domain = spiffe_id
        .and_then(|id| id.strip_prefix("spiffe://"))
        .and_then(|rest| rest.split('/').next());
    let time: Option<Timestamp> = text("time").and_then(|time| time.parse().ok());
    let (severity_id, severity) = severity(succeeded, text("code"));
    let node = user(text("ek_hash"), spiffe_id, trust_domain);
    let mut event = json!({
        "activity_id": id,
        "activity_name": name,
        "actor": {"user": node},
        "auth_protocol": "Assay attestation",
        "auth_protocol_id": 99,
        "category_name": "Identity & Access Management",
        "category_uid": CATEGORY,
        "class_name": "Authentication",
        "class_uid": CLASS,
        "is_remote": true,
        "logon_type": "Network",
        "logon_type_id": 3,
        "message": message(outcome, spiffe_id, text("detail")),
        "metadata": metadata(record, &["host"]),
        "service": {"name": "assayd"},
        "severity": severity,
        "severity_id": severity_id,
        "status": if succeeded { "Success" } else { "Failure" },
        "status_id": if succeeded { 1 } else { 2 },
        "time": time.map_or(0, Timestamp::as_millisecond),
        "type_name": format!("Authentication: {name}"),
        "type_uid": CLASS * 100 + id,
        "user": node,
    });
    let mut put = |within: &str, name: &str, value: Option<Value>| {
        if let (Some(value), Some(object)) = (value, event.pointer_mut(within)) {
            set(object, name, value);
        }
    };
    let string = |name: &str| text(name).map(Value::from);
    put("/metadata", "correlation_uid", string("login_id"));
    put("", "status_code", string("code"));
    put("", "status_detail", string("detail"));
    let link = text("link").map(|link| json!({"name": link}));
    put("", "src_endpoint", link);
    let device = text("ek_hash").map(|hash| json!({"type": "Other", "type_id": 99, "uid": hash}));
    put("", "device", device);
    put("/service", "uid", trust_domain.map(Value::from));
    let session = text("session_id").map(|id| {
        let mut session = json!({"uid": id, "is_remote": true});
        if let Some(domain) = trust_domain {
            set(&mut session, "issuer", format!("spiffe://{domain}"));
        }
        if let (1, Some(time)) = (id_of(outcome), time) {
            set(&mut session, "created_time", time.as_millisecond());
        }
        session
    });
    put("", "session", session);
    put("", "unmapped", Some(unmapped(record, &MAPPED)));
    Some(event)
}

fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

fn id_of(outcome: &str) -> u64 {
    activity(outcome).id
}

/// A proof that was refused is looked at; what a node could not help is not.
const fn severity(succeeded: bool, code: Option<&str>) -> (u64, &'static str) {
    match (succeeded, code) {
        (true, _) => (1, "Informational"),
        (false, Some(code)) if matches!(code.as_bytes(), b"refused") => (3, "Medium"),
        (false, _) => (2, "Low"),
    }
}

fn user(ek_hash: Option<&str>, spiffe_id: Option<&str>, trust_domain: Option<&str>) -> Value {
    let mut user = json!({"type": "System", "type_id": 3});
    let named = spiffe_id.or((ek_hash.is_none()).then_some("unidentified node"));
    for (name, value) in [("uid", ek_hash), ("name", named), ("domain", trust_domain)] {
        if let Some(value) = value {
            set(&mut user, name, value);
        }
    }
    user
}

fn message(outcome: &str, spiffe_id: Option<&str>, detail: Option<&str>) -> String {
    match (spiffe_id, detail) {
        (Some(id), _) => format!("login {outcome}: {id}"),
        (None, Some(detail)) => format!("login {outcome}: {detail}"),
        (None, None) => format!("login {outcome}"),
    }
}

/// What an authentication's event has places for, and the evidence.
const MAPPED: [&str; 12] = [
    "v",
    "time",
    "login_id",
    "link",
    "outcome",
    "code",
    "detail",
    "spiffe_id",
    "session_id",
    "ek_hash",
    "evidence",
    "judged_by",
];

/// What every event says of its record.
fn metadata(record: &Map<String, Value>, profiles: &[&str]) -> Value {
    let mut metadata = json!({
        "log_name": "audit",
        "product": {"name": "Assay", "vendor_name": "Assay", "version": env!("CARGO_PKG_VERSION"), "feature": {"name": "assayd"}},
        "version": VERSION,
    });
    if !profiles.is_empty() {
        set(&mut metadata, "profiles", profiles);
    }
    if let Some(time) = record.get("time").filter(|time| time.is_string()) {
        set(&mut metadata, "original_time", time.clone());
    }
    if let Some(seq) = record.get("seq") {
        set(&mut metadata, "sequence", seq.clone());
        set(&mut metadata, "uid", format!("audit:{seq}"));
    }
    metadata
}

/// What the schema has no place for.
fn unmapped(record: &Map<String, Value>, mapped: &[&str]) -> Value {
    let left = record
        .iter()
        .filter(|(name, _)| !mapped.contains(&name.as_str()));
    Value::Object(
        left.map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}
