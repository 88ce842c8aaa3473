//! Agent, SPI model, swtpm and verifier in one process and in virtual time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use assay_common::identity::provisioning::MAX_RECORD;
use assay_common::identity::{Pins, Provisioning};
use assay_firmware::agent::Failure;
use assay_firmware::bus::SpiTis;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::keys::McuKey;
use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_firmware::platform::{BoardInfo, Platform};
use assay_firmware::run::{Granted, Node, Timing};
use assay_firmware::tis::Tis;
use assay_host_verifier::clock::Moment;
use assay_host_verifier::config::DEFAULT_LOGIN_TIMEOUT;
use assay_host_verifier::login::{ChallengeKey, Verifier};
use assay_host_verifier::policy::PolicyDocument;
use assay_host_verifier::random::{SecureRandom, SystemRandom};
use assay_host_verifier::session::PathTemplate;
use assay_spi_tpm::clock::VirtualClock;
use assay_spi_tpm::hal::{ModelBus, ModelCs, SharedTpm};
use assay_spi_tpm::{Config, SpiTpm, TpmBackend};

use super::leash::{Leash, LeashedBus};
use super::line::Line;
use super::local_verifier::LocalVerifier;
use super::watch::{Watch, WatchedDelay};

/// The cluster of every loopback.
pub const CLUSTER: &str = "lab";
/// Its trust domain.
pub const TRUST_DOMAIN: &str = "example.org";

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(3_600);
/// What the agent's log calls this place.
const BOARD: BoardInfo = BoardInfo {
    name: "loopback",
    version: env!("CARGO_PKG_VERSION"),
};

type Source = TpmEvidence<Tis<SpiTis<LeashedBus<ModelBus>, ModelCs>, WatchedDelay>>;

/// A node on a [`Loopback`].
pub type LoopbackNode<'l> = Node<'l, VirtualPlatform, Line<LocalVerifier>, Source>;

/// What a node has against whoever is on its TPM's bus.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    /// The Name of the EK that it is tied to; empty for none.
    pub ek_name: Vec<u8>,
    /// The device's secret; empty for none.
    pub secret: Vec<u8>,
    /// Whether its board has a source of noise.
    pub has_noise: bool,
    /// Which boot this is; 0 on a board that does not count.
    pub boots: u32,
    /// Whether it measures itself, and so keeps what a reset of the TPM changes.
    pub measures: bool,
}

/// What a node of [`Guards::measures`] takes for its own image.
pub const AGENT: Measurable<'static> = Measurable {
    name: "agent",
    version: "1.0.0",
    bytes: b"the agent",
};

/// The agent's time is the model's: it passes with SPI bytes and with waiting, never with real time.
#[derive(Clone)]
pub struct VirtualPlatform {
    clock: VirtualClock,
    leash: Leash,
    watch: Watch,
    has_noise: bool,
    boots: u32,
}

impl Platform for VirtualPlatform {
    fn now_us(&mut self) -> u64 {
        self.leash.check_time();
        self.clock.now_ns() / 1_000
    }

    fn idle(&mut self) {
        self.clock.advance_ns(1_000_000);
    }

    fn kick_watchdog(&mut self) {
        self.watch.kick();
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        if self.has_noise && SystemRandom.fill(out).is_ok() {
            out.len()
        } else {
            0
        }
    }

    fn boots(&mut self) -> u32 {
        self.boots
    }
}

/// Everything of one login.
pub struct Loopback {
    /// The line, with the verifier at its end.
    pub line: Line<LocalVerifier>,
    /// The model on its bus.
    pub tpm: SharedTpm,
    /// How long the node may take, and how many bytes; no limit unless one is set.
    pub leash: Leash,
    /// How long the watchdog was not kicked.
    pub watch: Watch,
    record: Vec<u8>,
    clock: VirtualClock,
    guards: Guards,
    is_guarded: bool,
}

/// A verifier that decides by `policy`, with a key of its own.
///
/// # Errors
///
/// When the policy is not accepted.
pub fn verifier(policy: &str) -> Result<Arc<Verifier>> {
    verifier_with(policy, ChallengeKey::generate()?, SESSION, Sessions::Login)
}

/// What becomes of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// Each ends in another login, and none has an SVID.
    Login,
    /// They are renewed, and have an SVID for a key in the TPM.
    Renewal,
}

