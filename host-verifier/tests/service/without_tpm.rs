//! Logins of nodes without a TPM: the session key, questions outside, renewals by the SVID's key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_common::login::session_key::session_keys;
use assay_common::login::{
    LoginKeys, proof_nonce, renewal_by_key, renewal_nonce, svid_key_nonce, svid_key_possession,
};
use assay_common::method::join_token::signed_message;
use assay_common::method::svid_key::{Held, SvidKeyPayload};
use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, DenyCode, Renew, Renewal, VerifierMessage, decode};
use assay_host_verifier::audit;
use assay_host_verifier::audit::again::Check;
use assay_host_verifier::audit::kept::{Kept, Said};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::join_token::{JoinToken, Wanted};
use assay_host_verifier::outside::{
    Error, Fetch, KeySource, NoOutside, Outside, Request, Response,
};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::server::{LoginConversation, RequestLogins, World};
use assay_host_verifier::session::PathTemplate;
use assay_host_verifier::store::{JoinTokenTaken, JoinTokens, Lifecycle, Store};
use async_trait::async_trait;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::rand::SystemRandom as Random;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::sync::Notify;

use crate::agent::{Agent, Answer, Asked, EK, Opened, encode};
use crate::desk::{Desk, asked_of, granted, policies, say, tell};
use crate::fake_tpm::FakeTpm;
use crate::stored_logins::{judge, last_record, office, verdict};
use crate::svid_keys::{self, SvidKey};

const SESSION_KEY: AttestorKind = AttestorKind::SESSION_KEY;
const SVID_KEY: AttestorKind = AttestorKind::SVID_KEY;
const JOIN: AttestorKind = AttestorKind::JOIN_TOKEN;
pub(crate) const ENTRIES: &str = "- name: joined\n  requiredAttestors:\n  - type: join_token\n";

/// A host that has nothing but a token, and perhaps a key for an SVID.
pub(crate) struct Host {
    pub(crate) agent: Agent,
    share: PrivateKey,
    pub(crate) svid: KeyPair,
    token: JoinToken,
    /// Payloads of methods that show what somebody gave them.
    pub(crate) shown: BTreeMap<AttestorKind, Vec<u8>>,
}

impl Host {
    pub(crate) fn new(desk: &Desk, token: JoinToken) -> Self {
        let share = PrivateKey::generate(&ECDH_P256).unwrap();
        let mut agent = desk.agent();
        agent.methods = vec![JOIN.0, SVID_KEY.0];
        agent.share = share.compute_public_key().unwrap().as_ref().to_vec();
        Self {
            agent,
            share,
            svid: KeyPair::generate().unwrap(),
            token,
            shown: BTreeMap::new(),
        }
    }

    fn keys(&self, request: &[u8]) -> LoginKeys {
        let peer = UnparsedPublicKey::new(&ECDH_P256, request);
        agree(&self.share, peer, (), |x| {
            let x = <[u8; 32]>::try_from(x).unwrap();
            Ok(session_keys(&x, &self.agent.share, request))
        })
        .unwrap()
    }

    /// The SVID key's request, and its signature over this login.
    fn svid_key(&self) -> Vec<u8> {
        if let Some(shown) = self.shown.get(&SVID_KEY) {
            return shown.clone();
        }
        let nonce = svid_key_nonce(&self.agent.transcript);
        let signature = self.sign(&self.svid, &svid_key_possession(&nonce).concat());
        encode(&SvidKeyPayload {
            csr: &self.request(),
            held: Held::Signed(&signature),
        })
    }

    /// The request for the SVID's certificate, which says nothing of any login.
    pub(crate) fn request(&self) -> Vec<u8> {
        let params = CertificateParams::default();
        params.serialize_request(&self.svid).unwrap().der().to_vec()
    }

