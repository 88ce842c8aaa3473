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
    ] {
        assert!(part > 3, "{report:?}");
    }
}

#[test]
fn a_node_without_all_that_one_in_the_field_has_is_soaked_too() {
    let report = soaked(60, &[]);
    let took_no_part = [report.renewals, report.power_cuts, report.restarts];
    assert_eq!(took_no_part, [0; 3], "{report:?}");
}
