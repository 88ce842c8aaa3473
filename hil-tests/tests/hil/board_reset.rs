//! A board that is reset at any moment, within a TPM command too. The TPM keeps its power, so whatever was half sent or half
//! read stays as it is on its side, and the board knows nothing of it when it starts.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use assay_firmware::agent::Failure;
use assay_firmware::run::Granted;
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::scenario::leash::Overrun;
use assay_hil_tests::scenario::loopback::{
    AGENT, Guards, Loopback, LoopbackNode, Sessions, measured_policy, policy, verifier_with,
};
use assay_hil_tests::soak::ATTEMPTS;
use assay_hil_tests::soak::tpm::Counted;
use assay_host_verifier::login::ChallengeKey;
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, SpiTpm, TpmBackend};
use embedded_hal::digital::OutputPin;
use tempfile::TempDir;

use super::loopback::tpm;

/// The first transfers are all cut, which is in every state of the FIFO; of those that follow one in so many. A prime, so that it
/// falls on another part of each command.
const EACH: u64 = 120;
const STRIDE: u64 = 11;
/// In steps of this where a few moments will do; as odd.
const COARSE: u64 = 97;
/// Has every transfer of all of them cut, which takes minutes.
const ALL: &str = "ASSAY_EVERY_TRANSFER";
/// Attempts of the board that was reset, until it has a session: nothing of what its TPM is left with costs it one.
const MOST_ATTEMPTS: u32 = 1;
/// Longer than a sweep.
const SESSION: Duration = Duration::from_secs(3_600);

/// A node that is tied to its TPM and renews its sessions, and a TPM that can be asked past the driver.
struct Bench {
    loopback: Loopback,
    tpm: Counted<SwtpmBackend>,
    most_attempts: Cell<u32>,
    _folder: TempDir,
}

impl Bench {
    fn new(measures: bool) -> Self {
        let (folder, made) = tpm(&Recipe::with([EkKind::P256]));
        let process = made
            .start(&folder.path().join("run"), Mode::Sockets)
            .unwrap();
        let tpm = Counted::new(SwtpmBackend::new(process));
        let (root, intermediate) = (made.root_ca(), made.intermediate_ca());
        let cas = [root.as_path(), intermediate.as_path()];
        let policy = if measures {
            let mut measured = measured_policy(&cas, AGENT.name);
            measured.push_str("            resetWitness: require\n");
            measured
        } else {
            policy(&cas, true)
        };
        let key = ChallengeKey::generate().unwrap();
        let verifier = verifier_with(&policy, key, SESSION, Sessions::Renewal).unwrap();
        let model = SpiTpm::new(tpm.clone(), Config::chip(Personality::SLB9672));
        let mut loopback = Loopback::with_verifier(model, Arc::clone(&verifier)).unwrap();
        let guards = Guards {
            ek_name: made.ek_name(EkKind::P256).unwrap(),
            secret: vec![0x5E; 32],
            has_noise: true,
            measures,
            ..Guards::default()
        };
        loopback.guard(guards).unwrap();
        loopback.line.with_peer(|verifier| {
            verifier.issue_by(Box::new(|order| order.key.spki_der().to_vec()));
            verifier.register(&AGENT).unwrap();
        });
        Self {
            loopback,
            tpm,
            most_attempts: Cell::new(0),
            _folder: folder,
        }
    }

    /// One attempt of a board that is reset after so many transfers, and is gone then; false when it ended before that.
    fn is_cut(&self, mut node: LoopbackNode<'_>, transfers: u64) -> bool {
        let leash = &self.loopback.leash;
        leash.reset_after(transfers);
        let before = leash.transfers();
        let ended = catch_unwind(AssertUnwindSafe(|| node.attempt().map(drop)));
        let made = leash.transfers() - before;
        // Its pins float, and the TPM's select is pulled up.
        let Ok(()) = self.loopback.tpm.chip_select().set_high();
        drop(node);
        assert_eq!(leash.transfers() - before, made, "it went on after that");
        leash.release();
        let Err(payload) = ended else {
            return false;
        };
        assert_eq!(payload.downcast_ref(), Some(&Overrun::Reset));
        assert_eq!(made, transfers + 1);
        true
    }

    /// Has a board that has just started try until it has a session, and nothing is in its TPM that it does not know of.
    fn logs_in(&self, node: &mut LoopbackNode<'_>, after: &str) -> Granted {
        let mut failures = Vec::new();
        for attempt in 1..=ATTEMPTS {
            match node.attempt() {
                Ok(granted) => {
                    self.most_attempts
                        .set(self.most_attempts.get().max(attempt));
                    self.holds_nothing_else(node, after);
                    return granted;
                }
                Err((failure, wait_ms)) => {
                    failures.push(failure);
                    let wait = Duration::from_millis(wait_ms.into());
                    self.loopback.wait(wait);
                }
            }
        }
        panic!("{after}: {failures:?}")
    }

    fn holds_nothing_else(&self, node: &mut LoopbackNode<'_>, after: &str) {
        let census = self.tpm.census().unwrap();
        let known = node.source_mut().tpm().loaded();
        assert_eq!(census.volatile(), known, "{after}: {census:?}");
    }

    /// Whether anything was extended into the PCRs that a measuring node looks at: SHA-256, 8 and 9.
    fn is_extended(&self) -> bool {
        let command = [
            &[0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7E][..],
            &[0, 0, 0, 1, 0, 0x0B, 3, 0, 3, 0],
        ];
        let answer = self.tpm.clone().execute(&command.concat(), 0).unwrap();
        if answer[6..10] == [0, 0, 1, 0] {
            // TPM_RC_INITIALIZE: the reset came before the start of the TPM.
            return false;
        }
        // Header, update counter, selection, number of digests; then both digests, each with its length.
        let digests = &answer[10 + 4 + 10 + 4..];
        assert_eq!((digests.len(), &answer[6..10]), (2 * 34, &[0; 4][..]));
        let mut digests = digests.chunks(34);
        digests.any(|digest| digest[2..].iter().any(|byte| *byte != 0))
    }

