//! What commands changed in the store is in the audit trail, with the service running and without.

use serde_json::{Value, json};

use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::processes::text;
use crate::site::Site;

fn acts(site: &Site) -> Vec<Value> {
    let listed = site.json(&["audit", "list", "--limit", "1000"]);
    let mut acts = listed.as_array().unwrap().clone();
    acts.retain(|record| record.get("action").is_some());
    acts.reverse();
    acts
}

/// Every command that changes something: its action and target, and what was changed by it.
fn change_everything(
    site: &Site,
    session: &str,
    ek: &str,
    digit: char,
) -> Vec<(&'static str, String)> {
    std::fs::write(site.path("one.yaml"), crate::clusters::one_hash(digit)).unwrap();
    let run = |arguments: &[&str]| site.json(arguments);
    let cluster = |verb: &str, rest: &[&str]| {
        run(&[&["config", verb, "cluster", "--id", "spare"], rest].concat());
    };
    let mut done = Vec::new();
    run(&["session", "revoke", session]);
    done.push(("session.revoke", format!("session {session}")));
    run(&["node", "ban", ek, "--reason", "stolen"]);
    done.push(("node.ban", format!("node {ek}")));
    run(&["node", "unban", ek]);
    done.push(("node.unban", format!("node {ek}")));
    run(&["node", "evict", ek]);
    done.push(("node.evict", format!("node {ek}")));
    let token = run(&["token", "create", "--role", "viewer", "--name", "ci"]);
    let id = token["id"].as_str().unwrap();
    done.push(("token.create", format!("token {id}")));
    run(&["token", "revoke", id]);
    done.push(("token.revoke", format!("token {id}")));
    cluster("set", &["one.yaml"]);
    done.push(("cluster.set", "cluster spare".to_owned()));
    cluster("set", &["one.yaml", "--dry-run"]);
    cluster("remove", &[]);
    done.push(("cluster.remove", "cluster spare".to_owned()));
    cluster("rollback", &["--to", "1"]);
    done.push(("cluster.rollback", "cluster spare".to_owned()));
    done
}

fn seen(acts: &[Value]) -> Vec<(&str, String)> {
    let of = |act: &Value, name: &str| act["target"][name].as_str().unwrap().to_owned();
    let seen = acts.iter().map(|act| {
        let target = format!("{} {}", of(act, "kind"), of(act, "id"));
        (act["action"].as_str().unwrap(), target)
    });
    seen.collect()
}

#[test]
fn each_command_that_changes_something_is_one_record_beside_a_service_and_without_one() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    let mut session = hex::encode(granted(site.login(&tpm)).session_id);
    let ek = tpm.ek_hash();
    let mut expected = change_everything(&site, &session, &ek, '1');
    assert_eq!(seen(&acts(&site)), expected);
    session = hex::encode(granted(site.login(&tpm)).session_id);
    assert_eq!(daemon.terminate().0.code(), Some(0));

    // Nobody writes the trail now: the command does.
    expected.extend(change_everything(&site, &session, &ek, '2'));
    let acts = acts(&site);
    assert_eq!(seen(&acts), expected);
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    for act in &acts {
        assert_eq!(
            (&act["outcome"], &act["link"]),
            (&json!("done"), &json!("cli"))
        );
        assert_eq!(act["actor"]["kind"], "command-line");
        assert_eq!(act["actor"]["id"], text(&id.stdout).trim());
    }
    let verified = site.json(&["audit", "verify"]);
    assert_eq!(verified["records"], expected.len() + 2);
    let notes = std::fs::read_dir(site.path("data/audit.notes")).unwrap();
    assert_eq!(notes.count(), 0, "nothing is left behind");
    let listed = text(&site.assay(&["audit", "list", "--limit", "1"]).stdout).to_owned();
    assert!(
        listed.contains("cluster.rollback") && listed.contains("command-line"),
        "{listed}"
    );

    // As events of Entity Management; the schema is checked beside the other export.
    let events = site.json(&["audit", "export"]);
    let events = events.as_array().unwrap();
    let of = |class: u64| {
        events
            .iter()
            .filter(move |event| event["class_uid"] == class)
    };
    assert_eq!((of(3002).count(), of(3004).count()), (2, expected.len()));
    of(3004).for_each(crate::audit_export::check_event);
    assert_eq!(
        site.serve().terminate().0.code(),
        Some(0),
        "the service goes on behind it"
    );
}

