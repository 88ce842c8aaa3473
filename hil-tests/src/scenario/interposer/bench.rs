//! Runs attacks: a node with its TPM, somebody between the two, another genuine TPM in his hands, and a verifier that
//! knows the makers of both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use assay_common::tpm::alg::AlgId;
use assay_common::tpm::pcr::PcrIndex;
use assay_firmware::agent::Failure;
use assay_firmware::evidence::EvidenceError;
use assay_host_verifier::login::{ChallengeKey, Verifier};
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::clock::VirtualClock;
use assay_spi_tpm::interposer::measured::{
    DEBUG_SETTINGS, GOOD_IMAGE, IMAGE_PCR, SETTINGS_PCR, TAMPERED_IMAGE, extended,
};
use assay_spi_tpm::interposer::{Begin, Goal, Interposer, JournalHandle, Mode, Script};
use assay_spi_tpm::swtpm::{Mode as Sockets, SwtpmBackend};
use assay_spi_tpm::{Config, SpiTpm, TpmBackend};

use super::eavesdropper::Eavesdropper;
use super::judge::{Ended, Holder};
use super::verdict::{Bus, Report, Verdict};
use crate::manufacture::{EkKind, ManufacturedTpm, Recipe, cache};
use crate::scenario::loopback::{Guards, Loopback, LoopbackNode, Sessions, policy, verifier_with};

/// A software TPM's clock runs in real time: between renewals no more virtual time may pass than a verifier forgives.
const SESSION: Duration = Duration::from_secs(30);
/// What an attempt may take, so that an attack that makes a node wait for ever is a failure and no hang.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(3_600);
const BYTE_LIMIT: u64 = 4 << 20;

/// What its record tells a node, and nobody else.
const DEVICE_SECRET: [u8; 32] = [0x5E; 32];

/// What a node measures before it logs in.
pub(super) type Measurements = &'static [(u8, [u8; 32])];

pub(super) const GOOD: Measurements = &[(IMAGE_PCR, GOOD_IMAGE)];
const TAMPERED: Measurements = &[(IMAGE_PCR, TAMPERED_IMAGE)];
const DEBUGGED: Measurements = &[(IMAGE_PCR, GOOD_IMAGE), (SETTINGS_PCR, DEBUG_SETTINGS)];

