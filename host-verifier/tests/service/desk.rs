//! A verifier on a desk: settable clock, store in memory, one conversation at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_host_verifier::audit::AuditLog;
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::config::{BaseCluster, DEFAULT_LOGIN_TIMEOUT};
use assay_host_verifier::login::{ChallengeKey, Verifier};
use assay_host_verifier::outside::NoOutside;
use assay_host_verifier::policy::{PolicyDocument, PolicySet};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::server::clusters::Base;
use assay_host_verifier::server::{
    Asking, Clusters, Counted, LoginConversation, Server, StateKeys, World,
};
use assay_host_verifier::session::PathTemplate;
use assay_host_verifier::store::{MemoryStore, Store};
use assay_host_verifier::svid::keys::MemoryKeys;
use assay_host_verifier::svid::{Issuer, Settings};
use assay_host_verifier::telemetry::{Event, EventSink, Health, Metrics};
use assay_host_verifier::transport::connection::Conversation;
use tokio::sync::{Semaphore, mpsc};

use crate::agent::{Agent, Answer, Asked, Opened};
use crate::fake_tpm::FakeTpm;

pub(crate) const LOGIN_TIMEOUT: Duration = DEFAULT_LOGIN_TIMEOUT;

pub(crate) struct Desk {
    pub(crate) server: Server,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) events: mpsc::Receiver<Event>,
}

/// Lines of `allowedHashes`.
pub(crate) fn hashes(tpms: &[&FakeTpm]) -> String {
    tpms.iter()
        .map(|tpm| format!("\"{}\"", tpm.ek_hash()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// EK and a quote of PCRs 0 and 7 that must be zero.
pub(crate) fn ek_and_quote(tpms: &[&FakeTpm]) -> String {
    format!(
        "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [{}]}}\n  \
         - type: tpm_quote\n    config: {{pcrs: {{0: \"{zero}\", 7: \"{zero}\"}}}}\n",
        hashes(tpms),
        zero = "00".repeat(32)
    )
}

/// The EK alone.
pub(crate) fn ek_only(name: &str, tpms: &[&FakeTpm]) -> String {
    format!(
        "- name: {name}\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [{}]}}\n",
        hashes(tpms)
    )
}

pub(crate) fn policies(entries: &str) -> PolicySet {
    let indented: String = entries.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("section: AgentAttestation\nschema: v1\nspec:\n  policies:\n{indented}");
    let document =
        PolicyDocument::parse("policy.yaml", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    document
        .build("policy.yaml", std::path::Path::new(""))
        .unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// With authorities that sign. On a thread of its own, since the caller may be in a runtime.
fn issuer(store: Arc<MemoryStore>, clock: &ManualClock) -> Issuer {
    let keys = Arc::new(MemoryKeys::new(&SystemRandom).unwrap());
    let settings = Settings::new("example.org");
    let issuer = Issuer::new(settings, keys, None, store, Arc::new(SystemRandom));
    std::thread::scope(|scope| {
        let rotated = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(issuer.rotate(clock.now()))
        });
        rotated.join().unwrap().unwrap();
    });
    issuer
}

/// On a thread of its own, as above.
pub(crate) fn state_keys(
    store: Arc<MemoryStore>,
    challenge: ChallengeKey,
    clock: &Arc<ManualClock>,
) -> StateKeys {
    let opened = StateKeys::open(store, challenge, clock.clone(), Arc::new(SystemRandom));
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(opened)
        });
        opened.join().unwrap().unwrap()
    })
}

impl Desk {
    pub(crate) fn new(entries: &str) -> Self {
        Self::with_template(entries, "/node/{{tpm_ek.public_hash}}")
    }

