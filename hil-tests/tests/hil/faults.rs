//! The fault matrix, and what a technician must be able to tell apart.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use assay_common::protocol::TroubleCode;
use assay_firmware::agent::Failure;
use assay_hil_tests::board::workspace_root;
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::scenario::local_verifier::Outcome as Ending;
use assay_hil_tests::scenario::loopback::{Loopback, LoopbackNode};
use assay_hil_tests::scenario::matrix::{Record, run, table};
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::{Config, FaultPlan};

use crate::loopback::{loopback, tpm};

/// TPM_CC_FlushContext.
const FLUSH_CONTEXT: u32 = 0x165;

fn record_file() -> PathBuf {
    workspace_root().join("hil-tests/golden/faults.txt")
}

fn record() -> Record {
    fs::read_to_string(record_file()).unwrap().parse().unwrap()
}

/// Whether golden files shall be replaced instead of compared.
fn overwrite() -> bool {
    std::env::var_os("ASSAY_OVERWRITE").is_some_and(|value| value == "1")
}

#[test]
fn every_fault_ends_as_recorded_and_the_node_recovers_by_itself() {
    let record = record();
    let results = run::run(|_| record.sample(), |_| {}).unwrap();
    assert_eq!(
        &results.login,
        record.login(),
        "a login has other commands now: run `hil faults --overwrite`"
    );
    assert!(results.cells.len() > 400, "{} cells", results.cells.len());
    let mut wrong = Vec::new();
    for (cell, result) in &results.cells {
        match result {
            Ok(report) if report.outcome == record.outcome(cell) => {}
            Ok(report) => wrong.push(format!(
                "{cell}: {:?}, recorded {:?}",
                report.outcome,
                record.outcome(cell)
            )),
            Err(finding) => wrong.push(format!("{cell}: {finding}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_record_has_a_row_for_every_fault_and_phase() {
    let record = record();
    let wanted: BTreeSet<_> = record
        .login()
        .cells()
        .iter()
        .map(|cell| cell.row().to_string())
        .collect();
    let kept: BTreeSet<_> = record.rows().map(|(row, _)| row.to_string()).collect();
    assert_eq!(kept, wanted, "run `hil faults --overwrite`");
    assert_eq!(
        fs::read_to_string(record_file()).unwrap(),
        record.to_string(),
        "edited by hand"
    );
}

#[test]
fn the_page_about_faults_says_what_the_record_says() {
    let page = workspace_root().join("docs/faults.md");
    let text = fs::read_to_string(&page).unwrap();
    let generated = table::replace(&text, &record()).unwrap();
    if overwrite() {
        fs::write(&page, &generated).unwrap();
    } else {
        assert!(
            text == generated,
            "docs/faults.md is stale: run this test with ASSAY_OVERWRITE=1"
        );
    }
}

/// A node whose TPM has the faults of `plan` from power-on, and everything it needs.
fn faulty<R>(plan: &str, work: impl FnOnce(&Loopback, &mut LoopbackNode<'_>) -> R) -> R {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let faults = plan.parse().unwrap();
    let config = Config {
        faults,
        ..Config::chip(Personality::SLB9672)
    };
    let loopback = loopback(&tpm, &folder, config, true);
    let mut node = loopback.node().unwrap();
    work(&loopback, &mut node)
}

/// Lets the node try with the fault, then without. It must fail with `code` in less than `limit` each time, say so on
/// the line, wait longer from failure to failure, and log in by itself when the fault is gone.
fn fails_and_recovers(plan: &str, code: TroubleCode, limit: Duration) {
    faulty(plan, |loopback, node| {
        let mut last_wait = 0;
        for attempt in 1..=3 {
            let started = loopback.elapsed();
            let (failure, wait_ms) = node.attempt().expect_err(plan);
            let took = loopback.elapsed() - started;
            assert!(took < limit, "{plan}: {took:?}");
            let Failure::Evidence(error) = failure else {
                panic!("{plan}: {failure}")
            };
            assert_eq!(error.code, code, "{plan}: {failure}");
            loopback.line.with_peer(|verifier| {
                let Some(Ending::Trouble(told)) = verifier.outcomes.last() else {
                    panic!("{plan}: not told")
                };
                assert_eq!(
                    (told.code, told.attempt, told.retry_in_ms),
                    (code, attempt, wait_ms),
                    "{plan}"
                );
            });
            assert!(wait_ms > last_wait, "{plan}: {wait_ms} after {last_wait}");
            last_wait = wait_ms;
            loopback.wait(Duration::from_millis(wait_ms.into()));
        }
        loopback
            .tpm
            .with(|model| model.set_faults(FaultPlan::none()));
        let mut last = None;
        for _ in 0..4 {
            match node.attempt() {
                Ok(_) => return,
                Err((failure, wait_ms)) => {
                    last = Some(failure);
                    loopback.wait(Duration::from_millis(wait_ms.into()));
                }
            }
        }
        panic!("{plan}: {last:?}");
    });
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_socket_without_a_tpm_is_reported_as_absent() {
    // Pulled up, and pulled down or shorted.
    fails_and_recovers(
        "miso-stuck-high@any/any/always",
        TroubleCode::TPM_ABSENT,
        ms(1_000),
    );
    fails_and_recovers(
        "miso-stuck-low@any/any/always",
        TroubleCode::TPM_ABSENT,
        ms(12_000),
    );
}

#[test]
fn a_tpm_that_goes_away_later_is_told_from_one_that_never_was() {
    fails_and_recovers(
        "wait-endless@any/GetRandom/always",
        TroubleCode::TPM_BUS,
        ms(30_000),
    );
}

#[test]
fn a_tpm_that_never_answers_is_reported_as_a_timeout_within_the_commands_limit() {
    fails_and_recovers(
        "data-never@any/Startup/always",
        TroubleCode::TPM_TIMEOUT,
        ms(2_000),
    );
    fails_and_recovers(
        "data-never@any/NV_Read/always",
        TroubleCode::TPM_TIMEOUT,
        ms(3_000),
    );
    fails_and_recovers(
        "data-never@any/Quote/always",
        TroubleCode::TPM_TIMEOUT,
        ms(6_000),
    );
    fails_and_recovers(
        "data-never@any/CreatePrimary/always",
        TroubleCode::TPM_TIMEOUT,
        ms(121_000),
    );
}

#[test]
fn a_tpm_that_cannot_even_be_aborted_is_left_alone_after_the_limit() {
    let plan =
        "data-never@any/Quote/always; abort-ignored@any/any/always; ready-stuck@any/any/always";
    faulty(plan, |loopback, node| {
        let (failure, _) = node.attempt().unwrap_err();
        assert!(loopback.elapsed() < ms(60_000), "{:?}", loopback.elapsed());
        let Failure::Evidence(error) = failure else {
            panic!("{failure}")
        };
        assert_eq!(error.code, TroubleCode::TPM_TIMEOUT);
    });
}

#[test]
fn failure_mode_and_an_unfinished_upgrade_are_told_apart_from_a_refused_command() {
    for (rc, code) in [
        (0x101, TroubleCode::TPM_FAILURE_MODE),
        (0x12D, TroubleCode::TPM_UPGRADE_MODE),
        (0x143, TroubleCode::TPM_COMMAND),
    ] {
        for command in ["any", "CreatePrimary", "Quote"] {
            fails_and_recovers(&format!("rc={rc}@any/{command}/always"), code, ms(1_000));
        }
    }
}

#[test]
fn lockout_stops_the_login_at_once_and_is_not_hammered() {
    for command in ["PolicySecret", "ActivateCredential", "CreatePrimary"] {
        let plan = format!("rc-lockout@any/{command}/always");
        fails_and_recovers(&plan, TroubleCode::TPM_LOCKOUT, ms(1_000));
        faulty(&plan, |loopback, node| {
            let code = assay_spi_tpm::command::from_name(command);
            let hour = loopback.elapsed() + ms(3_600_000);
            let mut attempts = 0;
            while loopback.elapsed() < hour {
                let (_, wait_ms) = node.attempt().unwrap_err();
                attempts += 1;
                loopback.wait(ms(wait_ms.into()));
            }
            let stats = loopback.tpm.with(|model| model.stats().snapshot());
            let tries = stats
                .commands
                .iter()
                .filter(|command| command.code == code)
                .count();
            assert_eq!(tries, attempts, "one try per attempt");
            assert!(
                (40..=70).contains(&attempts),
                "{attempts} attempts in an hour"
            );
        });
    }
}

#[test]
fn a_tpm_without_memory_is_reported_when_flushing_does_not_help() {
    for plan in ["rc-object-memory", "rc-session-memory"] {
        for command in ["any", "CreatePrimary", "StartAuthSession"] {
            fails_and_recovers(
                &format!("{plan}@any/{command}/always"),
                TroubleCode::TPM_OUT_OF_MEMORY,
                ms(1_000),
            );
        }
    }
}

#[test]
fn a_tpm_that_wants_its_flash_to_rest_is_waited_for_and_then_reported_as_busy() {
    fails_and_recovers(
        "rc-nv-rate@any/NV_Read/always",
        TroubleCode::TPM_BUSY,
        ms(5_000),
    );
    faulty("rc-nv-rate@any/NV_Read/3", |loopback, node| {
        node.attempt().unwrap();
        // 100, 200 and 400 ms.
        assert!(loopback.elapsed() >= ms(700));
    });
}

#[test]
fn endless_requests_to_retry_end_as_busy() {
    for kind in ["rc-retry", "rc-yielded", "rc-testing"] {
        fails_and_recovers(
            &format!("{kind}@any/any/always"),
            TroubleCode::TPM_BUSY,
            ms(5_000),
        );
        fails_and_recovers(
            &format!("{kind}@any/Quote/always"),
            TroubleCode::TPM_BUSY,
            ms(5_000),
        );
    }
}

#[test]
fn a_locality_that_is_held_by_another_is_reported_as_such() {
    fails_and_recovers(
        "locality-busy=30000@any/any/always",
        TroubleCode::TPM_LOCALITY,
        ms(3_000),
    );
}

#[test]
fn a_locality_lost_on_the_way_is_claimed_again_or_reported_and_never_mixed_into_a_session() {
    for plan in [
        "locality-lost@execution/CreatePrimary/always",
        "locality-seized@execution/Quote/always",
    ] {
        fails_and_recovers(plan, TroubleCode::TPM_LOCALITY, ms(10_000));
    }
    faulty("locality-lost@idle/#9/once", |_, node| {
        node.attempt().unwrap();
    });
}

#[test]
fn a_reset_in_the_middle_of_a_login_ends_it_and_the_next_one_begins_anew() {
    let record = record();
    let codes = record.login().codes();
    let commands = u32::try_from(codes.len()).unwrap();
    // The last commands unload the keys and the session of a login that is over.
    let unloading = codes
        .iter()
        .rev()
        .take_while(|code| **code == FLUSH_CONTEXT);
    let working = commands - u32::try_from(unloading.count()).unwrap();
    for n in 2..=commands {
        for phase in ["idle", "ready", "reception", "execution", "completion"] {
            let plan = format!("tpm-reset@{phase}/#{n}/once");
            faulty(&plan, |loopback, node| {
                let result = node.attempt();
                if n <= working {
                    let (failure, _) = result.expect_err(&plan);
                    let Failure::Evidence(error) = failure else {
                        panic!("{plan}: {failure}")
                    };
                    let expected = [TroubleCode::TPM_RESET, TroubleCode::TPM_LOCALITY];
                    assert!(expected.contains(&error.code), "{plan}: {failure}");
                    assert_eq!(loopback.line.with_peer(|verifier| verifier.granted()), 0);
                    node.attempt()
                        .unwrap_or_else(|failure| panic!("{plan}: {failure:?}"));
                }
                let session = loopback
                    .line
                    .with_peer(|verifier| verifier.last_granted().unwrap().session.clone());
                let counter = |name: &str| {
                    let attribute = session.attributes.iter().find(|a| a.name == name).unwrap();
                    attribute.value.parse::<u32>().unwrap()
                };
                // What is granted stands on the TPM as it is after the reset.
                assert!(counter("tpm_quote.reset_count") > 0, "{plan}");
            });
        }
    }
}
