//! Years of a node's life in minutes: thousands of logins in virtual time, with whatever can go wrong at random.
//!
//! One node, one software TPM, one verifier, in one process. Between the logins of a soak faults are drawn from the whole
//! catalogue of the SPI model, the line is disturbed, the verifier goes away, the TPM loses its power, and the board is reset:
//! between two attempts, or at any transfer of a login, a renewal, or the first login of a boot with what is measured before it.
//! Then sessions and objects of the attempt are left in the TPM, and a command half sent or half read, for the next boot to
//! clean up. `tests/hil/board_reset.rs` sweeps through the transfers one by one. What must hold all the time:
//!
//! * after a fault is gone the node logs in again within eight attempts, by itself or after what an operator has to do, which is
//!   counted;
//! * the TPM holds what a session needs and nothing else: counted in the TPM, past the driver that is under test;
//! * nothing is written to the TPM's NV: its indices and persistent objects stay what they were;
//! * a login costs as much at the end as it did at the beginning;
//! * the watchdog is kicked in time, as far as the model's time goes ([`Report::longest_wait_without_kick_us`]);
//! * no boot has the number of another.
//!
//! The node has what a node in the field has, unless a [`Part`] is left out: it renews its sessions, it is tied to its TPM, it
//! measures what it boots, and its power goes while it counts its boots. A node that measures and whose TPM was reset alone
//! says so; then the board restarts with its TPM, and an operator evicts the node, as the verifier asks for. One whose board was
//! reset alone once something was measured has no log to show; an operator power-cycles it. It writes to its flash when it counts
//! a boot and at no other time, so a reset within an attempt finds no write under way: what half-writes the settings is the
//! loss of power in the boot that follows.
//!
//! The same seed gives the same faults.

mod chaos;
mod flash;
pub mod tpm;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use assay_common::protocol::TroubleCode;
use assay_firmware::agent::Failure;
use assay_host_verifier::login::{ChallengeKey, Verifier};
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::random::SplitMix;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, FaultPlan, SpiTpm};
use embedded_hal::digital::OutputPin;
use serde::Serialize;

use self::chaos::{Chaos, Cut, Disturbance, Moment, Reset};
use self::flash::BoardFlash;
use self::tpm::{Census, Counted};
use crate::manufacture::{EkKind, ManufacturedTpm, Recipe, cache};
use crate::scenario::leash::Overrun;
use crate::scenario::local_verifier::{LocalVerifier, Outcome};
use crate::scenario::loopback::{
    AGENT, Guards, Loopback, LoopbackNode, Sessions, measured_policy, policy, verifier_with,
};

/// How soon a node logs in again when nothing is wrong any more.
pub const ATTEMPTS: u32 = 8;
/// Length of a session: one every 4 s is 10,000 in half a day, and with the recoveries in more than two.
const SESSION: Duration = Duration::from_secs(4);
/// How long sessions that are renewed go on until the node has to log in anew.
const REATTEST: Duration = Duration::from_secs(8);
/// How long a watchdog may wait for its kick. The shortest period of the boards is 5.4 s; a busy processor leaves a tenth.
pub const WATCHDOG: Duration = Duration::from_millis(500);
/// Logins without a fault whose costs are compared.
const SAMPLE: usize = 20;

