//! An API that throttles, forbids, fails, is slow, lies, or is somewhere else.

use assay_host_verifier::cloud::CallErrorKind;

use super::Verifier;
use super::api::{Api, google_error, instance, status};
use crate::upstream::{Piece, answer, say};

const COMPUTE: &str = "GET /compute";
const TOKEN: &str = "POST /token";

/// What one answer comes to, after which all would be well: how often it was asked, and the error if it was left at that.
async fn after(to: &'static str, pieces: Vec<Piece>) -> (usize, Option<String>) {
    let api = Api::start().await;
    api.fault(to, pieces);
    let verifier = Verifier::of(&api);
    let told = match verifier.ask("node-7").await {
        Ok(found) => {
            assert!(found.is_some());
            None
        }
        Err(error) => {
            let told = format!("{error} {error:?}");
            assert!(!told.contains("c4n4ry"), "{told}");
            Some(error.to_string())
        }
    };
    (api.calls(to), told)
}

#[tokio::test]
async fn what_may_pass_is_asked_again() {
    for to in [COMPUTE, TOKEN] {
        for pieces in [
            google_error(403, "rateLimitExceeded"),
            google_error(403, "userRateLimitExceeded"),
            google_error(429, "x"),
            google_error(500, "backendError"),
            status(502, "", "<html>bad gateway</html>"),
            status(503, "retry-after: 0\r\n", ""),
            say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\""),
            say(""),
        ] {
            let came = after(to, pieces.clone()).await;
            assert_eq!(came, (2, None), "{to}: {pieces:?}");
        }
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not() {
    let elsewhere = "HTTP/1.1 307 x\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let huge = vec![
        Piece::Say(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"id\":\"".to_vec()),
        Piece::Flood(vec![b'x'; 4096]),
    ];
    let json = |body: &str| answer("application/json", body);
    let mut other = instance("node-8");
    let of_another = json(&other.to_string());
    other["name"] = "node-7".into();
    other["id"] = 7.into();
    let numbered = json(&other.to_string());
    other["id"] = "2589221140676718026x".into();
    let no_number = json(&other.to_string());
    for (to, pieces, why) in [
        (
            COMPUTE,
            google_error(401, "authError"),
            "not permitted (authError)",
        ),
        (
            COMPUTE,
            google_error(403, "forbidden"),
            "not permitted (forbidden)",
        ),
        (
            COMPUTE,
            google_error(403, "accessNotConfigured"),
            "not permitted (accessNotConfigured)",
        ),
        (COMPUTE, google_error(400, "invalid"), "refused (invalid)"),
        (COMPUTE, say(elsewhere), "redirects are not followed"),
        (COMPUTE, huge.clone(), "too long"),
        (COMPUTE, json("[]"), "cannot be used"),
        (COMPUTE, json("{"), "cannot be used"),
        (COMPUTE, of_another, "another instance's"),
        (COMPUTE, numbered, "cannot be used"),
        (COMPUTE, no_number, "has no ID"),
        (
            TOKEN,
            status(400, "", r#"{"error":"invalid_grant"}"#),
            "not permitted (invalid_grant)",
        ),
        (TOKEN, google_error(403, "forbidden"), "not permitted"),
        (TOKEN, say(elsewhere), "redirects are not followed"),
        (TOKEN, huge, "too long"),
        (TOKEN, json("{}"), "no token in it"),
        (
            TOKEN,
            json(r#"{"access_token":"c4n4ry x","expires_in":3599,"token_type":"Bearer"}"#),
            "none that can be sent",
        ),
    ] {
        let (calls, told) = after(to, pieces).await;
        let told = told.expect(why);
        assert!(told.contains(why), "{to}: {told}");
        assert_eq!(calls, 1, "{to}: {told}");
    }
}

#[tokio::test]
async fn that_nothing_is_there_is_an_answer() {
    let api = Api::start().await;
    let verifier = Verifier::of(&api);
    assert_eq!(verifier.ask("gone").await, Ok(None));
    // It is one for a while, too.
    assert_eq!(verifier.ask("gone").await, Ok(None));
    assert_eq!(api.calls(COMPUTE), 1);
}

/// The deadline is the login's, not the sum of the attempts'.
#[tokio::test]
async fn an_api_that_says_nothing_ends_with_the_deadline() {
    let api = Api::start().await;
    api.fault(COMPUTE, vec![Piece::Hang]);
    let verifier = Verifier::of(&api);
    let error = verifier.ask("node-7").await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Deadline);
}
