//! Measured boot from the node's flash to the session, over the model and a software TPM; and a TPM that is reset alone.

use assay_common::measurement::Image;
use assay_common::protocol::TroubleCode;
use assay_firmware::agent::Failure;
use assay_firmware::evidence::EvidenceError;
use assay_firmware::measure::{Measurable, MeasuredBoot};
use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe};
use assay_hil_tests::scenario::local_verifier::Outcome;
use assay_hil_tests::scenario::loopback::{Loopback, measured_policy};
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::interposer::parts::{Command, made_up};
use assay_spi_tpm::interposer::{Interposer, Script};
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use assay_spi_tpm::{Config, TpmBackend};
use tempfile::TempDir;

use super::loopback::tpm;

const NAME: &str = "loopback-node";
const GOOD: &[u8] = b"what lies in the flash of a node";
const TAMPERED: &[u8] = b"What lies in the flash of a node";

const fn image(bytes: &'static [u8]) -> Measurable<'static> {
    Measurable {
        name: NAME,
        version: "1.2.3",
        bytes,
    }
}

/// A line to a verifier that knows the good image, and wants it booted with a boot counter.
fn loopback(tpm: &ManufacturedTpm, folder: &TempDir) -> Loopback {
    let process = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    loopback_with(tpm, SwtpmBackend::new(process))
}

fn loopback_with(tpm: &ManufacturedTpm, backend: impl TpmBackend + 'static) -> Loopback {
    let mut yaml = measured_policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], NAME);
    yaml.push_str("            resetWitness: require\n");
    let chip = Config::chip(Personality::SLB9672);
    let loopback = Loopback::new(backend, chip, &yaml).unwrap();
    loopback
        .line
        .with_peer(|verifier| verifier.register(&image(GOOD)))
        .unwrap();
    loopback
}

/// What the verifier said of the last login that it refused.
fn refusal(loopback: &Loopback) -> String {
    loopback.line.with_peer(|verifier| {
        let steps = verifier.steps.iter().rev();
        let mut failed = steps.map(|step| format!("{step:?}"));
        let said = failed.find(|step| step.contains("TPM_QUOTE") || step.contains("tpm_quote"));
        said.unwrap_or_else(|| format!("{:#?}", verifier.outcomes))
    })
}

fn lost() -> Failure {
    Failure::Evidence(EvidenceError::new(TroubleCode::MEASUREMENT_LOST))
}

#[test]
fn a_node_that_boots_the_registered_image_is_known_by_it() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = loopback(&tpm, &folder);
    let boot = MeasuredBoot::new(image(GOOD), Some(1));
    let mut node = loopback.measuring_node(boot).unwrap();
    for _ in 0..2 {
        node.login()
            .unwrap_or_else(|failure| panic!("{failure}\n{}", refusal(&loopback)));
    }
    loopback.line.with_peer(|verifier| {
        let session = &verifier.last_granted().unwrap().session;
        let attribute = |name: &str| {
            let mut own = session.attributes.iter().filter(|a| a.name == name);
            own.next().map(|a| a.value.clone()).unwrap_or_default()
        };
        assert_eq!(attribute("tpm_quote.image.name"), NAME);
        assert_eq!(attribute("tpm_quote.image.version"), "1.2.3");
        assert_eq!(attribute("tpm_quote.boot_counter"), "1");
        let sha256 = Image::measure(NAME, "1.2.3", GOOD).sha256;
        let digest = format!("sha256:{}", hex::encode(sha256));
        assert_eq!(attribute("tpm_quote.image.digest"), digest);
    });
}

#[test]
fn a_node_that_boots_another_image_or_does_not_measure_is_refused() {
    for (boot, check) in [
        (
            Some(MeasuredBoot::new(image(TAMPERED), Some(1))),
            "image-digest",
        ),
        (None, "event-log-missing"),
    ] {
        let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
        let loopback = loopback(&tpm, &folder);
        let node = match boot {
            Some(boot) => loopback.measuring_node(boot),
            None => loopback.node(),
        };
        node.unwrap().login().unwrap_err();
        let told = refusal(&loopback);
        assert!(told.contains(check), "{told}");
    }
}

/// The node is still there, so it is the node that says so; whatever the attacker extends.
#[test]
fn a_node_whose_tpm_was_reset_alone_neither_renews_nor_logs_in_until_it_starts_again() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = loopback(&tpm, &folder);
    let boot = MeasuredBoot::new(image(GOOD), Some(1));
    let mut node = loopback.measuring_node(boot).unwrap();
    node.login().unwrap();
    loopback.reset_tpm_alone();
    for _ in 0..2 {
        assert_eq!(node.login().map(drop), Err(lost()));
    }
    assert_eq!(loopback.line.with_peer(|verifier| verifier.granted()), 1);

    // Node and TPM start again, together: one boot, and two resets. Somebody has to look.
    loopback.reset_tpm_alone();
    let boot = MeasuredBoot::new(image(GOOD), Some(2));
    loopback.measuring_node(boot).unwrap().login().unwrap_err();
    let told = refusal(&loopback);
    assert!(told.contains("reset-witness"), "{told}");
    assert!(told.contains("2 times"), "{told}");
}

#[test]
fn a_node_that_starts_again_with_its_tpm_is_let_in_each_time() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = loopback(&tpm, &folder);
    for counter in 1..=3 {
        let boot = MeasuredBoot::new(image(GOOD), Some(counter));
        let mut node = loopback.measuring_node(boot).unwrap();
        node.login()
            .unwrap_or_else(|failure| panic!("{counter}: {failure}\n{}", refusal(&loopback)));
        drop(node);
        loopback.reset_tpm_alone();
    }
}