    pub(crate) fn sign(&self, key: &KeyPair, message: &[u8]) -> Vec<u8> {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, &key.serialize_der()).unwrap();
        key.sign(&Random::new(), message).unwrap().as_ref().to_vec()
    }

    fn items(&mut self, asked: &Asked) -> Vec<(AttestorKind, Vec<u8>)> {
        let prove = |(kind, request): &(AttestorKind, Vec<u8>)| {
            let payload = match *kind {
                SESSION_KEY => {
                    let keys = self.keys(request);
                    let proof = keys.proof(&self.agent.transcript).to_vec();
                    self.agent.keys = Some(keys);
                    proof
                }
                SVID_KEY => self.svid_key(),
                JOIN => {
                    let key = self.token.key();
                    let nonce = proof_nonce(JOIN, &self.agent.transcript);
                    let signature = key.sign(&signed_message(&nonce).concat());
                    use aws_lc_rs::signature::KeyPair as _;
                    json!({
                        "publicKey": STANDARD.encode(key.public_key()),
                        "signature": STANDARD.encode(signature),
                    })
                    .to_string()
                    .into_bytes()
                }
                other => match self.shown.get(&other) {
                    Some(shown) => shown.clone(),
                    None => panic!("asked for {other}"),
                },
            };
            (*kind, payload)
        };
        asked.items.iter().map(prove).collect()
    }

    pub(crate) fn answer(&mut self, asked: &Asked) -> Vec<u8> {
        let items = self.items(asked);
        self.agent.proofs(asked, &items)
    }

    pub(crate) async fn login(&mut self, desk: &Desk) -> Answer {
        self.login_from(desk, "desk").await
    }

    /// A login over a link of this name.
    pub(crate) async fn login_from(&mut self, desk: &Desk, link: &str) -> Answer {
        let permits = desk.server.permits.clone();
        let mut link = LoginConversation::new(desk.server.clone(), link.to_owned(), permits);
        let hello = self.agent.hello();
        let asked = asked_of(tell(&mut link, &mut self.agent, &hello).await);
        let proofs = self.answer(&asked);
        tell(&mut link, &mut self.agent, &proofs).await
    }

    pub(crate) fn renew(&self, session: &Opened, nonce: &[u8; 32], key: &KeyPair) -> Vec<u8> {
        let agent_nonce = [9; 32];
        let over = renewal_nonce(&session.session_id, nonce, &agent_nonce);
        let signature = self.sign(key, &renewal_by_key(&over).concat());
        encode(&AgentMessage::Renew(Renew {
            session_id: session.session_id,
            agent_nonce,
            quote: &signature,
        }))
    }
}

pub(crate) async fn token(desk: &Desk, spiffe_id: Option<&str>) -> JoinToken {
    let wanted = Wanted {
        trust_domain: "example.org",
        cluster: "lab",
        ttl: Duration::from_secs(600),
        spiffe_id,
        bound: BTreeMap::new(),
        comment: "",
        created_by: "test",
    };
    let (token, record) = JoinToken::issue(&SystemRandom, desk.clock_now(), wanted).unwrap();
    assert!(desk.store.add_join_token(&record).await.unwrap());
    token
}

fn desk() -> Desk {
    Desk::with_template(ENTRIES, "/joined/{{join_token.id}}")
}

/// The category of a refusal.
pub(crate) fn denied(answer: &Answer) -> Option<DenyCode> {
    match answer {
        Answer::Denied(code, _) => Some(*code),
        _ => None,
    }
}