    pub(crate) fn with_template(entries: &str, template: &str) -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let store = Arc::new(MemoryStore::new());
        let (sink, events) = EventSink::channel();
        let lab = BaseCluster {
            policies: Arc::new(policies(entries)),
            origin: "desk.yaml".to_owned(),
            document: None,
            source: None,
        };
        let base = Base::new(BTreeMap::from([("lab".to_owned(), lab)]), None);
        let verifier = Verifier {
            trust_domain: "example.org".to_owned(),
            clusters: base.served(),
            unusable: BTreeMap::new(),
            key: ChallengeKey::generate().unwrap(),
            login_timeout: LOGIN_TIMEOUT,
            session_ttl: Duration::from_secs(3600),
            path_template: PathTemplate::parse(template).unwrap(),
            reattest_after: Duration::from_secs(24 * 3600),
            issues_svids: true,
        };
        let metrics = Metrics::new(clock.clone());
        let server = Server {
            state_keys: state_keys(store.clone(), verifier.key.clone(), &clock),
            issuer: Arc::new(issuer(store.clone(), &clock)),
            audit: AuditLog::default(),
            verifier: verifier.into(),
            clusters: Clusters::new(base, store.clone()),
            outside: Arc::new(World::new(
                Arc::new(NoOutside),
                store.clone(),
                clock.clone(),
            )),
            store: Arc::new(Counted::new(store.clone(), metrics.clone())),
            asking: Asking::default(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            events: sink,
            permits: Arc::new(Semaphore::new(4)),
            metrics,
            health: Health::starting(clock.clone()),
        };
        Self {
            server,
            clock,
            store,
            events,
        }
    }

    pub(crate) fn agent(&self) -> Agent {
        Agent::new(self.server.verifier.current().key.public())
    }

    pub(crate) fn link(&self) -> LoginConversation {
        let permits = self.server.permits.clone();
        LoginConversation::new(self.server.clone(), "desk".to_owned(), permits)
    }

    /// A whole honest login.
    pub(crate) async fn login(&self, tpm: &FakeTpm) -> Answer {
        let mut agent = self.agent();
        let mut link = self.link();
        self.login_over(&mut link, &mut agent, tpm).await
    }

    pub(crate) async fn login_over(
        &self,
        link: &mut LoginConversation,
        agent: &mut Agent,
        tpm: &FakeTpm,
    ) -> Answer {
        let hello = agent.hello();
        let mut answer = tell(link, agent, &hello).await;
        while let Answer::Asked(asked) = answer {
            let proofs = agent.answer(tpm, &asked);
            answer = tell(link, agent, &proofs).await;
        }
        answer
    }

    /// An agent whose challenge of round 1 is out: (link, agent, challenge).
    pub(crate) async fn at_round_1(&self, tpm: &FakeTpm) -> (LoginConversation, Agent, Asked) {
        let (mut link, mut agent, asked) = self.at_round_0().await;
        let proofs = agent.answer(tpm, &asked);
        let asked = asked_of(tell(&mut link, &mut agent, &proofs).await);
        (link, agent, asked)
    }

    /// An agent whose challenge of round 0 is out.
    pub(crate) async fn at_round_0(&self) -> (LoginConversation, Agent, Asked) {
        let mut agent = self.agent();
        let mut link = self.link();
        let hello = agent.hello();
        let asked = asked_of(tell(&mut link, &mut agent, &hello).await);
        (link, agent, asked)
    }

    /// What the verifier's calendar says.
    pub(crate) fn clock_now(&self) -> jiff::Timestamp {
        self.server.clock.now().wall
    }

    /// How many sessions there are: what no attack may change.
    pub(crate) async fn sessions(&self) -> usize {
        self.store
            .sessions(jiff::Timestamp::MIN, 1000)
            .await
            .unwrap()
            .len()
    }

    /// The operator's words for the last refusal.
    pub(crate) fn last_denial(&mut self) -> String {
        let mut last = String::new();
        while let Ok(event) = self.events.try_recv() {
            let event = serde_json::to_value(&event).unwrap();
            if event["step"] == "denied" && event.get("code").is_some() {
                last = event["detail"].as_str().unwrap().to_owned();
            }
        }
        last
    }
}

pub(crate) async fn tell(
    link: &mut LoginConversation,
    agent: &mut Agent,
    message: &[u8],
) -> Answer {
    let answer = say(link, message).await.expect("an answer");
    agent.hear(&answer)
}

pub(crate) async fn say(link: &mut LoginConversation, message: &[u8]) -> Option<Vec<u8>> {
    link.message(message, &Blobs::default()).await
}

pub(crate) fn asked_of(answer: Answer) -> Asked {
    match answer {
        Answer::Asked(asked) => asked,
        other => panic!("not a challenge: {other:?}"),
    }
}

pub(crate) fn granted(answer: Answer) -> Opened {
    match answer {
        Answer::Granted(opened) => opened,
        other => panic!("not granted: {other:?}"),
    }
}
