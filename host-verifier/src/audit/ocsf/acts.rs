//! What operators did, as events of the class Entity Management (3004).
//!
//! ```text
//!   ….create                                Create
//!   ….set, .rollback, .ban, .unban, .unbind  Update
//!   ….revoke, .remove, .evict                Delete
//!   anything else                            Other, with the action's name
//! ```
//!
//! The operator is the actor's user, by the token's id, the certificate's name or the user id; what it was done to is the entity.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{CATEGORY, metadata, set, unmapped};

/// The class: Entity Management.
const CLASS: u64 = 3004;

const MAPPED: [&str; 9] = [
    "v", "time", "act_id", "link", "outcome", "code", "detail", "actor", "target",
];

fn activity(action: &str) -> (u64, &str) {
    match action.rsplit_once('.').map(|(_, verb)| verb) {
        Some("create") => (1, "Create"),
        Some("set" | "rollback" | "ban" | "unban" | "unbind") => (3, "Update"),
        Some("revoke" | "remove" | "evict") => (4, "Delete"),
        _ => (99, action),
    }
}

/// The event of an act, or `None` for what is none.
pub(super) fn event(record: &Map<String, Value>) -> Option<Value> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let (outcome, action) = (text("outcome")?, text("action")?);
    let (id, name) = activity(action);
    let time: Option<Timestamp> = text("time").and_then(|time| time.parse().ok());
    let done = outcome == "done";
    let (severity_id, severity) = match outcome {
        "done" => (1, "Informational"),
        "refused" => (3, "Medium"),
        _ => (2, "Low"),
    };
    let member = |object: &str, name: &str| {
        let object = record.get(object)?;
        object.get(name).and_then(Value::as_str)
    };
    let who = member("actor", "id").unwrap_or("unknown");
    let (kind, target) = (member("target", "kind"), member("target", "id"));
    let mut event = json!({
        "activity_id": id,
        "activity_name": name,
        "actor": {"user": user(who, &member)},
        "category_name": "Identity & Access Management",
        "category_uid": CATEGORY,
        "class_name": "Entity Management",
        "class_uid": CLASS,
        "entity": {"type": kind.unwrap_or("unknown"), "uid": target.unwrap_or("unknown")},
        "message": format!("{action} {outcome}: {} by {who}", target.unwrap_or("-")),
        "metadata": metadata(record, &[]),
        "severity": severity,
        "severity_id": severity_id,
        "status": if done { "Success" } else { "Failure" },
        "status_id": if done { 1 } else { 2 },
        "time": time.map_or(0, Timestamp::as_millisecond),
        "type_name": format!("Entity Management: {name}"),
        "type_uid": CLASS * 100 + id,
        "unmapped": unmapped(record, &MAPPED),
    });
    if let Some(id) = text("act_id")
        && let Some(metadata) = event.get_mut("metadata")
    {
        set(metadata, "correlation_uid", id);
    }
    if let Some(kind) = member("actor", "kind")
        && let Some(unmapped) = event.get_mut("unmapped")
    {
        set(unmapped, "credential", kind);
    }
    for (place, name) in [("status_code", "code"), ("comment", "detail")] {
        if let Some(value) = text(name) {
            set(&mut event, place, value);
        }
    }
    if let Some(link) = text("link") {
        set(&mut event, "src_endpoint", json!({"name": link}));
    }
    Some(event)
}

fn user<'a>(id: &str, member: &impl Fn(&str, &str) -> Option<&'a str>) -> Value {
    let role = member("actor", "role");
    // Who runs commands beside the store may do everything.
    let admin = role == Some("admin") || member("actor", "kind") == Some("command-line");
    let mut user = match admin {
        true => json!({"type": "Admin", "type_id": 2}),
        false => json!({"type": "User", "type_id": 1}),
    };
    set(&mut user, "uid", id);
    if let Some(name) = member("actor", "name") {
        set(&mut user, "name", name);
    }
    user
}
