//! Exported events, held against facts of the schema: `data/ocsf-1.2.0.json` is made from the schema's own files.

use std::collections::BTreeSet;

use assay_host_verifier::audit::ocsf;
use serde_json::{Map, Value, json};

use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::site::Site;

fn schema() -> Value {
    serde_json::from_str(include_str!("data/ocsf-1.2.0.json")).unwrap()
}

/// Everything that the schema says of an object's attributes.
fn check(schema: &Value, rules: &Value, object: &Value, place: &str) {
    let members = object
        .as_object()
        .unwrap_or_else(|| panic!("{place} is no object"));
    let attributes = rules["attributes"].as_object().unwrap();
    for (name, rule) in attributes {
        let missing = rule["requirement"] == "required" && !members.contains_key(name);
        assert!(!missing, "{place}.{name} is required");
    }
    if let Some(any) = rules["constraints"]["at_least_one"].as_array() {
        let there = any
            .iter()
            .any(|name| members.contains_key(name.as_str().unwrap()));
        assert!(there, "{place} needs one of {any:?}");
    }
    for (name, value) in members {
        let place = format!("{place}.{name}");
        let rule = attributes
            .get(name)
            .unwrap_or_else(|| panic!("{place} is not in the schema"));
        let kind = rule["type"].as_str().unwrap();
        if rule["is_array"] == true {
            assert!(value.is_array(), "{place}");
            continue;
        }
        match kind {
            "string_t" | "username_t" | "hostname_t" | "url_t" => {
                assert!(value.is_string(), "{place}: {value}")
            }
            "integer_t" | "long_t" | "timestamp_t" => assert!(value.is_u64(), "{place}: {value}"),
            "boolean_t" => assert!(value.is_boolean(), "{place}: {value}"),
            "object" => assert!(value.is_object(), "{place}: {value}"),
            object => check(schema, &schema["objects"][object], value, &place),
        }
        if let Some(names) = rule["enum"].as_object() {
            let caption = names.get(&value.to_string());
            let caption =
                caption.unwrap_or_else(|| panic!("{place}: {value} is not in the schema"));
            // The sibling of `x_id` is `x`, with the caption as its value unless it is Other.
            let sibling = name
                .strip_suffix("_id")
                .and_then(|name| members.get(name).or(members.get(&format!("{name}_name"))));
            if let Some(sibling) = sibling.filter(|_| value != 99) {
                assert_eq!(sibling, caption, "{place}");
            }
        }
    }
}

pub(crate) fn check_event(event: &Value) {
    let schema = schema();
    let classes = schema["classes"].as_array().unwrap();
    let class = classes
        .iter()
        .find(|class| class["class_uid"] == event["class_uid"]);
    let class = class.unwrap_or_else(|| panic!("no such class: {event}"));
    check(&schema, class, event, "event");
    assert_eq!(event["class_uid"], class["class_uid"]);
    assert_eq!(event["class_name"], class["class_name"]);
    assert_eq!(event["category_uid"], class["category_uid"]);
    let of = |name: &str| event[name].as_u64().unwrap();
    assert_eq!(of("type_uid"), of("class_uid") * 100 + of("activity_id"));
    assert_eq!(event["metadata"]["version"], schema["version"]);
}

