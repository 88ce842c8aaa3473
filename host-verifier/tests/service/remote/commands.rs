//! What commands say and do.

use assay_common::policy::AttestorKind;
use assay_host_verifier::store::{
    Commit, FirstUse, MeasuredBoot as _, NodeBoot, SQLITE_FILE, SqliteStore, Store as _,
    first_use_hash,
};
use serde_json::{Value, json};

use super::Office;
use crate::agent::Answer;
use crate::clusters::{issuance, one_hash};
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::processes::text;

#[test]
fn commands_say_the_same_over_the_api_as_beside_the_store() {
    let (tpm, other, stranger) = (FakeTpm::new(), FakeTpm::new(), FakeTpm::new());
    let office = Office::new(&[&tpm, &other]);
    let session = hex::encode(granted(office.site.login(&tpm)).session_id);
    granted(office.site.login(&other));
    assert!(matches!(office.site.login(&stranger), Answer::Denied(..)));
    for (name, document) in [
        ("one.yaml", one_hash('1')),
        ("two.yaml", one_hash('2')),
        ("path.yaml", issuance("/n/{{tpm_ek.public_hash}}")),
    ] {
        std::fs::write(office.site.path(name), document).unwrap();
    }
    for arguments in [
        &[
            "config",
            "set",
            "cluster",
            "--id",
            "spare",
            "one.yaml",
            "path.yaml",
            "--comment",
            "as agreed",
        ][..],
        &["config", "set", "cluster", "--id", "spare", "two.yaml"],
        &[
            "node",
            "ban",
            &other.ek_hash(),
            "--reason",
            "stolen from rack 7",
        ],
        &[
            "token", "create", "--role", "viewer", "--name", "ci", "--ttl", "90d",
        ],
        &[
            "join-token",
            "create",
            "--cluster",
            "lab",
            "--bind",
            "tpm_ek.public_hash=3f",
            "--comment",
            "rack 7",
        ],
    ] {
        assert!(office.beside(arguments).status.success(), "{arguments:?}");
    }
    let (node, banned) = (tpm.ek_hash(), other.ek_hash());
    let (unknown, nowhere) = ("ab".repeat(16), "ab".repeat(32));
    let spare = ["cluster", "--id", "spare"];
    let config =
        |verb: &'static str, rest: &[&'static str]| [&["config", verb], &spare[..], rest].concat();
    let commands: Vec<Vec<&str>> = vec![
        vec!["session", "list"],
        vec!["session", "list", "--limit", "1"],
        vec!["session", "show", &session],
        vec!["session", "show", &unknown],
        vec!["session", "revoke", &unknown],
        vec!["node", "list"],
        vec!["node", "show", &node],
        vec!["node", "show", &banned],
        vec!["node", "show", &nowhere],
        vec!["node", "bans"],
        vec!["node", "unban", &nowhere],
        vec!["join-token", "list"],
        vec!["join-token", "revoke", "none"],
        vec!["token", "list"],
        vec!["token", "revoke", "none"],
        vec!["config", "list", "clusters"],
        vec!["config", "list", "clusters", "--after", "lab"],
        config("get", &[]),
        config("get", &["--section", "AgentAttestation"]),
        config("get", &["--section", "AgentAttestation", "--version", "1"]),
        config("get", &["--version", "9"]),
        config("history", &[]),
        config("history", &["--limit", "1"]),
        config(
            "history",
            &["--before", "2", "--section", "SVIDIssuancePolicy"],
        ),
        config("diff", &["--from", "1"]),
        config("diff", &["--from", "1", "--to", "2"]),
        vec!["config", "get", "cluster", "--id", "nobody"],
        vec!["bundle", "show"],
        vec!["bundle", "show", "--format", "spiffe"],
        vec!["bundle", "show", "--format", "pem"],
        vec!["bundle", "show", "--format", "jwks"],
        vec!["audit", "list"],
        vec!["audit", "list", "--limit", "2"],
        vec!["audit", "export"],
        vec!["audit", "export", "--from", "3"],
        vec!["policy", "explain", "--session", &session],
        vec![
            "policy",
            "explain",
            "--session",
            &session,
            "--policy",
            "one.yaml",
        ],
    ];
    for command in commands {
        for form in [&[][..], &["--json"]] {
            // A bundle is what it is; the two options do not go together.
            if form == ["--json"] && command.contains(&"--format") {
                continue;
            }
            let command = [command.as_slice(), form].concat();
            let (beside, over) = (office.beside(&command), office.over(&command));
            assert_eq!(
                beside.status.code(),
                over.status.code(),
                "{command:?}: {over:?}"
            );
            if beside.status.success() {
                assert_eq!(text(&beside.stdout), text(&over.stdout), "{command:?}");
                assert!(beside.stdout.len() > 4, "{command:?} says something");
            } else {
                let told = text(&over.stderr);
                assert!(
                    told.starts_with("error: ") && told.contains("\nhint: "),
                    "{told}"
                );
                let path = told.contains("/v1/");
                assert!(!path || told.contains("`assay "), "a path alone: {told}");
            }
        }
    }
    // There is a TPM quote in it, which is judged again here.
    let again = office.json(&[
        "policy",
        "explain",
        "--session",
        &session,
        "--policy",
        "one.yaml",
    ]);
    assert_eq!(again["again"]["granted"], false);
    let again = office.json(&[
        "policy",
        "explain",
        "--session",
        &session,
        "--policy",
        "lab.yaml",
    ]);
    assert_eq!(again["again"]["granted"], true);
    office.service.stop();
}

