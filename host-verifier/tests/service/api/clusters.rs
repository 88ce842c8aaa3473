//! The clusters' configuration over the API: who may do what is in `auth`, what may be set in `crate::clusters`.

use assay_host_verifier::store::Role;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Api, bearer, json as body, peer};
use crate::clusters::{issuance, one_hash};
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;

const LAB: &str = "/v1/clusters/lab/config";

struct Office {
    api: Api,
    router: Router,
    admin: String,
}

impl Office {
    async fn new(tpms: &[&FakeTpm]) -> Self {
        let api = Api::with("", "", tpms);
        Self {
            router: api.router(),
            admin: bearer(&api.token(Role::Admin).await),
            api,
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        at: Option<&str>,
        sent: Option<Value>,
    ) -> Response<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .extension(peer("192.0.2.1:1"))
            .header("authorization", &self.admin)
            .header("content-type", "application/json");
        if let Some(version) = at {
            request = request.header("if-match", version);
        }
        let sent = sent.map_or_else(Body::empty, |sent| Body::from(sent.to_string()));
        let answer = self.router.clone().oneshot(request.body(sent).unwrap());
        answer.await.unwrap()
    }

    /// The answer's body; its ETag is its version.
    async fn done(&self, method: &str, path: &str, at: Option<&str>, sent: Option<Value>) -> Value {
        let answer = self.send(method, path, at, sent).await;
        let (status, tag) = (answer.status(), answer.headers().get("etag").cloned());
        let answer = body(answer).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        if let Some(version) = answer.get("version") {
            assert_eq!(tag.unwrap().to_str().unwrap(), format!("\"{version}\""));
        }
        answer
    }

    /// (status, problem).
    async fn refused(
        &self,
        method: &str,
        path: &str,
        at: Option<&str>,
        sent: Option<Value>,
    ) -> (u16, Value) {
        let answer = self.send(method, path, at, sent).await;
        let status = answer.status().as_u16();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        (status, body(answer).await)
    }
}

fn documents(texts: &[String]) -> Option<Value> {
    let documents: Vec<_> = texts.iter().map(|text| json!({ "text": text })).collect();
    Some(json!({"documents": documents, "comment": "as agreed"}))
}

#[tokio::test]
async fn a_cluster_is_set_shown_rolled_back_and_removed() {
    let office = Office::new(&[]).await;
    assert_eq!(office.done("GET", LAB, None, None).await["version"], 0);
    let both = documents(&[one_hash('1'), issuance("/n/{{tpm_ek.public_hash}}")]);
    let changed = office.done("PUT", LAB, Some("\"0\""), both).await;
    assert_eq!(
        (&changed["version"], &changed["changed"]),
        (&json!(1), &json!(true))
    );
    office
        .done("PUT", LAB, Some("\"1\""), documents(&[one_hash('2')]))
        .await;
    let state = office.done("GET", LAB, None, None).await;
    assert_eq!(state["version"], 2);
    assert_eq!(state["sections"][0]["document"], one_hash('2'));
    assert_eq!(
        state["sections"][0]["author"]
            .as_str()
            .unwrap()
            .split(' ')
            .next(),
        Some("token")
    );
    let path = format!("{LAB}?version=1&section=AgentAttestation");
    let then = office.done("GET", &path, None, None).await;
    assert_eq!(then["sections"][0]["document"], one_hash('1'));

    let back = json!({"to": 1, "section": "AgentAttestation"});
    let path = format!("{LAB}/rollback");
    let changed = office.done("POST", &path, Some("\"2\""), Some(back)).await;
    assert_eq!(changed["version"], 3);
    let gone = office.done("DELETE", LAB, None, None).await;
    assert_eq!(gone["version"], 4);
    let state = office.done("GET", LAB, None, None).await;
    assert_eq!(state["sections"][0]["origin"], "service");

    // A version is not divided among pages.
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{LAB}/history?limit=1{cursor}");
        let page = office.done("GET", &path, None, None).await;
        let versions = page["items"].as_array().unwrap().iter();
        pages.push(
            versions
                .map(|entry| entry["version"].clone())
                .collect::<Vec<_>>(),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(pages), json!([[4, 4], [3], [2], [1, 1]]));

    office
        .done(
            "PUT",
            "/v1/clusters/b/config",
            None,
            documents(&[one_hash('3')]),
        )
        .await;
    let page = office.done("GET", "/v1/clusters?limit=1", None, None).await;
    assert_eq!(page["items"][0]["cluster"], "b");
    let path = format!("/v1/clusters?cursor={}", page["next"].as_str().unwrap());
    let page = office.done("GET", &path, None, None).await;
    assert_eq!(page["items"][0]["cluster"], "lab");
    assert!(page.get("next").is_none(), "{page}");
}