/// What a node in the field has and does; a soak may leave some of it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Its sessions are renewed.
    Renewal,
    /// Its record names its TPM, and has a secret; its board has noise.
    Pin,
    /// It measures what it boots, and the verifier wants the log and the witness. The TPM's reset is the board's.
    MeasuredBoot,
    /// The power goes while it counts its boots.
    PowerCuts,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 4] = [
        Self::Renewal,
        Self::Pin,
        Self::MeasuredBoot,
        Self::PowerCuts,
    ];

    /// Its name on a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Renewal => "renewal",
            Self::Pin => "pin",
            Self::MeasuredBoot => "measured-boot",
            Self::PowerCuts => "power-cuts",
        }
    }
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Soak {
    /// Logins that must succeed.
    pub logins: u64,
    /// Where the random numbers begin.
    pub seed: u64,
    /// What the node has and does.
    pub parts: Vec<Part>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What the node had and did.
    pub parts: Vec<Part>,
    /// Logins that were granted.
    pub logins: u64,
    /// Sessions that were renewed.
    pub renewals: u64,
    /// Logins and renewals that were tried.
    pub attempts: u64,
    /// Starts of the board, and how many of them a loss of power cut short.
    pub boots: u64,
    /// See `boots`.
    pub power_cuts: u64,
    /// Restarts that the node asked for, since its TPM was reset without it; and nodes that the operator evicted for it.
    pub restarts: u64,
    /// See `restarts`.
    pub evictions: u64,
    /// Boards that somebody power-cycled with their TPM: reset alone, they had no log of what was measured before.
    pub power_cycles: u64,
    /// What failed attempts ended with, and how often.
    pub failures: BTreeMap<String, u64>,
    /// How often something was done to the node, and showed.
    pub disturbed: u64,
    /// What that was. Several faults at once count for each.
    pub disturbances: BTreeMap<String, u64>,
    /// The most attempts that a login took after its fault was gone.
    pub longest_recovery: u32,
    /// Virtual time, seconds.
    pub virtual_seconds: u64,
    /// The longest time between two kicks of the watchdog, µs of virtual time: it passes with bytes on the bus and with waits, in
    /// which the model's delay kicks every 10 ms as a board's timer does. What the processor computes takes none of it, so
    /// this says that no wait goes without a kick, and nothing about a processor's own time.
    pub longest_wait_without_kick_us: u64,
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
        let model = SpiTpm::new(counted.clone(), Config::chip(Personality::SLB9672));
        let mut loopback = Loopback::with_verifier(model, Arc::new(self.verifier(&tpm)?))?;
        loopback.guard(self.guards(&tpm)?)?;
        loopback.line.with_peer(|verifier| {
            verifier.issue_by(Box::new(|order| order.key.spki_der().to_vec()));
            verifier.register(&AGENT)
        })?;
        let mut bench = Bench {
            node: loopback.node().context("the model's pins")?,
            loopback: &loopback,
            counted: &counted,
            chaos: Chaos::new(self.seed, self.has(Part::MeasuredBoot)),
            flash: BoardFlash::new(),
            has_power_cuts: self.has(Part::PowerCuts),
            boot: if self.has(Part::MeasuredBoot) {
                Reset::Both
            } else {
                Reset::Board
            },
            renews: false,
            report: Report {
                parts: self.parts.clone(),
                ..Report::default()
            },
            clean: Vec::new(),
        };
        bench.run(self.logins, tell)
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn verifier(&self, tpm: &ManufacturedTpm) -> Result<Verifier> {
        let (root, intermediate) = (tpm.root_ca(), tpm.intermediate_ca());
        let cas = [root.as_path(), intermediate.as_path()];
        let policy = if self.has(Part::MeasuredBoot) {
            let mut measured = measured_policy(&cas, AGENT.name);
            measured.push_str("            resetWitness: require\n");
            measured
        } else {
            policy(&cas, true)
        };
        let sessions = if self.has(Part::Renewal) {
            Sessions::Renewal
        } else {
            Sessions::Login
        };
        let made = verifier_with(&policy, ChallengeKey::generate()?, SESSION, sessions)?;
        let made = Arc::into_inner(made).context("somebody has the verifier already")?;
        Ok(Verifier {
            reattest_after: made.reattest_after.min(REATTEST),
            ..made
        })
    }

    fn guards(&self, tpm: &ManufacturedTpm) -> Result<Guards> {
        let pin = if self.has(Part::Pin) {
            Guards {
                ek_name: tpm.ek_name(EkKind::P256)?,
                secret: vec![0x5E; 32],
                has_noise: true,
                ..Guards::default()
            }
        } else {
            Guards::default()
        };
        Ok(Guards {
            measures: self.has(Part::MeasuredBoot),
            ..pin
        })
    }
}

