//! What logins of cloud instances cost where the cloud must be asked: `aws_iid`, judged on the way that a login takes, with every
//! answer asked for through the service's cache, from an AWS in memory that takes 150 ms for each call.
//!
//! * `calls`: those that a fleet makes, however often its instances log in, beside what the rules of the cache come to
//!   ([`Fleet`]). A thousand instances in fifty accounts, twenty times each, in an order in which everybody else has come before
//!   one comes again.
//! * `per_second`: logins by the clock on all cores, with AWS at 150 ms and at 0 ms, once all answers are known. Both take turns,
//!   a round of all instances at a time, and who begins alternates, so that a machine which changes its speed changes both.
//!   `ratio` is the median of what the one comes to by the other in each pair of turns.
//! * `cold_seconds`: how long the first login of each instance took, all of them together.
//!
//! Prints one JSON object on stdout. `--quick` is for a fifth of the instances; `--bench` is ignored.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark over material of its own making: a panic is how it fails"
)]

mod aws;
mod evidence;
#[path = "../../tests/judge/cms/build.rs"]
#[allow(
    dead_code,
    clippy::cast_possible_truncation,
    reason = "the tests' own, which need more of it"
)]
mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assay_common::login::{Direction, LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::{Attestor, ErrandContext, Facts, Judged, LoginContext};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::clock::SystemClock;
use assay_host_verifier::cloud::aws::{CredentialSource, Fleet, Settings};
use assay_host_verifier::cloud::{Clouds, NoCounts, Times};
use assay_host_verifier::document::{Files, Provided};
use assay_host_verifier::server::World;
use assay_host_verifier::store::MemoryStore;
use jiff::Timestamp;
use serde_json::{Value, json};

use aws::Aws;
use evidence::Evidence;

const ACCOUNTS: usize = 50;
/// Logins of each instance after its first.
const TURNS: usize = 19;
/// Logins at once.
const AT_ONCE: usize = 64;
const CALL: Duration = Duration::from_millis(150);

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let instances = if quick { 200 } else { 1000 };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let evidence = Evidence::of(instances, ACCOUNTS);
    let (mut slow, mut fast) = (
        Side::new(&evidence, CALL),
        Side::new(&evidence, Duration::ZERO),
    );
    runtime.block_on(async {
        slow.first(&evidence).await;
        fast.first(&evidence).await;
        for turn in 0..TURNS {
            if turn % 2 == 0 {
                slow.turn(&evidence).await;
                fast.turn(&evidence).await;
            } else {
                fast.turn(&evidence).await;
                slow.turn(&evidence).await;
            }
        }
    });
    let pairs = slow.rates.iter().zip(&fast.rates);
    let ratio = median(pairs.map(|(slow, fast)| slow / fast).collect());
    let report = json!({
        "instances": instances,
        "accounts": ACCOUNTS,
        "logins": instances * (1 + TURNS),
        "slow": slow.report(&evidence),
        "fast": fast.report(&evidence),
        "ratio": (ratio * 1000.0).round() / 1000.0,
    });
    println!("{report:#}");
}

/// A verifier, and an AWS that takes so long for each call.
struct Side {
    call: Duration,
    cloud: Arc<Aws>,
    desk: Arc<Desk>,
    cold: Duration,
    /// Logins per second in each turn.
    rates: Vec<f64>,
}

impl Side {
    fn new(evidence: &Evidence, call: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cloud = Arc::new(Aws::taking(call));
        Self {
            call,
            desk: Arc::new(Desk::new(evidence, cloud.clone(), dir)),
            cloud,
            cold: Duration::ZERO,
            rates: Vec::new(),
        }
    }

    /// The first login of each instance.
    async fn first(&mut self, evidence: &Evidence) {
        self.cold = self.round(evidence).await;
    }

    /// Another login of each.
    async fn turn(&mut self, evidence: &Evidence) {
        let took = self.round(evidence).await;
        let logins = f64::from(u32::try_from(evidence.instances()).unwrap());
        self.rates.push(logins / took.as_secs_f64());
    }

