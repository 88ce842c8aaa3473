//! `k8s_psat`: what the API server says of the token, its pod and its node, and each way in which it says otherwise.

use assay_host_verifier::attestor::Fault;
use assay_host_verifier::outside::ErrorKind;
use serde_json::{Value, json};

use super::{NODE, POD, REVIEWS, node, pod, psat, review};

/// Each is wrong in one thing; and nobody is asked on after that.
#[test]
fn each_check_of_a_review_refuses() {
    type Change = fn(&mut Value);
    let changes: [(&str, &str, Change); 16] = [
        ("token-review-error", "has an error", |r| {
            r["status"] = json!({"authenticated": true, "error": "to.ke.n is odd"});
        }),
        (
            "token-not-authenticated",
            "token not authenticated according to TokenReview API",
            |r| {
                r["status"]["authenticated"] = false.into();
            },
        ),
        ("token-not-authenticated", "token not authenticated", |r| {
            r["status"] = json!({});
        }),
        ("token-not-authenticated", "token not authenticated", |r| {
            r["status"].as_object_mut().unwrap().remove("authenticated");
        }),
        // SPIRE #5142: an API server that knows nothing of audiences.
        ("token-audience", "confirms no audience", |r| {
            r["status"].as_object_mut().unwrap().remove("audiences");
        }),
        ("token-audience", "confirms no audience", |r| {
            r["status"]["audiences"] = json!(["other"]);
        }),
        ("token-username", "failed to parse username", |r| {
            r["status"]["user"]["username"] = "admin".into();
        }),
        ("token-username", "failed to parse username", |r| {
            r["status"]["user"]["username"] = "system:serviceaccount:assay:assay-agent:x".into();
        }),
        ("token-username", "failed to parse username", |r| {
            r["status"]["user"]["username"] = "system:node:assay:assay-agent".into();
        }),
        (
            "service-account-not-allowed",
            "\"assay:other\" is not an allowed service account",
            |r| {
                r["status"]["user"]["username"] = "system:serviceaccount:assay:other".into();
            },
        ),
        ("service-account-not-allowed", "is not an allowed", |r| {
            r["status"]["user"]["username"] = "system:serviceaccount:default:assay-agent".into();
        }),
        (
            "token-not-bound",
            "failed to get pod name from token review status",
            |r| {
                r["status"]["user"]["extra"] = json!({});
            },
        ),
        (
            "token-not-bound",
            "failed to get pod name from token review status",
            |r| {
                r["status"]["user"]["extra"]["authentication.kubernetes.io/pod-name"] =
                    json!(["agent-x", "agent-y"]);
            },
        ),
        (
            "token-not-bound",
            "failed to get pod UID from token review status",
            |r| {
                r["status"]["user"]["extra"]["authentication.kubernetes.io/pod-uid"] = json!([]);
            },
        ),
        ("token-not-bound", "is none", |r| {
            r["status"]["user"]["extra"]["authentication.kubernetes.io/pod-name"] =
                json!(["../../secrets/x"]);
        }),
        ("token-not-bound", "failed to get node name", |r| {
            r["status"]["user"]["extra"]["authentication.kubernetes.io/node-name"] =
                json!(["worker-1", "worker-2"]);
        }),
    ];
    for (check, text, change) in changes {
        let cluster = psat();
        let mut answer = review();
        change(&mut answer);
        let error = cluster.with(REVIEWS, Ok(answer));
        assert_eq!(error.check, check, "{error}");
        assert!(error.detail.contains(text), "{error}");
        assert!(!error.detail.contains("to.ke.n"), "{error}");
        assert_eq!(cluster.world.asked().len(), 1, "{text}");
    }
}