#[test]
fn what_is_changed_over_the_api_is_changed_and_recorded_as_the_tokens_doing() {
    let tpm = FakeTpm::new();
    let office = Office::new(&[&tpm]);
    let session = hex::encode(granted(office.site.login(&tpm)).session_id);
    let ek = tpm.ek_hash();
    std::fs::write(office.site.path("one.yaml"), one_hash('1')).unwrap();
    std::fs::write(
        office.site.path("wrong.yaml"),
        one_hash('2').replace("rack", "\"\""),
    )
    .unwrap();
    std::fs::write(
        office.site.path("path.yaml"),
        issuance("/n/{{tpm_ek.public_hash}}"),
    )
    .unwrap();

    assert_eq!(
        office.json(&["session", "revoke", &session])["revoked"],
        session
    );
    assert_eq!(office.json(&["session", "list"]), json!([]));
    let banned = office.json(&["node", "ban", &ek, "--reason", " stolen "]);
    assert_eq!(
        (&banned["ek_hash"], &banned["reason"]),
        (&json!(ek), &json!("stolen"))
    );
    assert!(
        banned["banned_by"].as_str().unwrap().starts_with("token "),
        "{banned}"
    );
    assert_eq!(office.site.json(&["node", "bans"])[0], banned);
    let refused = office.over(&["node", "ban", &ek, "--reason", "again"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("hint: `assay node bans`"),
        "{refused:?}"
    );
    assert_eq!(
        office
            .over(&["node", "ban", &ek, "--reason", " "])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(office.json(&["node", "unban", &ek])["unbanned"], ek);
    assert_eq!(office.json(&["node", "evict", &ek])["evicted"], ek);
    assert_eq!(office.json(&["node", "list"]), json!([]));

    let made = office.json(&[
        "token", "create", "--role", "viewer", "--name", "ci", "--ttl", "1h",
    ]);
    let (token, id) = (
        made["token"].as_str().unwrap(),
        made["id"].as_str().unwrap(),
    );
    std::fs::write(office.site.path("ci"), format!("{token}\n")).unwrap();
    let access = [
        "--server",
        &office.url,
        "--token-file",
        "ci",
        "--ca",
        "ca.crt",
    ];
    let by_ci = |arguments: &[&str]| office.bare(&[arguments, &access].concat(), &[]);
    assert!(by_ci(&["node", "list"]).status.success());
    let refused = by_ci(&["token", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("this needs the role admin"),
        "{refused:?}"
    );
    let revoked = office.json(&["token", "revoke", id]);
    assert_eq!(revoked, json!({"revoked": id, "name": "ci"}));
    assert_eq!(by_ci(&["node", "list"]).status.code(), Some(1));

    let cluster = |verb: &str, rest: &[&str]| {
        office.over(
            &[
                &["config", verb, "cluster", "--id", "spare"],
                rest,
                &["--json"],
            ]
            .concat(),
        )
    };
    let told = |verb: &str, rest: &[&str]| -> Value {
        let output = cluster(verb, rest);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(told("set", &["one.yaml", "--dry-run"])["version"], 1);
    assert_eq!(cluster("get", &[]).status.code(), Some(1), "a trial");
    assert_eq!(
        told(
            "set",
            &[
                "one.yaml",
                "path.yaml",
                "--expect",
                "0",
                "--comment",
                "as agreed"
            ]
        )["version"],
        1
    );
    assert_eq!(told("set", &["one.yaml"])["changed"], false);
    assert_eq!(
        cluster("set", &["path.yaml", "--expect", "0"])
            .status
            .code(),
        Some(1)
    );
    let wrong = cluster("set", &["wrong.yaml"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        text(&wrong.stderr).starts_with("error: wrong.yaml:5:11: policy without a name\nhint: "),
        "{wrong:?}"
    );
    let removed = told(
        "remove",
        &[
            "--section",
            "AgentAttestation",
            "--section",
            "SVIDIssuancePolicy",
            "--comment",
            "a & b",
        ],
    );
    assert_eq!(
        (
            &removed["version"],
            removed["sections"].as_array().unwrap().len()
        ),
        (&json!(2), 2)
    );
    assert_eq!(
        told("rollback", &["--to", "1", "--section", "AgentAttestation"])["version"],
        3
    );
    let history = office
        .site
        .json(&["config", "history", "cluster", "--id", "spare"]);
    let said: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["comment"])
        .collect();
    assert_eq!(said, ["", "a & b", "a & b", "as agreed", "as agreed"]);
    assert!(history[0]["author"].as_str().unwrap().starts_with("token "));

    let listed = office.json(&["audit", "list"]);
    let mut acts: Vec<_> = listed.as_array().unwrap().iter().collect();
    acts.retain(|act| act["actor"]["kind"] == "token" && act["outcome"] == "done");
    let acts: Vec<_> = acts
        .iter()
        .rev()
        .map(|act| act["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        acts,
        [
            "session.revoke",
            "node.ban",
            "node.unban",
            "node.evict",
            "token.create",
            "token.revoke",
            "cluster.set",
            "cluster.remove",
            "cluster.rollback"
        ]
    );
    assert!(!office.service.stop().contains(token));
}

/// An instance that its first login has bound, as the service would store it.
fn bind(office: &Office, number: u8, identity: &str) {
    let mut record = crate::stores::login(number, "instance");
    record.first_uses.push(FirstUse {
        method: AttestorKind::AWS_IID,
        identity: first_use_hash(identity),
        key: [7; 32],
        held: true,
        binds: true,
    });
    in_store(office, async |store| {
        let stored = store.commit_login(&record).await.unwrap();
        assert_eq!(stored, Commit::Stored);
    });
}

/// What the service has in its store, done by itself.
fn in_store(office: &Office, act: impl AsyncFnOnce(&SqliteStore)) {
    let path = office.site.path("data").join(SQLITE_FILE);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&path).await.unwrap();
        act(&store).await;
        store.close().await;
    });
}

#[test]
fn the_boots_of_a_node_are_forgotten_and_nothing_else_of_it() {
    let office = Office::new(&[&FakeTpm::new()]);
    let node = "ab".repeat(32);
    let forget = ["node", "forget-boots", &node];
    let over = |arguments: &[&str]| office.json(arguments);
    let beside = |arguments: &[&str]| office.site.json(arguments);
    for json in [&over as &dyn Fn(&[&str]) -> Value, &beside] {
        let boot = NodeBoot {
            counter: 7,
            reset_count: 5,
            witness: [1; 32],
        };
        in_store(&office, async |store| {
            store.note_boot(&node, &boot).await.unwrap();
        });
        assert_eq!(json(&forget), json!({"forgotten": node}));
    }
    for refused in [office.over(&forget), office.beside(&forget)] {
        let told = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{told}");
        let what = format!("no boot of node {node} is noted");
        assert!(
            told.contains(&what) && told.contains("hint: only nodes that log in with an event log"),
            "{told}"
        );
    }
}

#[test]
fn an_instance_is_shown_and_unbound_by_what_its_method_calls_it() {
    let office = Office::new(&[&FakeTpm::new()]);
    let instance = "aws:aws:123456789012:eu-west-1:i-0123456789abcdef0";
    let whom = format!("aws_iid={instance}");
    let (show, evict) = (
        ["node", "show", "--identity", &whom],
        ["node", "evict", "--identity", &whom],
    );
    let over = |arguments: &[&str]| office.json(arguments);
    let beside = |arguments: &[&str]| office.site.json(arguments);
    for (number, json) in [(1, &over as &dyn Fn(&[&str]) -> Value), (2, &beside)] {
        bind(&office, number, instance);
        let shown = json(&show);
        assert_eq!(
            (&shown["method"], &shown["identity"]),
            (&json!("aws_iid"), &json!(instance))
        );
        assert_eq!(shown["bound"]["node"], "instance");
        assert_eq!(shown["bound"]["key"], "07".repeat(32));
        assert_eq!(shown["ban"], Value::Null);
        assert_eq!(json(&evict), json!({"evicted": whom}));
    }
    // What is not bound can be banned, and is shown so.
    for refused in [
        office.over(&show),
        office.over(&evict),
        office.beside(&show),
        office.beside(&evict),
    ] {
        let told = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(
            told.contains(&format!("no key is bound to {whom}")),
            "{told}"
        );
        assert!(
            told.contains("hint: only policies with `tofu` bind"),
            "{told}"
        );
    }
    let ban = ["node", "ban", "--identity", &whom, "--reason", "stolen"];
    office.json(&ban);
    for shown in [over(&show), beside(&show)] {
        assert_eq!(shown["bound"], Value::Null);
        assert_eq!(shown["ban"]["reason"], format!("{whom}: stolen"));
    }
    let listed = office.json(&["audit", "list"]);
    let acts = listed.as_array().unwrap().iter();
    let unbound = acts.filter(|act| act["action"] == "node.unbind");
    let unbound: Vec<_> = unbound
        .map(|act| (&act["target"]["id"], &act["detail"]))
        .collect();
    assert_eq!(unbound, [(&json!("instance"), &json!(whom)); 2]);
}