#[test]
fn decisions_of_a_service_are_events_of_the_schema() {
    let (tpm, stranger) = (FakeTpm::new(), FakeTpm::new());
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    let opened = granted(site.login(&tpm));
    assert!(matches!(site.login(&stranger), Answer::Denied(..)));
    site.json(&["audit", "rotate"]);
    granted(site.login(&tpm));
    let text = site.assay(&["audit", "export", "--format", "ocsf"]);
    assert!(text.status.success(), "{text:?}");
    let text = String::from_utf8(text.stdout).unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 3, "also from a file that was closed");
    for event in &events {
        check_event(event);
    }

    let (logon, refused) = (&events[0], &events[1]);
    assert_eq!(
        (&logon["activity_name"], &logon["status"]),
        (&json!("Logon"), &json!("Success"))
    );
    assert_eq!(logon["session"]["uid"], hex::encode(opened.session_id));
    assert_eq!(logon["user"]["name"], opened.spiffe_id);
    assert_eq!(logon["user"]["domain"], "example.org");
    assert_eq!(logon["user"], logon["actor"]["user"]);
    assert_eq!(logon["device"]["uid"], tpm.ek_hash());
    assert_eq!(logon["unmapped"]["cluster"], "lab");
    assert_eq!(logon["metadata"]["sequence"], 1);
    assert_eq!(
        (&refused["status"], &refused["status_code"]),
        (&json!("Failure"), &json!("refused"))
    );
    assert_eq!(refused["severity"], "Medium");
    assert!(
        refused["status_detail"]
            .as_str()
            .unwrap()
            .contains("tpm_ek failed")
    );
    assert!(refused.get("session").is_none() && refused.get("device").is_none());
    // The time is the decision's, in milliseconds.
    let time: jiff::Timestamp = logon["metadata"]["original_time"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(logon["time"], time.as_millisecond());
    // Megabytes of evidence stay where they are.
    assert!(!text.contains("base64") && !text.contains(&hex::encode(opened.secret)));

    let sequences = |arguments: &[&str]| {
        let events = site.json(&[&["audit", "export"], arguments].concat());
        let events = events.as_array().unwrap().clone();
        events
            .iter()
            .map(|event| event["metadata"]["sequence"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(sequences(&["--from", "2"]), [2, 3]);
    let since = events[2]["metadata"]["original_time"].as_str().unwrap();
    assert_eq!(sequences(&["--since", since]), [3]);
    assert_eq!(
        sequences(&["--since", "2100-01-01T00:00:00Z"]),
        Vec::<u64>::new()
    );
    let both = site.assay(&["audit", "export", "--from", "1", "--since", since]);
    assert_eq!(both.status.code(), Some(2));
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[test]
fn every_outcome_has_an_event_and_what_is_no_decision_has_none() {
    let record = |members: Value| -> Map<String, Value> { members.as_object().unwrap().clone() };
    let base = json!({"v": 1, "seq": 7, "prev": "00", "time": "2026-05-01T00:00:00Z", "login_id": "aa", "link": "desk"});
    let mut seen = BTreeSet::new();
    for outcome in ["granted", "denied", "revoked", "renewed", "banned"] {
        let mut members = record(base.clone());
        members.insert("outcome".to_owned(), outcome.into());
        members.insert("ek_hash".to_owned(), "ab".into());
        let event = ocsf::event(&members).unwrap();
        check_event(&event);
        assert_eq!(event["status_id"], if outcome == "denied" { 2 } else { 1 });
        seen.insert((
            event["activity_id"].as_u64().unwrap(),
            event["activity_name"].as_str().unwrap().to_owned(),
        ));
    }
    let seen: Vec<_> = seen.iter().map(|(id, name)| (*id, name.as_str())).collect();
    assert_eq!(
        seen,
        [(1, "Logon"), (2, "Logoff"), (99, "banned"), (99, "renewed")]
    );

    let mut anchor = record(base.clone());
    anchor.insert("outcome".to_owned(), "removed".into());
    anchor.insert("anchor".to_owned(), "1:00".into());
    assert_eq!(ocsf::event(&anchor), None);
    assert_eq!(ocsf::event(&record(base)), None);
}

#[test]
fn every_act_has_an_event_of_its_kind() {
    let mut seen = Vec::new();
    for action in [
        "token.create",
        "token.revoke",
        "session.revoke",
        "node.ban",
        "node.unban",
        "node.evict",
        "node.unbind",
        "cluster.set",
        "cluster.rollback",
        "cluster.remove",
        "DELETE /v1/tokens/{id}",
    ] {
        for outcome in ["done", "refused", "failed"] {
            let record = json!({
                "v": 1, "seq": 7, "prev": "00", "time": "2026-05-01T00:00:00Z", "act_id": "aa", "link": "https:192.0.2.1",
                "outcome": outcome, "action": action, "code": "role-too-small", "detail": "stolen", "unrecorded": 3,
                "actor": {"kind": "token", "id": "0011", "name": "ci", "role": "operator"},
                "target": {"kind": "node", "id": "3f1b"},
            });
            let event = ocsf::event(record.as_object().unwrap()).unwrap();
            check_event(&event);
            assert_eq!(event["status_id"], if outcome == "done" { 1 } else { 2 });
            assert_eq!(
                event["actor"]["user"],
                json!({"type": "User", "type_id": 1, "uid": "0011", "name": "ci"})
            );
            assert_eq!(event["entity"], json!({"type": "node", "uid": "3f1b"}));
            assert_eq!(
                (&event["comment"], &event["status_code"]),
                (&json!("stolen"), &json!("role-too-small"))
            );
            assert_eq!(event["unmapped"]["unrecorded"], 3);
            assert_eq!(event["metadata"]["sequence"], 7);
            seen.push(event["activity_id"].as_u64().unwrap());
        }
    }
    seen.dedup();
    assert_eq!(seen, [1, 4, 3, 4, 3, 4, 99]);
}

#[test]
fn the_check_finds_what_the_schema_does_not_allow() {
    let mut members = Map::new();
    for (name, value) in [
        ("outcome", "denied"),
        ("time", "2026-05-01T00:00:00Z"),
        ("code", "expired"),
    ] {
        members.insert(name.to_owned(), value.into());
    }
    let good = ocsf::event(&members).unwrap();
    check_event(&good);
    assert_eq!(good["user"]["name"], "unidentified node");
    let spoils: [(&str, Value); 6] = [
        ("user", Value::Null),
        ("severity_id", 42.into()),
        ("status", "Success".into()),
        ("time", "now".into()),
        ("type_uid", 300_299.into()),
        ("cluster", "lab".into()),
    ];
    for (name, value) in spoils {
        let mut spoilt = good.clone();
        spoilt[name] = value;
        let found = std::panic::catch_unwind(|| check_event(&spoilt));
        assert!(found.is_err(), "{name}");
    }
}
