//! What was decided, read through the API.

use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::store::Role;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

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
