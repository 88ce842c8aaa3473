//! Whole logins in virtual time: firmware, SPI model, swtpm, verifier.

use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe, cache};
use assay_hil_tests::scenario::local_verifier::Outcome;
use assay_hil_tests::scenario::loopback::{Loopback, policy};
use assay_hil_tests::scenario::loopback_rig::{self, Keep, LoopbackRig};
use assay_hil_tests::scenario::rig;
use assay_spi_tpm::Config;
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::swtpm::{Mode, SwtpmBackend};
use tempfile::TempDir;

/// A TPM of its own in a folder of its own.
pub(crate) fn tpm(recipe: &Recipe) -> (TempDir, ManufacturedTpm) {
    let folder = tempfile::tempdir().unwrap();
    let tpm = cache::copy(recipe, folder.path()).unwrap();
    (folder, tpm)
}

pub(crate) fn loopback(
    tpm: &ManufacturedTpm,
    folder: &TempDir,
    config: Config,
    quote: bool,
) -> Loopback {
    let process = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let yaml = policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], quote);
    Loopback::new(SwtpmBackend::new(process), config, &yaml).unwrap()
}

fn outcomes(loopback: &Loopback) -> String {
    loopback
        .line
        .with_peer(|verifier| format!("{:#?}\n{:#?}", verifier.outcomes, verifier.steps))
}

#[test]
fn every_kind_of_ek_logs_in_on_every_kind_of_chip() {
    for (kind, personality) in [
        (EkKind::P384, Personality::SLB9672),
        (EkKind::P256, Personality::ST33),
        (EkKind::Rsa2048, Personality::SLB9670),
        (EkKind::P256, Personality::NUVOTON),
    ] {
        let (folder, tpm) = tpm(&Recipe::with([kind]));
        let loopback = loopback(&tpm, &folder, Config::chip(personality), true);
        let granted = loopback
            .login()
            .unwrap_or_else(|failure| panic!("{kind:?}: {failure}\n{}", outcomes(&loopback)));
        assert_eq!(granted.lifetime_s, 3_600);
        loopback.line.with_peer(|verifier| {
            let session = &verifier.last_granted().unwrap().session;
            assert_eq!(session.id.0, granted.session_id);
            assert!(
                session.spiffe_id.starts_with("spiffe://example.org/node/"),
                "{}",
                session.spiffe_id
            );
        });
    }
}

#[test]
fn an_ek_of_another_maker_is_refused_and_the_node_learns_the_category() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let other = tempfile::tempdir().unwrap();
    let stranger =
        assay_hil_tests::manufacture::manufacture(&Recipe::with([EkKind::P256]), other.path())
            .unwrap();
    let process = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let yaml = policy(&[&stranger.root_ca(), &stranger.intermediate_ca()], false);
    let loopback = Loopback::new(
        SwtpmBackend::new(process),
        Config::chip(Personality::SLB9672),
        &yaml,
    )
    .unwrap();
    let failure = loopback.login().unwrap_err();
    assert!(failure.to_string().contains("refused"), "{failure}");
    loopback.line.with_peer(|verifier| {
        let Some(Outcome::Denied(denied)) = verifier.outcomes.first() else {
            panic!("{:?}", verifier.outcomes)
        };
        // The stranger has the same names, as every swtpm CA does: only its signature tells.
        assert!(denied.detail.contains("bad-signature"), "{}", denied.detail);
    });
}

#[test]
fn a_second_login_of_the_same_node_goes_through_without_a_reset() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P384]));
    let loopback = loopback(&tpm, &folder, Config::chip(Personality::SLB9672), true);
    let mut node = loopback.node().unwrap();
    for _ in 0..3 {
        node.attempt()
            .unwrap_or_else(|failure| panic!("{failure:?}\n{}", outcomes(&loopback)));
    }
    assert_eq!(loopback.line.with_peer(|verifier| verifier.granted()), 3);
}

#[test]
fn every_scenario_of_the_bench_holds_in_one_process_too() {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let process = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let policy = policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true);
    let keep = || Keep {
        folder: folder.path(),
        policy: &policy,
    };
    let chip = Config::chip(Personality::SLB9672);
    let loopback = loopback_rig::loopback(&keep(), SwtpmBackend::new(process), chip).unwrap();
    let mut rig = LoopbackRig::new(&loopback, keep()).unwrap();
    for scenario in rig::ALL {
        scenario
            .run(&mut rig)
            .unwrap_or_else(|error| panic!("{error:#}\n{}", outcomes(&loopback)));
    }
}