    fn commands(&self) -> u32 {
        let model = &self.loopback.tpm;
        model.with(|model| model.stats().totals().commands)
    }

    fn said(&self) -> String {
        self.loopback.line.with_peer(|verifier| {
            let last = verifier.outcomes.last();
            format!("{last:?}")
        })
    }
}

/// The moments at which boards were reset.
struct Sweep<'b> {
    bench: &'b Bench,
    stride: u64,
    /// The next one, in transfers.
    next: u64,
    /// The last one.
    last: u64,
    made: u64,
    /// The commands that were cut, by how many had ended before them.
    cut: BTreeSet<u32>,
}

impl<'b> Sweep<'b> {
    fn of(bench: &'b Bench) -> Self {
        Self {
            bench,
            stride: if std::env::var_os(ALL).is_some() {
                1
            } else {
                STRIDE
            },
            next: 0,
            last: 0,
            made: 0,
            cut: BTreeSet::new(),
        }
    }

    /// Resets a board at the next moment of an attempt; false when the attempt ended before it.
    fn goes_on(&mut self, node: LoopbackNode<'_>) -> bool {
        let before = self.bench.commands();
        if !self.bench.is_cut(node, self.next) {
            // No command was left out of those that whoever is not reset sends.
            let commands: BTreeSet<_> = (0..self.bench.commands() - before).collect();
            let missed: Vec<_> = commands.difference(&self.cut).collect();
            assert_eq!(missed, [&0; 0], "of {}", commands.len());
            assert!(commands.len() > 1);
            println!(
                "{} resets, the last after {} transfers, in {} commands",
                self.made,
                self.last,
                commands.len()
            );
            return false;
        }
        self.cut.insert(self.bench.commands() - before);
        self.made += 1;
        self.last = self.next;
        self.next += if self.next < EACH { 1 } else { self.stride };
        true
    }

    fn moment(&self) -> String {
        format!("reset after {} transfers", self.last)
    }
}

#[test]
fn a_board_that_is_reset_at_any_transfer_of_a_login_logs_in_at_its_next_start() {
    let bench = Bench::new(false);
    let node = || bench.loopback.node().unwrap();
    let mut sweep = Sweep::of(&bench);
    while sweep.goes_on(node()) {
        bench.logs_in(&mut node(), &sweep.moment());
    }
    assert!(bench.most_attempts.get() <= MOST_ATTEMPTS);
}

/// By itself, and not when a key finds no memory: a login that needs fewer keys than the TPM has room for never does.
#[test]
fn a_start_unloads_what_a_reset_left_before_a_key_is_made() {
    let bench = Bench::new(false);
    let (mut flushed, mut transfers) = (0, 0);
    while bench.is_cut(bench.loopback.node().unwrap(), transfers) {
        let mut node = bench.loopback.node().unwrap();
        node.wake().unwrap();
        let after = format!("reset after {transfers} transfers");
        bench.holds_nothing_else(&mut node, &after);
        let started = node.source_mut().start().unwrap();
        flushed = flushed.max(started.flushed);
        transfers += COARSE;
    }
    // Two keys and a session at least, in the middle of a login.
    assert!(flushed >= 3, "{flushed}");
}

#[test]
fn a_board_that_is_reset_at_any_transfer_of_a_renewal_logs_in_at_its_next_start() {
    let bench = Bench::new(false);
    let started = || {
        let mut node = bench.loopback.node().unwrap();
        let granted = bench.logs_in(&mut node, "a start");
        assert!(granted.renew_in_s.is_some() && granted.has_svid);
        node
    };
    let mut sweep = Sweep::of(&bench);
    // The board that comes back is the one that is reset next, when it renews.
    while sweep.goes_on(started()) {}
    let last = bench.said();
    assert!(last.starts_with("Some(Renewed"), "{last}");
    assert!(bench.most_attempts.get() <= MOST_ATTEMPTS);
}

/// As `docs/measured-boot.md` says of a node whose TPM was not reset with it.
#[test]
fn a_measuring_board_that_is_reset_without_its_tpm_has_no_log_once_something_was_measured() {
    let bench = Bench::new(true);
    let loopback = &bench.loopback;
    let mut boots = 0;
    let mut boot = || {
        boots += 1;
        loopback.booted(boots).unwrap()
    };
    let mut sweep = Sweep::of(&bench);
    let (mut logins, mut refusals) = (0, 0);
    loop {
        // Board and TPM start together, and then the board alone.
        loopback.reset_tpm_alone();
        if !sweep.goes_on(boot()) {
            break;
        }
        let moment = sweep.moment();
        let was_extended = bench.is_extended();
        let mut node = boot();
        match node.attempt() {
            Ok(_) => {
                assert!(!was_extended, "{moment}: with a log that is not whole");
                logins += 1;
            }
            Err((Failure::Denied { .. }, _)) => {
                // An extension that was under way at the reset is made by the time that the board looks.
                assert!(was_extended || bench.is_extended(), "{moment}");
                let said = bench.said();
                assert!(said.contains("event-log-missing"), "{moment}: {said}");
                refusals += 1;
            }
            Err((failure, _)) => panic!("{moment}: {failure}"),
        }
        bench.holds_nothing_else(&mut node, &moment);
    }
    println!("{logins} logins, {refusals} refusals");
    assert!(logins > 0 && refusals > 0);
}