impl Sessions {
    /// After how long a node must log in anew, when a session lasts so long.
    #[must_use]
    pub const fn reattest_after(self, session: Duration) -> Duration {
        match self {
            // A session that cannot be made longer is not renewed.
            Self::Login => session,
            Self::Renewal => Duration::from_secs(24 * 3_600),
        }
    }
}

/// A verifier with this key, which grants sessions of this length.
///
/// # Errors
///
/// When the policy is not accepted.
pub fn verifier_with(
    policy: &str,
    key: ChallengeKey,
    session: Duration,
    sessions: Sessions,
) -> Result<Arc<Verifier>> {
    let document =
        PolicyDocument::parse("policy.yaml", policy).map_err(|e| anyhow::anyhow!("{e}"))?;
    let policies = document
        .build("policy.yaml", Path::new("/"))
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(Arc::new(Verifier {
        trust_domain: TRUST_DOMAIN.to_owned(),
        clusters: [(CLUSTER.to_owned(), Arc::new(policies.into()))].into(),
        unusable: std::collections::BTreeMap::new(),
        key,
        login_timeout: DEFAULT_LOGIN_TIMEOUT,
        session_ttl: session,
        path_template: PathTemplate::parse("/node/{{tpm_ek.public_hash}}").context("template")?,
        reattest_after: sessions.reattest_after(session),
        issues_svids: sessions == Sessions::Renewal,
    }))
}

/// A policy document that accepts EKs certified by `ca`, and, with `quote`, PCRs 0 to 7 as a reset leaves them.
#[must_use]
pub fn policy(cas: &[&Path], quote: bool) -> String {
    use core::fmt::Write;
    let mut yaml = String::from(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: bare_metal\n      requiredAttestors:\n        - type: tpm_ek\n          config:\n            require: certificate\n            manufacturerCAs:\n",
    );
    for ca in cas {
        let _ = writeln!(yaml, "              - {}", ca.display());
    }
    if quote {
        yaml.push_str("        - type: tpm_quote\n          config:\n            pcrs:\n");
        for index in 0..8 {
            let _ = writeln!(yaml, "              {index}: \"{}\"", "00".repeat(32));
        }
    }
    yaml
}

/// As [`policy`], for a node that boots the registered image of this name and nothing else.
#[must_use]
pub fn measured_policy(cas: &[&Path], image: &str) -> String {
    let mut yaml = policy(cas, true);
    yaml.push_str("            requiredMeasurements: [");
    yaml.push_str(image);
    yaml.push_str("]\n");
    yaml
}

/// The record of a node that pins `key`.
fn provisioning(key: &[u8], guards: &Guards) -> Result<Vec<u8>> {
    let mut record = vec![0; MAX_RECORD];
    let provisioning = Provisioning {
        cluster: CLUSTER,
        trust_domain: TRUST_DOMAIN,
        verifier_key: key,
    };
    let pins = Pins {
        ek_name: &guards.ek_name,
        secret: &guards.secret,
    };
    let len = provisioning.write_pinned(&pins, &mut record)?;
    record.truncate(len);
    Ok(record)
}

impl Loopback {
    /// Puts `backend` behind the model and a verifier with `policy` at the end of the line.
    ///
    /// # Errors
    ///
    /// When the policy is not accepted.
    pub fn new(backend: impl TpmBackend + 'static, config: Config, policy: &str) -> Result<Self> {
        Self::with_verifier(SpiTpm::new(backend, config), verifier(policy)?)
    }

    /// Puts `verifier` at the end of the line of a node with `model`; the store is empty.
    ///
    /// # Errors
    ///
    /// When the node's record does not fit.
    pub fn with_verifier(model: SpiTpm, verifier: Arc<Verifier>) -> Result<Self> {
        let record = provisioning(verifier.key.public(), &Guards::default())?;
        let clock = model.clock();
        let tpm = SharedTpm::new(model);
        let wall = jiff::Timestamp::now();
        let verifier_clock = clock.clone();
        let now = move || {
            let since = Duration::from_nanos(verifier_clock.now_ns());
            Moment {
                wall: wall + since,
                monotonic: since,
            }
        };
        let local = LocalVerifier::new(verifier, Box::new(SystemRandom), Box::new(now));
        let leash = Leash::new(clock.clone());
        Ok(Self {
            line: Line::timed(local, clock.clone()),
            tpm,
            leash,
            watch: Watch::new(clock.clone()),
            record,
            clock,
            guards: Guards::default(),
            is_guarded: true,
        })
    }