#[test]
fn each_check_of_the_pod_and_the_node_refuses() {
    type Change = fn(&mut Value);
    let pods: [(&str, Change); 7] = [
        // SPIRE #7117: the pod was replaced by another of its name.
        ("pod-uid-mismatch", |p| {
            p["metadata"]["uid"] = "other".into()
        }),
        ("pod-uid-mismatch", |p| {
            drop(p["metadata"].as_object_mut().unwrap().remove("uid"))
        }),
        ("pod-mismatch", |p| p["metadata"]["name"] = "agent-y".into()),
        ("pod-mismatch", |p| {
            p["metadata"]["namespace"] = "default".into()
        }),
        ("pod-mismatch", |p| {
            p["spec"]["serviceAccountName"] = "other".into()
        }),
        ("node-name", |p| {
            drop(p["spec"].as_object_mut().unwrap().remove("nodeName"))
        }),
        ("node-mismatch", |p| {
            p["spec"]["nodeName"] = "worker-2".into()
        }),
    ];
    for (check, change) in pods {
        let cluster = psat();
        let mut answer = pod();
        change(&mut answer);
        let error = cluster.with(POD, Ok(answer));
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
        assert_eq!(cluster.world.asked().len(), 2);
    }
    let nodes: [(&str, Change); 3] = [
        ("node-uid", |n| n["metadata"]["uid"] = "".into()),
        ("node-mismatch", |n| {
            n["metadata"]["name"] = "worker-2".into()
        }),
        ("node-mismatch", |n| {
            n["metadata"]["uid"] = "reinstalled".into()
        }),
    ];
    for (check, change) in nodes {
        let mut answer = node();
        change(&mut answer);
        let error = psat().with(NODE, Ok(answer));
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
    }
    let error = psat().with(
        NODE,
        Ok(json!({"kind": "Node", "metadata": {"name": "worker-1"}})),
    );
    assert_eq!(error.detail, "node UID is empty");
}

/// Statuses as Kubernetes documents them: whose fault each is.
#[test]
fn statuses_are_sorted_by_whose_fault_they_are() {
    use Fault::{Misconfigured, Refused, Unavailable};
    for (url, kind, fault, text) in [
        (
            REVIEWS,
            ErrorKind::Status(401),
            Misconfigured,
            "the verifier's own token",
        ),
        (REVIEWS, ErrorKind::Status(403), Misconfigured, "RBAC"),
        (
            REVIEWS,
            ErrorKind::Status(404),
            Unavailable,
            "unable to validate token with TokenReview API",
        ),
        (REVIEWS, ErrorKind::Status(500), Unavailable, "status 500"),
        (
            REVIEWS,
            ErrorKind::Redirect(302),
            Unavailable,
            "redirects are not followed",
        ),
        (
            REVIEWS,
            ErrorKind::Deadline,
            Unavailable,
            "no answer in time",
        ),
        (
            POD,
            ErrorKind::Status(403),
            Misconfigured,
            "failed to get pod from k8s API server",
        ),
        (
            POD,
            ErrorKind::Status(404),
            Refused,
            "failed to get pod from k8s API server",
        ),
        (
            NODE,
            ErrorKind::Status(403),
            Misconfigured,
            "failed to get node from k8s API server",
        ),
        (NODE, ErrorKind::Status(404), Refused, "there is none"),
        (NODE, ErrorKind::Connect, Unavailable, "no connection"),
    ] {
        let error = psat().with(url, Err(kind));
        assert_eq!(error.fault, fault, "{error}");
        assert!(error.detail.contains(text), "{error}");
    }
}

/// An answer of another kind, such as a `Status`, is none, with whatever status it comes.
#[test]
fn an_answer_of_another_kind_is_no_answer() {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "hunter2", "reason": "Forbidden", "code": 403});
    for url in [REVIEWS, POD, NODE] {
        for answer in [status.clone(), json!([]), json!("hunter2"), json!({})] {
            let error = psat().with(url, Ok(answer));
            assert_eq!(error.fault, Fault::Unavailable, "{error}");
            assert!(!error.detail.contains("hunter2"), "{error}");
        }
    }
    let mut many = review();
    many["status"]["user"]["extra"]["authentication.kubernetes.io/pod-uid"] =
        json!(["x".repeat(300)]);
    assert_eq!(psat().with(REVIEWS, Ok(many)).check, "token-review");
}
