//! Keys of issuers that were fetched before: when an issuer is asked, and when not.

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;

use assay_host_verifier::clock::ManualClock;
use assay_host_verifier::jwt::cache::{FRESH, KeyCache, MOST_SOURCES, OLDEST, PAUSE, STALE};
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeyLocation, KeySource, Reach, Request, Response,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::World;
use crate::jwt::signer::Signer;

const KEYS: &str = "https://issuer.example.org/keys";
const ISSUER: &str = "https://issuer.example.org";
const DISCOVERY: &str = "https://issuer.example.org/.well-known/openid-configuration";

fn source(location: KeyLocation) -> KeySource {
    KeySource {
        location,
        reach: Reach::PUBLIC,
        roots: None,
    }
}

fn set(kids: &[&str]) -> Value {
    let keys = kids.iter().enumerate().map(|(i, kid)| {
        let mut key = Signer::new(i as u8 + 1).jwk();
        key["kid"] = (*kid).into();
        key
    });
    json!({"keys": keys.collect::<Vec<_>>()})
}

/// Answers when the test lets it.
#[derive(Debug)]
struct Slow {
    world: Arc<World>,
    open: watch::Sender<bool>,
    asked: AtomicUsize,
}

#[async_trait::async_trait]
impl Fetch for Slow {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        self.world.fetch(request).await
    }
}

/// What is there without waiting.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

struct Bench {
    world: Arc<World>,
    slow: Arc<Slow>,
    clock: Arc<ManualClock>,
    cache: KeyCache,
    source: KeySource,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        // The clock does not begin at zero, at which everything would be new.
        clock.advance(Duration::from_secs(86_400));
        let world = Arc::new(World::default());
        let slow = Arc::new(Slow {
            world: world.clone(),
            open: watch::Sender::new(true),
            asked: AtomicUsize::new(0),
        });
        Self {
            cache: KeyCache::new(clock.clone(), slow.clone()),
            world,
            slow,
            clock,
            source: source(KeyLocation::Jwks(KEYS.to_owned())),
        }
    }

    /// The set of the issuer from now on.
    fn publish(&self, answer: Result<Value, ErrorKind>) {
        self.world.forget(KEYS);
        self.world.answers(KEYS, answer);
    }

    async fn key(&self, kid: Option<&str>) -> Result<String, ErrorKind> {
        let key = self.cache.jwk(&self.source, kid).await;
        let key = key.map_err(|error: Error| error.kind)?;
        let key: Value = serde_json::from_slice(&key).unwrap();
        Ok(key["kid"].as_str().unwrap_or_default().to_owned())
    }

    fn asked(&self) -> usize {
        self.slow.asked.load(Ordering::SeqCst)
    }

    /// Lets questions that nobody waits for go on as far as they come.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_known_key_is_not_asked_for_again_while_its_set_is_fresh() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a", "b"])));
    for _ in 0..3 {
        assert_eq!(bench.key(Some("a")).await, Ok("a".to_owned()));
        assert_eq!(bench.key(Some("b")).await, Ok("b".to_owned()));
    }
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(FRESH - Duration::from_secs(1));
    assert!(bench.key(Some("a")).await.is_ok());
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.key(Some("a")).await.is_ok());
    bench.settle().await;
    assert_eq!(bench.asked(), 2);
}

/// An agent that hangs up as soon as its issuer is asked is no way to have it asked again, nor to have its failure forgotten.
#[tokio::test]
async fn who_goes_away_meanwhile_leaves_the_question_and_what_comes_of_it() {
    let bench = Bench::new();
    bench.publish(Err(ErrorKind::Connect));
    bench.slow.open.send_replace(false);
    for i in 0..5 {
        let kid = format!("invented-{i}");
        let mut login = Box::pin(bench.key(Some(&kid)));
        assert_eq!(at_once(&mut login), None);
        bench.settle().await;
        assert_eq!(at_once(&mut login), None, "its question is under way");
        drop(login);
        assert_eq!(bench.asked(), 1);
    }
    bench.slow.open.send_replace(true);
    bench.settle().await;
    assert_eq!(at_once(bench.key(Some("a"))), Some(Err(ErrorKind::Connect)));
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn a_slow_issuer_holds_nobody_whose_key_is_known() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    bench.slow.open.send_replace(false);
    bench.clock.advance(FRESH);
    for _ in 0..5 {
        assert_eq!(at_once(bench.key(Some("a"))), Some(Ok("a".to_owned())));
        bench.settle().await;
    }
    assert_eq!(bench.asked(), 2, "one question at a time");
    let mut rotated = Box::pin(bench.key(Some("b")));
    assert_eq!(at_once(&mut rotated), None, "it may be in the new set");
    bench.publish(Ok(set(&["b"])));
    bench.slow.open.send_replace(true);
    assert_eq!(rotated.await, Ok("b".to_owned()));
    assert_eq!(bench.key(Some("a")).await, Err(ErrorKind::NoKey));
    assert_eq!(bench.asked(), 2);
}

