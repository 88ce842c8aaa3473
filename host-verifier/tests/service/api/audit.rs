//! What was decided, read through the API.

use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::store::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Api, ask, bearer, json as body, peer};
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;

/// Three decisions: a login, a refusal, a login.
async fn decided() -> (Api, FakeTpm) {
    let tpm = FakeTpm::new();
    let mut api = Api::with("", "", &[&tpm]);
    let trail = api.path("data").join(audit::FILE);
    api.desk.server.audit = AuditLog::open(&trail).unwrap().0;
    granted(api.desk.login(&tpm).await);
    let _ = api.desk.login(&FakeTpm::new()).await;
    granted(api.desk.login(&tpm).await);
    (api, tpm)
}

#[tokio::test]
async fn decisions_come_newest_first_in_pages_and_each_once() {
    let (api, tpm) = decided().await;
    let router = api.router();
    let operator = bearer(&api.token(Role::Operator).await);
    let get = async |path: &str| {
        let answer = ask(
            &router,
            peer("192.0.2.1:1"),
            "GET",
            path,
            Some(&operator),
            None,
        )
        .await;
        assert_eq!(answer.status(), 200, "{path}");
        body(answer).await
    };
    let all = get("/v1/audit").await;
    assert!(all.get("next").is_none(), "{all}");
    let all = all["items"].as_array().unwrap();
    let seen: Vec<_> = all
        .iter()
        .map(|d| (d["seq"].clone(), d["outcome"].clone()))
        .collect();
    assert_eq!(
        seen,
        [(3, "granted"), (2, "denied"), (1, "granted")].map(|(n, o)| (n.into(), o.into()))
    );
    assert_eq!(all[0]["ekHash"], tpm.ek_hash());
    assert_eq!(all[1]["code"], "refused");
    let first = get("/v1/audit?limit=2").await;
    assert_eq!(first["items"].as_array().unwrap().as_slice(), &all[..2]);
    // A decision that is made meanwhile moves nothing.
    granted(api.desk.login(&tpm).await);
    let next = first["next"].as_str().unwrap();
    let second = get(&format!("/v1/audit?limit=2&cursor={next}")).await;
    assert_eq!(second["items"].as_array().unwrap().as_slice(), &all[2..]);
    assert!(second.get("next").is_none(), "{second}");
    assert_eq!(get("/v1/audit?limit=1").await["items"][0]["seq"], 4);
}

#[tokio::test]
async fn a_login_is_shown_with_its_steps_and_its_evidence_byte_for_byte() {
    let (api, _) = decided().await;
    let router = api.router();
    let operator = bearer(&api.token(Role::Operator).await);
    let get = async |path: String| {
        let answer = ask(
            &router,
            peer("192.0.2.1:1"),
            "GET",
            &path,
            Some(&operator),
            None,
        )
        .await;
        (answer.status().as_u16(), body(answer).await)
    };
    let trail = std::fs::read_to_string(api.path("data").join(audit::FILE)).unwrap();
    let record: Value = serde_json::from_str(trail.lines().next().unwrap()).unwrap();
    let login = record["login_id"].as_str().unwrap();
    let (status, shown) = get(format!("/v1/audit/{login}")).await;
    assert_eq!((status, shown.as_array().unwrap().len()), (200, 1));
    assert_eq!(shown[0]["loginId"], login);
    assert_eq!(shown[0]["steps"], record["steps"]);
    assert_eq!(shown[0]["attributes"], record["attributes"]);
    assert!(shown[0].get("evidence").is_none());
    let (status, evidence) = get(format!("/v1/evidence/{login}")).await;
    assert_eq!(status, 200);
    assert_eq!(evidence[0]["evidence"], record["evidence"]);
    let hello = evidence[0]["evidence"][0]["base64"].as_str().unwrap();
    assert!(!STANDARD.decode(hello).unwrap().is_empty());

    let (status, problem) = get(format!("/v1/audit/{}", "0".repeat(32))).await;
    assert_eq!((status, &problem["code"]), (404, &"no-such-login".into()));
}

#[tokio::test]
async fn answers_have_an_end_in_bytes_and_the_decision_is_always_in_them() {
    const LOGIN: &str = "0123456789abcdef0123456789abcdef";
    let (api, _) = decided().await;
    let long = "x".repeat(400_000);
    let record = |kind: &str, outcome: &str| {
        json!({"time": "2026-01-01T00:00:00Z", "kind": kind, "outcome": outcome, "login_id": LOGIN, "link": "desk",
               "steps": [], "evidence": [{"from": "agent", "kind": "message", "base64": long}]})
    };
    let audit = &api.desk.server.audit;
    for _ in 0..20 {
        audit.append(&record("login", "denied")).await.unwrap();
    }
    audit.append(&record("login", "granted")).await.unwrap();
    let router = api.router();
    let operator = bearer(&api.token(Role::Operator).await);
    let get = async |path: String| {
        let asked = peer("192.0.2.1:1");
        let answer = ask(&router, asked, "GET", &path, Some(&operator), None).await;
        assert_eq!(answer.status(), 200, "{path}");
        let omitted = answer.headers().get("assay-omitted").cloned();
        let bytes = axum::body::to_bytes(answer.into_body(), 8 << 20).await;
        let value: Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
        (value, omitted)
    };
    for path in ["/v1/audit/{LOGIN}", "/v1/evidence/{LOGIN}"] {
        let (found, omitted) = get(path.replace("{LOGIN}", LOGIN)).await;
        let found = found.as_array().unwrap();
        assert!((5..15).contains(&found.len()), "{path}: {}", found.len());
        assert_eq!(found[0]["seq"], 24, "{path}: what decided comes first");
        let omitted: usize = omitted.unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(found.len() + omitted, 21, "{path}");
    }
    // The list is read page by page to its end, though each page is cut off.
    let (mut seen, mut path) = (Vec::new(), "/v1/audit?limit=1000".to_owned());
    loop {
        let (page, _) = get(path).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() < 15, "{}", items.len());
        seen.extend(items.iter().map(|item| item["seq"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/audit?limit=1000&cursor={next}");
    }
    assert_eq!(seen, (1..=24).rev().collect::<Vec<_>>());
}
