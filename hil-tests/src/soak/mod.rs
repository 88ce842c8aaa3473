//! Years of a node's life in minutes: thousands of logins in virtual time, with whatever can go wrong at random.
//!
//! One node, one software TPM, one verifier, in one process. Between the logins of a soak faults are drawn from the whole
//! catalogue of the SPI model, the line is disturbed, the verifier goes away, the TPM loses its power and the board is reset
//! in the middle of things. What must hold all the time:
//!
//! * after a fault is gone the node logs in again by itself, within eight attempts;
//! * the TPM holds what a session needs and nothing else: counted in the TPM, past the driver that is under test;
//! * nothing is written to the TPM's NV: its indices and persistent objects stay what they were;
//! * a login costs as much at the end as it did at the beginning;
//! * the watchdog is kicked in time.
//!
//! The same seed gives the same faults.

mod chaos;
mod tpm;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use assay_host_verifier::login::ChallengeKey;
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::random::SplitMix;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, FaultPlan, SpiTpm};
use serde::Serialize;

use self::chaos::Chaos;
use self::tpm::{Census, Counted};
use crate::manufacture::{EkKind, Recipe, cache};
use crate::scenario::loopback::{Loopback, LoopbackNode, Sessions, policy, verifier_with};

/// How soon a node logs in again when nothing is wrong any more.
const ATTEMPTS: u32 = 8;
/// Length of a session: a login every 4 s is 10,000 in half a day.
const SESSION: Duration = Duration::from_secs(4);
/// How long a watchdog may wait for its kick. The shortest period of the boards is 5.4 s; a busy processor leaves a tenth.
pub const WATCHDOG: Duration = Duration::from_millis(500);
/// Logins without a fault whose costs are compared.
const SAMPLE: usize = 20;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Soak {
    /// Logins that must succeed.
    pub logins: u64,
    /// Where the random numbers begin.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Logins that were granted.
    pub logins: u64,
    /// Logins that were tried.
    pub attempts: u64,
    /// What failed attempts ended with, and how often.
    pub failures: BTreeMap<String, u64>,
    /// What was done to the node, and how often it showed.
    pub disturbances: BTreeMap<String, u64>,
    /// The most attempts that a login took after its fault was gone.
    pub longest_recovery: u32,
    /// Virtual time, seconds.
    pub virtual_seconds: u64,
    /// The longest time between two kicks of the watchdog, µs of virtual time.
    pub longest_without_kick_us: u64,
    /// The most objects and sessions that were in the TPM after a login.
    pub most_in_tpm: Census,
    /// SPI bytes of a login without a fault: the mean of the first ones.
    pub bytes_first: u64,
    /// The mean of the last ones.
    pub bytes_last: u64,
}

impl Soak {
    /// Runs it in `folder`. `tell` hears of each login.
    ///
    /// # Errors
    ///
    /// The first of the promises above that did not hold.
    pub fn run(&self, folder: &Path, tell: &mut dyn FnMut(&Report)) -> Result<Report> {
        let tpm = cache::copy(&Recipe::with([EkKind::P256]), &folder.join("made"))?;
        let process = tpm.start(&folder.join("run"), Mode::Sockets)?;
        let counted = Counted::new(SwtpmBackend::new(process));
        let policy = policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true);
        let verifier = verifier_with(&policy, ChallengeKey::generate()?, SESSION, Sessions::Login)?;
        let model = SpiTpm::new(counted.clone(), Config::chip(Personality::SLB9672));
        let loopback = Loopback::with_verifier(model, verifier)?;
        let mut bench = Bench {
            node: loopback.node().context("the model's pins")?,
            loopback: &loopback,
            counted: &counted,
            chaos: Chaos::new(self.seed),
            report: Report::default(),
            clean: Vec::new(),
        };
        bench.run(self.logins, tell)
    }
}

struct Bench<'l> {
    loopback: &'l Loopback,
    node: LoopbackNode<'l>,
    counted: &'l Counted<SwtpmBackend>,
    chaos: Chaos,
    report: Report,
    /// SPI bytes of the logins without a fault.
    clean: Vec<u64>,
}

