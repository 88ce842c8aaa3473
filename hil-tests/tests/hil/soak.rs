//! A short soak: as many faults of every sort as there is time for. `./x soak` runs ten thousand logins.

use assay_hil_tests::soak::{Part, Report, Soak};

fn soaked(logins: u64, parts: &[Part]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let soak = Soak {
        logins,
        seed: 1,
        parts: parts.to_vec(),
    };
    let report = soak.run(folder.path(), &mut |_| {}).unwrap();
    assert!(report.logins >= logins, "{report:?}");
    report
}

#[test]
fn a_node_outlives_whatever_happens_to_it_and_leaves_nothing_behind() {
    let report = soaked(400, &Part::ALL);
    // It was disturbed, and it noticed.
    assert!(report.disturbances.len() > 20, "{report:?}");
    assert!(report.failures.len() > 3, "{report:?}");
    assert!(report.attempts > report.logins, "{report:?}");
    assert!(report.bytes_first > 1_000, "{report:?}");
    // And each part of it took part.
    for part in [
        report.renewals,
        report.boots,
        report.power_cuts,
        report.restarts,
        report.evictions,
        report.power_cycles,
    ] {
        assert!(part > 3, "{report:?}");
    }
    // Resets are told apart: between attempts and within one, with the TPM and without.
    for kind in [
        "board and TPM reset between attempts",
        "board and TPM reset within a login",
        "board and TPM reset within a boot's login",
        "board and TPM reset within a renewal",
        "board reset within a login",
        "board reset within a boot's login",
        "board reset within a renewal",
    ] {
        assert!(report.disturbances.contains_key(kind), "{kind}: {report:?}");
    }
}

#[test]
fn a_node_without_all_that_one_in_the_field_has_is_soaked_too() {
    let report = soaked(60, &[]);
    let took_no_part = [
        report.renewals,
        report.power_cuts,
        report.restarts,
        report.power_cycles,
    ];
    assert_eq!(took_no_part, [0; 4], "{report:?}");
    // Its TPM is never reset with it, and it logs in over what the last attempt left.
    let kinds = report.disturbances.keys();
    let both = kinds.filter(|kind| kind.starts_with("board and TPM"));
    assert_eq!(both.count(), 0, "{report:?}");
    let cut = report.disturbances.get("board reset within a login");
    assert!(cut.is_some(), "{report:?}");
}