    /// Gives nodes on this line what they need against whoever is on their bus.
    ///
    /// # Errors
    ///
    /// When the node's record does not fit.
    pub fn guard(&mut self, guards: Guards) -> Result<()> {
        let key = self.line.with_peer(|verifier| verifier.key().to_vec());
        self.record = provisioning(&key, &guards)?;
        self.guards = guards;
        Ok(())
    }

    /// Has nodes on this line leave their bus unguarded, as an image without `secure-bus` does.
    pub const fn leave_unguarded(&mut self) {
        self.is_guarded = false;
    }

    /// Counts a boot, on a board that does.
    ///
    /// # Errors
    ///
    /// As [`guard`](Self::guard).
    pub fn count_boot(&mut self) -> Result<()> {
        let counts = u32::from(self.guards.boots > 0);
        self.guard(Guards {
            boots: self.guards.boots.saturating_add(counts),
            ..self.guards.clone()
        })
    }

    /// Provisions the node with another verifier's key.
    ///
    /// # Errors
    ///
    /// When the node's record does not fit.
    pub fn pin(&mut self, key: &[u8]) -> Result<()> {
        self.record = provisioning(key, &self.guards)?;
        Ok(())
    }

    /// A node on this line, as after power-on.
    ///
    /// # Panics
    ///
    /// Never: the model's pins cannot fail.
    #[must_use]
    pub fn node(&self) -> Option<LoopbackNode<'_>> {
        self.node_with(|source| {
            if self.guards.measures {
                source.measuring(MeasuredBoot::new(AGENT, None))
            } else {
                source
            }
        })
    }

    /// As [`node`](Self::node), of one that measures what it boots.
    #[must_use]
    pub fn measuring_node(&self, boot: MeasuredBoot<'static>) -> Option<LoopbackNode<'_>> {
        self.node_with(|source| source.measuring(boot))
    }

    /// As [`node`](Self::node), of one that this is the boot of with that number.
    #[must_use]
    pub fn booted(&self, number: u32) -> Option<LoopbackNode<'_>> {
        self.node_of(number, |source| {
            if self.guards.measures {
                source.measuring(MeasuredBoot::new(AGENT, Some(number)))
            } else {
                source
            }
        })
    }

    /// As [`node`](Self::node), of one whose board keeps a key of its own.
    #[must_use]
    pub fn signing_node(&self, key: &'static mut (dyn McuKey + Send)) -> Option<LoopbackNode<'_>> {
        self.node_with(|source| source.signing_with(key))
    }

    /// The reset line of the TPM alone is pulled.
    pub fn reset_tpm_alone(&self) {
        self.tpm.with(|tpm| {
            tpm.reset_line(true);
            tpm.reset_line(false);
        });
    }

    fn node_with(&self, with: impl FnOnce(Source) -> Source) -> Option<LoopbackNode<'_>> {
        self.node_of(self.guards.boots, with)
    }

    fn node_of(&self, boots: u32, with: impl FnOnce(Source) -> Source) -> Option<LoopbackNode<'_>> {
        let bus = LeashedBus::new(self.tpm.bus(), self.leash.clone());
        let bus = SpiTis::new(bus, self.tpm.chip_select()).ok()?;
        let source = TpmEvidence::new(Tis::new(bus, self.watch.delay()));
        let source = with(if self.is_guarded {
            source
        } else {
            source.unguarded()
        });
        let platform = VirtualPlatform {
            clock: self.clock.clone(),
            leash: self.leash.clone(),
            watch: self.watch.clone(),
            has_noise: self.guards.has_noise,
            boots,
        };
        Some(Node::new(
            platform,
            self.line.clone(),
            source,
            &self.record,
            BOARD,
            Timing::default(),
        ))
    }

    /// One login of a node that was just powered.
    ///
    /// # Errors
    ///
    /// What the agent failed with, after it has reported it on the line.
    pub fn login(&self) -> Result<Granted, Failure> {
        let mut node = self.node().ok_or(Failure::Link)?;
        node.attempt().map_err(|(failure, _)| failure)
    }

    /// Lets virtual time pass, as a node that rests does.
    pub fn wait(&self, time: Duration) {
        self.clock
            .advance_ns(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Virtual time so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.clock.now_ns())
    }
}
