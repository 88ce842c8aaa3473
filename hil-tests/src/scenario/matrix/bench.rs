//! Runs cells on one software TPM: a login with the fault, then logins of the same node without it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use assay_firmware::agent::Failure;
use assay_host_verifier::attestor::Attribute;
use assay_host_verifier::login::{Granted, Verifier};
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::fault::Count;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, FaultPlan, SpiTpm, TpmBackend};

use super::cell::{Cell, Login};
use super::record::Outcome;
use super::socket::{Powered, Spare};
use crate::manufacture::{EkKind, ManufacturedTpm, Recipe, cache};
use crate::scenario::leash::Overrun;
use crate::scenario::loopback::{Loopback, LoopbackNode, policy, verifier};

/// Virtual time that one attempt may take. The longest wait is the 120 s of a key's creation; aborting it, and
/// flushing what the login had loaded, adds some seconds each.
pub const ATTEMPT_LIMIT: Duration = Duration::from_secs(180);
/// SPI bytes that one attempt may take. A clean login has some 10,000; a bus whose wait states never end costs half
/// a KiB for each poll until a limit of time has passed.
pub const BYTE_LIMIT: u64 = 4 << 20;
/// Attempts after the fault is gone.
pub const ATTEMPTS: u32 = 4;

/// What must never happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The firmware or the verifier panicked.
    #[error("panicked: {0}")]
    Panic(String),
    /// An attempt did not end within its limit.
    #[error("did not end: beyond its limit of {0:?}")]
    Hang(Overrun),
    /// The node or the verifier holds a session that differs from that of a clean login.
    #[error("wrong session: {0}")]
    WrongSession(String),
    /// The verifier holds a session that the node does not know of.
    #[error("the verifier granted a session, the node failed: {0}")]
    Orphan(String),
    /// The fault was gone and the node did not log in by itself.
    #[error("no session in {ATTEMPTS} attempts after the fault was gone: {0}")]
    Stranded(String),
    /// A failure that is told to nobody.
    #[error("a failure without a code: {0}")]
    Silent(String),
    /// The fault did not show, and the login failed all the same.
    #[error("failed without a fault: {0}")]
    Unprovoked(String),
}

/// What became of a cell.
#[derive(Debug, Clone)]
pub struct Report {
    /// How the login with the fault ended; `None` when the fault never showed.
    pub outcome: Option<Outcome>,
    /// Attempts until the next session, once the fault was gone; 1 at best.
    pub attempts: u32,
    /// Virtual time of the login with the fault.
    pub took: Duration,
    /// Its bytes on the bus.
    pub bytes: u64,
}

/// Whom a session is for, without what differs from login to login.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    ek_hash: String,
    ak_name: Vec<u8>,
    spiffe_id: String,
    policy: String,
    attributes: Vec<Attribute>,
}

impl Holder {
    /// The first thing in which `other` differs.
    fn difference(&self, other: &Self) -> String {
        let attribute = self
            .attributes
            .iter()
            .zip(&other.attributes)
            .find(|(own, other)| own != other);
        if self.ek_hash != other.ek_hash {
            format!("EK {}", other.ek_hash)
        } else if self.ak_name != other.ak_name {
            format!("AK {}", hex::encode(&other.ak_name))
        } else if let Some((own, other)) = attribute {
            format!("{other} instead of {own}")
        } else {
            format!(
                "{} by {}, {} attributes",
                other.spiffe_id,
                other.policy,
                other.attributes.len()
            )
        }
    }
}

