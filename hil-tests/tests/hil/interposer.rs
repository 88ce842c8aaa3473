//! Every attack of the interposer's catalogue against a whole login, and the limits of what guards a bus.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use assay_common::protocol::{AgentMessage, Trouble, TroubleCode, decode};
use assay_hil_tests::board::{self, Profile, workspace_root};
use assay_hil_tests::manufacture::{EkKind, Recipe, cache};
use assay_hil_tests::scenario::interposer::limits::twin_has_session;
use assay_hil_tests::scenario::interposer::{Bench, Bus, Row, Verdict, expected, table};
use assay_hil_tests::scenario::live::{Live, Options};
use assay_hil_tests::scenario::loopback::Guards;
use assay_spi_tpm::interposer::Mode;

#[test]
fn every_attack_has_a_row_in_order() {
    let modes: Vec<_> = Mode::all().map(|mode| mode.name).collect();
    let rows: Vec<_> = expected::ROWS.iter().map(|row| row.mode).collect();
    assert_eq!(modes, rows);
    for row in expected::ROWS {
        let outcomes = [row.plain, row.protected];
        let says_why = !row.why.is_empty();
        let is_defeated = outcomes.iter().all(|one| {
            matches!(
                one,
                Verdict::Node(_) | Verdict::Verifier(_) | Verdict::Absent
            )
        });
        // Only what is not evident is explained, and all of that is.
        assert!(!(says_why && is_defeated), "{}", row.mode);
        let is_harmless = outcomes.contains(&Verdict::Harmless);
        assert!(says_why || !is_harmless, "{}", row.mode);
        assert!(says_why || row.protected != Verdict::Fell, "{}", row.mode);
    }
}

#[test]
fn the_page_about_the_bus_says_what_the_rows_say() {
    let page = workspace_root().join("docs/security/bus.md");
    let text = fs::read_to_string(&page).unwrap();
    let generated = table::replace(&text).unwrap();
    if std::env::var_os("ASSAY_OVERWRITE").is_some_and(|value| value == "1") {
        fs::write(&page, &generated).unwrap();
    } else {
        assert!(
            text == generated,
            "docs/security/bus.md is stale: run this test with ASSAY_OVERWRITE=1"
        );
    }
}

