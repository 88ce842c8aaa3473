//! True `assayd` processes on a true PostgreSQL: two on one database, one that is killed, and a database that goes away.

use std::time::{Duration, Instant};

use assay_common::protocol::DenyCode;
use sqlx::Connection;

use crate::agent::Answer;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::postgres::{self, Database, Server};
use crate::processes::{assayd, text};
use crate::site::Site;

fn site(tpm: &FakeTpm, database: &Database<'_>) -> Site {
    let url = database.url();
    Site::with(
        &[tpm],
        &format!("datastore:\n  postgres:\n    url: {url}\n    maxConnections: 4\n"),
    )
}

/// Replicas have one challenge key: nodes pin it.
pub(crate) fn share_key(from: &Site, to: &Site) {
    std::fs::create_dir(to.path("data")).unwrap();
    for site in [from, to] {
        assert!(site.path("data").exists());
    }
    let key = "data/challenge-key.p8";
    std::fs::copy(from.path(key), to.path(key)).unwrap();
}

#[test]
fn two_replicas_serve_one_fleet() {
    let database = postgres::database();
    let mut tpm = FakeTpm::new();
    let (one, other) = (site(&tpm, &database), site(&tpm, &database));
    let first = one.serve();
    share_key(&one, &other);
    let second = other.serve();
    assert_eq!(
        one.json(&["bundle", "show"]),
        other.json(&["bundle", "show"])
    );

    let opened = granted(one.login(&tpm));
    let id = hex::encode(opened.session_id);
    assert_eq!(other.json(&["session", "list"])[0]["id"], id);
    assert_eq!(
        other.json(&["node", "list"])[0]["ek_hash"],
        tpm.ek_hash().as_str()
    );
    let stored = database.sql("SELECT string_agg(s::text, '') FROM sessions s");
    assert!(stored.contains(&id), "{stored}");
    assert!(!stored.contains(&hex::encode(opened.secret)), "the secret");

    tpm.reset_count -= 1;
    assert!(matches!(
        other.login(&tpm),
        Answer::Denied(DenyCode::REFUSED, _)
    ));
    other.json(&["node", "evict", &tpm.ek_hash()]);
    assert_eq!(one.json(&["session", "list"]), serde_json::json!([]));
    granted(other.login(&tpm));
    assert_eq!(one.json(&["session", "list"]).as_array().unwrap().len(), 1);

    for daemon in [first, second] {
        let (status, _, log) = daemon.terminate();
        assert_eq!(status.code(), Some(0), "{log:?}");
    }
    assert!(
        !one.path("data/assay.sqlite").exists(),
        "one store, not two"
    );
}

#[test]
fn a_replica_killed_at_any_statement_leaves_nothing_half_written() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for table in [
        "LOCK TABLE answered_challenges IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE",
        // The node's row can be written before the session's; reading is free until then.
        "LOCK TABLE nodes IN SHARE MODE",
        "LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE",
    ] {
        let database = postgres::database();
        let tpm = FakeTpm::new();
        let (site, other) = (site(&tpm, &database), site(&tpm, &database));
        let mut daemon = site.serve();
        share_key(&site, &other);
        let mut holder = runtime.block_on(database.connect());
        let mut tx = runtime.block_on(holder.begin()).unwrap();
        runtime
            .block_on(sqlx::query(table).execute(&mut *tx))
            .unwrap();
        std::thread::scope(|scope| {
            let login = scope.spawn(|| {
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| site.login(&tpm)))
            });
            database.wait_for_a_waiter();
            daemon.process.kill().unwrap();
            daemon.process.wait().unwrap();
            let answer = login.join().unwrap();
            assert!(answer.is_err(), "{table}: the node heard an answer");
        });
        runtime.block_on(tx.rollback()).unwrap();
        wait_until(
            &database,
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'assayd' AND datname = current_database()",
        );
        assert_eq!(database.sql("SELECT count(*) FROM nodes"), "0", "{table}");
        assert_eq!(
            database.sql("SELECT count(*) FROM sessions"),
            "0",
            "{table}"
        );

        let replica = other.serve();
        granted(other.login(&tpm));
        assert_eq!(replica.terminate().0.code(), Some(0));
    }
}

fn wait_until(database: &Database<'_>, sql: &str) {
    let began = Instant::now();
    while database.sql(sql) != "t" {
        assert!(began.elapsed() < Duration::from_secs(20), "{sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_database_that_goes_away_denies_logins_until_it_is_back() {
    let mut server = Server::make();
    server.start();
    let mut tpm = FakeTpm::new();
    let site = site(&tpm, &server.database());
    let daemon = site.serve();
    granted(site.login(&tpm));

    server.stop();
    for _ in 0..2 {
        let began = Instant::now();
        let answer = site.login(&tpm);
        assert!(
            matches!(answer, Answer::Denied(DenyCode::UNAVAILABLE, _)),
            "{answer:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(12));
    }
    let output = site.assay(&["session", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("hint: is PostgreSQL running"),
        "{output:?}"
    );

    server.start();
    tpm.clock += 1;
    granted(site.login(&tpm));
    assert_eq!(site.json(&["session", "list"]).as_array().unwrap().len(), 2);
    let (status, events, _) = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    let denied = events
        .iter()
        .filter(|event| event["code"] == "unavailable")
        .count();
    assert_eq!(denied, 2);
}

#[test]
fn a_database_that_is_not_there_at_the_start_is_an_error_that_says_what_to_do() {
    let mut server = Server::make();
    server.start();
    let database = server.database();
    let site = site(&FakeTpm::new(), &database);
    let written = std::fs::read_to_string(site.path("assayd.yaml")).unwrap();
    let start = |from: &str, to: &str| {
        std::fs::write(site.path("assayd.yaml"), written.replace(from, to)).unwrap();
        let output = assayd(&["--config", "assayd.yaml"], site.dir.path());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stderr).to_owned()
    };
    let error = start(&format!("@/{}?", database.name), "@/none?");
    assert!(
        error.contains("error: datastore postgres://postgres@:5432/none?host=/"),
        "{error}"
    );
    assert!(error.contains("hint: make the database first"), "{error}");
    let error = start("postgres://postgres@", "postgres://nobody@");
    assert!(
        error.contains("hint: check the user, `passwordFile`"),
        "{error}"
    );

    // No schema is made by looking.
    std::fs::write(site.path("assayd.yaml"), &written).unwrap();
    let output = site.assay(&["session", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("hint: assayd makes it"),
        "{output:?}"
    );

    // A database whose tables the user may not make.
    let runs = "CREATE ROLE small LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    database.sql(runs);
    let error = start("postgres://postgres@", "postgres://small@");
    assert!(
        error.contains("hint: the user must be allowed to make tables"),
        "{error}"
    );

    std::fs::write(site.path("assayd.yaml"), &written).unwrap();
    server.stop();
    let error = start("", "");
    assert!(error.contains("hint: is PostgreSQL running"), "{error}");
    assert!(!site.path("agent.sock").exists(), "nothing is served");
}
