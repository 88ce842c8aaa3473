//! Keys of an issuer that is a real server over TLS: discovery, rotation, and every way in which it can be slow or lie.

use std::sync::{Arc, Mutex};

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{AttestError, Claims, Fault};
use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::jwt::cache::{KeyCache, PAUSE};
use assay_host_verifier::outside::client::Client;
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::dns;
use super::method::{Login, attestor, column, fields};
use super::upstream::{Piece, Upstream, answer, say};

const NOW: i64 = 1_795_348_800;
/// Text that no error may repeat.
const CANARY: &str = "c4n4ry";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn jwk(seed: u8) -> Value {
    let x = b64(pair(seed).public_key());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": format!("key-{seed}"), "x": x})
}

/// A token by the key of this number.
fn token(issuer: &str, seed: u8) -> String {
    let header = json!({"alg": "EdDSA", "kid": format!("key-{seed}")});
    let claims = json!({
        "iss": issuer, "aud": "urn:assay:example.org:server", "sub": "node-7", "iat": NOW, "exp": NOW + 600,
    });
    let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = b64(pair(seed).sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// What an issuer answers: by default the truth.
#[derive(Clone)]
enum Mode {
    Honest,
    /// Every question.
    Always(Vec<Piece>),
    /// The discovery document, with this member another.
    Document(&'static str, Value),
    /// The set.
    Keys(Vec<Piece>),
}

struct Issuer {
    upstream: Upstream,
    state: Arc<Mutex<(Mode, Vec<Value>)>>,
}

impl Issuer {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new((Mode::Honest, vec![jwk(1)])));
        let told = state.clone();
        let upstream = Upstream::tls(Arc::new(move |request: &str| {
            let (mode, keys) = told.lock().unwrap().clone();
            let host = request.lines().find_map(|line| line.strip_prefix("host: "));
            let issuer = format!("https://{}", host.unwrap());
            let set = json!({"keys": keys}).to_string();
            let path = request.split(' ').nth(1).unwrap();
            match (path, mode) {
                (_, Mode::Always(pieces)) | ("/keys", Mode::Keys(pieces)) => pieces,
                ("/.well-known/openid-configuration", mode) => {
                    let mut document =
                        json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")});
                    if let Mode::Document(member, value) = mode {
                        document[member] = value;
                    }
                    answer("application/json", &document.to_string())
                }
                ("/keys", _) => answer("application/jwk-set+json", &set),
                _ => say("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            }
        }))
        .await;
        Self { upstream, state }
    }

    fn url(&self) -> String {
        self.upstream.url("")
    }

    fn is(&self, mode: Mode) {
        self.state.lock().unwrap().0 = mode;
    }

    fn has(&self, keys: Vec<Value>) {
        self.state.lock().unwrap().1 = keys;
    }

    /// The settings of `custom_jwt` for it.
    fn config(&self, source: &str) -> Value {
        let url = self.url();
        let value = match source {
            "jwksURI" => format!("{url}/keys"),
            _ => url.clone(),
        };
        json!({"issuer": url, (source): value, "caCerts": &*self.upstream.authority})
    }
}

/// The network, and a cache of keys.
#[derive(Debug)]
struct World {
    client: Arc<Client>,
    cache: KeyCache,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(allow_loopback: bool) -> Self {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let client = Arc::new(dns::shared().client(allow_loopback));
        Self {
            cache: KeyCache::new(clock.clone(), client.clone()),
            client,
            clock,
        }
    }

    async fn judge(&self, config: &Value, token: &str) -> Result<Claims, AttestError> {
        let kind = AttestorKind::CUSTOM_JWT;
        let attestor = attestor(kind, config, std::path::Path::new("/nonexistent")).unwrap();
        let mut login = Login::new(kind, "hello");
        login.context.now = jiff::Timestamp::from_second(NOW).unwrap();
        login.claims(&*attestor, token.as_bytes(), self).await
    }
}

#[async_trait::async_trait]
impl Fetch for World {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.client.fetch(request).await
    }
}

#[async_trait::async_trait]
impl Outside for World {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        self.cache.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        _: &[u8; 32],
        _: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        Err(Error::store(ErrorKind::Offline))
    }
}

#[tokio::test]
async fn a_token_is_judged_by_the_keys_that_its_issuer_publishes() {
    let issuer = Issuer::start().await;
    let world = World::new(true);
    for source in ["oidcURI", "jwksURI"] {
        let config = issuer.config(source);
        let claims = world
            .judge(&config, &token(&issuer.url(), 1))
            .await
            .unwrap();
        let identity = claims.facts.identity.unwrap();
        assert_eq!(identity, format!("{}#node-7", issuer.url()));
    }
    let paths: Vec<_> = issuer.upstream.requests();
    let paths: Vec<_> = paths
        .iter()
        .map(|r| r.split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(
        paths,
        ["/.well-known/openid-configuration", "/keys", "/keys"]
    );
    let config = issuer.config("oidcURI");
    assert!(world.judge(&config, &token(&issuer.url(), 1)).await.is_ok());
    assert_eq!(
        issuer.upstream.requests().len(),
        3,
        "the second login asks nobody"
    );
}

#[tokio::test]
async fn a_rotation_is_followed_and_a_withdrawn_key_is_refused() {
    let issuer = Issuer::start().await;
    let world = World::new(true);
    let config = issuer.config("oidcURI");
    let url = issuer.url();
    assert!(world.judge(&config, &token(&url, 1)).await.is_ok());
    issuer.has(vec![jwk(2)]);
    let error = world.judge(&config, &token(&url, 2)).await.unwrap_err();
    assert_eq!(
        (error.fault, error.check),
        (Fault::Refused, "token-key-unknown"),
        "too soon"
    );
    world.clock.advance(PAUSE);
    assert!(world.judge(&config, &token(&url, 2)).await.is_ok());
    let error = world.judge(&config, &token(&url, 1)).await.unwrap_err();
    assert_eq!(error.check, "token-key-unknown");
    // Another key under a name that is known.
    let mut impostor = jwk(3);
    impostor["kid"] = "key-2".into();
    issuer.has(vec![impostor]);
    world.clock.advance(PAUSE * 20);
    let error = world.judge(&config, &token(&url, 2)).await.unwrap_err();
    assert_eq!(error.check, "token-signature");
}

/// Each lie is told with a right token, which only the lie keeps out; and nothing of it gets into the answer.
#[tokio::test]
async fn an_issuer_that_lies_lets_nobody_in() {
    let honest = |body: &str| answer("application/json", body);
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{\"keys\":[c4n4ry";
    let mut private = jwk(1);
    private["d"] = CANARY.into();
    let set = |keys: Value| honest(&json!({"keys": keys}).to_string());
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: https://{CANARY}.example/\r\ncontent-length: 0\r\n\r\n"
    );
    let cases = [
        // CVE-2026-49478: the document of somebody else, and keys from somewhere else.
        (
            Mode::Document("issuer", json!("https://c4n4ry.example")),
            "another issuer",
        ),
        (Mode::Document("issuer", Value::Null), "names no issuer"),
        (
            Mode::Document("jwks_uri", json!("http://up.assay.test/c4n4ry")),
            "not https",
        ),
        (
            Mode::Document("jwks_uri", json!("https://127.1/c4n4ry")),
            "no plain URL",
        ),
        (
            Mode::Document("jwks_uri", json!("https://private.assay.test/keys")),
            "private address refused",
        ),
        (Mode::Always(say(&redirect)), "redirects are not followed"),
        (Mode::Keys(say(&redirect)), "redirects are not followed"),
        (Mode::Always(say(cut)), "broke off"),
        (Mode::Keys(say(cut)), "broke off"),
        (
            Mode::Always(vec![
                Piece::Say(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
                Piece::Flood(vec![b' '; 65_536]),
            ]),
            "too long",
        ),
        (
            Mode::Keys(vec![
                Piece::Say(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
                Piece::Flood(vec![b' '; 65_536]),
            ]),
            "too long",
        ),
        (Mode::Keys(set(json!([private]))), "shows a private key"),
        (
            Mode::Keys(set(json!([jwk(1), jwk(1)]))),
            "two keys of one kid",
        ),
        (
            Mode::Keys(set(json!([{"kty": "oct", "k": CANARY}]))),
            "shows a private key",
        ),
        (Mode::Keys(set(json!([]))), "without a key for signatures"),
        (Mode::Keys(honest(CANARY)), "no JWK set"),
        (Mode::Always(honest(CANARY)), "no discovery document"),
        (
            Mode::Always(say("HTTP/1.1 500 Oh\r\ncontent-length: 6\r\n\r\nc4n4ry")),
            "status 500",
        ),
        (Mode::Always(say(CANARY)), "no HTTP"),
    ];
    for (mode, text) in cases {
        let issuer = Issuer::start().await;
        issuer.is(mode);
        let world = World::new(true);
        let config = issuer.config("oidcURI");
        let told = world
            .judge(&config, &token(&issuer.url(), 1))
            .await
            .unwrap_err();
        assert_eq!(told.check, "token-keys", "{text}: {told}");
        assert!(
            told.detail.starts_with("failed to fetch signing key: "),
            "{told}"
        );
        assert!(told.detail.contains(text), "{text}: {told}");
        assert!(!told.detail.contains(CANARY), "{told}");
    }
}

#[tokio::test]
async fn a_slow_issuer_holds_its_own_logins_only() {
    let issuer = Issuer::start().await;
    let slow = Issuer::start().await;
    slow.is(Mode::Always(vec![Piece::Hang]));
    let world = World::new(true);
    let (config, other) = (slow.config("oidcURI"), issuer.config("oidcURI"));
    let (slow_token, right) = (token(&slow.url(), 1), token(&issuer.url(), 1));
    let waiting = world.judge(&config, &slow_token);
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it answers nothing"),
        judged = world.judge(&other, &right) => assert!(judged.is_ok()),
    }
    let told = waiting.await.unwrap_err();
    assert!(told.detail.contains("no answer in time"), "{told}");
    // Whoever comes next does not wait for it again.
    let asked = slow.upstream.requests().len();
    assert!(world.judge(&config, &slow_token).await.is_err());
    assert_eq!(slow.upstream.requests().len(), asked);
}

/// Seed 003: addresses of this machine and of the network around are refused, and the server's certificate is verified.
#[tokio::test]
async fn nobody_is_asked_who_may_not_be() {
    let issuer = Issuer::start().await;
    let strict = World::new(false);
    let config = issuer.config("oidcURI");
    let told = strict
        .judge(&config, &token(&issuer.url(), 1))
        .await
        .unwrap_err();
    assert_eq!(told.fault, Fault::Misconfigured);
    assert!(told.detail.contains("loopback address refused"), "{told}");
    let other = Issuer::start().await;
    let mut config = issuer.config("oidcURI");
    config["caCerts"] = other.upstream.authority.to_string().into();
    let world = World::new(true);
    let told = world
        .judge(&config, &token(&issuer.url(), 1))
        .await
        .unwrap_err();
    assert!(told.detail.contains("authority is unknown"), "{told}");
    assert!(issuer.upstream.requests().is_empty());
}

#[test]
fn the_documents_name_every_field() {
    for (kind, document) in [
        (
            AttestorKind::CUSTOM_JWT,
            include_str!("../../../docs/methods/custom_jwt.md"),
        ),
        (
            AttestorKind::K8S_TOKEN,
            include_str!("../../../docs/methods/k8s_token.md"),
        ),
    ] {
        assert_eq!(column(document, "Configuration"), fields(kind), "{kind}");
    }
}