/// A TPM, another to swap it with, and a verifier that knows the first one's maker.
pub struct Bench {
    backend: SwtpmBackend,
    spare: Spare,
    verifier: Arc<Verifier>,
    login: Login,
    clean: Holder,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Makes a bench, and records the clean login.
    ///
    /// # Errors
    ///
    /// When the TPMs cannot be made, or the clean login fails.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let recipe = Recipe::with([EkKind::P256]);
        let (tpm, backend) = start(
            &cache::copy(&recipe, &folder.path().join("tpm"))?,
            &folder.path().join("run"),
        )?;
        let recipe = Recipe {
            instance: 1,
            ..recipe
        };
        let other = cache::copy(&recipe, &folder.path().join("other"))?;
        let (_, other) = start(&other, &folder.path().join("other-run"))?;
        let spare = Spare::new(other, backend.clone());
        let verifier = verifier(&policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true))?;
        let mut bench = Self {
            backend,
            spare,
            verifier,
            login: Login::new(Vec::new()),
            clean: Holder {
                ek_hash: String::new(),
                ak_name: Vec::new(),
                spiffe_id: String::new(),
                policy: String::new(),
                attributes: Vec::new(),
            },
            _folder: folder,
        };
        let loopback = bench.power_on(FaultPlan::none())?;
        loopback.login()?;
        bench.login = Login::of(&loopback.tpm.with(|model| model.stats().snapshot()));
        bench.clean = holder(&loopback).context("the clean login left no session")?;
        ensure!(
            bench
                .clean
                .attributes
                .iter()
                .any(|a| a.name == "tpm_quote.pcr.sha256.7"),
            "{:?}",
            bench.clean
        );
        Ok(bench)
    }

    /// The commands of the clean login.
    #[must_use]
    pub const fn login(&self) -> &Login {
        &self.login
    }

    /// Runs a cell.
    ///
    /// # Errors
    ///
    /// What must never happen, and failures of the bench itself.
    pub fn run(&mut self, cell: &Cell) -> Result<Result<Report, Finding>> {
        let loopback = self.power_on(cell.fault(&self.login).into())?;
        let mut node = loopback.node().context("the model's pins failed")?;
        let ended = self.attempt(&loopback, &mut node);
        let (took, bytes) = (
            loopback.elapsed(),
            loopback.tpm.with(|model| model.stats().totals().bytes),
        );
        let shown = loopback.tpm.with(|model| !model.fired().is_empty());
        let (outcome, wait) = match ended {
            Ok(ended) => ended,
            Err(finding) => return Ok(Err(finding)),
        };
        if !shown && outcome != Outcome::Granted {
            return Ok(Err(Finding::Unprovoked(outcome.to_string())));
        }
        self.repair(&loopback);
        let attempts = match self.recover(&loopback, &mut node, wait) {
            Ok(attempts) => attempts,
            Err(finding) => return Ok(Err(finding)),
        };
        Ok(Ok(Report {
            outcome: shown.then_some(outcome),
            attempts,
            took,
            bytes,
        }))
    }

    /// A node and its TPM as they are when power comes.
    fn power_on(&mut self, faults: FaultPlan) -> Result<Loopback> {
        self.backend.reset()?;
        self.spare.lay_ready();
        if faults
            .faults
            .iter()
            .any(|fault| fault.kind == assay_spi_tpm::FaultKind::SwapTpm)
        {
            self.spare.spare.reset()?;
        }
        let lasting = faults
            .faults
            .iter()
            .any(|fault| fault.count == Count::Always);
        let tpm = Powered {
            tpm: self.backend.clone(),
            lasting,
        };
        let config = Config {
            faults,
            ..Config::chip(Personality::SLB9672)
        };
        let model = SpiTpm::new(tpm, config).with_spare(self.spare.clone());
        Loopback::with_verifier(model, Arc::clone(&self.verifier))
    }

    /// Takes the fault away. A TPM that is dead, or another, stays so until somebody powers it or puts it back.
    fn repair(&self, loopback: &Loopback) {
        loopback.tpm.with(|model| {
            model.set_faults(FaultPlan::none());
            if model.is_dead() {
                // The dead process is replaced before the model looks again.
                if let Err(error) = self.backend.clone().power_cycle() {
                    eprintln!("{error}");
                }
                model.power_cycle();
            }
            if self.spare.take_out() {
                model.reset_line(true);
                model.reset_line(false);
            }
        });
    }

    /// Lets the node try again until it has a session; after how many attempts it did.
    fn recover(
        &self,
        loopback: &Loopback,
        node: &mut LoopbackNode<'_>,
        mut wait: Duration,
    ) -> Result<u32, Finding> {
        let mut last = String::new();
        for attempt in 1..=ATTEMPTS {
            loopback.wait(wait);
            let (outcome, next) = self.attempt(loopback, node)?;
            if outcome == Outcome::Granted {
                return Ok(attempt);
            }
            (wait, last) = (next, outcome.to_string());
        }
        Err(Finding::Stranded(last))
    }

    /// One attempt, and the wait before the next.
    fn attempt(
        &self,
        loopback: &Loopback,
        node: &mut LoopbackNode<'_>,
    ) -> Result<(Outcome, Duration), Finding> {
        let before = loopback.line.with_peer(|verifier| verifier.granted());
        loopback.leash.allow(ATTEMPT_LIMIT, BYTE_LIMIT);
        let caught = catch_unwind(AssertUnwindSafe(|| node.attempt()));
        loopback.leash.release();
        let result = caught.map_err(|payload| match payload.downcast_ref::<Overrun>() {
            Some(overrun) => Finding::Hang(*overrun),
            None => Finding::Panic(text(&*payload)),
        })?;
        let granted = loopback
            .line
            .with_peer(|verifier| verifier.granted())
            .saturating_sub(before);
        match result {
            Ok(session) => {
                let wrong = |what: &str| Err(Finding::WrongSession(what.to_owned()));
                if granted != 1 {
                    return wrong(
                        "the verifier granted another number of sessions than the node took",
                    );
                }
                let id = loopback
                    .line
                    .with_peer(|verifier| verifier.last_granted().map(|g| g.session.id.0));
                if id != Some(session.session_id) {
                    return wrong("the node's session is not the verifier's");
                }
                match holder(loopback) {
                    Some(holder) if holder == self.clean => Ok((Outcome::Granted, Duration::ZERO)),
                    Some(holder) => Err(Finding::WrongSession(self.clean.difference(&holder))),
                    None => wrong("the verifier's record of it is gone"),
                }
            }
            Err((failure, _)) if granted > 0 => Err(Finding::Orphan(failure.to_string())),
            Err((failure, wait_ms)) => {
                Ok((outcome(failure)?, Duration::from_millis(wait_ms.into())))
            }
        }
    }
}