pub(crate) async fn renewed(desk: &Desk, message: &[u8]) -> Result<[u8; 32], DenyCode> {
    let answer = say(&mut desk.link(), message).await.unwrap();
    match decode::<VerifierMessage<'_>>(&answer).unwrap() {
        VerifierMessage::Renewed(signed) => {
            let renewal: Renewal<'_> = decode(signed.body).unwrap();
            assert!(!renewal.svid.is_empty());
            Ok(renewal.renewal_nonce)
        }
        VerifierMessage::Denied(denied) => Err(denied.code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_lets_in_one_node_which_then_lives_by_its_svids_key() {
    let desk = desk();
    let token = token(&desk, None).await;
    let again = JoinToken::read(token.expose()).unwrap();
    let mut host = Host::new(&desk, token);
    let session = granted(host.login(&desk).await);
    assert!(
        session
            .spiffe_id
            .starts_with("spiffe://example.org/joined/")
    );
    let (_, mut nonce, svid) = session.renewal.clone().unwrap();
    assert!(!svid.is_empty());

    let mut second = Host::new(&desk, again);
    assert_eq!(denied(&second.login(&desk).await), Some(DenyCode::REFUSED));
    assert_eq!(desk.sessions().await, 1);

    for _ in 0..3 {
        desk.clock.advance(Duration::from_secs(1800));
        let message = host.renew(&session, &nonce, &host.svid);
        nonce = renewed(&desk, &message).await.unwrap();
    }
    // Not by another key, not over an old nonce, not after a ban of the node.
    desk.clock.advance(Duration::from_secs(1800));
    let other = host.renew(&session, &nonce, &second.svid);
    assert_eq!(renewed(&desk, &other).await, Err(DenyCode::LOGIN_REQUIRED));
    let old = host.renew(&session, &[7; 32], &host.svid);
    assert_eq!(renewed(&desk, &old).await, Err(DenyCode::LOGIN_REQUIRED));
    let good = host.renew(&session, &nonce, &host.svid);
    nonce = renewed(&desk, &good).await.unwrap();
    let stored = desk.store.sessions(jiff::Timestamp::MIN, 10).await.unwrap();
    let ban = assay_host_verifier::store::Ban::new(
        &stored[0].ek_hash,
        desk.clock_now(),
        "test",
        "stolen",
    )
    .unwrap();
    desk.store.ban(&ban).await.unwrap();
    let banned = host.renew(&session, &nonce, &host.svid);
    assert_eq!(renewed(&desk, &banned).await, Err(DenyCode::LOGIN_REQUIRED));
}

#[tokio::test]
async fn a_renewal_by_key_ends_with_the_time_for_a_full_login() {
    let desk = desk();
    let token = token(&desk, None).await;
    let mut host = Host::new(&desk, token);
    let session = granted(host.login(&desk).await);
    let mut nonce = session.renewal.clone().unwrap().1;
    let mut lived = 0;
    loop {
        desk.clock.advance(Duration::from_secs(1800));
        match renewed(&desk, &host.renew(&session, &nonce, &host.svid)).await {
            Ok(next) => (nonce, lived) = (next, lived + 1),
            Err(code) => {
                assert_eq!(code, DenyCode::LOGIN_REQUIRED);
                break;
            }
        }
        assert!(lived < 100, "for ever");
    }
    // A day of half hours, and the last hour is the last.
    assert!((45..=48).contains(&lived), "{lived}");
}

#[tokio::test]
async fn a_node_without_an_svid_key_is_not_renewed() {
    let desk = desk();
    let token = token(&desk, None).await;
    let mut host = Host::new(&desk, token);
    host.agent.methods = vec![JOIN.0];
    let session = granted(host.login(&desk).await);
    let (renew_after, _, svid) = session.renewal.clone().unwrap();
    assert_eq!((renew_after, svid.len()), (0, 0));
}

#[tokio::test]
async fn the_token_is_left_alone_by_a_login_that_fails_otherwise() {
    let tpm = FakeTpm::new();
    let stranger = FakeTpm::new();
    let entries = format!(
        "- name: both\n  requiredAttestors:\n  - type: join_token\n  - type: tpm_ek\n    config: {{allowedHashes: [\"{}\"]}}\n",
        tpm.ek_hash()
    );
    let desk = Desk::with_template(&entries, "/joined/{{join_token.id}}");
    let token = token(&desk, None).await;
    let key = SvidKey::new();
    let login = async |tpm: &FakeTpm, methods: &[u8]| {
        let mut host = Host::new(&desk, JoinToken::read(token.expose()).unwrap());
        host.agent.methods = methods.to_vec();
        let mut link = desk.link();
        let hello = host.agent.hello();
        let mut answer = tell(&mut link, &mut host.agent, &hello).await;
        while let Answer::Asked(asked) = answer {
            let of = |kinds: &[AttestorKind]| Asked {
                items: asked
                    .items
                    .iter()
                    .filter(|(kind, _)| kinds.contains(kind))
                    .cloned()
                    .collect(),
                ..asked.clone()
            };
            let mut items = host.items(&of(&[JOIN, SESSION_KEY]));
            items.extend(host.agent.prove(tpm, &of(&[EK])));
            if asked.kinds().contains(&SVID_KEY) {
                let certified = svid_keys::payload(tpm, &key, &host.agent.transcript);
                items.push((SVID_KEY, certified));
            }
            let proofs = host.agent.proofs(&asked, &items);
            answer = tell(&mut link, &mut host.agent, &proofs).await;
        }
        (answer, host)
    };
    let methods = [JOIN.0, EK.0, SVID_KEY.0];
    let (answer, _) = login(&stranger, &methods).await;
    assert_eq!(denied(&answer), Some(DenyCode::REFUSED));
    let unused = desk.store.join_tokens("", 10).await.unwrap();
    assert_eq!(unused[0].used_at, None);
    // Sealed to what the TPM opened: the agent's last keys are those of the credential.
    let (answer, host) = login(&tpm, &methods).await;
    let session = granted(answer);
    let used = desk.store.join_tokens("", 10).await.unwrap();
    assert!(used[0].used_at.is_some());
    // There is no quote to renew by, and no second token: the key that the TPM holds does it.
    let nonce = session.renewal.clone().unwrap().1;
    desk.clock.advance(Duration::from_secs(1800));
    let message = host.renew(&session, &nonce, key.pair());
    assert!(renewed(&desk, &message).await.is_ok());
}

#[tokio::test]
async fn who_does_not_know_the_session_key_gets_nothing_that_is_sealed_to_it() {
    let desk = desk();
    let token = token(&desk, None).await;
    let mut host = Host::new(&desk, token);
    let mut link = desk.link();
    let hello = host.agent.hello();
    let asked = asked_of(tell(&mut link, &mut host.agent, &hello).await);
    let mut items = host.items(&asked);
    let (_, proof) = items
        .iter_mut()
        .find(|(kind, _)| *kind == SESSION_KEY)
        .unwrap();
    proof[0] ^= 1;
    let proofs = host.agent.proofs(&asked, &items);
    let answer = tell(&mut link, &mut host.agent, &proofs).await;
    assert_eq!(denied(&answer), Some(DenyCode::REFUSED), "{answer:?}");
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn without_a_key_share_there_is_nothing_to_seal_a_session_to() {
    let mut desk = desk();
    let token = token(&desk, None).await;
    let mut host = Host::new(&desk, token);
    host.agent.share.clear();
    let answer = host.login(&desk).await;
    assert_eq!(denied(&answer), Some(DenyCode::MISCONFIGURED), "{answer:?}");
    let why = desk.last_denial();
    assert!(why.contains("sent no key share"), "{why}");
}

#[tokio::test]
async fn another_verifier_takes_the_proofs_of_a_login_with_a_session_key() {
    let desk = desk();
    let token = token(&desk, Some("spiffe://example.org/named")).await;
    let mut host = Host::new(&desk, token);
    let first = RequestLogins::default();
    let hello = host.agent.hello();
    let reply = first
        .turn(&desk.server, "https:a", &[], &Blobs::default(), &hello)
        .await;
    let asked = asked_of(host.agent.hear(&reply.message));
    let proofs = host.answer(&asked);
    // Nothing of it is in this one's memory.
    let second = RequestLogins::default();
    let reply = second
        .turn(
            &desk.server,
            "https:b",
            &reply.state,
            &Blobs::default(),
            &proofs,
        )
        .await;
    let session = granted(host.agent.hear(&reply.message));
    assert_eq!(session.spiffe_id, "spiffe://example.org/named");
}

#[tokio::test]
async fn a_stored_login_is_judged_again_over_the_answer_that_it_was_decided_by() {
    let (mut desk, folder) = office(ENTRIES);
    let verifier = desk.server.verifier.current();
    let mut verifier = (*verifier).clone();
    verifier.path_template = PathTemplate::parse("/joined/{{join_token.id}}").unwrap();
    desk.server.verifier = verifier.into();
    let token = token(&desk, None).await;
    let mut host = Host::new(&desk, token);
    granted(host.login(&desk).await);
    let record = last_record(&folder);
    let kept = Kept::of(&record).unwrap();
    let key = desk.server.verifier.current().key.public().to_vec();
    let set = policies(ENTRIES);
    assert_eq!(
        verdict(judge(&kept, &set, kept.time, &key)).as_deref(),
        Ok("joined")
    );
    // What the store said then is believed, and that is named.
    let checks = judge(&kept, &set, kept.time, &key).checks;
    let named: Vec<_> = checks
        .iter()
        .filter(|(name, _)| *name == "outside")
        .collect();
    let at = desk.clock_now();
    let expected =
        format!("the answer about join_token from outside, as recorded at {at}, is taken over");
    assert_eq!(named, [&("outside", Check::Skipped(expected))]);
    let id = record["attributes"]["join_token.id"].as_str().unwrap();
    assert_eq!(record["identities"], json!({"join_token": id}));
    let text = serde_json::to_string(&record).unwrap();
    assert!(!text.contains(host.token.expose()));

    // Without the answer there is nothing to judge by.
    let mut silent = kept.clone();
    silent.said.retain(|said| !matches!(said, Said::Outside(_)));
    assert_eq!(silent.said.len() + 1, kept.said.len());
    let judgement = judge(&silent, &set, kept.time, &key);
    assert!(judgement.checks.iter().all(|(name, _)| *name != "outside"));
    let why = verdict(judgement).unwrap_err();
    assert!(why.contains("answer-not-kept"), "{why}");
}

#[tokio::test]
async fn of_many_that_come_with_one_token_one_gets_in() {
    let desk = Arc::new(desk());
    let token = token(&desk, None).await;
    let logins: Vec<_> = (0..8)
        .map(|_| {
            let desk = desk.clone();
            let mut host = Host::new(&desk, JoinToken::read(token.expose()).unwrap());
            tokio::spawn(async move { matches!(host.login(&desk).await, Answer::Granted(_)) })
        })
        .collect();
    let mut let_in = 0;
    for login in logins {
        let_in += usize::from(login.await.unwrap());
    }
    assert_eq!((let_in, desk.sessions().await), (1, 1));
}

#[tokio::test]
async fn nodes_without_a_tpm_are_known_by_their_identity_and_stand_in_nobodys_way() {
    let desk = desk();
    for _ in 0..3 {
        let token = token(&desk, None).await;
        granted(Host::new(&desk, token).login(&desk).await);
    }
    let nodes = desk.store.nodes(10).await.unwrap();
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        assert_eq!(node.attestation_key(), None);
        assert_eq!(
            node.ek_hash,
            assay_host_verifier::store::node_without_tpm(&node.spiffe_id)
        );
    }
}

#[tokio::test]
async fn the_identity_of_a_node_with_a_tpm_is_not_given_to_one_without() {
    let tpm = FakeTpm::new();
    let entries = format!(
        "{ENTRIES}- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [\"{}\"]}}\n",
        tpm.ek_hash()
    );
    let mut desk = Desk::with_template(&entries, "/one");
    granted(desk.login(&tpm).await);
    let token = token(&desk, None).await;
    let answer = Host::new(&desk, token).login(&desk).await;
    assert_eq!(denied(&answer), Some(DenyCode::REFUSED), "{answer:?}");
    assert!(desk.last_denial().contains("belongs to node"));
}

/// Answers about tokens when it is told to.
#[derive(Debug)]
struct Slow {
    world: World,
    asked: Notify,
    go_on: Notify,
}

#[async_trait]
impl Fetch for Slow {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.world.fetch(request).await
    }
}

#[async_trait]
impl Outside for Slow {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        self.world.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        self.asked.notify_one();
        self.go_on.notified().await;
        self.world.take_join_token(digest, now).await
    }
}