/// Two TPMs with EKs of one kind, and a verifier.
pub struct Bench {
    kind: EkKind,
    tpm: SwtpmBackend,
    other: SwtpmBackend,
    verifier: Arc<Verifier>,
    ek_name: Vec<u8>,
    clean: Option<Holder>,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Makes the TPMs and the verifier. The kind of EK decides how a session is salted: by ECDH, or by OAEP to an RSA key.
    ///
    /// # Errors
    ///
    /// When a TPM cannot be made or started.
    pub fn new(kind: EkKind) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let made = |instance: u8| -> Result<(ManufacturedTpm, SwtpmBackend)> {
            let recipe = Recipe {
                instance,
                ..Recipe::with([kind])
            };
            let tpm = cache::copy(&recipe, &folder.path().join(format!("tpm-{instance}")))?;
            let sockets = folder.path().join(format!("run-{instance}"));
            let process = tpm.start(&sockets, Sockets::Sockets)?;
            Ok((tpm, SwtpmBackend::new(process)))
        };
        let ((first, tpm), (second, other)) = (made(0)?, made(1)?);
        let cas: Vec<_> = [&first, &second]
            .iter()
            .flat_map(|tpm| [tpm.root_ca(), tpm.intermediate_ca()])
            .collect();
        let cas: Vec<_> = cas.iter().map(PathBuf::as_path).collect();
        let terms = measured_policy(&cas);
        let verifier = verifier_with(
            &terms,
            ChallengeKey::generate()?,
            SESSION,
            Sessions::Renewal,
        )?;
        Ok(Self {
            kind,
            tpm,
            other,
            verifier,
            ek_name: first.ek_name(kind)?,
            clean: None,
            _folder: folder,
        })
    }

    /// The kind of its TPMs' EKs.
    #[must_use]
    pub const fn kind(&self) -> EkKind {
        self.kind
    }

    /// Everything that a node on this bench has against whoever is on its bus.
    #[must_use]
    pub fn guards(&self) -> Guards {
        Guards {
            ek_name: self.ek_name.clone(),
            secret: DEVICE_SECRET.to_vec(),
            has_noise: true,
            boots: 1,
            measures: true,
        }
    }

    /// Runs an attack on a bus.
    ///
    /// # Errors
    ///
    /// Failures of the bench, and a node that logs in neither before the attack nor after it.
    pub fn run(&mut self, mode: &'static Mode, bus: Bus) -> Result<Report> {
        let guards = (bus == Bus::Protected).then(|| self.guards());
        self.run_against(mode, guards.as_ref())
    }

    /// Runs an attack against a node with these guards, or with none on a plain bus.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_against(&mut self, mode: &'static Mode, guards: Option<&Guards>) -> Result<Report> {
        let clean = match self.clean.clone() {
            Some(clean) => clean,
            None => {
                let clean = self.clean_login(guards)?;
                self.clean.insert(clean).clone()
            }
        };
        let (mut loopback, journal) = self.power_on(mode.script(), guards)?;
        let ear = Eavesdropper::on(&loopback.line, loopback.tpm.with(|model| model.clock()));
        loopback.leash.allow(ATTEMPT_LIMIT, BYTE_LIMIT);
        journal.with(|journal| {
            journal.armed = matches!(mode.begin, Begin::PowerOn | Begin::Session);
        });
        let strike = |loopback: &Loopback| {
            journal.with(|journal| {
                journal.next_run();
                journal.armed = true;
            });
            loopback.line.with_peer(|verifier| verifier.outcomes.len())
        };
        let (before, result) = match mode.begin {
            Begin::PowerOn => (0, login(&mut node(&loopback)?, measurements(mode.goal))),
            Begin::SecondLogin => {
                login(&mut node(&loopback)?, GOOD)
                    .map_err(|failure| failed("before the attack", failure))?;
                ear.forget();
                reboot(&mut loopback)?;
                let before = strike(&loopback);
                (
                    before,
                    login(&mut node(&loopback)?, measurements(mode.goal)),
                )
            }
            Begin::Session => {
                let mut node = node(&loopback)?;
                login(&mut node, GOOD).map_err(|failure| failed("in the attack", failure))?;
                journal.with(|journal| {
                    journal.renewing = true;
                    journal.next_run();
                });
                let before = loopback.line.with_peer(|verifier| verifier.outcomes.len());
                let renewed = node.attempt().map(drop);
                (before, renewed.map_err(|(failure, _)| failure))
            }
            Begin::Renewal => {
                let mut node = node(&loopback)?;
                login(&mut node, GOOD).map_err(|failure| failed("before the attack", failure))?;
                journal.with(|journal| {
                    journal.renewing = true;
                    journal.next_run();
                });
                let renewed = node.attempt();
                renewed.map_err(|(failure, _)| failed("before the attack", failure))?;
                let before = strike(&loopback);
                (
                    before,
                    node.attempt().map(drop).map_err(|(failure, _)| failure),
                )
            }
        };
        let ended = Ended {
            loopback: &loopback,
            journal: journal.snapshot(),
            ear,
            result,
            before,
        };
        let bus = if guards.is_some() {
            Bus::Protected
        } else {
            Bus::Plain
        };
        let mut report = ended.judge(mode, bus, &clean)?;
        if matches!(report.verdict, Verdict::Node(_) | Verdict::Verifier(_)) {
            journal.with(|journal| {
                journal.armed = false;
                journal.renewing = false;
            });
            reset(&loopback);
            login(&mut node(&loopback)?, GOOD)
                .map_err(|failure| failed("after the attack", failure))?;
            report.recovered = Some(Holder::of(&loopback).as_ref() == Some(&clean));
        }
        Ok(report)
    }

    /// A login without an attacker.
    fn clean_login(&mut self, guards: Option<&Guards>) -> Result<Holder> {
        let (loopback, _) = self.power_on(Box::new(|turn| turn.pass()), guards)?;
        login(&mut node(&loopback)?, GOOD)
            .map_err(|failure| failed("without an attacker", failure))?;
        Holder::of(&loopback).context("the clean login left no session")
    }

    /// Both TPMs as they are when power comes; the other one is started, as its owner would have it.
    pub(super) fn power_on(
        &mut self,
        script: Script,
        guards: Option<&Guards>,
    ) -> Result<(Loopback, JournalHandle)> {
        const STARTUP_CLEAR: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];
        self.tpm.reset()?;
        self.other.reset()?;
        self.other.execute(&STARTUP_CLEAR, 0)?;
        let clock = VirtualClock::new();
        let interposer = Interposer::new(self.tpm.clone(), script)
            .with_other(self.other.clone())
            .with_clock(clock.clone());
        let journal = interposer.journal();
        let loopback = self.loopback(interposer, clock, guards)?;
        Ok((loopback, journal))
    }

    /// A node with this TPM, and the bench's verifier.
    pub(super) fn loopback(
        &self,
        tpm: impl TpmBackend + 'static,
        clock: VirtualClock,
        guards: Option<&Guards>,
    ) -> Result<Loopback> {
        let config = Config {
            clock,
            // The model's limits count what is loaded in one TPM; some attacks put another in its place.
            limits: None,
            ..Config::chip(Personality::SLB9672)
        };
        let model = SpiTpm::new(tpm, config);
        let mut loopback = Loopback::with_verifier(model, Arc::clone(&self.verifier))?;
        if let Some(guards) = guards {
            loopback.guard(guards.clone())?;
        } else {
            // It measures as well: what the TPM says of its resets is worth what its bus is.
            loopback.guard(Guards {
                measures: true,
                ..Guards::default()
            })?;
            loopback.leave_unguarded();
        }
        loopback.line.with_peer(|verifier| {
            verifier.issue_by(Box::new(|order| order.key.spki_der().to_vec()));
        });
        Ok(loopback)
    }
}

