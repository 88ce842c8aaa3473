//! Tokens, from their making to their end.

use std::time::Duration;

use assay_host_verifier::store::Role;
use axum::http::StatusCode;
use serde_json::json;

use super::{Api, ask, bearer, json as body, peer};

#[tokio::test]
async fn a_token_is_shown_once_works_until_it_ends_and_is_stored_as_a_hash() {
    let api = Api::new();
    let router = api.router();
    let admin = bearer(&api.token(Role::Admin).await);
    let send = async |method: &str, path: &str, as_: &str, sent| {
        ask(&router, peer("192.0.2.1:1"), method, path, Some(as_), sent).await
    };
    let wanted = json!({"name": "ci", "role": "viewer", "ttlSeconds": 3600});
    let answer = send("POST", "/v1/tokens", &admin, Some(wanted)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let made = body(answer).await;
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(
        location,
        format!("/v1/tokens/{}", made["id"].as_str().unwrap())
    );
    assert_eq!(made["expiresAt"], "2026-01-01T01:00:00Z");
    assert!(made["createdBy"].as_str().unwrap().starts_with("token "));

    let list = body(send("GET", "/v1/tokens", &admin, None).await).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let told = format!("{list}{:?}", api.desk.store);
    assert!(!told.contains(&token[6..]), "only its hash is anywhere");

    let as_token = bearer(&token);
    assert_eq!(
        send("GET", "/v1/nodes", &as_token, None).await.status(),
        200
    );
    assert_eq!(
        send("GET", "/v1/tokens", &as_token, None).await.status(),
        403
    );
    api.desk.clock.advance(Duration::from_secs(3599));
    assert_eq!(
        send("GET", "/v1/nodes", &as_token, None).await.status(),
        200
    );
    api.desk.clock.advance(Duration::from_secs(1));
    assert_eq!(
        send("GET", "/v1/nodes", &as_token, None).await.status(),
        401
    );

    let wanted = json!({"name": "other", "role": "admin"});
    let made = body(send("POST", "/v1/tokens", &admin, Some(wanted)).await).await;
    let other = bearer(made["token"].as_str().unwrap());
    assert_eq!(send("GET", "/v1/tokens", &other, None).await.status(), 200);
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(send("DELETE", &path, &admin, None).await.status(), 204);
    assert_eq!(send("GET", "/v1/tokens", &other, None).await.status(), 401);
    assert_eq!(send("DELETE", &path, &admin, None).await.status(), 404);
}