/// Runs every attack on a bus to TPMs with EKs of a kind, on as many benches as there are cores, and compares.
fn all_end_as_expected(bus: Bus, kind: EkKind) {
    let modes: Vec<_> = Mode::all().collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let work = || {
        let mut bench = Bench::new(kind).unwrap();
        while let Some(mode) = modes.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = ends_as_expected(&mut bench, mode, bus) {
                wrong.lock().unwrap().push(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{kind}:\n{}", wrong.join("\n"));
}

fn ends_as_expected(bench: &mut Bench, mode: &'static Mode, bus: Bus) -> Result<(), String> {
    let expected = Row::of(mode).unwrap().outcome(bus, bench.kind());
    let report = bench
        .run(mode, bus)
        .map_err(|error| format!("{}: {error:#}", mode.name))?;
    if report.verdict != expected {
        let is = report.verdict;
        return Err(format!(
            "{mode:?}: expected {expected}, is {is}: {report:?}"
        ));
    }
    // An attack that was not carried out would prove nothing.
    if report.strikes == 0 && expected != Verdict::Absent {
        return Err(format!("{mode:?}: not carried out"));
    }
    if report.recovered == Some(false) {
        return Err(format!("{mode:?}: another session after the attack"));
    }
    Ok(())
}

#[test]
fn on_a_plain_bus_every_attack_ends_as_expected() {
    all_end_as_expected(Bus::Plain, EkKind::P256);
}

#[test]
fn on_a_protected_bus_every_attack_ends_as_expected() {
    all_end_as_expected(Bus::Protected, EkKind::P256);
}

/// Sessions are salted by OAEP.
#[test]
fn with_an_rsa_2048_ek_every_attack_ends_as_expected() {
    for bus in Bus::ALL {
        all_end_as_expected(bus, EkKind::Rsa2048);
    }
}

/// Sessions are salted by ECDH on the larger curve, and have SHA-384 and AES-256.
#[test]
fn with_a_p384_ek_every_attack_ends_as_expected() {
    for bus in Bus::ALL {
        all_end_as_expected(bus, EkKind::P384);
    }
}

#[test]
fn an_exception_is_of_an_attack_and_says_another_outcome_and_why() {
    for one in expected::EXCEPTIONS {
        let mode = Mode::from_name(one.mode).unwrap();
        let usual = Row::of(mode).unwrap().outcome(one.bus, EkKind::P256);
        assert_ne!(one.outcome, usual, "{mode:?}");
        assert_ne!(one.kind, EkKind::P256, "{mode:?}");
        assert!(one.outcome.is_defeated() && !one.why.is_empty(), "{mode:?}");
    }
}

fn verdict(bench: &mut Bench, mode: &str, guards: &Guards) -> Verdict {
    let mode = Mode::from_name(mode).unwrap();
    let report = bench.run_against(mode, Some(guards)).unwrap();
    assert!(report.strikes > 0);
    report.verdict
}

/// A limit: nobody but the pin says which TPM is the node's own.
#[test]
fn without_a_pinned_key_another_genuine_tpm_is_taken_for_the_nodes_own() {
    let mut bench = Bench::new(EkKind::P256).unwrap();
    let pinned = bench.guards();
    let unpinned = Guards {
        ek_name: Vec::new(),
        ..pinned.clone()
    };
    assert_eq!(verdict(&mut bench, "swap-tpm", &unpinned), Verdict::Fell);
    assert_eq!(
        verdict(&mut bench, "swap-tpm", &pinned),
        Verdict::Node(TroubleCode::TPM_REPLACED)
    );
}

/// A limit: who knows all that goes into a node's secrets knows the secrets. Noise is enough against it, and so is a secret.
#[test]
fn a_node_with_nothing_of_its_own_has_no_secrets_from_who_listens() {
    let mut bench = Bench::new(EkKind::P256).unwrap();
    let full = bench.guards();
    for (ek_name, secret, has_noise, is_known) in [
        (Vec::new(), Vec::new(), false, true),
        (full.ek_name.clone(), full.secret.clone(), false, false),
        (full.ek_name.clone(), Vec::new(), true, false),
    ] {
        let guards = Guards {
            ek_name,
            secret,
            has_noise,
            ..full.clone()
        };
        assert_eq!(
            twin_has_session(&mut bench, &guards).unwrap(),
            is_known,
            "{guards:?}"
        );
    }
}

/// With a pin the first of them does not log in: a record that promises a guarded bus is not taken where there would be none.
#[test]
fn a_pinned_node_with_nothing_of_its_own_does_not_log_in() {
    let mut bench = Bench::new(EkKind::P256).unwrap();
    let guards = Guards {
        secret: Vec::new(),
        has_noise: false,
        ..bench.guards()
    };
    let error = twin_has_session(&mut bench, &guards)
        .unwrap_err()
        .to_string();
    assert!(error.contains("and the board has no noise"), "{error}");
}

/// A limit: two boots with the same secrets have the same session, and what the TPM said in one fits the other. Noise is
/// enough against it, and so is a count of boots. A node that keeps a reset's witness sees it one session later.
#[test]
fn a_boot_that_repeats_another_in_every_secret_believes_the_others_responses() {
    let mut bench = Bench::new(EkKind::P256).unwrap();
    let full = bench.guards();
    let forged = Verdict::Node(TroubleCode::TPM_FORGED);
    for (has_noise, boots, measures, expected) in [
        (false, 0, false, Verdict::Fell),
        (false, 0, true, forged),
        (false, 1, false, forged),
        (true, 0, false, forged),
    ] {
        let guards = Guards {
            has_noise,
            boots,
            measures,
            ..full.clone()
        };
        let is = verdict(&mut bench, "replay-boot", &guards);
        assert_eq!(is, expected, "{guards:?}");
    }
}

/// What the sessions do not see: between a measurement and the next login the TPM is reset, and is the right one.
#[test]
fn a_reset_of_the_tpm_alone_is_seen_by_its_witness_only() {
    let mut bench = Bench::new(EkKind::P256).unwrap();
    let witnessed = bench.guards();
    let unwitnessed = Guards {
        measures: false,
        ..witnessed.clone()
    };
    assert_eq!(
        verdict(&mut bench, "reset-tpm", &unwitnessed),
        Verdict::Fell
    );
    assert_eq!(
        verdict(&mut bench, "reset-tpm", &witnessed),
        Verdict::Node(TroubleCode::TPM_FORGED)
    );
}

/// A board's own image in QEMU, somebody on the bus to its software TPM, and `assayd`: what the board says on its line.
fn on_a_board(name: &str, mode: &str) -> TroubleCode {
    const LIMIT: Duration = Duration::from_secs(90);
    let folder = tempfile::Builder::new().prefix("assay-").tempdir().unwrap();
    let recipe = Recipe::with([EkKind::P256]);
    let tpm = cache::copy(&recipe, &folder.path().join("made")).unwrap();
    let board = board::find(name).unwrap();
    let image = board::build(&board, Profile::Firmware).unwrap();
    let options = Options {
        interposer: Some(Mode::from_name(mode).unwrap()),
        ..Options::default()
    };
    let live = Live::start(&board, &image, &tpm, folder.path(), &options).unwrap();
    let ended = live.tap.wait_for(&["trouble", "granted", "denied"], LIMIT);
    assert!(ended, "{name}: {}", live.tap.summary());
    let journal = live.journal.as_ref().unwrap().snapshot();
    assert!(journal.strikes > 0, "{name}");
    let seen = live.tap.seen();
    let trouble = seen.iter().find_map(|seen| match decode(&seen.body) {
        Ok(AgentMessage::Trouble(Trouble { code, .. })) if seen.from_agent => Some(code),
        _ => None,
    });
    trouble.unwrap_or_else(|| panic!("{name}: {}", live.tap.summary()))
}

#[test]
fn boards_notice_who_forges_what_their_tpm_says() {
    for (board, mode) in [
        ("stm32f405", "alter-certificate"),
        ("mps2-an386", "forge-random"),
    ] {
        assert_eq!(on_a_board(board, mode), TroubleCode::TPM_FORGED, "{board}");
    }
}
