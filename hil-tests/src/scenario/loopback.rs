//! Agent, SPI model, swtpm and verifier in one process and in virtual time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::MAX_RECORD;
use assay_firmware::agent::Failure;
use assay_firmware::bus::SpiTis;
use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::platform::{BoardInfo, Platform};
use assay_firmware::run::{Granted, Node, Timing};
use assay_firmware::tis::Tis;
use assay_host_verifier::clock::Moment;
use assay_host_verifier::login::{ChallengeKey, Verifier};
use assay_host_verifier::policy::PolicyDocument;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::session::PathTemplate;
use assay_spi_tpm::clock::VirtualClock;
use assay_spi_tpm::hal::{ModelBus, ModelCs, SharedTpm, VirtualDelay};
use assay_spi_tpm::{Config, SpiTpm, TpmBackend};

use super::line::Line;
use super::local_verifier::LocalVerifier;

/// The cluster of every loopback.
pub const CLUSTER: &str = "lab";
/// Its trust domain.
pub const TRUST_DOMAIN: &str = "example.org";

/// What the agent's log calls this place.
const BOARD: BoardInfo = BoardInfo {
    name: "loopback",
    version: env!("CARGO_PKG_VERSION"),
};

type Source = TpmEvidence<Tis<SpiTis<ModelBus, ModelCs>, VirtualDelay>>;

/// The agent's time is the model's: it passes with SPI bytes and with waiting, never with real time.
#[derive(Clone)]
pub struct VirtualPlatform(VirtualClock);

impl Platform for VirtualPlatform {
    fn now_us(&mut self) -> u64 {
        self.0.now_ns() / 1_000
    }

    fn idle(&mut self) {
        self.0.advance_ns(1_000_000);
    }

    fn kick_watchdog(&mut self) {}
}

/// Everything of one login.
pub struct Loopback {
    /// The line, with the verifier at its end.
    pub line: Line<LocalVerifier>,
    /// The model on its bus.
    pub tpm: SharedTpm,
    record: Vec<u8>,
    clock: VirtualClock,
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

impl Loopback {
    /// Puts `backend` behind the model and a verifier with `policy` at the end of the line.
    ///
    /// # Errors
    ///
    /// When the policy is not accepted.
    pub fn new(backend: impl TpmBackend + 'static, config: Config, policy: &str) -> Result<Self> {
        let document =
            PolicyDocument::parse("policy.yaml", policy).map_err(|e| anyhow::anyhow!("{e}"))?;
        let policies = document
            .build("policy.yaml", Path::new("/"))
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        let key = ChallengeKey::generate()?;
        let mut record = vec![0; MAX_RECORD];
        let provisioning = Provisioning {
            cluster: CLUSTER,
            trust_domain: TRUST_DOMAIN,
            verifier_key: key.public(),
        };
        let len = provisioning.write(&mut record)?;
        record.truncate(len);
        let verifier = Arc::new(Verifier {
            trust_domain: TRUST_DOMAIN.to_owned(),
            clusters: [(CLUSTER.to_owned(), Arc::new(policies))].into(),
            key,
            login_timeout: Duration::from_secs(60),
            session_ttl: Duration::from_secs(3_600),
            path_template: PathTemplate::parse("/node/{{tpm_ek.public_hash}}")
                .context("template")?,
        });
        let model = SpiTpm::new(backend, config);
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
        Ok(Self {
            line: Line::new(local),
            tpm,
            record,
            clock,
        })
    }

    /// A node on this line, as after power-on.
    ///
    /// # Panics
    ///
    /// Never: the model's pins cannot fail.
    #[must_use]
    pub fn node(&self) -> Option<Node<'_, VirtualPlatform, Line<LocalVerifier>, Source>> {
        let bus = SpiTis::new(self.tpm.bus(), self.tpm.chip_select()).ok()?;
        let source = TpmEvidence::new(Tis::new(bus, self.tpm.delay()));
        let platform = VirtualPlatform(self.clock.clone());
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

    /// Virtual time so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.clock.now_ns())
    }
}