/// The attack that a quote alone does not show: the TPM is reset, and the attacker's own host extends what the node would,
/// with the number of the boot that the verifier knows.
#[test]
fn a42_a_tpm_that_was_reset_and_extended_by_another_host_under_a_known_boot_is_found_out_by_the_verifier()
 {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = loopback(&tpm, &folder);
    let boot = || MeasuredBoot::new(image(GOOD), Some(1));
    loopback.measuring_node(boot()).unwrap().login().unwrap();
    loopback.reset_tpm_alone();
    // Every digest is right, and so is the quote.
    let mut attacker = loopback.measuring_node(boot()).unwrap();
    attacker.login().unwrap_err();
    let told = refusal(&loopback);
    assert!(told.contains("reset-witness"), "{told}");
    loopback.line.with_peer(|verifier| {
        let last = verifier.outcomes.last();
        assert!(matches!(last, Some(Outcome::Denied(_))), "{last:?}");
    });
}

/// The number of a boot is the host's own claim: whoever counts on is let in, unless the microcontroller signs as well
/// (`mcu_key`). The node is told at its next start.
#[test]
fn a42_another_host_that_counts_on_is_let_in_and_the_node_is_not_any_more() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = loopback(&tpm, &folder);
    let boot = |counter| MeasuredBoot::new(image(GOOD), Some(counter));
    loopback.measuring_node(boot(1)).unwrap().login().unwrap();
    loopback.reset_tpm_alone();
    loopback.measuring_node(boot(2)).unwrap().login().unwrap();
    loopback.reset_tpm_alone();
    let mut node = loopback.measuring_node(boot(2)).unwrap();
    node.login().unwrap_err();
    let told = refusal(&loopback);
    assert!(told.contains("reset-witness"), "{told}");
}

#[test]
fn a_node_that_was_reset_without_its_tpm_has_no_log_for_what_the_tpm_holds() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = loopback(&tpm, &folder);
    for (counter, wanted) in [(1, None), (2, Some("event-log-missing"))] {
        let boot = MeasuredBoot::new(image(GOOD), Some(counter));
        let login = loopback.measuring_node(boot).unwrap().login();
        assert_eq!(login.is_ok(), wanted.is_none());
        if let Some(check) = wanted {
            let told = refusal(&loopback);
            assert!(told.contains(check), "{told}");
        }
    }
}

/// The n-th measurement of a boot reaches the TPM or does not, and what the node is told is not the TPM's answer.
fn unheard(wanted: u32, is_made: bool) -> Script {
    const PCR_EXTEND: u32 = 0x182;
    let mut seen = 0;
    Box::new(move |turn| {
        if turn.code != PCR_EXTEND {
            return turn.pass();
        }
        seen += 1;
        if seen != wanted {
            return turn.pass();
        }
        turn.strike("kept an answer from the node");
        if is_made {
            turn.pass()?;
        }
        Ok(made_up(turn.command, &[]))
    })
}

#[test]
fn a_node_that_did_not_hear_of_a_measurement_logs_in_with_a_whole_log_at_its_next_attempt() {
    // Image and boot, into SHA-256 and SHA-384.
    for wanted in 1..=4 {
        for is_made in [true, false] {
            let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
            let process = tpm
                .start(&folder.path().join("run"), Mode::Sockets)
                .unwrap();
            let backend = Interposer::new(SwtpmBackend::new(process), unheard(wanted, is_made));
            let journal = backend.journal();
            let loopback = loopback_with(&tpm, backend);
            let boot = MeasuredBoot::new(image(GOOD), Some(1));
            let mut node = loopback.measuring_node(boot).unwrap();
            let (failure, _) = node.attempt().unwrap_err();
            let forged = failure.trouble().map(|trouble| trouble.code);
            assert_eq!(forged, Some(TroubleCode::TPM_FORGED), "{wanted} {is_made}");
            assert_eq!(journal.snapshot().strikes, 1);
            // The same node and the same boot: neither it nor its TPM is started anew.
            node.attempt().unwrap_or_else(|(failure, _)| {
                panic!("{wanted} {is_made}: {failure}\n{}", refusal(&loopback))
            });
        }
    }
}

/// Somebody else extends the PCR before the node has looked: nobody can say any more what it holds.
#[test]
fn a_node_that_finds_a_stranger_in_its_pcr_says_which_and_logs_in_no_more() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let process = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let mut own = unheard(1, true);
    let backend = Interposer::new(
        SwtpmBackend::new(process),
        Box::new(move |turn| {
            let answer = own(turn)?;
            // PCR 8 of the bank that the node will look at, by an empty password.
            if turn.code == 0x182 {
                let handle = [0, 0, 0, 8];
                let digest = [&[0, 0, 0, 1, 0, 0x0B][..], &[0x0E; 32]].concat();
                let theirs = Command {
                    code: turn.code,
                    handles: &handle,
                    authorizations: None,
                    parameters: &digest,
                };
                turn.ask(&theirs.stripped())?;
            }
            Ok(answer)
        }),
    );
    let loopback = loopback_with(&tpm, backend);
    let boot = MeasuredBoot::new(image(GOOD), Some(1));
    let mut node = loopback.measuring_node(boot).unwrap();
    node.attempt().unwrap_err();
    for _ in 0..2 {
        let (failure, _) = node.attempt().unwrap_err();
        let stranger = EvidenceError {
            detail: 8,
            ..EvidenceError::new(TroubleCode::MEASUREMENT_LOST)
        };
        assert_eq!(failure, Failure::Evidence(stranger));
    }
    assert_eq!(loopback.line.with_peer(|verifier| verifier.granted()), 0);
}