    async fn round(&self, evidence: &Evidence) -> Duration {
        let began = Instant::now();
        self.desk.clone().round(evidence).await;
        began.elapsed()
    }

    fn report(&self, evidence: &Evidence) -> Value {
        let fleet = Fleet {
            instances: evidence.instances(),
            accounts: ACCOUNTS,
            profiles: ACCOUNTS,
            ..Fleet::default()
        };
        let (made, predicted) = (self.cloud.calls(), fleet.calls().total());
        assert_eq!(made, predicted, "calls that the rules do not predict");
        json!({
            "call_ms": u64::try_from(self.call.as_millis()).unwrap(),
            "calls": made,
            "calls_predicted": predicted,
            "cold_seconds": (self.cold.as_secs_f64() * 1000.0).round() / 1000.0,
            "per_second": median(self.rates.clone()).round(),
        })
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A verifier as far as a method sees it.
struct Desk {
    attestor: Arc<dyn Attestor>,
    world: World,
    transcript: Transcript,
    keys: LoginKeys,
    blobs: Blobs,
    facts: Facts,
    /// What the service's settings name.
    _files: tempfile::TempDir,
}

impl Desk {
    fn new(evidence: &Evidence, cloud: Arc<Aws>, dir: tempfile::TempDir) -> Self {
        let (secret, pinned) = (dir.path().join("secret"), dir.path().join("regions.pem"));
        std::fs::write(&secret, "secret").unwrap();
        std::fs::write(&pinned, evidence.pinned()).unwrap();
        let mut settings = Settings::default();
        settings.certificates = vec![pinned];
        settings.credentials = CredentialSource::Static {
            access_key_id: "AKIDEXAMPLE00000000".to_owned(),
            secret_access_key_file: secret,
        };
        let mut clouds = Clouds::default();
        clouds.aws = settings;
        let provided = Provided {
            clouds: Arc::new(clouds),
            ..Provided::default()
        };
        let allowed: Vec<_> = (0..ACCOUNTS).map(evidence::account).collect();
        let config = json!({"awsAccountsAllowed": allowed});
        let config = deserialize_config(AttestorKind::AWS_IID, config).unwrap();
        let files = Files::beside(dir.path()).provided_by(&provided);
        let clock = Arc::new(SystemClock::new());
        let world = World::new(cloud, Arc::new(MemoryStore::new()), clock.clone());
        Self {
            attestor: config.build_in(files).unwrap(),
            world: world.with_answers(clock, Arc::new(NoCounts), Times::default()),
            transcript: Transcript::new().then(Direction::Agent, b"hello"),
            keys: LoginKeys::new([7; 32]),
            blobs: Blobs::default(),
            facts: Facts::default(),
            _files: dir,
        }
    }

    /// A login of each instance, many at once.
    async fn round(self: Arc<Self>, evidence: &Evidence) {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (desk, next, payloads) = (self.clone(), next.clone(), evidence.payloads());
            workers.spawn(async move {
                loop {
                    let login = next.fetch_add(1, Ordering::Relaxed);
                    let Some(payload) = payloads.get(login) else {
                        return;
                    };
                    desk.login(payload).await;
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
    }

    async fn login(&self, payload: &[u8]) {
        let now = Timestamp::now();
        let cx = LoginContext {
            now,
            transcript: &self.transcript,
            request: &[],
            blobs: &self.blobs,
            facts: &self.facts,
            last_boot: None,
            keys: &self.keys,
        };
        let Judged::Errand(errand) = self.attestor.judge(&cx, payload).unwrap() else {
            panic!("nothing to ask");
        };
        let context = ErrandContext {
            now,
            login_id: "login".to_owned(),
            cluster: "bench".to_owned(),
            trust_domain: "example.org".to_owned(),
            policy: "bench".to_owned(),
            proven: Vec::new(),
            proof_nonce: [0; 32],
        };
        let answer = errand.run(&self.world, &context).await.unwrap();
        errand.judge(&cx, &answer).unwrap();
    }
}
