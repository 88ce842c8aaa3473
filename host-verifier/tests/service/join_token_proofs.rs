//! `join_token` as a login judges it: the token's key, the login's nonce, and what a store says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::method::join_token::{key_seed, signed_message};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::join_token::JoinTokenAttestor;
use assay_host_verifier::attestor::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Fault, Judged,
    LoginContext, When,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::join_token::{JoinToken, Wanted};
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, NoOutside, Outside, Request, Response,
};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::store::{JoinTokenTaken, JoinTokens, MemoryStore};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;

use crate::stores::at;

/// An outside that has nothing but a store.
#[derive(Debug)]
struct OnlyStore<S>(S);

#[async_trait::async_trait]
impl<S: Send + Sync + core::fmt::Debug> Fetch for OnlyStore<S> {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        NoOutside.fetch(request).await
    }
}

#[async_trait::async_trait]
impl<S: JoinTokens + Send + Sync + core::fmt::Debug> Outside for OnlyStore<S> {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        NoOutside.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        let taken = self.0.take_join_token(digest, now).await;
        taken.map_err(|_| Error::store(ErrorKind::Store))
    }
}

fn transcript(login: &[u8]) -> Transcript {
    Transcript::new().then(Direction::Agent, login)
}

/// What an agent with this token sends in the login.
fn payload(token: &JoinToken, login: &[u8]) -> Vec<u8> {
    let nonce = proof_nonce(AttestorKind::JOIN_TOKEN, &transcript(login));
    payload_over(token, &signed_message(&nonce).concat())
}

fn payload_over(token: &JoinToken, message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::signature::KeyPair as _;
    let key = token.key();
    let wire = json!({
        "publicKey": STANDARD.encode(key.public_key().as_ref()),
        "signature": STANDARD.encode(key.sign(message).as_ref()),
    });
    wire.to_string().into_bytes()
}

fn judged<T>(login: &[u8], judge: impl FnOnce(&LoginContext<'_>) -> T) -> T {
    judge(&LoginContext {
        now: at(1500),
        transcript: &transcript(login),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    })
}

fn errand(login: &[u8], payload: &[u8]) -> Result<Box<dyn Errand>, AttestError> {
    judged(login, |cx| match JoinTokenAttestor.judge(cx, payload)? {
        Judged::Errand(errand) => Ok(errand),
        other => panic!("{other:?}"),
    })
}

fn context() -> ErrandContext {
    let proven = |name: &str, value: &str| Attribute {
        origin: AttestorKind::TPM_EK,
        name: name.to_owned().into(),
        value: value.to_owned(),
    };
    ErrandContext {
        now: at(1500),
        login_id: "login".to_owned(),
        cluster: "lab".to_owned(),
        trust_domain: "example.org".to_owned(),
        policy: "rack".to_owned(),
        proven: vec![(
            AttestorKind::TPM_EK,
            vec![
                proven("tpm_ek.public_hash", "3f"),
                proven("tpm_ek.twice", "a"),
                proven("tpm_ek.twice", "b"),
            ],
        )],
        proof_nonce: [0; 32],
    }
}

async fn login(
    outside: &dyn Outside,
    token: &JoinToken,
    cx: &ErrandContext,
) -> Result<(Claims, Vec<u8>), AttestError> {
    let errand = errand(b"login", &payload(token, b"login"))?;
    let answer = errand.run(outside, cx).await?;
    let claims = judged(b"login", |cx| errand.judge(cx, &answer))?;
    Ok((claims, answer))
}

fn wanted() -> Wanted<'static> {
    Wanted {
        cluster: "lab",
        ttl: Duration::from_secs(600),
        spiffe_id: None,
        bound: BTreeMap::new(),
        comment: "",
        created_by: "test",
        trust_domain: "example.org",
    }
}

async fn made<S: JoinTokens>(store: &S, wanted: Wanted<'_>) -> (JoinToken, String) {
    let (token, record) = JoinToken::issue(&SystemRandom, at(1000), wanted).unwrap();
    assert!(store.add_join_token(&record).await.unwrap());
    (token, record.id)
}

#[tokio::test]
async fn a_token_lets_one_login_in_and_names_the_node_by_its_public_id() {
    let outside = OnlyStore(MemoryStore::default());
    let (token, id) = made(&outside.0, wanted()).await;
    let (claims, _) = login(&outside, &token, &context()).await.unwrap();
    assert_eq!(claims.facts.identity.as_deref(), Some(id.as_str()));
    assert_eq!(claims.attributes.len(), 1);
    assert_eq!(
        claims.attributes[0].to_string(),
        format!("join_token:join_token.id={id:?}")
    );
    let again = login(&outside, &token, &context()).await.unwrap_err();
    assert_eq!(again.check, "join-token-used");
}