/// EKs of `cas`, the image's PCR as a good image leaves it, those of settings and of firmware as a reset does.
fn measured_policy(cas: &[&Path]) -> String {
    let mut terms = policy(cas, true);
    for (pcr, value) in [(IMAGE_PCR, extended(&GOOD_IMAGE)), (SETTINGS_PCR, [0; 32])] {
        terms.push_str(&format!(
            "              {pcr}: \"{}\"\n",
            hex::encode(value)
        ));
    }
    terms
}

const fn measurements(goal: Goal) -> Measurements {
    match goal {
        Goal::TamperedImage => TAMPERED,
        Goal::HiddenSettings => DEBUGGED,
        _ => GOOD,
    }
}

/// A node that has just got power: it measures, and logs in.
pub(super) fn login(node: &mut LoopbackNode<'_>, measured: Measurements) -> Result<(), Failure> {
    node.wake()?;
    let source = node.source_mut();
    for (pcr, digest) in measured {
        let index = PcrIndex::new(*pcr).ok_or(Failure::Link)?;
        let extended = source.tpm().pcr_extend(index, AlgId::SHA256, digest);
        extended.map_err(EvidenceError::from)?;
    }
    node.attempt().map(drop).map_err(|(failure, _)| failure)
}

pub(super) fn node(loopback: &Loopback) -> Result<LoopbackNode<'_>> {
    loopback.node().context("the model's pins")
}

/// Node and TPM are powered anew, and to the node it is the same moment as the first time.
fn reboot(loopback: &mut Loopback) -> Result<()> {
    reset(loopback);
    loopback.tpm.with(|model| model.clock().set_ns(0));
    loopback.count_boot()
}

fn reset(loopback: &Loopback) {
    loopback.tpm.with(|model| {
        model.reset_line(true);
        model.reset_line(false);
    });
}

fn failed(when: &str, failure: Failure) -> anyhow::Error {
    anyhow::anyhow!("{when} the node does not log in: {failure}")
}
