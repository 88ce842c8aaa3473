//! The first of the three places for scenarios: driver, model and verifier in one process, in virtual time.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use assay_host_verifier::attestor::Attribute;
use assay_host_verifier::login::ChallengeKey;
use assay_spi_tpm::{SpiTpm, TpmBackend};
use serde_json::{Map, Value, json};

use super::live::VerifierEvent;
use super::local_verifier::Outcome;
use super::loopback::{Loopback, LoopbackNode, Sessions, verifier_with};
use super::rig::{Rig, Terms};

/// What a verifier keeps between its starts.
pub struct Keep<'a> {
    /// Where its challenge key is.
    pub folder: &'a Path,
    /// The policy that accepts the rig's TPM.
    pub policy: &'a str,
}

const SESSION: Duration = Duration::from_secs(3_600);

/// A line whose verifier has a key that outlives it.
///
/// # Errors
///
/// When the policy is not accepted.
pub fn loopback(
    keep: &Keep<'_>,
    backend: impl TpmBackend + 'static,
    config: assay_spi_tpm::Config,
) -> Result<Loopback> {
    let key = ChallengeKey::load_or_create(keep.folder)?;
    let verifier = verifier_with(keep.policy, key, SESSION, Sessions::Renewal)?;
    Loopback::with_verifier(SpiTpm::new(backend, config), verifier)
}

/// A node in this process.
pub struct LoopbackRig<'l> {
    loopback: &'l Loopback,
    keep: Keep<'l>,
    node: LoopbackNode<'l>,
    /// How long the node rests before it speaks again.
    rest: Duration,
    /// How many outcomes were told.
    told: usize,
}

impl<'l> LoopbackRig<'l> {
    /// A node that was just powered.
    ///
    /// # Errors
    ///
    /// Never: the model's pins cannot fail.
    pub fn new(loopback: &'l Loopback, keep: Keep<'l>) -> Result<Self> {
        Ok(Self {
            loopback,
            keep,
            node: loopback.node().context("the model's pins")?,
            rest: Duration::ZERO,
            told: 0,
        })
    }

    /// One attempt, after the rest that the one before has earned.
    fn attempt(&mut self) {
        self.loopback.wait(self.rest);
        self.rest = match self.node.attempt() {
            Ok(granted) => Duration::from_millis(granted.rest_ms().into()),
            Err((_, wait_ms)) => Duration::from_millis(wait_ms.into()),
        };
    }

    /// The next login or renewal that ended.
    fn end(&mut self) -> Option<VerifierEvent> {
        self.loopback.line.with_peer(|verifier| {
            let new = verifier.outcomes.get(self.told..).unwrap_or_default();
            let end = new.iter().enumerate().find_map(|(at, outcome)| {
                let event = match outcome {
                    Outcome::Granted(granted) => VerifierEvent {
                        policy: Some(granted.authorized.policy().to_owned()),
                        attributes: Some(attributes(&granted.session.attributes)),
                        spiffe_id: Some(granted.session.spiffe_id.to_string()),
                        session: Some(json!({ "id": hex::encode(granted.session.id.0) })),
                        ..event("granted", "ok")
                    },
                    Outcome::Renewed(session) => VerifierEvent {
                        spiffe_id: Some(session.spiffe_id.clone()),
                        session: Some(json!({ "id": hex::encode(session.id.0) })),
                        ..event("renewed", "ok")
                    },
                    Outcome::Denied(denied) => VerifierEvent {
                        code: Some(denied.code.to_string()),
                        detail: denied.detail.clone(),
                        ..event("denied", "failed")
                    },
                    Outcome::Trouble(_) | Outcome::Panic(_) => return None,
                };
                Some((at, event))
            });
            let (at, event) = end?;
            self.told += at + 1;
            Some(event)
        })
    }
}

fn event(step: &str, outcome: &str) -> VerifierEvent {
    VerifierEvent {
        step: step.to_owned(),
        outcome: outcome.to_owned(),
        method: None,
        detail: String::new(),
        code: None,
        policy: None,
        attributes: None,
        spiffe_id: None,
        session: None,
    }
}

fn attributes(of: &[Attribute]) -> Map<String, Value> {
    let pairs = of.iter();
    pairs
        .map(|one| (one.name.to_string(), one.value.clone().into()))
        .collect()
}

impl Rig for LoopbackRig<'_> {
    fn next_end(&mut self, limit: Duration) -> Result<VerifierEvent> {
        let started = self.loopback.elapsed();
        loop {
            if let Some(event) = self.end() {
                return Ok(event);
            }
            if self.loopback.elapsed().saturating_sub(started) > limit {
                bail!("no login and no renewal within {limit:?} of virtual time");
            }
            self.attempt();
        }
    }

    fn reset(&mut self) -> Result<()> {
        self.node = self.loopback.node().context("the model's pins")?;
        self.rest = Duration::ZERO;
        Ok(())
    }

    fn tpm_survives_reset(&self) -> bool {
        true
    }

    /// A software TPM's clock runs in real time: between renewals no more virtual time may pass than a verifier forgives.
    fn shortest_session(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn absent_verifier(&mut self) -> Result<()> {
        let line = &self.loopback.line;
        let frames = line.with_peer(|verifier| {
            verifier.set_away(true);
            verifier.tape.len()
        });
        self.reset()?;
        self.attempt();
        let line = &self.loopback.line;
        let said = line.with_peer(|verifier| {
            verifier.set_away(false);
            verifier.tape.len() - frames
        });
        if said < super::rig::HELLOS_IN_VAIN {
            bail!("{said} hellos while nobody answered");
        }
        Ok(())
    }

    fn decide_by(&mut self, terms: &Terms<'_>) -> Result<()> {
        let key = ChallengeKey::load_or_create(self.keep.folder)?;
        let policy = terms.policy.unwrap_or(self.keep.policy);
        let session = terms.session.unwrap_or(SESSION);
        let verifier = verifier_with(policy, key, session, Sessions::Renewal)?;
        self.loopback
            .line
            .with_peer(|local| local.restart_as(verifier));
        Ok(())
    }
}
