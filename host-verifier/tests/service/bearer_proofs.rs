//! Proofs that let in whoever reads them: they are in no record, no answer and no export, and the login can be judged again.

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::is_bearer;
use assay_host_verifier::attestor::registry::BUILT;
use assay_host_verifier::audit::again::{Check, Judgement};
use assay_host_verifier::audit::kept::{Kept, Lack, Said};
use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::login::ChallengeKey;
use assay_host_verifier::store::Role;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::agent::{Agent, Answer, Asked};
use crate::api::{Api, ask, bearer, peer};
use crate::desk::{Desk, asked_of, policies, tell};
use crate::stored_logins::{judge, last_record, office, verdict};

const SESSION_KEY: AttestorKind = AttestorKind::SESSION_KEY;
const TOKEN: AttestorKind = AttestorKind::K8S_TOKEN;
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn issuer_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// Pods of a cluster whose keys are in the document.
fn entries() -> String {
    let x = b64(issuer_key().public_key());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x}]});
    format!(
        "- name: pods\n  requiredAttestors:\n  - type: k8s_token\n    config: {{issuerURL: \"{ISSUER}\", audience: assay-tests, jwks: '{keys}'}}\n"
    )
}

/// A pod's token in its three parts.
fn token(desk: &Desk) -> [String; 3] {
    let now = desk.clock_now().as_second();
    let claims = json!({
        "iss": ISSUER, "aud": ["assay-tests"], "iat": now, "nbf": now, "exp": now + 600,
        "sub": "system:serviceaccount:spirl-system:spirl-agent",
    });
    let header = b64(json!({"alg": "EdDSA", "kid": "one"}).to_string());
    let claims = b64(claims.to_string());
    let signature = issuer_key().sign(format!("{header}.{claims}").as_bytes());
    [header, claims, b64(signature)]
}

/// Logs in without a TPM, by a payload for each method that is asked for.
async fn login(desk: &Desk, payload: &[u8]) -> Answer {
    let share = PrivateKey::generate(&ECDH_P256).unwrap();
    let mut agent = desk.agent();
    agent.methods = vec![TOKEN.0];
    agent.share = share.compute_public_key().unwrap().as_ref().to_vec();
    let mut link = desk.link();
    let hello = agent.hello();
    let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
    let items = items(&mut agent, &share, &asked, payload);
    let proofs = agent.proofs(&asked, &items);
    tell(&mut link, &mut agent, &proofs).await
}

fn items(
    agent: &mut Agent,
    share: &PrivateKey,
    asked: &Asked,
    payload: &[u8],
) -> Vec<(AttestorKind, Vec<u8>)> {
    let mut prove = |(kind, request): &(AttestorKind, Vec<u8>)| {
        if *kind != SESSION_KEY {
            return (*kind, payload.to_vec());
        }
        let peer = UnparsedPublicKey::new(&ECDH_P256, request);
        let keys = agree(share, peer, (), |x| {
            let x = <[u8; 32]>::try_from(x).unwrap();
            Ok(assay_common::login::session_key::session_keys(
                &x,
                &agent.share,
                request,
            ))
        })
        .unwrap();
        let proof = keys.proof(&agent.transcript).to_vec();
        agent.keys = Some(keys);
        (*kind, proof)
    };
    asked.items.iter().map(&mut prove).collect()
}

/// A desk with a trail, and the signature of the token that a node was let in with.
async fn let_in() -> (Desk, TempDir, String) {
    let (mut desk, folder) = office(&entries());
    let signature = pod(&mut desk).await;
    (desk, folder, signature)
}

/// Lets in a pod; the signature of its token.
async fn pod(desk: &mut Desk) -> String {
    template(desk);
    let [header, claims, signature] = token(desk);
    let payload = json!({"token": format!("{header}.{claims}.{signature}")}).to_string();
    let answer = login(desk, payload.as_bytes()).await;
    assert!(matches!(answer, Answer::Granted(_)), "{answer:?}");
    signature
}

/// A node that has no TPM is not named after one.
fn template(desk: &mut Desk) {
    let verifier = desk.server.verifier.current();
    let mut verifier = (*verifier).clone();
    verifier.path_template = assay_host_verifier::session::PathTemplate::parse("/pod").unwrap();
    desk.server.verifier = verifier.into();
}

/// Whether any run of this text is in these bytes, in the clear or in base64 at any alignment.
fn has_run_of(bytes: &[u8], secret: &str) -> bool {
    let contains = |run: &[u8]| bytes.windows(run.len()).any(|window| window == run);
    let runs = secret.as_bytes().windows(12);
    runs.clone().any(contains)
        || runs
            .clone()
            .any(|run| contains(STANDARD.encode(run).as_bytes()))
}

fn judged(desk: &Desk, kept: &Kept, set: &assay_host_verifier::policy::PolicySet) -> Judgement {
    let key = desk.server.verifier.current().key.public().to_vec();
    judge(kept, set, kept.time, &key)
}

