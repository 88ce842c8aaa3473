//! Join tokens: each is taken once, by one, in time; and how operators make them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::clock::Clock;
use assay_host_verifier::join_token::JoinToken;
use assay_host_verifier::store::{
    JoinTokenRecord, JoinTokenTaken, JoinTokens, MemoryStore, Role, SQLITE_FILE, SqliteStore, Store,
};
use serde_json::json;

use crate::api::{Api, ask, bearer, json as body, peer};
use crate::fake_tpm::FakeTpm;
use crate::processes::text;
use crate::site::Site;
use crate::stores::{at, conformance};

pub(crate) fn token(number: u8) -> JoinTokenRecord {
    let odd = !number.is_multiple_of(2);
    let bound = [
        ("tpm_ek.public_hash", "3f"),
        ("x.y", "\"'; DROP TABLE join_tokens; --é"),
    ];
    let bound = bound.map(|(name, value)| (name.to_owned(), value.to_owned()));
    JoinTokenRecord {
        id: format!("{number:032x}"),
        sha256: [number; 32],
        cluster: "lab".to_owned(),
        spiffe_id: odd.then(|| format!("spiffe://example.org/node/{number}")),
        bound: match odd {
            true => BTreeMap::from(bound),
            false => BTreeMap::new(),
        },
        comment: "rack \"7\"; DROP TABLE join_tokens; --é".to_owned(),
        created_at: at(1000),
        created_by: "test".to_owned(),
        expires_at: at(2000),
        used_at: None,
    }
}

fn used(number: u8, second: i64) -> JoinTokenRecord {
    JoinTokenRecord {
        used_at: Some(at(second)),
        ..token(number)
    }
}

async fn a_token_is_taken_once_to_the_letter_and_only_before_its_end(store: Arc<dyn Store>) {
    for number in [2, 1, 3] {
        assert!(store.add_join_token(&token(number)).await.unwrap());
    }
    assert_eq!(
        store.join_tokens("", 10).await.unwrap(),
        [token(1), token(2), token(3)]
    );
    let take = async |number: u8, second: i64| {
        store
            .take_join_token(&[number; 32], at(second))
            .await
            .unwrap()
    };
    assert_eq!(take(9, 1500).await, JoinTokenTaken::Unknown);
    assert_eq!(take(1, 1500).await, JoinTokenTaken::Taken(used(1, 1500)));
    assert_eq!(take(1, 1501).await, JoinTokenTaken::Used(used(1, 1500)));
    assert_eq!(
        take(1, 3000).await,
        JoinTokenTaken::Used(used(1, 1500)),
        "used is told also later"
    );
    assert_eq!(take(2, 2000).await, JoinTokenTaken::Expired(token(2)));
    assert_eq!(
        take(2, 1999).await,
        JoinTokenTaken::Taken(used(2, 1999)),
        "a refusal took nothing"
    );
    assert_eq!(
        store.join_tokens(&token(1).id, 10).await.unwrap(),
        [used(2, 1999), token(3)]
    );
    assert_eq!(store.join_tokens("", 1).await.unwrap(), [used(1, 1500)]);
}

async fn a_token_that_is_there_is_not_written_over_and_one_that_was_revoked_is_gone(
    store: Arc<dyn Store>,
) {
    assert!(store.add_join_token(&token(1)).await.unwrap());
    let same_id = JoinTokenRecord {
        sha256: [9; 32],
        ..token(1)
    };
    let same_hash = JoinTokenRecord {
        id: "f".repeat(32),
        ..token(1)
    };
    for same in [same_id, same_hash] {
        assert!(!store.add_join_token(&same).await.unwrap());
    }
    assert_eq!(store.join_tokens("", 10).await.unwrap(), [token(1)]);
    assert_eq!(
        store.revoke_join_token(&token(1).id).await.unwrap(),
        Some(token(1))
    );
    assert_eq!(store.revoke_join_token(&token(1).id).await.unwrap(), None);
    let taken = store.take_join_token(&[1; 32], at(1500)).await.unwrap();
    assert_eq!(taken, JoinTokenTaken::Unknown);
}

