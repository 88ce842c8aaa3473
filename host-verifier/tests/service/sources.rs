//! Where a login comes from, beside where a cloud says that the instance is, by whole logins.

use std::sync::Arc;

use assay_common::protocol::DenyCode;
use assay_host_verifier::telemetry::events::Body;
use serde_json::{Value, json};

use crate::desk::{Desk, granted};
use crate::first_use_logins::{Google, machine};
use crate::without_tpm::denied;

const INSTANCE: &str = "2589221140676718026";
const INSIDE: &str = "https:10.0.0.7";
const OUTSIDE: &str = "https:::ffff:203.0.113.9";
const ELSEWHERE: &str = "https:198.51.100.1";

/// What Compute Engine says of the instance, with these interfaces.
fn described(nics: Value) -> Value {
    json!({"instance": {
        "id": INSTANCE, "status": "RUNNING", "machineType": "e2-small", "tags": [],
        "nics": nics, "labels": {}, "metadata": {},
    }})
}

/// A verifier whose policy has this rule.
fn desk(rule: &str, nics: Value) -> (Desk, Arc<Google>) {
    let google = Arc::new(Google::knowing(described(nics)));
    let entries = format!(
        "- name: cloud\n  requiredAttestors:\n  - type: gcp_iit\n    config: {{allowedProjectIDs: [prod], audience: lab, useInstanceMetadata: true, sourceAddress: {rule}}}\n"
    );
    let mut desk = Desk::with_template(&entries, "/gcp/{{gcp_iit.instance_id}}");
    desk.server.outside = google.clone();
    (desk, google)
}

fn nics() -> Value {
    let network = "projects/prod/global/networks/n";
    json!([{"network": network, "subnetwork": "", "addresses": ["10.0.0.7", "203.0.113.9"]}])
}

/// The steps of this name that the log has had.
fn told(desk: &mut Desk) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(event) = desk.events.try_recv() {
        if let Body::Step(step) = event.body
            && serde_json::to_value(step.step).unwrap() == "source_address"
        {
            told.push(step.detail);
        }
    }
    told
}

async fn from(desk: &Desk, google: &Google, link: &str) -> Option<DenyCode> {
    let token = google.token(desk, INSTANCE);
    let answer = machine(desk, &token).await.login_from(desk, link).await;
    let code = denied(&answer);
    if code.is_none() {
        granted(answer);
    }
    code
}

#[tokio::test]
async fn a_login_from_elsewhere_is_refused_where_the_policy_says_so() {
    let (mut desk, google) = desk("require", nics());
    for own in [INSIDE, OUTSIDE] {
        assert_eq!(from(&desk, &google, own).await, None, "{own}");
    }
    assert_eq!(told(&mut desk), [""; 0]);
    assert_eq!(
        from(&desk, &google, ELSEWHERE).await,
        Some(DenyCode::REFUSED)
    );
    let detail = desk.last_denial();
    assert!(detail.contains("came from 198.51.100.1"), "{detail}");
    assert!(detail.contains("sourceAddress: warn"), "{detail}");
    // A line has no address.
    assert_eq!(
        from(&desk, &google, "serial").await,
        Some(DenyCode::REFUSED)
    );
    assert_eq!(desk.sessions().await, 2);
}

#[tokio::test]
async fn an_instance_without_addresses_comes_from_nowhere() {
    let (desk, google) = desk("require", json!([]));
    assert_eq!(from(&desk, &google, INSIDE).await, Some(DenyCode::REFUSED));
}

#[tokio::test]
async fn a_login_from_elsewhere_is_told_of_and_let_in_where_the_policy_says_so() {
    let (mut desk, google) = desk("warn", nics());
    assert_eq!(from(&desk, &google, INSIDE).await, None);
    assert_eq!(told(&mut desk), [""; 0]);
    assert_eq!(from(&desk, &google, ELSEWHERE).await, None);
    let told = told(&mut desk);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("is at 10.0.0.7, 203.0.113.9"), "{told:?}");
}

#[tokio::test]
async fn nothing_is_looked_at_where_the_policy_does_not_say_so() {
    let (mut desk, google) = desk("ignore", nics());
    assert_eq!(from(&desk, &google, ELSEWHERE).await, None);
    assert_eq!(told(&mut desk), [""; 0]);
}