/// Where nobody has asked for long, a key that was withdrawn meanwhile is not taken once more.
#[tokio::test]
async fn a_stale_set_is_not_believed_before_its_issuer_was_asked() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    bench.clock.advance(STALE - Duration::from_secs(1));
    bench.publish(Err(ErrorKind::Deadline));
    assert!(at_once(bench.key(Some("a"))).is_some());
    bench.settle().await;
    bench.clock.advance(PAUSE);
    let known = at_once(bench.key(Some("a")));
    assert_eq!(known, Some(Ok("a".to_owned())), "it was asked, in vain");

    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    bench.clock.advance(STALE);
    bench.publish(Ok(set(&["b"])));
    assert_eq!(bench.key(Some("a")).await, Err(ErrorKind::NoKey));
}

/// A rotation: the new key is found at once, and the old one is gone once the set is.
#[tokio::test]
async fn an_unknown_key_has_the_set_fetched_anew_once_in_a_while() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    bench.clock.advance(PAUSE);
    bench.publish(Ok(set(&["b"])));
    assert_eq!(bench.key(Some("b")).await, Ok("b".to_owned()));
    assert_eq!(bench.asked(), 2);
    assert_eq!(
        bench.key(Some("a")).await,
        Err(ErrorKind::NoKey),
        "withdrawn"
    );
}

/// Tokens with invented names of keys are no way to have an issuer flooded.
#[tokio::test]
async fn invented_names_ask_at_most_once_in_a_pause() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    for i in 0..50 {
        let kid = format!("invented-{i}");
        assert_eq!(bench.key(Some(&kid)).await, Err(ErrorKind::NoKey));
    }
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(PAUSE - Duration::from_secs(1));
    assert_eq!(bench.key(Some("x")).await, Err(ErrorKind::NoKey));
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.key(Some("x")).await, Err(ErrorKind::NoKey));
    assert_eq!(bench.asked(), 2);
    assert!(
        bench.key(Some("a")).await.is_ok(),
        "the known one is served meanwhile"
    );
}

#[tokio::test]
async fn without_a_name_only_a_single_key_is_found() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert_eq!(bench.key(None).await, Ok("a".to_owned()));
    let bench = Bench::new();
    bench.publish(Ok(set(&["a", "b"])));
    assert_eq!(bench.key(None).await, Err(ErrorKind::NoKey));
    bench.clock.advance(PAUSE);
    assert_eq!(bench.key(None).await, Err(ErrorKind::NoKey));
    assert_eq!(bench.asked(), 1, "asking again would not help");
}

#[tokio::test]
async fn an_old_set_is_used_while_its_issuer_is_gone_and_not_for_ever() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    bench.publish(Err(ErrorKind::Connect));
    bench.clock.advance(FRESH);
    assert!(bench.key(Some("a")).await.is_ok());
    assert_eq!(bench.key(Some("b")).await, Err(ErrorKind::Connect));
    bench.clock.advance(OLDEST - FRESH - Duration::from_secs(1));
    assert!(bench.key(Some("a")).await.is_ok());
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.key(Some("a")).await, Err(ErrorKind::Connect));
    bench.clock.advance(PAUSE);
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok(), "it is back");
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_pause() {
    let bench = Bench::new();
    bench.publish(Err(ErrorKind::Deadline));
    for _ in 0..10 {
        assert_eq!(bench.key(Some("a")).await, Err(ErrorKind::Deadline));
    }
    assert_eq!(bench.asked(), 1);
    bench.clock.advance(PAUSE);
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    assert_eq!(bench.asked(), 2);
}

/// A set that shows a secret or has one name twice is no set.
#[tokio::test]
async fn what_is_no_set_is_an_error_that_repeats_nothing_of_it() {
    let mut private = set(&["a"]);
    private["keys"][0]["d"] = "hunter2".into();
    let many: Vec<String> = (0..65).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (answer, why) in [
        (private, "a JWK set that shows a private key"),
        (set(&["a", "a"]), "a JWK set with two keys of one kid"),
        (
            json!({"keys": []}),
            "a JWK set without a key for signatures",
        ),
        (json!({"keys": "hunter2"}), "no JWK set"),
        (set(&many), "a JWK set with too many keys"),
    ] {
        let bench = Bench::new();
        bench.publish(Ok(answer));
        assert_eq!(bench.key(Some("a")).await, Err(ErrorKind::Content(why)));
    }
    let bench = Bench::new();
    bench.publish(Ok(json!({"keys": ["x".repeat(300_000)]})));
    assert_eq!(bench.key(Some("a")).await, Err(ErrorKind::TooLarge));
}