fn start(tpm: &ManufacturedTpm, sockets: &Path) -> Result<(ManufacturedTpm, SwtpmBackend)> {
    Ok((
        tpm.clone(),
        SwtpmBackend::new(tpm.start(sockets, Mode::Sockets)?),
    ))
}

fn outcome(failure: Failure) -> Result<Outcome, Finding> {
    match failure {
        Failure::Denied { code, .. } => Ok(Outcome::Denied(code)),
        other => match other.trouble() {
            Some(trouble) => Ok(Outcome::Trouble(trouble.code)),
            None => Err(Finding::Silent(other.to_string())),
        },
    }
}

/// Whom the verifier's last session is for.
fn holder(loopback: &Loopback) -> Option<Holder> {
    loopback.line.with_peer(|verifier| {
        let Granted { session, .. } = verifier.last_granted()?;
        let node = verifier
            .nodes()
            .find(|node| node.ek_hash == session.ek_hash)?;
        // What counts resets is another with each power-on, and a clock is safe again some seconds later.
        let counts = |name: &str| {
            let counters = [
                "tpm_quote.reset_count",
                "tpm_quote.restart_count",
                "tpm_quote.clock_safe",
            ];
            counters.contains(&name)
        };
        Some(Holder {
            ek_hash: session.ek_hash.clone(),
            ak_name: node.ak_name.clone(),
            spiffe_id: session.spiffe_id.clone(),
            policy: session.policy.clone(),
            attributes: session
                .attributes
                .iter()
                .filter(|a| !counts(&a.name))
                .cloned()
                .collect(),
        })
    })
}

fn text(payload: &(dyn core::any::Any + Send)) -> String {
    let str = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    str.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
