//! Revocations and bans on the command line, beside a running service: what they print, what they leave in the store, and
//! what becomes of the node.

use assay_common::protocol::DenyCode;

use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::processes::text;
use crate::site::Site;

/// Runs a command that fails: its exit status and what it says.
fn refused(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let output = site.assay(arguments);
    assert_eq!(text(&output.stdout), "");
    (output.status.code(), text(&output.stderr).to_owned())
}

/// What a command prints for people.
fn told(site: &Site, arguments: &[&str]) -> String {
    text(&site.assay(arguments).stdout).to_owned()
}

fn me() -> String {
    let user = std::process::Command::new("id").arg("-un").output();
    format!("local:{}", text(&user.unwrap().stdout).trim())
}

#[test]
fn a_session_is_revoked_once_and_is_shown_as_revoked() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    let daemon = site.serve();
    let id = hex::encode(granted(site.login(&tpm)).session_id);
    let shown = site.json(&["session", "show", &id]);
    assert!(shown["revoked_at"].is_null() && shown["renewed_at"].is_null());
    let time = |name: &str| shown[name].as_str().unwrap().parse().unwrap();
    let (ends, due): (jiff::Timestamp, jiff::Timestamp) = (time("expires_at"), time("reattest_at"));
    assert!(ends < due, "{shown}");

    assert_eq!(site.json(&["session", "revoke", &id])["revoked"], id);
    let shown = site.json(&["session", "show", &id]);
    let revoked: jiff::Timestamp = shown["revoked_at"].as_str().unwrap().parse().unwrap();
    assert!(revoked < ends, "{shown}");
    let shown = told(&site, &["session", "show", &id]);
    assert!(
        shown.contains(&format!("\nrevoked:    {revoked}\n")),
        "{shown}"
    );
    let none = "none that lives; --all shows those that have ended\n";
    assert_eq!(told(&site, &["session", "list"]), none);
    assert_eq!(site.json(&["session", "list"]), serde_json::json!([]));
    let all = told(&site, &["session", "list", "--all"]);
    let line = all.lines().find(|line| line.starts_with(&id)).unwrap();
    assert!(line.contains(" revoked "), "{all}");
    let (status, said) = refused(&site, &["session", "revoke", &id]);
    assert_eq!(status, Some(1));
    let expected = format!(
        "error: there is no session {id} that lives\nhint: `assay session list` shows those that have not ended\n"
    );
    assert_eq!(said, expected);
    assert_eq!(refused(&site, &["session", "revoke", "xyz"]).0, Some(2));

    // A revocation is no ban.
    let again = hex::encode(granted(site.login(&tpm)).session_id);
    let listed = told(&site, &["session", "list"]);
    assert!(listed.contains(&again) && !listed.contains(&id), "{listed}");
    assert!(listed.contains("LOGIN DUE"), "{listed}");
    assert!(listed.contains(" active "), "{listed}");
    let all = told(&site, &["session", "list", "--all"]);
    assert!(all.contains(&again) && all.contains(&id), "{all}");
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[test]
fn a_banned_node_loses_its_sessions_and_does_not_log_in_until_the_ban_is_lifted() {
    let (tpm, other) = (FakeTpm::new(), FakeTpm::new());
    let site = Site::new(&[&tpm, &other]);
    let daemon = site.serve();
    let session = hex::encode(granted(site.login(&tpm)).session_id);
    let kept = hex::encode(granted(site.login(&other)).session_id);
    let ek = tpm.ek_hash();

    let banned = site.json(&["node", "ban", &ek, "--reason", " stolen from rack 7 "]);
    assert_eq!(banned["ek_hash"], ek);
    assert_eq!(banned["banned_by"], me());
    assert_eq!(banned["reason"], "stolen from rack 7");
    let nodes = site.json(&["node", "list"]);
    for node in nodes.as_array().unwrap() {
        let reason = &node["ban"]["reason"];
        match node["ek_hash"] == ek {
            true => assert_eq!(reason, "stolen from rack 7", "{nodes}"),
            false => assert!(node["ban"].is_null(), "{nodes}"),
        }
    }
    let listed = told(&site, &["node", "list"]);
    let state = |ek: &str| {
        let line = listed.lines().find(|line| line.starts_with(ek)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(
        (state(&ek).as_str(), state(&other.ek_hash()).as_str()),
        ("banned", "active")
    );
    assert!(!site.json(&["session", "show", &session])["revoked_at"].is_null());
    assert!(site.json(&["session", "show", &kept])["revoked_at"].is_null());
    let denied = site.login(&tpm);
    assert!(
        matches!(denied, Answer::Denied(DenyCode::REFUSED, _)),
        "{denied:?}"
    );

    let (status, said) = refused(&site, &["node", "ban", &ek, "--reason", "again"]);
    assert_eq!(
        (status, said.contains("is banned already")),
        (Some(1), true),
        "{said}"
    );
    assert_eq!(
        site.json(&["node", "bans"])[0],
        banned,
        "the first ban stays"
    );

    assert_eq!(site.json(&["node", "unban", &ek])["unbanned"], ek);
    assert_eq!(told(&site, &["node", "bans"]), "none\n");
    let (status, said) = refused(&site, &["node", "unban", &ek]);
    assert_eq!(
        (status, said.contains("is not banned")),
        (Some(1), true),
        "{said}"
    );
    granted(site.login(&tpm));
    assert!(
        !site.json(&["session", "show", &session])["revoked_at"].is_null(),
        "it stays ended"
    );
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[test]
fn a_ban_needs_a_hash_and_a_reason_and_no_node() {
    let tpm = FakeTpm::new();
    let site = Site::new(&[&tpm]);
    assert_eq!(site.serve().terminate().0.code(), Some(0));
    let ek = tpm.ek_hash();
    let long = "x".repeat(513);
    for (ek, reason, wrong) in [
        (
            ek.to_uppercase().as_str(),
            "stolen",
            "64 lower-case hex digits",
        ),
        (&ek[1..], "stolen", "64 lower-case hex digits"),
        (ek.as_str(), " ", "a reason of 1 to 512 bytes"),
        (ek.as_str(), long.as_str(), "a reason of 1 to 512 bytes"),
        (ek.as_str(), "two\nlines", "in one line"),
    ] {
        let (status, said) = refused(&site, &["node", "ban", ek, "--reason", reason]);
        assert_eq!((status, said.contains(wrong)), (Some(2), true), "{said}");
    }
    assert_eq!(
        refused(&site, &["node", "ban", &ek]).0,
        Some(2),
        "no reason"
    );
    assert_eq!(site.json(&["node", "bans"]).as_array().unwrap().len(), 0);

    site.json(&["node", "ban", &ek, "--reason", &long[1..]]);
    let bans = told(&site, &["node", "bans"]);
    assert!(bans.lines().nth(1).unwrap().starts_with(&ek), "{bans}");
    assert_eq!(told(&site, &["node", "list"]), "none\n");
    let daemon = site.serve();
    let denied = site.login(&tpm);
    assert!(
        matches!(denied, Answer::Denied(DenyCode::REFUSED, _)),
        "{denied:?}"
    );
    assert_eq!(daemon.terminate().0.code(), Some(0));
}