#[tokio::test]
async fn discovery_asks_twice_and_believes_its_own_issuer_only() {
    let bench = Bench::new();
    let source = source(KeyLocation::Discovery {
        issuer: ISSUER.to_owned(),
    });
    let document = json!({"issuer": ISSUER, "jwks_uri": KEYS, "response_types_supported": []});
    bench.world.answers(DISCOVERY, Ok(document));
    bench.publish(Ok(set(&["a"])));
    let key = bench.cache.jwk(&source, Some("a")).await;
    assert!(key.is_ok());
    let asked: Vec<_> = bench.world.asked().into_iter().map(|r| r.url).collect();
    assert_eq!(asked, [DISCOVERY, KEYS]);

    let lying = Bench::new();
    let document = json!({"issuer": "https://evil.example.org", "jwks_uri": KEYS});
    lying.world.answers(DISCOVERY, Ok(document));
    lying.publish(Ok(set(&["a"])));
    let told = lying.cache.jwk(&source, Some("a")).await;
    let why = "the discovery document is of another issuer";
    assert_eq!(told.unwrap_err().kind, ErrorKind::Content(why));
    assert_eq!(lying.asked(), 1, "its keys are not asked for");
}

/// The document lies elsewhere than behind the issuer, and is the issuer's all the same.
#[tokio::test]
async fn a_discovery_document_elsewhere_must_be_the_issuers_own() {
    const ELSEWHERE: &str = "https://login.example.com/tenant/openid-configuration";
    for (named, passes) in [(ISSUER, true), ("https://evil.example.org", false)] {
        let bench = Bench::new();
        let source = source(KeyLocation::DiscoveryAt {
            document: ELSEWHERE.to_owned(),
            issuer: ISSUER.to_owned(),
        });
        let document = json!({"issuer": named, "jwks_uri": KEYS});
        bench.world.answers(ELSEWHERE, Ok(document));
        bench.publish(Ok(set(&["a"])));
        let key = bench.cache.jwk(&source, Some("a")).await;
        assert_eq!(key.is_ok(), passes);
        let asked: Vec<_> = bench.world.asked().into_iter().map(|r| r.url).collect();
        let expected: &[&str] = match passes {
            true => &[ELSEWHERE, KEYS],
            false => &[ELSEWHERE],
        };
        assert_eq!(asked, expected);
    }
}

#[tokio::test]
async fn many_at_once_ask_once() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    let key = || bench.key(Some("a"));
    let all = tokio::join!(key(), key(), key(), key(), key(), key());
    let right = || Ok("a".to_owned());
    assert_eq!(all, (right(), right(), right(), right(), right(), right()));
    assert_eq!(bench.asked(), 1);
}

/// Two policies may name one URL with different rules for addresses and authorities: what one may see the other may not.
#[tokio::test]
async fn sources_with_other_rules_share_nothing() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    for other in [
        KeySource {
            reach: Reach::OPERATORS,
            ..bench.source.clone()
        },
        KeySource {
            roots: Some("pem".into()),
            ..bench.source.clone()
        },
    ] {
        let before = bench.asked();
        let key = bench.cache.jwk(&other, Some("a")).await;
        assert!(key.is_ok());
        assert_eq!(bench.asked(), before + 1);
        let sent = bench.world.asked().pop().unwrap();
        assert_eq!((sent.reach, sent.roots), (other.reach, other.roots));
    }
}

#[tokio::test]
async fn the_memory_is_bounded() {
    let bench = Bench::new();
    bench.publish(Ok(set(&["a"])));
    assert!(bench.key(Some("a")).await.is_ok());
    for i in 0..MOST_SOURCES {
        bench.clock.advance(Duration::from_millis(1));
        let url = format!("https://issuer.example.org/{i}");
        bench.world.answers(&url, Ok(set(&["a"])));
        let other = source(KeyLocation::Jwks(url));
        let key = bench.cache.jwk(&other, Some("a")).await;
        assert!(key.is_ok());
    }
    let before = bench.asked();
    assert!(bench.key(Some("a")).await.is_ok());
    assert_eq!(bench.asked(), before + 1, "the oldest was forgotten");
}