async fn of_many_who_take_a_token_at_once_one_gets_it(store: Arc<dyn Store>) {
    for number in 0..8 {
        store.add_join_token(&token(number)).await.unwrap();
        let takes: Vec<_> = (0..16)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    store
                        .take_join_token(&[number; 32], at(1500))
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut taken = 0;
        for take in takes {
            match take.await.unwrap() {
                JoinTokenTaken::Taken(_) => taken += 1,
                JoinTokenTaken::Used(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(taken, 1, "token {number}");
    }
}

async fn what_has_ended_is_forgotten_used_or_not(store: Arc<dyn Store>) {
    let later = JoinTokenRecord {
        expires_at: at(2001),
        ..token(3)
    };
    for token in [token(1), token(2), later.clone()] {
        store.add_join_token(&token).await.unwrap();
    }
    store.take_join_token(&[1; 32], at(1500)).await.unwrap();
    assert_eq!(store.purge(at(2000)).await.unwrap(), 0);
    assert_eq!(store.purge(at(2001)).await.unwrap(), 2);
    assert_eq!(store.join_tokens("", 10).await.unwrap(), [later]);
}

conformance! {
    a_token_is_taken_once_to_the_letter_and_only_before_its_end,
    a_token_that_is_there_is_not_written_over_and_one_that_was_revoked_is_gone,
    of_many_who_take_a_token_at_once_one_gets_it,
    what_has_ended_is_forgotten_used_or_not,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a48_of_two_replicas_that_take_one_token_one_gets_it() {
    let database = crate::postgres::database();
    let replicas = [database.store().await, database.store().await];
    for round in 0..16_u8 {
        replicas[0].add_join_token(&token(round)).await.unwrap();
        let takes = [0, 1].map(|replica: usize| {
            let store = replicas[replica].clone();
            tokio::spawn(
                async move { store.take_join_token(&[round; 32], at(1500)).await.unwrap() },
            )
        });
        let mut taken = 0;
        for take in takes {
            taken += usize::from(matches!(take.await.unwrap(), JoinTokenTaken::Taken(_)));
        }
        assert_eq!(taken, 1, "round {round}");
    }
    // The second comes while the first has taken it and has not said so yet.
    store_waits(&database, &replicas[1]).await;
}

/// Another connection is the first replica, in the middle of its statement's commit.
async fn store_waits(
    database: &crate::postgres::Database<'_>,
    second: &assay_host_verifier::store::PostgresStore,
) {
    use sqlx::Connection;
    second.add_join_token(&token(99)).await.unwrap();
    let mut other = database.connect().await;
    let mut first = other.begin().await.unwrap();
    sqlx::query("UPDATE join_tokens SET used_at = 1400 WHERE sha256 = $1 AND used_at IS NULL")
        .bind([99_u8; 32].as_slice())
        .execute(&mut *first)
        .await
        .unwrap();
    let store = second.clone();
    let take =
        tokio::spawn(async move { store.take_join_token(&[99; 32], at(1500)).await.unwrap() });
    database.wait_for_a_waiter();
    first.commit().await.unwrap();
    assert_eq!(take.await.unwrap(), JoinTokenTaken::Used(used(99, 1400)));
}

#[tokio::test]
async fn a_join_token_is_shown_once_and_taken_by_its_text() {
    let api = Api::new();
    let router = api.router();
    let admin = bearer(&api.token(Role::Admin).await);
    let operator = bearer(&api.token(Role::Operator).await);
    let send = async |method: &str, path: &str, by: &str, sent| {
        ask(&router, peer("192.0.2.1:1"), method, path, Some(by), sent).await
    };
    let wanted = json!({
        "cluster": "lab", "ttlSeconds": 60, "spiffeId": "spiffe://example.org/node/rack7",
        "bound": {"tpm_ek.public_hash": "3f"}, "comment": "rack 7",
    });
    let refused = send("POST", "/v1/join-tokens", &operator, Some(wanted.clone())).await;
    assert_eq!(refused.status(), 403, "it gives identities");
    let answer = send("POST", "/v1/join-tokens", &admin, Some(wanted)).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let made = body(answer).await;
    let text = made["token"].as_str().unwrap();
    assert_eq!(made["expiresAt"], "2026-01-01T00:01:00Z");
    assert_eq!(made["spiffeId"], "spiffe://example.org/node/rack7");

    let list = body(send("GET", "/v1/join-tokens", &operator, None).await).await;
    assert_eq!(list["items"][0]["id"], made["id"]);
    assert!(list["items"][0]["usedAt"].is_null() && list["items"][0].get("token").is_none());
    let told = format!("{list}{:?}", api.desk.store);
    assert!(!told.contains(&text[5..]), "only its hash is anywhere");

    let sha256 = JoinToken::read(text).unwrap().sha256();
    api.desk.clock.advance(Duration::from_secs(59));
    let now = api.desk.clock.now().wall;
    let taken = api
        .desk
        .server
        .store
        .take_join_token(&sha256, now)
        .await
        .unwrap();
    let JoinTokenTaken::Taken(record) = taken else {
        panic!("{taken:?}")
    };
    assert_eq!(record.bound["tpm_ek.public_hash"], "3f");
    let list = body(send("GET", "/v1/join-tokens", &operator, None).await).await;
    assert_eq!(list["items"][0]["usedAt"], "2026-01-01T00:00:59Z");
    assert_eq!(
        send("DELETE", &location, &operator, None).await.status(),
        204
    );
    assert_eq!(
        send("DELETE", &location, &operator, None).await.status(),
        404
    );

    for (wrong, status, code) in [
        (json!({"cluster": "nowhere"}), 404, "no-such-cluster"),
        (json!({"cluster": "a b"}), 400, "bad-join-token"),
        (
            json!({"cluster": "lab", "ttlSeconds": 0}),
            400,
            "bad-join-token",
        ),
        (
            json!({"cluster": "lab", "spiffeId": "spiffe://other.org/x"}),
            400,
            "bad-join-token",
        ),
        (
            json!({"cluster": "lab", "bound": {"x": "y"}}),
            400,
            "bad-join-token",
        ),
        (
            json!({"cluster": "lab", "token": "chosen"}),
            400,
            "bad-body",
        ),
    ] {
        let answer = send("POST", "/v1/join-tokens", &admin, Some(wrong.clone())).await;
        assert_eq!(answer.status().as_u16(), status, "{wrong}");
        assert_eq!(body(answer).await["code"], code, "{wrong}");
    }
    let list = body(send("GET", "/v1/join-tokens", &operator, None).await).await;
    assert_eq!(list["items"], json!([]));
}

#[test]
fn commands_make_show_and_revoke_join_tokens() {
    let site = Site::new(&[&FakeTpm::new()]);
    assert_eq!(site.serve().terminate().0.code(), Some(0));
    let made = site.assay(&[
        "join-token",
        "create",
        "--cluster",
        "lab",
        "--comment",
        "rack 7",
    ]);
    assert!(made.status.success(), "{made:?}");
    let token = text(&made.stdout).trim();
    assert!(JoinToken::read(token).is_some(), "{token}");
    let bound = [
        "--bind",
        "tpm_ek.public_hash=3f",
        "--bind",
        "http_dns.name=a=b",
        "--ttl",
        "1h",
    ];
    let create = ["join-token", "create", "--cluster", "lab"];
    let other = site.json(&[&create[..], &bound].concat());
    assert_eq!(
        other["bound"],
        json!({"tpm_ek.public_hash": "3f", "http_dns.name": "a=b"})
    );
    let listed = site.json(&["join-token", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let id = other["id"].as_str().unwrap();
    let table = text(&site.assay(&["join-token", "list"]).stdout).to_owned();
    assert!(
        table.contains("rack 7") && table.contains(" open "),
        "{table}"
    );
    assert!(!table.contains(token), "{table}");
    assert_eq!(site.json(&["join-token", "revoke", id])["revoked"], id);
    for (more, status, said) in [
        (
            &["--bind", "x.y=1", "--bind", "x.y=2"][..],
            2,
            "--bind x.y: twice",
        ),
        (&["--bind", "x.y"], 2, "an attribute, `=` and its value"),
        (&["--ttl", "31d"], 2, "one second to 30 days"),
        (
            &["--spiffe-id", "spiffe://other.org/x"],
            2,
            "not of trust domain example.org",
        ),
    ] {
        let output = site.assay(&[&create[..], more].concat());
        assert_eq!(output.status.code(), Some(status), "{more:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
    let nowhere = site.assay(&["join-token", "create", "--cluster", "nowhere"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(
        text(&nowhere.stderr).contains("cluster `nowhere` is not served\nhint: "),
        "{nowhere:?}"
    );
    assert_eq!(
        site.json(&["join-token", "list"]).as_array().unwrap().len(),
        1
    );
}