#[tokio::test]
async fn a_token_is_nowhere_in_the_trail_and_its_login_is_judged_again_with_the_key() {
    let (desk, folder, signature) = let_in().await;
    let trail = std::fs::read(folder.path().join(audit::FILE)).unwrap();
    assert!(!has_run_of(&trail, &signature));

    let record = last_record(&folder);
    let sealed: Vec<_> = record["evidence"].as_array().unwrap().clone();
    let last = sealed.last().unwrap();
    assert_eq!(last.get("base64"), None);
    // Whoever guesses what it was has nothing to compare the guess with.
    assert_eq!(last.get("sha256"), None);
    assert!(last["len"].is_number());
    assert_eq!(
        (&last["from"], &last["kind"]),
        (&json!("agent"), &json!("message"))
    );
    // What lets nobody in stays as it was.
    let others = sealed.iter().rev().skip(1);
    assert!(
        others.clone().all(|piece| piece["base64"].is_string()),
        "{sealed:?}"
    );

    let set = policies(&entries());
    let verifier = desk.server.verifier.current();
    let kept = Kept::opened(&record, Some(verifier.key.evidence_key())).unwrap();
    assert_eq!(verdict(judged(&desk, &kept, &set)).as_deref(), Ok("pods"));
    // What was found nowhere is what would have been written.
    let Some(Said::Agent(message)) = kept.said.last() else {
        panic!("{:?}", kept.said);
    };
    assert!(has_run_of(message, &signature));
    let written = STANDARD.encode(message);
    assert!(has_run_of(written.as_bytes(), &signature));
}

#[tokio::test]
async fn no_answer_of_the_api_has_the_token() {
    let mut api = Api::new();
    api.desk = Desk::new(&entries());
    let trail = api.path("data").join(audit::FILE);
    api.desk.server.audit = AuditLog::open(&trail).unwrap().0;
    let signature = pod(&mut api.desk).await;
    let record: Value = serde_json::from_slice(&std::fs::read(&trail).unwrap()).unwrap();
    let login = record["login_id"].as_str().unwrap();
    let router = api.router();
    let admin = bearer(&api.token(Role::Admin).await);
    for path in [
        format!("/v1/evidence/{login}"),
        format!("/v1/audit/{login}"),
        "/v1/audit".to_owned(),
        "/v1/audit/events".to_owned(),
    ] {
        let from = peer("192.0.2.1:1");
        let answer = ask(&router, from, "GET", &path, Some(&admin), None).await;
        assert_eq!(answer.status(), 200, "{path}");
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
        let bytes = bytes.unwrap();
        assert!(!has_run_of(&bytes, &signature), "{path}");
        if path.starts_with("/v1/evidence") {
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(answer[0]["evidence"], record["evidence"]);
        }
    }
}

#[tokio::test]
async fn without_the_key_the_judgement_says_what_it_needs() {
    let (desk, folder, _) = let_in().await;
    let record = last_record(&folder);
    let set = policies(&entries());
    let stranger = ChallengeKey::generate().unwrap();
    for (key, lack, why) in [
        (
            None,
            Lack::Sealed,
            "sealed: needs the verifier's data directory",
        ),
        (
            Some(stranger.evidence_key()),
            Lack::Unopened,
            "another verifier's challenge key",
        ),
    ] {
        let kept = Kept::opened(&record, key).unwrap();
        assert_eq!(kept.lack, Some(lack));
        let judgement = judged(&desk, &kept, &set);
        assert!(judgement.decision.is_none());
        match judgement.checks.as_slice() {
            [("evidence", Check::Failed(told))] => assert!(told.contains(why), "{told}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_sealed_piece_opens_at_its_own_place_only() {
    let (desk, folder, _) = let_in().await;
    let record = last_record(&folder);
    let verifier = desk.server.verifier.current();
    let lack = |bend: &dyn Fn(&mut Map<String, Value>)| {
        let mut record = record.clone();
        bend(&mut record);
        let kept = Kept::opened(&record, Some(verifier.key.evidence_key()));
        kept.unwrap().lack
    };
    let last = record["evidence"].as_array().unwrap().len() - 1;
    let bent = |name: &'static str, value: Value| {
        move |record: &mut Map<String, Value>| record["evidence"][last][name] = value.clone()
    };
    assert_eq!(lack(&|_| ()), None);
    let other_record = |record: &mut Map<String, Value>| record["login_id"] = json!("0".repeat(32));
    assert_eq!(lack(&other_record), Some(Lack::Unopened));
    let other_position = |record: &mut Map<String, Value>| {
        let pieces = record["evidence"].as_array_mut().unwrap();
        pieces.swap(0, last);
    };
    assert_eq!(lack(&other_position), Some(Lack::Unopened));
    assert_eq!(lack(&bent("kind", json!("blob 1"))), Some(Lack::Unopened));
    assert_eq!(lack(&bent("from", json!("outside"))), Some(Lack::Unopened));
    let other_bytes = STANDARD.encode([0; 64]);
    assert_eq!(
        lack(&bent("sealed", json!(other_bytes))),
        Some(Lack::Unopened)
    );
}

#[test]
fn what_is_not_known_to_be_fresh_is_sealed() {
    use AttestorKind as Kind;
    let fresh = [
        Kind::AZURE_IMDS,
        Kind::HTTP_DNS,
        Kind::JOIN_TOKEN,
        Kind::MCU_KEY,
        Kind::SSH_POP,
        Kind::TPM_DEVID,
        Kind::TPM_EK,
        Kind::TPM_QUOTE,
        Kind::X509POP,
    ];
    let built = BUILT.iter().filter(|kind| !is_bearer(**kind));
    assert_eq!(built.copied().collect::<Vec<_>>(), fresh);
    assert!(
        (19..30)
            .chain(32..=255)
            .all(|number| is_bearer(Kind(number)))
    );
    assert!(!is_bearer(Kind::SVID_KEY) && !is_bearer(Kind::SESSION_KEY));
}