#[tokio::test]
async fn what_is_set_decides_the_very_next_login() {
    let (tpm, other) = (FakeTpm::new(), FakeTpm::new());
    let office = Office::new(&[&tpm]).await;
    granted(office.api.desk.login(&tpm).await);
    let sections =
        |tpm: &FakeTpm| documents(&[one_hash('1').replace(&"1".repeat(64), &tpm.ek_hash())]);
    let mut trial = sections(&other).unwrap();
    trial["dryRun"] = json!(true);
    let would = office.done("PUT", LAB, None, Some(trial)).await;
    assert_eq!(
        (&would["version"], &would["dryRun"]),
        (&json!(1), &json!(true))
    );
    granted(office.api.desk.login(&tpm).await);
    office.done("PUT", LAB, None, sections(&other)).await;
    let denied = office.api.desk.login(&tpm).await;
    assert!(
        matches!(denied, crate::agent::Answer::Denied(..)),
        "{denied:?}"
    );
    granted(office.api.desk.login(&other).await);
}

#[tokio::test]
async fn a_change_at_another_version_is_not_made() {
    let office = Office::new(&[]).await;
    office
        .done("PUT", LAB, Some("*"), documents(&[one_hash('1')]))
        .await;
    let back = Some(json!({"to": 0}));
    for (method, path, sent) in [
        ("PUT", LAB.to_owned(), documents(&[one_hash('2')])),
        ("DELETE", LAB.to_owned(), None),
        ("POST", format!("{LAB}/rollback"), back),
    ] {
        for at in ["\"0\"", "\"2\""] {
            let (status, problem) = office.refused(method, &path, Some(at), sent.clone()).await;
            assert_eq!(
                (status, &problem["code"]),
                (412, &json!("other-version")),
                "{method}"
            );
        }
        for at in ["1", "W/\"1\"", "\"\"", "\"+1\"", "\"1\", \"2\"", "\"x\""] {
            let (status, problem) = office.refused(method, &path, Some(at), sent.clone()).await;
            assert_eq!(
                (status, &problem["code"]),
                (400, &json!("bad-if-match")),
                "{method} {at}"
            );
        }
    }
    assert_eq!(office.done("GET", LAB, None, None).await["version"], 1);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_its_place() {
    let office = Office::new(&[]).await;
    let wrong = one_hash('1').replace("rack", "\"\"");
    let named = json!({"documents": [{"file": "lab.yaml", "text": wrong}]});
    let (status, problem) = office.refused("PUT", LAB, None, Some(named)).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad-document")));
    assert_eq!(
        (&problem["file"], &problem["line"], &problem["column"]),
        (&json!("lab.yaml"), &json!(5), &json!(11))
    );
    assert_eq!(problem["detail"], "policy without a name");
    assert!(
        problem["hint"]
            .as_str()
            .unwrap()
            .contains("give the policy a name")
    );

    let twice = documents(&[one_hash('1'), one_hash('2')]);
    let back = |to: u64| Some(json!({ "to": to }));
    for (method, path, sent, status, code) in [
        ("PUT", LAB, twice, 400, "bad-body"),
        ("PUT", LAB, documents(&[]), 400, "bad-body"),
        (
            "PUT",
            "/v1/clusters/a%20b/config",
            documents(&[one_hash('1')]),
            400,
            "bad-name",
        ),
        ("DELETE", LAB, None, 404, "no-such-cluster"),
        (
            "GET",
            "/v1/clusters/none/config",
            None,
            404,
            "no-such-cluster",
        ),
        (
            "GET",
            "/v1/clusters/none/config/history",
            None,
            404,
            "no-such-cluster",
        ),
        (
            "GET",
            "/v1/clusters/lab/config?version=7",
            None,
            404,
            "no-such-version",
        ),
        (
            "GET",
            "/v1/clusters/lab/config?section=AgentAtestation",
            None,
            400,
            "bad-section",
        ),
        (
            "GET",
            "/v1/clusters/lab/config?sektion=x",
            None,
            400,
            "bad-query",
        ),
        (
            "GET",
            "/v1/clusters/lab/config/history?cursor=aGg",
            None,
            400,
            "bad-cursor",
        ),
        (
            "POST",
            "/v1/clusters/lab/config/rollback",
            back(1),
            404,
            "no-such-cluster",
        ),
    ] {
        let (got, problem) = office.refused(method, path, None, sent).await;
        assert_eq!(
            (got, &problem["code"]),
            (status, &json!(code)),
            "{method} {path}: {problem}"
        );
    }
    assert_eq!(office.done("GET", LAB, None, None).await["version"], 0);
}
