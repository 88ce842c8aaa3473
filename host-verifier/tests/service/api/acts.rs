//! What operators did is in the audit trail, whatever route it came by.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::task::Poll;

use assay_common::policy::AttestorKind;
use assay_host_verifier::api::auth::acts::PER_WINDOW;
use assay_host_verifier::api::document;
use assay_host_verifier::audit::{self, AuditLog, Disk};
use assay_host_verifier::store::{
    ApiTokens, Commit, FirstUse, MeasuredBoot as _, NodeBoot, Role, Store as _, first_use_hash,
};
use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Api, ask, bearer, json as body, peer, with_certificate};
use crate::clusters::one_hash;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;

struct Office {
    api: Api,
    router: Router,
}

impl Office {
    fn new(tpms: &[&FakeTpm]) -> Self {
        let mut api = Api::with(", clientCAs: ca.crt", "", tpms);
        let trail = api.path("data").join(audit::FILE);
        api.desk.server.audit = AuditLog::open(&trail).unwrap().0;
        Self {
            router: api.router(),
            api,
        }
    }

    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.api.path("data").join(audit::FILE)).unwrap();
        let lines = text.lines();
        lines.map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    async fn send(&self, method: &str, path: &str, by: &str, sent: Option<Value>) -> (u16, Value) {
        let answer = ask(
            &self.router,
            peer("192.0.2.1:1"),
            method,
            path,
            Some(by),
            sent,
        )
        .await;
        let status = answer.status();
        let answer = match status {
            StatusCode::NO_CONTENT => Value::Null,
            _ => body(answer).await,
        };
        (status.as_u16(), answer)
    }
}

