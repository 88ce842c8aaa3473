//! Answers of others: a webhook's, a host's over HTTP, a Kubernetes API server's. They are judged without a crash, and what
//! is kept of them fits into the audit trail.
#![no_main]

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::errand::MAX_ANSWER;
use assay_host_verifier::attestor::{
    AttestError, Attestor, ErrandContext, Facts, Judged, LoginContext, registry,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::outside::{
    Error, Fetch, KeySource, NoOutside, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde::de::IntoDeserializer;

/// Answers every question with the same bytes.
#[derive(Debug)]
struct Says<'a>(&'a [u8]);

#[async_trait::async_trait]
impl Fetch for Says<'_> {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        let body = self.0.iter().copied().take(request.max_body);
        Ok(Response::new(200, body.collect()))
    }
}

#[async_trait::async_trait]
impl Outside for Says<'_> {
    async fn jwk(&self, _: &KeySource, _: Option<&str>) -> Result<Vec<u8>, Error> {
        Ok(self.0.to_vec())
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        NoOutside.take_join_token(digest, now).await
    }
}

/// A method, its settings, and a payload that leads to a question.
const ASKED: &[(AttestorKind, &str, &[u8])] = &[
    (
        AttestorKind::EXTENSION,
        r#"{"webhookURL":"https://webhook.example.org/","maxRetries":0}"#,
        b"proof",
    ),
    (
        AttestorKind::HTTP_DNS,
        r#"{"allowedHostnames":["node7.example.org"]}"#,
        br#"{"hostname":"node7.example.org","agentname":"default","port":80}"#,
    ),
    (
        AttestorKind::CUSTOM_JWT,
        r#"{"issuer":"https://issuer.example.org","jwksURI":"https://issuer.example.org/keys","audience":"assay-server"}"#,
        include_bytes!("../corpus/jwt_token/seed-good.jwt"),
    ),
    (
        AttestorKind::K8S_PSAT,
        r#"{"clusters":{"east":{"serviceAccountAllowList":["assay:agent"],"audience":["assay-server"],"kubeConfigFile":"kubeconfig.json"}}}"#,
        br#"{"cluster":"east","token":"t"}"#,
    ),
    (
        AttestorKind::K8S_SAT,
        r#"{"clusters":{"east":{"serviceAccountAllowList":["assay:agent"],"kubeConfigFile":"kubeconfig.json"}}}"#,
        br#"{"cluster":"east","token":"t"}"#,
    ),
];

/// A method that asks, and the payload that makes it ask.
type Asking = (Arc<dyn Attestor>, &'static [u8]);

static ATTESTORS: LazyLock<Vec<Asking>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets/data");
    let built = ASKED.iter().map(|(kind, config, payload)| {
        let config: serde_json::Value = serde_json::from_str(config).expect("JSON");
        let config = registry::deserialize_config(*kind, config.into_deserializer());
        let attestor = config.expect("settings").build(&folder);
        (attestor.expect("settings"), *payload)
    });
    built.collect()
});

fuzz_target!(|data: &[u8]| {
    let transcript = Transcript::new().then(Direction::Agent, b"hello");
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    for (attestor, payload) in &*ATTESTORS {
        let cx = LoginContext {
            now,
            transcript: &transcript,
            request: &[],
            blobs: &Blobs::default(),
            facts: &Facts::default(),
            last_boot: None,
            keys: &LoginKeys::new([7; 32]),
        };
        let asked = ErrandContext {
            now,
            login_id: "login".to_owned(),
            cluster: "lab".to_owned(),
            trust_domain: "example.org".to_owned(),
            policy: "rack".to_owned(),
            proven: Vec::new(),
            proof_nonce: proof_nonce(attestor.kind(), &transcript),
        };
        ask(attestor.as_ref(), &cx, &asked, payload, data);
    }
});

fn ask(
    attestor: &dyn Attestor,
    cx: &LoginContext<'_>,
    asked: &ErrandContext,
    payload: &[u8],
    data: &[u8],
) {
    let Ok(Judged::Errand(errand)) = attestor.judge(cx, payload) else {
        panic!("the payload leads to a question");
    };
    let told = |error: AttestError| assert!(!error.check.is_empty() && !error.detail.is_empty());
    let world = Says(data);
    let answer = match pin!(errand.run(&world, asked)).poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Ready(Err(error)) => return told(error),
        Poll::Pending => panic!("nothing here waits"),
    };
    assert!(answer.len() <= MAX_ANSWER);
    // A webhook and an API server are believed; whatever they say, it is said of this method.
    match errand.judge(cx, &answer) {
        Ok(claims) => assert_eq!(claims.kind, attestor.kind()),
        Err(error) => told(error),
    }
}
