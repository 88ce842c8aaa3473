//! Why Google gave no answer.

use serde::Deserialize;

use crate::cloud::{CallError, CallErrorKind};
use crate::outside::{Response, Target};

/// `{"error": {"status": "…", "errors": [{"reason": "…"}]}}` of the APIs.
#[derive(Deserialize)]
struct Wire {
    error: Told,
}

/// RFC 6749 section 5.2 has a text in the same place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Api {
        #[serde(default)]
        status: String,
        #[serde(default)]
        errors: Vec<One>,
    },
    Token(String),
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    reason: String,
}

/// Reasons of a 403 that mean "later" and not "never".
const LATER: [&str; 3] = [
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
];

/// What an answer that is no success says.
pub(super) fn error(url: &str, operation: &'static str, response: &Response) -> CallError {
    let told: Option<Wire> = serde_json::from_slice(&response.body).ok();
    let code = told.map(|wire| match wire.error {
        Told::Token(code) => code,
        Told::Api { status, errors } => {
            let reason = errors.into_iter().map(|one| one.reason);
            { reason }
                .find(|reason| !reason.is_empty())
                .unwrap_or(status)
        }
    });
    let code = code.unwrap_or_default();
    let retry_after = response.retry_after;
    let kind = match response.status {
        429 => CallErrorKind::Throttled { retry_after },
        403 if LATER.contains(&code.as_str()) => CallErrorKind::Throttled { retry_after },
        503 if retry_after.is_some() => CallErrorKind::Throttled { retry_after },
        401 | 403 => CallErrorKind::Denied,
        500.. => CallErrorKind::Failed,
        _ => CallErrorKind::Refused,
    };
    CallError::new(origin(url), operation, kind).coded(&code)
}

/// Whom errors name.
pub(super) fn origin(url: &str) -> String {
    Target::parse(url).map_or_else(|_| "the endpoint".to_owned(), |target| target.origin())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::error;
    use crate::cloud::CallErrorKind;
    use crate::outside::Response;

    const URL: &str = "https://compute.googleapis.com/compute/v1/projects/p";

    #[test]
    fn a_reason_tells_later_from_never() {
        let body = |reason: &str| {
            format!(
                r#"{{"error":{{"code":403,"message":"m","status":"PERMISSION_DENIED","errors":[{{"reason":"{reason}","domain":"usageLimits"}}]}}}}"#
            )
        };
        for (reason, later) in [
            ("rateLimitExceeded", true),
            ("userRateLimitExceeded", true),
            ("quotaExceeded", true),
            ("forbidden", false),
            ("accessNotConfigured", false),
        ] {
            let told = error(
                URL,
                "instances.get",
                &Response::new(403, body(reason).into()),
            );
            let throttled = matches!(told.kind, CallErrorKind::Throttled { .. });
            assert_eq!(throttled, later, "{reason}");
            assert_eq!(told.code.as_str(), reason);
            assert_eq!(told.to, "https://compute.googleapis.com");
        }
    }

    #[test]
    fn each_status_has_its_kind() {
        let of =
            |status: u16, body: &str| error(URL, "token", &Response::new(status, body.into())).kind;
        let later = |kind| matches!(kind, CallErrorKind::Throttled { .. });
        assert!(later(of(429, "")));
        assert_eq!(of(401, "x"), CallErrorKind::Denied);
        assert_eq!(of(403, "[]"), CallErrorKind::Denied);
        assert_eq!(of(500, ""), CallErrorKind::Failed);
        assert_eq!(of(503, ""), CallErrorKind::Failed);
        assert_eq!(
            of(400, r#"{"error":"invalid_grant"}"#),
            CallErrorKind::Refused
        );
        let busy = Response {
            retry_after: Some(Duration::from_secs(7)),
            ..Response::new(503, Vec::new())
        };
        let told = error(URL, "instances.get", &busy).kind;
        let retry_after = busy.retry_after;
        assert_eq!(told, CallErrorKind::Throttled { retry_after });
        let told = error(
            URL,
            "token",
            &Response::new(400, br#"{"error":"invalid_grant"}"#.into()),
        );
        assert_eq!(told.code.as_str(), "invalid_grant");
    }
}