/// The operations that change something for operators, as (method, template).
fn changing(api: &Api) -> BTreeSet<(String, String)> {
    let document = serde_json::to_value(document(&api.state())).unwrap();
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method != "get" && operation["security"][0].get("bearer").is_some() {
                found.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_operation_that_changes_something_leaves_one_record_of_who_did_what() {
    let tpm = FakeTpm::new();
    let office = Office::new(&[&tpm]);
    let opened = granted(office.api.desk.login(&tpm).await);
    let ek = tpm.ek_hash();
    let admin = bearer(&office.api.token(Role::Admin).await);
    let token = office.api.desk.store.api_tokens("", 9).await.unwrap();
    let mut done = BTreeSet::new();
    let mut expected = Vec::new();
    let mut change = async |method: &str,
                            template: &str,
                            id: &str,
                            sent: Option<Value>,
                            action: &str,
                            target: (&str, &str)| {
        let before = office.records().len();
        let path = template.replace("{id}", id);
        let (status, answer) = office.send(method, &path, &admin, sent).await;
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
        let records = office.records();
        assert_eq!(records.len(), before + 1, "{method} {path}");
        let record = records.last().unwrap();
        let id = match target.1 {
            "" => answer["id"].as_str().unwrap(),
            id => id,
        };
        assert_eq!(record["target"], json!({"kind": target.0, "id": id}));
        assert_eq!(
            (&record["outcome"], &record["action"]),
            (&json!("done"), &json!(action))
        );
        assert_eq!(record["link"], "https:192.0.2.1");
        assert_eq!(record["time"], "2026-01-01T00:00:00Z");
        let actor = json!({"kind": "token", "id": token[0].id, "name": "test", "role": "admin"});
        assert_eq!(record["actor"], actor);
        let (path, _) = template.split_once('?').unwrap_or((template, ""));
        done.insert((method.to_owned(), path.to_owned()));
        expected.push(action.to_owned());
        (answer, record.clone())
    };
    let session = hex::encode(opened.session_id);
    let config = "/v1/clusters/{id}/config";
    let instance = "aws:aws:123456789012:eu-west-1:i-0123456789abcdef0";
    let mut bound = crate::stores::login(9, "instance");
    bound.first_uses.push(FirstUse {
        method: AttestorKind::AWS_IID,
        identity: first_use_hash(instance),
        key: [7; 32],
        held: true,
        binds: true,
    });
    let stored = office.api.desk.store.commit_login(&bound).await;
    assert_eq!(stored.unwrap(), Commit::Stored);
    let set = |digit: char| Some(json!({"documents": [{"text": one_hash(digit)}]}));
    change(
        "DELETE",
        "/v1/sessions/{id}",
        &session,
        None,
        "session.revoke",
        ("session", &session),
    )
    .await;
    let reason = Some(json!({"reason": "stolen from rack 7"}));
    let (_, record) = change(
        "POST",
        "/v1/nodes/{id}/ban",
        &ek,
        reason,
        "node.ban",
        ("node", &ek),
    )
    .await;
    assert_eq!(record["detail"], "stolen from rack 7");
    change(
        "DELETE",
        "/v1/nodes/{id}/ban",
        &ek,
        None,
        "node.unban",
        ("node", &ek),
    )
    .await;
    let boot = NodeBoot {
        counter: 7,
        reset_count: 5,
        witness: [1; 32],
    };
    let store = &office.api.desk.store;
    store.note_boot(&ek, &boot).await.unwrap();
    change(
        "DELETE",
        "/v1/nodes/{id}/boots",
        &ek,
        None,
        "node.forget-boots",
        ("node", &ek),
    )
    .await;
    assert_eq!(store.noted_boot(&ek).await.unwrap(), None);
    change(
        "DELETE",
        "/v1/nodes/{id}",
        &ek,
        None,
        "node.evict",
        ("node", &ek),
    )
    .await;
    let (_, record) = change(
        "DELETE",
        "/v1/identities?method=aws_iid&identity={id}",
        instance,
        None,
        "node.unbind",
        ("node", "instance"),
    )
    .await;
    assert_eq!(record["detail"], format!("aws_iid={instance}"));
    let wanted = Some(json!({"name": "ci", "role": "viewer"}));
    let (made, record) = change(
        "POST",
        "/v1/tokens",
        "",
        wanted,
        "token.create",
        ("token", ""),
    )
    .await;
    assert_eq!(record["detail"], "ci: viewer");
    let id = made["id"].as_str().unwrap().to_owned();
    change(
        "DELETE",
        "/v1/tokens/{id}",
        &id,
        None,
        "token.revoke",
        ("token", &id),
    )
    .await;
    let wanted = Some(json!({"cluster": "lab", "bound": {"tpm_ek.public_hash": ek}}));
    let (made_join, record) = change(
        "POST",
        "/v1/join-tokens",
        "",
        wanted,
        "join-token.create",
        ("join-token", ""),
    )
    .await;
    let detail = record["detail"].as_str().unwrap();
    let bound = format!("cluster lab until 2026-01-01T00:10:00Z, tpm_ek.public_hash={ek}");
    assert_eq!(detail, bound);
    let id = made_join["id"].as_str().unwrap().to_owned();
    change(
        "DELETE",
        "/v1/join-tokens/{id}",
        &id,
        None,
        "join-token.revoke",
        ("join-token", &id),
    )
    .await;
    let (_, record) = change(
        "PUT",
        config,
        "lab",
        set('1'),
        "cluster.set",
        ("cluster", "lab"),
    )
    .await;
    let detail = record["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("version 1: AgentAttestation "),
        "{detail}"
    );
    change(
        "PUT",
        config,
        "lab",
        set('2'),
        "cluster.set",
        ("cluster", "lab"),
    )
    .await;
    let back = Some(json!({"to": 1}));
    change(
        "POST",
        "/v1/clusters/{id}/config/rollback",
        "lab",
        back,
        "cluster.rollback",
        ("cluster", "lab"),
    )
    .await;
    change(
        "DELETE",
        config,
        "lab",
        None,
        "cluster.remove",
        ("cluster", "lab"),
    )
    .await;
    assert_eq!(done, changing(&office.api), "each of them is tried here");

    let trail = std::fs::read(office.api.path("data").join(audit::FILE)).unwrap();
    let count = u64::try_from(expected.len()).unwrap() + 1;
    assert_eq!(
        audit::verify(trail.as_slice(), &[]).unwrap().head.seq,
        count
    );
    assert!(
        !String::from_utf8(trail)
            .unwrap()
            .contains(made["token"].as_str().unwrap())
    );

    // The same through the API.
    let (_, page) = office.send("GET", "/v1/audit?limit=3", &admin, None).await;
    let newest = &page["items"][0];
    assert_eq!(
        (&newest["action"], &newest["outcome"]),
        (&json!("cluster.remove"), &json!("done"))
    );
    assert_eq!(newest["actor"]["id"], token[0].id);
    assert_eq!(newest["target"], json!({"kind": "cluster", "id": "lab"}));
}

#[tokio::test]
async fn what_changes_nothing_leaves_no_record() {
    let office = Office::new(&[]);
    let admin = bearer(&office.api.token(Role::Admin).await);
    let config = "/v1/clusters/lab/config";
    let set = |dry: bool| Some(json!({"documents": [{"text": one_hash('1')}], "dryRun": dry}));
    assert_eq!(office.send("PUT", config, &admin, set(true)).await.0, 200);
    assert_eq!(office.records().len(), 0, "a trial");
    assert_eq!(office.send("PUT", config, &admin, set(false)).await.0, 200);
    assert_eq!(office.send("PUT", config, &admin, set(false)).await.0, 200);
    assert_eq!(office.records().len(), 1, "it was in force already");
    for (method, path, sent, status) in [
        ("DELETE", "/v1/tokens/none".to_owned(), None, 404),
        (
            "DELETE",
            format!("/v1/sessions/{}", "ab".repeat(16)),
            None,
            404,
        ),
        (
            "POST",
            "/v1/tokens".to_owned(),
            Some(json!({"name": "", "role": "viewer"})),
            400,
        ),
        ("GET", "/v1/nodes".to_owned(), None, 200),
    ] {
        assert_eq!(
            office.send(method, &path, &admin, sent).await.0,
            status,
            "{path}"
        );
    }
    assert_eq!(office.records().len(), 1);
}

#[tokio::test]
async fn attempts_of_those_who_may_not_are_recorded_and_a_flood_of_them_is_not() {
    let office = Office::new(&[]);
    let viewer = bearer(&office.api.token(Role::Viewer).await);
    let flood = PER_WINDOW + 40;
    for _ in 0..flood {
        let (status, _) = office
            .send("DELETE", "/v1/tokens/x%0a%22", &viewer, None)
            .await;
        assert_eq!(status, 403);
    }
    let records = office.records();
    assert_eq!(records.len(), PER_WINDOW as usize);
    for record in &records {
        assert_eq!(
            (&record["outcome"], &record["code"]),
            (&json!("refused"), &json!("role-too-small"))
        );
        assert_eq!(record["action"], "DELETE /v1/tokens/{id}");
        assert_eq!(
            record["target"],
            json!({"kind": "path", "id": "/v1/tokens/x%0a%22"})
        );
        assert_eq!(record["actor"]["role"], "viewer");
    }
    // Looking is an attempt too; somebody else is not kept out of the record by the flood.
    let other = bearer(&office.api.token(Role::Viewer).await);
    assert_eq!(office.send("GET", "/v1/audit", &other, None).await.0, 403);
    assert_eq!(office.records().last().unwrap()["action"], "GET /v1/audit");
    // Somebody whom an authority vouches for, without a role.
    let mut stranger = with_certificate("192.0.2.1:1", &office.api, 1);
    let certificate = stranger.certificate.as_mut().unwrap();
    std::sync::Arc::make_mut(certificate).names = vec![];
    let answer = ask(&office.router, stranger, "GET", "/v1/nodes", None, None).await;
    assert_eq!(body(answer).await["code"], "no-role");
    let record = office.records().pop().unwrap();
    assert_eq!(record["code"], "no-role");
    let actor = json!({"kind": "certificate", "id": "CN=operator", "name": "CN=operator"});
    assert_eq!(record["actor"], actor);
    // And with one.
    let operator = with_certificate("192.0.2.1:1", &office.api, 1);
    let ban = format!("/v1/nodes/{}/ban", "ab".repeat(32));
    let reason = Some(json!({"reason": "lost"}));
    let answer = ask(&office.router, operator, "POST", &ban, None, reason).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let record = office.records().pop().unwrap();
    assert_eq!(record["actor"]["id"], "spiffe://example.org/operator");
    assert_eq!(record["actor"]["role"], "operator");
    assert_eq!(office.records().len(), PER_WINDOW as usize + 3);
}

/// A disk that takes nothing.
struct Full;

impl Disk for Full {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_told() {
    let mut api = Api::with("", "", &[]);
    api.desk.server.audit = AuditLog::on(Full, Path::new("full.jsonl")).unwrap();
    let admin = bearer(&api.token(Role::Admin).await);
    let router = api.router();
    let wanted = Some(json!({"name": "ci", "role": "admin"}));
    let answer = ask(
        &router,
        peer("192.0.2.1:1"),
        "POST",
        "/v1/tokens",
        Some(&admin),
        wanted,
    )
    .await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(!answer.headers().contains_key("location"));
    let problem = body(answer).await;
    assert_eq!(problem["code"], "not-recorded");
    assert!(!problem.to_string().contains("assay_"), "{problem}");
    let viewer = bearer(&api.token(Role::Viewer).await);
    let answer = ask(
        &router,
        peer("192.0.2.1:1"),
        "DELETE",
        "/v1/tokens/x",
        Some(&viewer),
        None,
    )
    .await;
    assert_eq!(
        answer.status(),
        StatusCode::FORBIDDEN,
        "refused all the same"
    );
}

#[tokio::test]
async fn who_hangs_up_at_once_is_recorded_all_the_same() {
    let office = Office::new(&[]);
    let admin = bearer(&office.api.token(Role::Admin).await);
    let ban = format!("/v1/nodes/{}/ban", "ab".repeat(32));
    let reason = Some(json!({"reason": "lost"}));
    {
        let request = ask(
            &office.router,
            peer("192.0.2.1:1"),
            "POST",
            &ban,
            Some(&admin),
            reason,
        );
        let mut request = Box::pin(request);
        let first = std::future::poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx).is_pending()));
        assert!(first.await, "it is not answered yet");
    }
    // What was begun goes on; its record is asked for before this question.
    tokio::task::yield_now().await;
    office.api.desk.server.audit.tend().await.unwrap();
    assert_eq!(office.records().last().unwrap()["action"], "node.ban");
}
