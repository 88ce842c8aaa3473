//! What AWS's errors come to.

use core::time::Duration;

use serde::Deserialize;

use super::xml;
use crate::cloud::{CallError, CallErrorKind};

/// The codes that say: too many (the SDKs' own list).
const THROTTLED: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "TooManyRequests",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

/// The codes that say: not with these credentials.
const DENIED: [&str; 19] = [
    "AccessDenied",
    "AccessDeniedException",
    "AccessDeniedForDependencyException",
    "UnauthorizedOperation",
    "UnauthorizedAccess",
    "AuthFailure",
    "Blocked",
    "OptInRequired",
    "PendingVerification",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "ExpiredToken",
    "ExpiredTokenException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
];

/// The error that an answer with this status stands for.
pub(super) fn error(
    to: String,
    operation: &'static str,
    (status, body): (u16, &[u8]),
    retry_after: Option<Duration>,
) -> CallError {
    let code = code(status, body).unwrap_or_default();
    let kind = match status {
        _ if status == 429 || THROTTLED.contains(&code.as_str()) => {
            CallErrorKind::Throttled { retry_after }
        }
        _ if DENIED.contains(&code.as_str()) => CallErrorKind::Denied,
        // It says when to come again, so it is not out of order.
        503 if retry_after.is_some() => CallErrorKind::Throttled { retry_after },
        500.. => CallErrorKind::Failed,
        401 | 403 => CallErrorKind::Denied,
        _ => CallErrorKind::Refused,
    };
    CallError::new(to, operation, kind).coded(&code)
}

/// The code of an error's body: EC2's `Response/Errors/Error`, the others' `ErrorResponse/Error`, or JSON with `__type`. EKS has
/// its codes in a header, and JSON without one: `HTTP` and the status then.
fn code(status: u16, body: &[u8]) -> Option<String> {
    match body.trim_ascii_start().first()? {
        b'<' => in_xml(body),
        b'{' => in_json(status, body),
        _ => None,
    }
}

fn in_xml(body: &[u8]) -> Option<String> {
    let root = xml::parse(body).ok()?;
    // EC2's stand in a list of one.
    let error = match root.child("Errors").ok()? {
        Some(errors) => errors.child("Error").ok()??,
        None => root.child("Error").ok()??,
    };
    error.text("Code").ok()?.map(str::to_owned)
}

fn in_json(status: u16, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "__type")]
        kind: Option<String>,
        code: Option<String>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let Some(text) = body.kind.or(body.code) else {
        return Some(format!("HTTP{status}"));
    };
    // With its namespace before it, or a URL behind it.
    let text = text.rsplit('#').next()?.split(':').next()?;
    Some(text.to_owned())
}

/// What to do about a call that failed, e.g. which permission is missing. `role` is the role that is assumed in the account of
/// a node.
#[must_use]
pub fn hint(error: &CallError, role: &str) -> Option<String> {
    let code = error.code.as_str();
    let stale = [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
    ];
    let misfit = [
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "RequestExpired",
    ];
    match error.kind {
        CallErrorKind::Denied if stale.contains(&code) => Some(
            "the service's own credentials have ended or were removed: see `clouds.aws.credentials` in assayd.yaml"
                .to_owned(),
        ),
        CallErrorKind::Denied if misfit.contains(&code) => Some(
            "the secret is another key's, or the clock of the verifier's machine is wrong"
                .to_owned(),
        ),
        CallErrorKind::Denied => Some(match permission(error.operation)? {
            "sts:AssumeRole" => format!(
                "let the verifier's own identity do sts:AssumeRole, and let the trust policy of the role that it assumes ({role} in the account of a node) name it"
            ),
            "organizations:ListAccounts" => {
                "the role of `assumeOrgRoleArns` needs the permission organizations:ListAccounts, in the management account or a delegated one".to_owned()
            }
            permission => format!("the role {role} needs the permission {permission}"),
        }),
        CallErrorKind::Throttled { .. } => {
            Some("AWS asks for fewer calls: a longer `clouds.aws.cacheTtl` makes fewer".to_owned())
        }
        CallErrorKind::Credentials(_) => {
            Some("see `clouds.aws.credentials` in assayd.yaml".to_owned())
        }
        CallErrorKind::Outside(kind) => kind.hint().map(str::to_owned),
        _ => None,
    }
}

