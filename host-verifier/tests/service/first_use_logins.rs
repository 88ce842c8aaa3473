//! Trust on first use by whole logins: tokens of a cloud instance that anybody may have read.

use std::sync::Arc;
use std::time::Duration;

use assay_common::login::{Transcript, svid_key_nonce, svid_key_possession};
use assay_common::method::svid_key::{Held, SvidKeyPayload};
use assay_common::policy::AttestorKind;
use assay_common::protocol::DenyCode;
use assay_host_verifier::cloud::{CallError, CallErrorKind, Cloud, Known, Question};
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, Outside, Request, Response,
};
use assay_host_verifier::store::{
    JoinTokenTaken, Lifecycle as _, Store, first_use_hash, node_without_tpm,
};
use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::agent::encode;
use crate::desk::{Desk, granted};
use crate::without_tpm::{Host, denied, renewed, token};

const GCP: AttestorKind = AttestorKind::GCP_IIT;

/// Google, as far as its keys are asked for.
#[derive(Debug)]
pub(crate) struct Google {
    key: RsaKeyPair,
    /// What it answers to whoever asks for an instance.
    instance: Option<Value>,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Google {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        Self {
            key: RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap(),
            instance: None,
        }
    }

    /// That knows an instance.
    pub(crate) fn knowing(instance: Value) -> Self {
        Self {
            instance: Some(instance),
            ..Self::new()
        }
    }

    /// The token of an instance, as its metadata service hands it to whoever asks there.
    pub(crate) fn token(&self, desk: &Desk, instance: &str) -> Vec<u8> {
        let now = desk.clock_now().as_second();
        let claims = json!({
            "iss": "https://accounts.google.com", "aud": "lab",
            "azp": "107517467455664443766", "sub": "107517467455664443766",
            "email": "node@prod.iam.gserviceaccount.com", "email_verified": true,
            "iat": now - 10, "exp": now + 3590,
            "google": {"compute_engine": {
                "project_id": "prod", "project_number": 7, "zone": "us-central1-a",
                "instance_id": instance, "instance_name": "node-7",
                "instance_creation_timestamp": 1_616_000_000,
            }},
        });
        let header = json!({"alg": "RS256", "kid": "k", "typ": "JWT"});
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        let token = format!("{signed}.{}", b64(signature));
        json!({"token": token}).to_string().into_bytes()
    }

    fn jwk(&self) -> Value {
        let key = self.key.public_key();
        let number = |bytes: &[u8]| b64(bytes);
        json!({
            "kty": "RSA", "kid": "k",
            "n": number(key.modulus().big_endian_without_leading_zero()),
            "e": number(key.exponent().big_endian_without_leading_zero()),
        })
    }
}

#[async_trait]
impl Fetch for Google {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        Err(Error::new(&request.url, ErrorKind::Offline))
    }
}

#[async_trait]
impl Outside for Google {
    async fn jwk(&self, _: &KeySource, _: Option<&str>) -> Result<Vec<u8>, Error> {
        Ok(self.jwk().to_string().into_bytes())
    }

    async fn take_join_token(
        &self,
        _: &[u8; 32],
        _: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        Err(Error::store(ErrorKind::Offline))
    }

    async fn answer(&self, question: Arc<dyn Question>) -> Result<Known, CallError> {
        let lost = || CallError::new("google", "instances.get", CallErrorKind::Lost);
        assert_eq!(question.key().cloud, Cloud::Gcp);
        let instance = self.instance.as_ref().ok_or_else(lost)?;
        Ok(Arc::new(instance.to_string().into_bytes().into()))
    }
}

fn desk(google: &Arc<Google>, tofu: bool) -> Desk {
    let entries = format!(
        "- name: cloud\n  requiredAttestors:\n  - type: gcp_iit\n    config: {{allowedProjectIDs: [prod], audience: lab, tofu: {tofu}}}\n"
    );
    let mut desk = Desk::with_template(&entries, "/gcp/{{gcp_iit.instance_name}}");
    desk.server.outside = google.clone();
    desk
}

/// A machine with a key of its own that shows a token.
pub(crate) async fn machine(desk: &Desk, shown: &[u8]) -> Host {
    let mut host = Host::new(desk, token(desk, None).await);
    host.agent.methods = vec![GCP.0, AttestorKind::SVID_KEY.0];
    host.shown.insert(GCP, shown.to_vec());
    host
}

/// The same machine in another login, with the key that it has kept.
async fn again(desk: &Desk, host: &Host) -> Host {
    let mut next = machine(desk, &host.shown[&GCP]).await;
    next.svid = rcgen::KeyPair::try_from(host.svid.serialize_der()).unwrap();
    next
}

#[tokio::test]
async fn an_instance_is_the_key_that_came_first_until_its_node_is_evicted() {
    let google = Arc::new(Google::new());
    let desk = desk(&google, true);
    let read = google.token(&desk, "2589221140676718026");
    let (mut own, mut thief) = (machine(&desk, &read).await, machine(&desk, &read).await);
    let session = granted(own.login(&desk).await);
    assert_eq!(session.spiffe_id, "spiffe://example.org/gcp/node-7");
    assert_eq!(denied(&thief.login(&desk).await), Some(DenyCode::REFUSED));
    assert_eq!(
        desk.sessions().await,
        1,
        "nothing of the refused login is stored"
    );
    // The same key may come again.
    granted(again(&desk, &own).await.login(&desk).await);
    // Its session goes on by that key, and by no other.
    let nonce = session.renewal.clone().unwrap().1;
    desk.clock.advance(Duration::from_secs(1800));
    let stolen = own.renew(&session, &nonce, &thief.svid);
    assert_eq!(renewed(&desk, &stolen).await, Err(DenyCode::LOGIN_REQUIRED));
    let message = own.renew(&session, &nonce, &own.svid);
    assert!(renewed(&desk, &message).await.is_ok());
    // An operator gives the instance away.
    let node = node_without_tpm(&session.spiffe_id);
    assert!(desk.store.evict_node(&node).await.unwrap());
    granted(again(&desk, &thief).await.login(&desk).await);
    let answer = again(&desk, &own).await.login(&desk).await;
    assert_eq!(denied(&answer), Some(DenyCode::REFUSED));
}

