//! `k8s_sat`: tokens as Kubernetes made them before 1.21.

use assay_common::login::{Direction, Transcript};
use assay_common::policy::AttestorKind;
use serde_json::{Value, json};

use super::{
    super::{World, attestor, judge, judge_in},
    REVIEWS, cluster, payload, review,
};
use crate::jwt::signer::{NOW, Signer};
use crate::pki::Pki;

fn legacy_claims() -> Value {
    json!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "assay",
        "kubernetes.io/serviceaccount/secret.name": "assay-agent-token-x",
        "kubernetes.io/serviceaccount/service-account.name": "assay-agent",
        "kubernetes.io/serviceaccount/service-account.uid": "51e5d3c2",
        "sub": "system:serviceaccount:assay:assay-agent",
    })
}

/// By keys: a token without end and audience, as Kubernetes made them before 1.21.
#[test]
fn a_legacy_token_is_judged_by_the_clusters_keys() {
    let pki = Pki::new();
    pki.key("rsa2048", "rsa2048");
    pki.key("other", "rsa2048");
    let pem = |name: &str| {
        String::from_utf8(pki.openssl(&format!("pkey -in {name}.key -pubout"))).unwrap()
    };
    let config = json!({"clusters": {"MyCluster": {
        "serviceAccountAllowList": ["assay:assay-agent"],
        "serviceAccountKeyFile": [pem("other"), pem("rsa2048")],
    }}});
    let attestor = attestor(AttestorKind::K8S_SAT, config).unwrap();
    let judged = |name: &str, claims: &Value| {
        let key = std::fs::read(pki.path(&format!("{name}.key"))).unwrap();
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(&key).unwrap();
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        header.typ = None;
        let token = jsonwebtoken::encode(&header, claims, &key).unwrap();
        let payload = json!({"cluster": "MyCluster", "token": token}).to_string();
        judge(&*attestor, &World::default(), payload.as_bytes()).result
    };
    let claims = judged("rsa2048", &legacy_claims()).unwrap();
    let names: Vec<_> = claims.attributes.iter().map(|a| &*a.name).collect();
    assert_eq!(
        names,
        [
            "k8s_sat.cluster",
            "k8s_sat.agent_ns",
            "k8s_sat.agent_sa",
            "k8s_sat.agent_uuid"
        ]
    );
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 8] = [
        ("token-issuer", |c| {
            c["iss"] = "https://kubernetes.default.svc".into()
        }),
        ("token-claims", |c| {
            drop(c.as_object_mut().unwrap().remove("iss"))
        }),
        ("token-subject", |c| {
            c["sub"] = "system:serviceaccount:assay:other".into()
        }),
        ("token-claims", |c| {
            drop(c.as_object_mut().unwrap().remove("sub"))
        }),
        ("token-expired", |c| c["exp"] = (NOW - 100).into()),
        ("token-not-yet", |c| c["nbf"] = (NOW + 100).into()),
        ("token-form", |c| c["exp"] = "never".into()),
        ("service-account-not-allowed", |c| {
            c["sub"] = "system:serviceaccount:kube:assay-agent".into();
            c["kubernetes.io/serviceaccount/namespace"] = "kube".into();
        }),
    ];
    for (check, change) in changes {
        let mut claims = legacy_claims();
        change(&mut claims);
        let error = judged("rsa2048", &claims).unwrap_err();
        assert_eq!(error.check, check, "{error}");
    }
    pki.key("thief", "rsa2048");
    assert_eq!(
        judged("thief", &legacy_claims()).unwrap_err().check,
        "token-signature"
    );
    let foreign = Signer::new(1).token(&legacy_claims());
    let payload = json!({"cluster": "MyCluster", "token": foreign}).to_string();
    let error = judge(&*attestor, &World::default(), payload.as_bytes()).result;
    assert_eq!(error.unwrap_err().check, "token-key");
}

#[test]
fn a_legacy_token_is_judged_by_the_clusters_word() {
    let cluster = cluster(AttestorKind::K8S_SAT, json!({}));
    cluster.world.forget(REVIEWS);
    let mut answer = review();
    answer["status"]["user"]["extra"] = json!({});
    answer["status"]
        .as_object_mut()
        .unwrap()
        .remove("audiences");
    cluster.world.answers(REVIEWS, Ok(answer.clone()));
    assert!(cluster.judged().is_ok());
    let sent: Value = serde_json::from_slice(&cluster.world.asked()[0].body).unwrap();
    assert_eq!(sent["spec"], json!({"token": "to.ke.n"}), "no audience");
    assert_eq!(cluster.world.asked().len(), 1, "neither pod nor node");
    answer["status"]["authenticated"] = false.into();
    assert_eq!(
        cluster.with(REVIEWS, Ok(answer)).check,
        "token-not-authenticated"
    );
}

/// SPIRE made one at random; ours is random too, and the same when a stored login is judged again.
#[test]
fn each_login_has_a_uuid_of_its_own() {
    let cluster = cluster(AttestorKind::K8S_SAT, json!({}));
    let uuid = |message: &[u8]| {
        let transcript = Transcript::new().then(Direction::Agent, message);
        let judged = judge_in(&*cluster.attestor, &cluster.world, &payload(), &transcript);
        let claims = judged.result.unwrap();
        let uuid = claims
            .attributes
            .iter()
            .find(|a| a.name == "k8s_sat.agent_uuid");
        let uuid = uuid.unwrap().value.clone();
        assert_eq!(claims.facts.identity, Some(format!("MyCluster/{uuid}")));
        uuid
    };
    let one = uuid(b"one login");
    assert_eq!(one, uuid(b"one login"));
    assert_ne!(one, uuid(b"another"));
    let parts: Vec<_> = one.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert!(
        one[14..].starts_with('8') && "89ab".contains(&one[19..20]),
        "{one}"
    );
}