impl Bench<'_> {
    fn run(&mut self, logins: u64, tell: &mut dyn FnMut(&Report)) -> Result<Report> {
        // The first login finds the TPM and learns how the chip behaves.
        self.recover(0)?;
        let lasting = self.counted.census()?.lasting();
        while self.report.logins < logins {
            let disturbance = self.chaos.draw();
            let name = disturbance.name();
            if disturbance.is_none() {
                let before = self.bytes();
                if self.attempt() {
                    let bytes = self.bytes().saturating_sub(before);
                    self.clean.push(bytes);
                } else {
                    bail!(
                        "a login failed that nobody disturbed: {:?}",
                        self.report.failures
                    );
                }
            } else {
                self.disturb(&disturbance)?;
            }
            let attempts = self.report.attempts;
            let take = self
                .settle()
                .with_context(|| format!("after {name}, attempt {attempts}"))?;
            if take.lasting() != lasting {
                bail!("after {name}: the TPM's NV holds {take:?}, and held {lasting:?}");
            }
            let longest = self.loopback.watch.longest();
            if longest > WATCHDOG {
                bail!("after {name}: the watchdog waited {longest:?}");
            }
            tell(&self.report);
        }
        self.finish()
    }

    fn disturb(&mut self, disturbance: &chaos::Disturbance) -> Result<()> {
        if disturbance.resets_the_board() {
            // Whatever was under way stays in the TPM, as it would.
            self.node = self.loopback.node().context("pins")?;
        }
        disturbance.begin(self.loopback);
        self.attempt();
        let showed = disturbance.end(self.loopback);
        if showed {
            *self
                .report
                .disturbances
                .entry(disturbance.name())
                .or_default() += 1;
        }
        self.recover(1)
    }

    /// Logs in when nothing is wrong, though something was.
    fn recover(&mut self, least: u32) -> Result<()> {
        for attempt in least..ATTEMPTS {
            if self.attempt() {
                self.report.longest_recovery = self.report.longest_recovery.max(attempt);
                return Ok(());
            }
        }
        bail!(
            "no login in {ATTEMPTS} attempts: {:?}",
            self.report.failures
        )
    }

    /// One attempt, and the rest that it earns.
    fn attempt(&mut self) -> bool {
        self.report.attempts += 1;
        let result = self.node.attempt();
        let wait_ms = match result {
            Ok(granted) => {
                self.report.logins += 1;
                granted.rest_ms()
            }
            Err((failure, wait_ms)) => {
                *self.report.failures.entry(failure.to_string()).or_default() += 1;
                wait_ms
            }
        };
        self.loopback.wait(Duration::from_millis(wait_ms.into()));
        // The rest kicks as well; its steps are not gone through one by one here.
        self.loopback.watch.restart();
        result.is_ok()
    }

    /// What is in the TPM now, which was just used.
    fn settle(&mut self) -> Result<Census> {
        let census = self.counted.census()?;
        let ours = self.node.source_mut().tpm().loaded();
        if census.volatile() != ours {
            bail!("the TPM holds {census:?}, and the driver knows of {ours}");
        }
        self.report.most_in_tpm = self.report.most_in_tpm.max(census);
        Ok(census)
    }

    fn bytes(&mut self) -> u64 {
        self.node.source_mut().tpm().traffic().bytes.into()
    }

    fn finish(&mut self) -> Result<Report> {
        let mean = |some: &[u64]| {
            let sum: u64 = some.iter().sum();
            sum.checked_div(some.len() as u64).unwrap_or(0)
        };
        let sample = SAMPLE.min(self.clean.len());
        // The first login of all has to find the TPM; those after it are alike.
        self.report.bytes_first = mean(self.clean.get(..sample).unwrap_or_default());
        let last = self.clean.len().saturating_sub(sample);
        self.report.bytes_last = mean(self.clean.get(last..).unwrap_or_default());
        let (first, last) = (self.report.bytes_first, self.report.bytes_last);
        // Busy polls follow the software TPM's own time a little.
        if last > first.saturating_add(first / 20) {
            bail!("a login costs {last} bytes at the end, and {first} at the beginning");
        }
        self.report.longest_without_kick_us =
            u64::try_from(self.loopback.watch.longest().as_micros()).unwrap_or(u64::MAX);
        self.report.virtual_seconds = self.loopback.elapsed().as_secs();
        Ok(self.report.clone())
    }
}

/// No fault.
fn no_faults(loopback: &Loopback) {
    loopback
        .tpm
        .with(|tpm| tpm.set_faults(FaultPlan::default()));
}

/// Draws one of a list.
fn one_of<'a, T>(random: &mut SplitMix, of: &'a [T]) -> Option<&'a T> {
    let last = u32::try_from(of.len().checked_sub(1)?).ok()?;
    of.get(random.between(0, last) as usize)
}