/// The refusal names the command for whoever reads the trail; the agent is told what it was told before.
#[tokio::test]
async fn who_is_refused_for_its_key_is_unbound_as_the_refusal_says() {
    let google = Arc::new(Google::new());
    let mut desk = desk(&google, true);
    let read = google.token(&desk, "2589221140676718026");
    let (mut own, mut anew) = (machine(&desk, &read).await, machine(&desk, &read).await);
    let session = granted(own.login(&desk).await);
    assert_eq!(denied(&anew.login(&desk).await), Some(DenyCode::REFUSED));
    let detail = desk.last_denial();
    let identity = "projects/7/instances/2589221140676718026";
    let command = format!("`assay node evict --identity gcp_iit={identity} --config assayd.yaml`");
    assert!(detail.contains(&command), "{detail}");
    let unbound = desk.store.unbind(GCP, &first_use_hash(identity)).await;
    let node = node_without_tpm(&session.spiffe_id);
    assert_eq!(unbound.unwrap().unwrap().node, node);
    // The session with that key is over; the node and its identity are as they were.
    let nonce = session.renewal.clone().unwrap().1;
    let message = own.renew(&session, &nonce, &own.svid);
    assert_eq!(
        renewed(&desk, &message).await,
        Err(DenyCode::LOGIN_REQUIRED)
    );
    granted(again(&desk, &anew).await.login(&desk).await);
    let answer = again(&desk, &own).await.login(&desk).await;
    assert_eq!(denied(&answer), Some(DenyCode::REFUSED));
}

/// A whole login that was seen inside TLS: token, and the request for the SVID's certificate, shown again under another key
/// share. All of it verifies; what it lacks is the SVID key's signature over the new login.
#[tokio::test]
async fn a_login_that_was_seen_is_not_shown_again() {
    let google = Arc::new(Google::new());
    let mut desk = desk(&google, true);
    let read = google.token(&desk, "2589221140676718026");
    let mut own = machine(&desk, &read).await;
    granted(own.login(&desk).await);
    let elsewhere = svid_key_nonce(&Transcript::new());
    let signed = own.sign(&own.svid, &svid_key_possession(&elsewhere).concat());
    let copies = [
        (Held::Unshown, "did not sign this login"),
        (Held::Signed(&signed), "svid-key-possession"),
        (Held::Signed(&[]), "svid-key-possession"),
    ];
    for (held, why) in copies {
        let mut thief = machine(&desk, &read).await;
        let csr = own.request();
        let shown = encode(&SvidKeyPayload { csr: &csr, held });
        thief.shown.insert(AttestorKind::SVID_KEY, shown);
        assert_eq!(denied(&thief.login(&desk).await), Some(DenyCode::REFUSED));
        let detail = desk.last_denial();
        assert!(detail.contains(why), "{detail}");
    }
    assert_eq!(desk.sessions().await, 1);
    granted(again(&desk, &own).await.login(&desk).await);
}

/// Who comes first with the copy of a request would bind an instance to a key that nobody there has.
#[tokio::test]
async fn an_instance_is_not_bound_to_a_key_that_is_not_held() {
    let google = Arc::new(Google::new());
    let mut desk = desk(&google, true);
    let mut host = machine(&desk, &google.token(&desk, "1")).await;
    let shown = SvidKeyPayload {
        csr: &host.request(),
        held: Held::Unshown,
    };
    host.shown.insert(AttestorKind::SVID_KEY, encode(&shown));
    assert_eq!(denied(&host.login(&desk).await), Some(DenyCode::REFUSED));
    let detail = desk.last_denial();
    assert!(
        detail.contains("an agent that cannot sign needs an update"),
        "{detail}"
    );
}

/// A verifier's agents of before log in where nothing is bound.
#[tokio::test]
async fn a_key_that_is_not_shown_is_good_where_nothing_is_bound() {
    let google = Arc::new(Google::new());
    let desk = desk(&google, false);
    let mut host = machine(&desk, &google.token(&desk, "1")).await;
    let shown = SvidKeyPayload {
        csr: &host.request(),
        held: Held::Unshown,
    };
    host.shown.insert(AttestorKind::SVID_KEY, encode(&shown));
    granted(host.login(&desk).await);
}

#[tokio::test]
async fn without_a_key_nothing_can_be_bound_and_nobody_is_let_in() {
    let google = Arc::new(Google::new());
    let desk = desk(&google, true);
    let mut host = machine(&desk, &google.token(&desk, "1")).await;
    host.agent.methods = vec![GCP.0];
    assert_eq!(denied(&host.login(&desk).await), Some(DenyCode::REFUSED));
}

/// What the tests above hold against: without `tofu` a copy of the token is as good as the token.
#[tokio::test]
async fn without_tofu_a_bearer_token_lets_in_its_bearer() {
    let google = Arc::new(Google::new());
    let desk = desk(&google, false);
    let read = google.token(&desk, "1");
    let (mut own, mut other) = (machine(&desk, &read).await, machine(&desk, &read).await);
    granted(own.login(&desk).await);
    granted(other.login(&desk).await);
}