#[tokio::test]
async fn what_was_begun_is_gone_through_with_when_the_asker_has_left() {
    let (mut desk, folder) = office(ENTRIES);
    let mut verifier = (*desk.server.verifier.current()).clone();
    verifier.path_template = PathTemplate::parse("/joined/{{join_token.id}}").unwrap();
    desk.server.verifier = verifier.into();
    let slow = Arc::new(Slow {
        world: World::new(Arc::new(NoOutside), desk.store.clone(), desk.clock.clone()),
        asked: Notify::new(),
        go_on: Notify::new(),
    });
    desk.server.outside = slow.clone();
    let token = token(&desk, None).await;
    let mut host = Host::new(&desk, token);
    let logins = Arc::new(RequestLogins::default());
    let turn = |state: Vec<u8>, message: Vec<u8>| {
        let (logins, server) = (logins.clone(), desk.server.clone());
        logins.turn_to_its_end(
            server,
            "https:a".to_owned(),
            state,
            Blobs::default(),
            message,
        )
    };
    let hello = host.agent.hello();
    let reply = turn(Vec::new(), hello).await;
    let asked = asked_of(host.agent.hear(&reply.message));
    let proofs = host.answer(&asked);
    tokio::select! {
        _ = turn(reply.state, proofs) => panic!("answered before the store has"),
        () = slow.asked.notified() => {}
    }
    // The request is dropped; the token is taken after that.
    slow.go_on.notify_one();
    let recorded = async {
        while std::fs::read_to_string(folder.path().join(audit::FILE))
            .unwrap()
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, recorded)
        .await
        .expect("a record");
    let record = last_record(&folder);
    assert_eq!(record["outcome"], "granted");
    assert_eq!(desk.sessions().await, 1);
}