#[tokio::test]
async fn the_identity_that_a_token_names_is_an_attribute() {
    let outside = OnlyStore(MemoryStore::default());
    let named = Wanted {
        spiffe_id: Some("spiffe://example.org/node/rack7"),
        ..wanted()
    };
    let (token, _) = made(&outside.0, named.clone()).await;
    let (claims, _) = login(&outside, &token, &context()).await.unwrap();
    let attribute = &claims.attributes[1];
    assert_eq!(attribute.name, "join_token.spiffe_id");
    assert_eq!(attribute.value, "spiffe://example.org/node/rack7");
    assert_eq!(
        claims.facts.identity,
        Some(attribute.value.clone()),
        "the same node, by whichever token"
    );

    // Another verifier over the same store issues for another trust domain.
    let (token, _) = made(&outside.0, named).await;
    let elsewhere = ErrandContext {
        trust_domain: "example.com".to_owned(),
        ..context()
    };
    let refused = login(&outside, &token, &elsewhere).await.unwrap_err();
    assert_eq!(refused.check, "join-token-identity");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_is_told_to_the_operator_and_not_to_the_agent() {
    let outside = OnlyStore(MemoryStore::default());
    let unknown = JoinToken::issue(&SystemRandom, at(1000), wanted())
        .unwrap()
        .0;
    let expired = made(
        &outside.0,
        Wanted {
            ttl: Duration::from_secs(500),
            ..wanted()
        },
    )
    .await;
    let revoked = made(&outside.0, wanted()).await;
    outside.0.revoke_join_token(&revoked.1).await.unwrap();
    let cluster = made(
        &outside.0,
        Wanted {
            cluster: "other",
            ..wanted()
        },
    )
    .await;
    let bound = async |name: &str, value: &str| {
        let bound = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        made(&outside.0, Wanted { bound, ..wanted() }).await.0
    };
    let good = bound("tpm_ek.public_hash", "3f").await;
    login(&outside, &good, &context()).await.unwrap();
    for (token, check) in [
        (unknown, "join-token-unknown"),
        (expired.0, "join-token-expired"),
        (revoked.0, "join-token-unknown"),
        (cluster.0, "join-token-cluster"),
        (good, "join-token-used"),
        (bound("tpm_ek.public_hash", "3F").await, "join-token-bound"),
        (
            bound("tpm_ek.serial_number", "3f").await,
            "join-token-bound",
        ),
        (bound("tpm_ek.twice", "a").await, "join-token-bound"),
    ] {
        let refused = login(&outside, &token, &context()).await.unwrap_err();
        assert_eq!(
            (refused.check, refused.fault),
            (check, Fault::Refused),
            "{refused}"
        );
        assert!(!refused.to_string().contains(&token.expose()[5..]));
    }
}

#[tokio::test]
async fn a_store_that_is_down_lets_nobody_in() {
    let token = JoinToken::issue(&SystemRandom, at(1000), wanted())
        .unwrap()
        .0;
    let refused = login(&NoOutside, &token, &context()).await.unwrap_err();
    assert_eq!(refused.check, "join-token-store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a48_of_two_logins_with_one_token_at_two_replicas_one_is_let_in() {
    let database = crate::postgres::database();
    let replicas = [database.store().await, database.store().await];
    let replicas = replicas.map(|store| Arc::new(OnlyStore(store)));
    for round in 0..16 {
        let (token, _) = made(&replicas[0].0, wanted()).await;
        let token = Arc::new(token);
        let logins = [0, 1].map(|replica: usize| {
            let (outside, token) = (replicas[replica].clone(), token.clone());
            tokio::spawn(async move { login(outside.as_ref(), &token, &context()).await })
        });
        let mut granted = 0;
        for login in logins {
            match login.await.unwrap() {
                Ok(_) => granted += 1,
                Err(refused) => assert_eq!(refused.check, "join-token-used"),
            }
        }
        assert_eq!(granted, 1, "round {round}");
    }
}

#[test]
fn a_token_is_taken_after_everything_else() {
    let token = JoinToken::issue(&SystemRandom, at(1000), wanted())
        .unwrap()
        .0;
    let errand = errand(b"login", &payload(&token, b"login")).unwrap();
    assert_eq!(errand.when(), When::Last);
    assert!(JoinTokenAttestor.is_fresh());
}

#[test]
fn a_proof_is_good_for_its_own_login_and_method_and_key() {
    let token = JoinToken::issue(&SystemRandom, at(1000), wanted())
        .unwrap()
        .0;
    let refused = |payload: &[u8]| {
        let error = errand(b"login", payload).unwrap_err();
        assert_eq!(error.check, "join-token-signature", "{error}");
    };
    errand(b"login", &payload(&token, b"login")).unwrap();
    refused(&payload(&token, b"another login"));
    let nonce = proof_nonce(AttestorKind::SSH_POP, &transcript(b"login"));
    refused(&payload_over(&token, &signed_message(&nonce).concat()));
    let nonce = proof_nonce(AttestorKind::JOIN_TOKEN, &transcript(b"login"));
    refused(&payload_over(&token, &nonce));
    // The key of one token, the signature of another.
    let other = JoinToken::issue(&SystemRandom, at(1000), wanted())
        .unwrap()
        .0;
    let own: serde_json::Value = serde_json::from_slice(&payload(&token, b"login")).unwrap();
    let mut mixed: serde_json::Value = serde_json::from_slice(&payload(&other, b"login")).unwrap();
    mixed["publicKey"] = own["publicKey"].clone();
    refused(mixed.to_string().as_bytes());
}

#[test]
fn a_payload_is_exactly_two_strings_of_exactly_these_lengths() {
    let token = JoinToken::issue(&SystemRandom, at(1000), wanted())
        .unwrap()
        .0;
    let good = payload(&token, b"login");
    let text = String::from_utf8(good.clone()).unwrap();
    let malformed = |payload: &[u8]| {
        let error = errand(b"login", payload).unwrap_err();
        assert_eq!(
            (error.check, error.fault),
            ("payload-malformed", Fault::Malformed)
        );
    };
    for end in 0..good.len() {
        malformed(&good[..end]);
    }
    let more = |member: &str| text.replacen('{', &format!("{{{member},"), 1);
    malformed(more("\"token\":\"x\"").as_bytes());
    malformed(more("\"publicKey\":\"\"").as_bytes());
    malformed(format!("{text}{text}").as_bytes());
    malformed(text.replace("=\"", "\"").as_bytes());
    malformed(token.expose().as_bytes());
    let long = format!("{text}{}", " ".repeat(512));
    malformed(long.as_bytes());
}

#[tokio::test]
async fn an_answer_is_judged_the_same_later_and_is_for_one_token() {
    let outside = OnlyStore(MemoryStore::default());
    let (token, _) = made(&outside.0, wanted()).await;
    let (claims, answer) = login(&outside, &token, &context()).await.unwrap();
    let sent = payload(&token, b"login");
    let judge = |payload: &[u8], answer: &[u8]| {
        let errand = errand(b"login", payload)?;
        judged(b"login", |cx| errand.judge(cx, answer))
    };
    assert_eq!(judge(&sent, &answer).unwrap(), claims);

    let other = JoinToken::issue(&SystemRandom, at(1000), wanted())
        .unwrap()
        .0;
    let refused = judge(&payload(&other, b"login"), &answer).unwrap_err();
    assert_eq!(
        (refused.check, refused.fault),
        ("join-token-answer", Fault::Internal)
    );
    for end in 0..answer.len() {
        assert_eq!(
            judge(&sent, &answer[..end]).unwrap_err().check,
            "join-token-answer"
        );
    }

    // Neither what was sent nor what is kept holds anything that would let somebody in.
    let kept = [sent, answer].concat();
    let seed = key_seed(token.expose());
    for secret in [
        &token.expose().as_bytes()[5..],
        &seed,
        STANDARD.encode(seed).as_bytes(),
        hex::encode(seed).as_bytes(),
    ] {
        assert!(!kept.windows(secret.len()).any(|part| part == secret));
    }
}

/// The key by openssl, out of a token's seed.
#[test]
fn openssl_makes_the_same_key_and_signature() {
    let text = "join_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let token = JoinToken::read(text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let output = std::process::Command::new("openssl")
            .args(args.split(' '))
            .current_dir(folder.path())
            .output()
            .expect("openssl (install the package openssl)");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {args}: {stderr}");
        output.stdout
    };
    std::fs::write(
        folder.path().join("labelled"),
        format!("assay/join-token-key/v1{text}"),
    )
    .unwrap();
    let seed = run("dgst -sha256 -binary labelled");
    // PKCS #8 of an Ed25519 key (RFC 8410).
    let key = [
        &hex::decode("302e020100300506032b657004220420").unwrap(),
        &seed[..],
    ]
    .concat();
    std::fs::write(folder.path().join("key.der"), key).unwrap();
    let public = run("pkey -inform DER -in key.der -pubout -outform DER");
    let digest = assay_host_verifier::crypto::sha256(&[&public[12..]]);
    assert_eq!(token.sha256(), digest);

    let nonce = proof_nonce(AttestorKind::JOIN_TOKEN, &transcript(b"login"));
    std::fs::write(
        folder.path().join("message"),
        [b"assay/join-token/v1", &nonce[..]].concat(),
    )
    .unwrap();
    let signature = run("pkeyutl -sign -rawin -keyform DER -inkey key.der -in message");
    let wire = json!({
        "publicKey": STANDARD.encode(&public[12..]),
        "signature": STANDARD.encode(signature),
    });
    errand(b"login", wire.to_string().as_bytes()).unwrap();
}