/// The permission that an operation needs.
fn permission(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "AssumeRole" => "sts:AssumeRole",
        "DescribeInstances" => "ec2:DescribeInstances",
        "DescribeVolumes" => "ec2:DescribeVolumes",
        "DescribeImages" => "ec2:DescribeImages",
        "GetInstanceProfile" => "iam:GetInstanceProfile",
        "ListAccounts" => "organizations:ListAccounts",
        "ListNodegroups" => "eks:ListNodegroups",
        "DescribeNodegroup" => "eks:DescribeNodegroup",
        "DescribeAutoScalingGroups" => "autoscaling:DescribeAutoScalingGroups",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::{error, hint};
    use crate::cloud::CallErrorKind;

    fn kind(status: u16, body: &str) -> (CallErrorKind, String) {
        let error = error(
            "e".into(),
            "DescribeInstances",
            (status, body.as_bytes()),
            None,
        );
        (error.kind, error.code.as_str().to_owned())
    }

    #[test]
    fn every_form_of_an_error_has_its_code() {
        let ec2 = "<?xml version=\"1.0\"?><Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>m</Message></Error></Errors><RequestID>r</RequestID></Response>";
        assert_eq!(
            kind(403, ec2),
            (CallErrorKind::Denied, "UnauthorizedOperation".into())
        );
        let query = "<ErrorResponse xmlns=\"u\"><Error><Type>Sender</Type><Code>AccessDenied</Code></Error></ErrorResponse>";
        assert_eq!(
            kind(403, query),
            (CallErrorKind::Denied, "AccessDenied".into())
        );
        let json =
            "{\"__type\":\"com.amazonaws.organizations#AccessDeniedException\",\"Message\":\"m\"}";
        assert_eq!(
            kind(400, json),
            (CallErrorKind::Denied, "AccessDeniedException".into())
        );
        let with_url = "{\"__type\":\"ResourceNotFoundException:http://internal\"}";
        assert_eq!(
            kind(404, with_url),
            (CallErrorKind::Refused, "ResourceNotFoundException".into())
        );
        let eks = "{\"message\":\"No cluster found for name: c.\"}";
        assert_eq!(kind(404, eks), (CallErrorKind::Refused, "HTTP404".into()));
        for body in [
            "",
            "no",
            "<html>",
            "{",
            "[]",
            "<Response><Errors/></Response>",
        ] {
            assert_eq!(
                kind(400, body),
                (CallErrorKind::Refused, String::new()),
                "{body}"
            );
            assert_eq!(
                kind(403, body),
                (CallErrorKind::Denied, String::new()),
                "{body}"
            );
            assert_eq!(
                kind(500, body),
                (CallErrorKind::Failed, String::new()),
                "{body}"
            );
        }
    }

    #[test]
    fn throttling_is_told_apart_from_failing_whatever_the_status() {
        let throttled = CallErrorKind::Throttled { retry_after: None };
        let ec2 = "<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>";
        assert_eq!(kind(503, ec2).0, throttled);
        let query = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>";
        assert_eq!(kind(400, query).0, throttled);
        assert_eq!(
            kind(400, "{\"__type\":\"TooManyRequestsException\"}").0,
            throttled
        );
        assert_eq!(kind(429, "").0, throttled);
        assert_eq!(kind(503, "").0, CallErrorKind::Failed);
        let wish = Some(Duration::from_secs(3));
        let wished = error("e".into(), "ListAccounts", (503, b""), wish);
        assert_eq!(wished.kind, CallErrorKind::Throttled { retry_after: wish });
    }

    #[test]
    fn a_hint_names_the_permission_and_the_role() {
        let denied = |operation, code: &str| {
            let body =
                format!("<Response><Errors><Error><Code>{code}</Code></Error></Errors></Response>");
            let error = error("e".into(), operation, (403, body.as_bytes()), None);
            hint(&error, "Reader").unwrap_or_default()
        };
        let told = denied("GetInstanceProfile", "AccessDenied");
        assert_eq!(
            told,
            "the role Reader needs the permission iam:GetInstanceProfile"
        );
        assert!(denied("AssumeRole", "AccessDenied").contains("trust policy"));
        assert!(denied("DescribeInstances", "RequestExpired").contains("clock"));
        assert!(denied("DescribeInstances", "ExpiredToken").contains("credentials"));
    }

    #[test]
    fn nothing_of_a_message_is_told() {
        let body = "<Response><Errors><Error><Code>Bad&lt;Code&gt; c4n4ry!</Code><Message>c4n4ry2</Message></Error></Errors></Response>";
        let error = error(
            "e".into(),
            "DescribeInstances",
            (400, body.as_bytes()),
            None,
        );
        assert_eq!(
            error.to_string(),
            "e: DescribeInstances: refused (BadCodec4n4ry)"
        );
    }
}