#[test]
fn a_note_that_was_left_is_recorded_at_the_next_start_and_what_is_none_is_put_aside() {
    let site = Site::new(&[&FakeTpm::new()]);
    assert_eq!(site.serve().terminate().0.code(), Some(0));
    let folder = site.path("data/audit.notes");
    std::fs::create_dir(&folder).unwrap();
    let note = |kind: &str| {
        json!({
            "time": "2026-01-01T00:00:00Z", "act_id": "00".repeat(8), "link": "cli", "outcome": "done", "action": "node.ban",
            "actor": {"kind": kind, "id": "0"}, "target": {"kind": "node", "id": "ab"},
        })
    };
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("1.json", &note("command-line").to_string());
    write("2.json", &note("token").to_string());
    write("3.json", "{\"outcome\":\"granted\"}");
    write("4.part", &note("command-line").to_string());
    write(
        "5.json",
        &format!("{}{}", note("command-line"), " ".repeat(20_000)),
    );

    let daemon = site.serve();
    let began = std::time::Instant::now();
    while ["1.json", "2.json", "3.json", "5.json"]
        .iter()
        .any(|name| folder.join(name).exists())
    {
        assert!(
            began.elapsed() < std::time::Duration::from_secs(20),
            "nobody takes them"
        );
        std::thread::yield_now();
    }
    let (status, _, log) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    let aside = log
        .iter()
        .filter(|line| line["msg"] == "Audit note refused");
    let aside: Vec<_> = aside.map(|line| line["name"].clone()).collect();
    assert_eq!(aside, ["2.json", "3.json", "5.json"]);
    let mut left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["2.refused", "3.refused", "4.part", "5.refused"]);
    assert_eq!(acts(&site).len(), 1);
}

#[test]
fn nothing_is_changed_where_no_record_can_be_left() {
    let site = Site::new(&[&FakeTpm::new()]);
    assert_eq!(site.serve().terminate().0.code(), Some(0));
    // A file where the folder of notes should be: nothing can be put into it.
    std::fs::write(site.path("data/audit.notes"), "").unwrap();
    let refused = site.assay(&["token", "create", "--role", "admin", "--name", "ci"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(text(&refused.stdout), "");
    let said = text(&refused.stderr);
    assert!(
        said.starts_with("error: nothing is changed: audit trail "),
        "{said}"
    );
    assert!(said.contains("\nhint: "), "{said}");
    assert_eq!(site.json(&["token", "list"]), json!([]));

    // A trail that was changed takes no records; the change is made by then, and the note is kept.
    std::fs::remove_file(site.path("data/audit.notes")).unwrap();
    std::fs::write(site.path("data/audit.jsonl"), "no record\n").unwrap();
    let untold = site.assay(&["token", "create", "--role", "admin", "--name", "ci"]);
    assert_eq!((untold.status.code(), text(&untold.stdout)), (Some(1), ""));
    let said = text(&untold.stderr);
    assert!(
        said.starts_with("error: it is done, but is not in the audit trail: "),
        "{said}"
    );
    let kept = std::fs::read_dir(site.path("data/audit.notes")).unwrap();
    assert_eq!(kept.count(), 1);
    std::fs::remove_file(site.path("data/audit.jsonl")).unwrap();
    site.json(&["token", "create", "--role", "viewer", "--name", "next"]);
    let acts = acts(&site);
    let seen: Vec<_> = acts.iter().map(|act| &act["detail"]).collect();
    assert_eq!(
        seen,
        ["ci: admin", "next: viewer"],
        "what was kept comes first"
    );
}
