//! The model in front of a real TPM implementation, driven by hand.

use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::slave::burst::Burst;
use assay_spi_tpm::slave::wait::Wait;
use assay_spi_tpm::swtpm::{Mode, Swtpm, SwtpmBackend};
use assay_spi_tpm::{Config, FaultPlan, SpiTpm, TpmBackend};
use tempfile::TempDir;

use super::host::{GET_RANDOM, Host, PCR_READ, STARTUP, rc};

pub(crate) fn swtpm() -> (TempDir, Swtpm) {
    let folder = tempfile::tempdir().unwrap();
    let tpm = Swtpm::start(&folder.path().join("state"), folder.path(), Mode::Sockets).unwrap();
    (folder, tpm)
}

fn host(backend: impl TpmBackend + 'static, config: Config) -> Host {
    let mut host = Host::new(SpiTpm::new(backend, config));
    host.claim().unwrap();
    host
}

#[test]
fn commands_run_with_any_wait_and_any_burst() {
    let (_folder, process) = swtpm();
    let mut started = false;
    for wait in 0..=5u32 {
        for burst in [1u16, 8, 32, 64] {
            let config = Config {
                wait: Some(if wait == 0 {
                    Wait::None
                } else {
                    Wait::Fixed(wait)
                }),
                burst: Some(Burst::Fixed(burst)),
                ..Config::chip(Personality::SLB9672)
            };
            let mut host = host(process.client(), config);
            let response = host.transact(&STARTUP).unwrap();
            assert_eq!(rc(&response), if started { 0x100 } else { 0 });
            started = true;
            let random = host.transact(&GET_RANDOM).unwrap();
            assert_eq!((rc(&random), random.len()), (0, 28));
            let pcr = host.transact(&PCR_READ).unwrap();
            assert_eq!((rc(&pcr), pcr.len()), (0, 62), "wait {wait}, burst {burst}");
            assert_eq!(pcr[30..], [0; 32]);
        }
    }
}

#[test]
fn every_chip_runs_commands_with_its_own_habits() {
    let (_folder, process) = swtpm();
    for chip in Personality::ALL {
        let mut host = host(process.client(), Config::chip(*chip));
        host.transact(&STARTUP).unwrap();
        for _ in 0..20 {
            assert_eq!(rc(&host.transact(&GET_RANDOM).unwrap()), 0, "{}", chip.name);
        }
    }
}

#[test]
fn random_waits_and_bursts_repeat_with_their_seed() {
    let (_folder, process) = swtpm();
    let run = |seed| {
        let config = Config {
            wait: Some(Wait::Random { max: 5, seed }),
            burst: Some(Burst::Changing { max: 64, seed }),
            ..Config::chip(Personality::SLB9672)
        };
        let mut host = host(process.client(), config);
        let outcome = host
            .transact(&STARTUP)
            .and_then(|_| host.transact(&PCR_READ));
        assert!(
            outcome.is_ok(),
            "{outcome:?} {:?}",
            host.tpm.stats().snapshot().backend_error
        );
        host.tpm.stats().totals()
    };
    let first = run(7);
    assert_eq!(
        (first.bytes, first.chip_selects),
        (run(7).bytes, run(7).chip_selects)
    );
    assert_ne!(first.bytes, run(8).bytes);
}

#[test]
fn a_reset_forgets_startup_and_a_power_loss_moves_the_reset_count() {
    let (_folder, process) = swtpm();
    let mut host = host(
        SwtpmBackend::new(process),
        Config::chip(Personality::SLB9672),
    );
    assert_eq!(rc(&host.transact(&STARTUP).unwrap()), 0);
    let before = reset_count(&mut host);
    host.tpm.reset_line(true);
    host.tpm.reset_line(false);
    host.claim().unwrap();
    assert_eq!(
        rc(&host.transact(&GET_RANDOM).unwrap()),
        0x100,
        "Startup is due"
    );
    assert_eq!(rc(&host.transact(&STARTUP).unwrap()), 0);
    assert_eq!(reset_count(&mut host), before + 1);
    host.tpm.power_cycle();
    host.claim().unwrap();
    assert_eq!(rc(&host.transact(&STARTUP).unwrap()), 0);
    assert_eq!(reset_count(&mut host), before + 2);
}

#[test]
fn the_sockets_alone_can_cycle_the_power_too() {
    let (_folder, process) = swtpm();
    let mut client = process.client();
    client.execute(&STARTUP, 0).unwrap();
    client.power_cycle().unwrap();
    assert_eq!(rc(&client.execute(&GET_RANDOM, 0).unwrap()), 0x100);
}

fn reset_count(host: &mut Host) -> u32 {
    let clock = host
        .transact(&[0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x81])
        .unwrap();
    u32::from_be_bytes(clock[26..30].try_into().unwrap())
}

#[test]
fn a_silent_reset_shows_in_the_reset_count_only() {
    let (_folder, process) = swtpm();
    let mut host = host(process.client(), Config::chip(Personality::SLB9672));
    host.transact(&STARTUP).unwrap();
    let before = reset_count(&mut host);
    host.tpm.set_faults(
        "silent-reset@execution/any/once"
            .parse::<FaultPlan>()
            .unwrap(),
    );
    assert_eq!(
        reset_count(&mut host),
        before + 1,
        "already in the command it strikes"
    );
    assert_eq!(reset_count(&mut host), before + 1);
}

#[test]
fn a_swapped_tpm_is_another_one() {
    let ((_a, first), (_b, second)) = (swtpm(), swtpm());
    second.client().execute(&STARTUP, 0).unwrap();
    let config = Config {
        faults: "swap-tpm@execution/#3/once".parse().unwrap(),
        ..Config::chip(Personality::SLB9672)
    };
    let tpm = SpiTpm::new(first.client(), config).with_spare(second.client());
    let mut host = Host::new(tpm);
    host.claim().unwrap();
    host.transact(&STARTUP).unwrap();
    let name = |host: &mut Host| host.transact(&null_primary()).unwrap()[20..].to_vec();
    let one = name(&mut host);
    let two = name(&mut host);
    assert_ne!(one, two, "the null hierarchy's key tells TPMs apart");
}

/// CreatePrimary in the null hierarchy: a signing key P-256.
pub(crate) fn null_primary() -> Vec<u8> {
    let public = [
        0x00, 0x23, 0x00, 0x0B, 0x00, 0x05, 0x04, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0B, 0, 3, 0,
        0x10, 0, 0, 0, 0,
    ];
    let mut body = vec![
        0x40, 0, 0, 7, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 24,
    ];
    body.extend_from_slice(&public);
    body.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    let mut command = vec![
        0x80,
        2,
        0,
        0,
        0,
        u8::try_from(body.len() + 10).unwrap(),
        0,
        0,
        1,
        0x31,
    ];
    command.extend_from_slice(&body);
    command
}