struct Bench<'l> {
    loopback: &'l Loopback,
    node: LoopbackNode<'l>,
    counted: &'l Counted<SwtpmBackend>,
    chaos: Chaos,
    flash: BoardFlash,
    has_power_cuts: bool,
    /// Who starts when the board does: its TPM too, where the reset line is one.
    boot: Reset,
    /// Whether the next attempt is a renewal.
    renews: bool,
    report: Report,
    /// SPI bytes of the logins without a fault.
    clean: Vec<u64>,
}

/// What an attempt came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Login,
    Renewal,
    Failure(Failure),
}

impl Bench<'_> {
    fn run(&mut self, logins: u64, tell: &mut dyn FnMut(&Report)) -> Result<Report> {
        self.start(self.boot)?;
        // The first login finds the TPM and learns how the chip behaves.
        self.recover(0)?;
        let lasting = self.counted.census()?.lasting();
        while self.report.logins < logins {
            let disturbance = self.chaos.draw();
            let name = disturbance.name();
            if disturbance.is_none() {
                let (before, said) = (self.bytes(), self.said());
                match self.attempt() {
                    // A renewal that was refused first, for the time that the last disturbance took, costs more.
                    End::Login if self.said() == said + 1 => {
                        let bytes = self.bytes().saturating_sub(before);
                        self.clean.push(bytes);
                    }
                    End::Login | End::Renewal => {}
                    End::Failure(_) => bail!(
                        "a login failed that nobody disturbed: {:?}",
                        self.report.failures
                    ),
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

    fn disturb(&mut self, disturbance: &Disturbance) -> Result<()> {
        if let Disturbance::Board(reset) = disturbance {
            self.start(*reset)?;
        }
        if let Disturbance::Cut(cut) = disturbance {
            if let Some(moment) = self.cut_short(*cut)? {
                self.showed(&[cut.kind(moment)]);
            }
        } else {
            disturbance.begin(self.loopback);
            self.attempt();
            if disturbance.end(self.loopback) {
                self.showed(&disturbance.kinds());
            }
        }
        self.recover(1)
    }

    fn showed(&mut self, kinds: &[&str]) {
        self.report.disturbed += 1;
        for kind in kinds {
            let number = self.report.disturbances.entry((*kind).to_owned());
            *number.or_default() += 1;
        }
    }

    /// One attempt, in which the board is reset, and its next start; `None` when the attempt ended before that.
    fn cut_short(&mut self, cut: Cut) -> Result<Option<Moment>> {
        if cut.anew {
            self.start(self.boot)?;
        }
        let moment = match (cut.anew, self.renews) {
            (true, _) => Moment::Boot,
            (false, true) => Moment::Renewal,
            (false, false) => Moment::Login,
        };
        let transfers = moment.draw(self.chaos.random());
        self.loopback.leash.reset_after(transfers);
        let ended = catch_unwind(AssertUnwindSafe(|| self.attempt()));
        self.loopback.leash.release();
        let Err(payload) = ended else {
            return Ok(None);
        };
        if payload.downcast_ref() != Some(&Overrun::Reset) {
            resume_unwind(payload);
        }
        // The board's pins float, and the TPM's select is pulled up.
        let Ok(()) = self.loopback.tpm.chip_select().set_high();
        self.start(cut.reset)?;
        Ok(Some(moment))
    }

    /// The board starts, with its TPM or without: then whatever was under way stays in the TPM.
    fn start(&mut self, reset: Reset) -> Result<()> {
        if reset == Reset::Both {
            self.loopback.reset_tpm_alone();
        }
        self.loopback.watch.restart();
        self.renews = false;
        let random = self.has_power_cuts.then(|| self.chaos.random());
        let number = self.flash.boot(random)?;
        self.report.boots += 1;
        self.report.power_cuts = self.flash.cuts;
        self.node = self.loopback.booted(number).context("pins")?;
        Ok(())
    }

    /// Logs in or renews when nothing is wrong, though something was.
    fn recover(&mut self, least: u32) -> Result<()> {
        for attempt in least..ATTEMPTS {
            let steps = self.steps();
            match self.attempt() {
                End::Login | End::Renewal => {
                    self.report.longest_recovery = self.report.longest_recovery.max(attempt);
                    return Ok(());
                }
                // The agent's loop asks for it after six of them, which is the same in time.
                End::Failure(failure) if is_lost(failure) => {
                    self.report.restarts += 1;
                    self.start(self.boot)?;
                }
                // Its board was reset without it. What the attempt before left in the TPM is gone by now.
                End::Failure(Failure::Denied { .. }) if self.saw(steps, "event-log-missing") => {
                    self.settle()?;
                    self.report.power_cycles += 1;
                    self.start(self.boot)?;
                }
                // Two resets of the TPM for one boot: the verifier wants somebody to look.
                End::Failure(Failure::Denied { .. }) if self.saw(steps, "reset-witness") => {
                    self.report.evictions += 1;
                    self.loopback.line.with_peer(LocalVerifier::evict)?;
                }
                End::Failure(_) => {}
            }
        }
        bail!(
            "no login in {ATTEMPTS} attempts: {:?}; the verifier said last: {:?}",
            self.report.failures,
            self.loopback
                .line
                .with_peer(|verifier| verifier.outcomes.last().map(|one| format!("{one:?}")))
        )
    }

    /// One attempt, and the rest that it earns.
    fn attempt(&mut self) -> End {
        self.report.attempts += 1;
        let (end, wait_ms) = match self.node.attempt() {
            Ok(granted) => {
                self.renews = granted.renew_in_s.is_some();
                let renewed = self.loopback.line.with_peer(|verifier| {
                    matches!(verifier.outcomes.last(), Some(Outcome::Renewed(_)))
                });
                let end = if renewed {
                    self.report.renewals += 1;
                    End::Renewal
                } else {
                    self.report.logins += 1;
                    End::Login
                };
                (end, granted.rest_ms())
            }
            Err((failure, wait_ms)) => {
                self.renews = false;
                *self.report.failures.entry(failure.to_string()).or_default() += 1;
                (End::Failure(failure), wait_ms)
            }
        };
        self.loopback.wait(Duration::from_millis(wait_ms.into()));
        // The rest kicks as well; its steps are not gone through one by one here.
        self.loopback.watch.restart();
        end
    }

    /// What the verifier has said so far.
    fn said(&self) -> usize {
        self.loopback
            .line
            .with_peer(|verifier| verifier.outcomes.len())
    }

    /// What it has found out so far.
    fn steps(&self) -> usize {
        self.loopback
            .line
            .with_peer(|verifier| verifier.steps.len())
    }

    /// Whether a check is among what the verifier found out since.
    fn saw(&self, since: usize, check: &str) -> bool {
        self.loopback.line.with_peer(|verifier| {
            let mut new = verifier.steps.iter().skip(since);
            new.any(|step| format!("{step:?}").contains(check))
        })
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
        if last > most_bytes(first) {
            bail!("a login costs {last} bytes at the end, and {first} at the beginning");
        }
        self.report.longest_wait_without_kick_us =
            u64::try_from(self.loopback.watch.longest().as_micros()).unwrap_or(u64::MAX);
        self.report.virtual_seconds = self.loopback.elapsed().as_secs();
        Ok(self.report.clone())
    }
}

/// What a login may cost at the end: busy polls follow the software TPM's own time a little.
#[must_use]
pub const fn most_bytes(first: u64) -> u64 {
    first.saturating_add(first / 20)
}

/// Whether a node says that its TPM was reset without it.
fn is_lost(failure: Failure) -> bool {
    let trouble = failure.trouble();
    trouble.is_some_and(|trouble| trouble.code == TroubleCode::MEASUREMENT_LOST)
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
