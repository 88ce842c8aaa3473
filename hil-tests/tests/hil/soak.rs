//! A short soak: as many faults of every sort as there is time for. `./x soak` runs ten thousand logins.

use assay_hil_tests::soak::Soak;

#[test]
fn a_node_outlives_whatever_happens_to_it_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let soak = Soak {
        logins: 400,
        seed: 1,
    };
    let report = soak.run(folder.path(), &mut |_| {}).unwrap();
    assert!(report.logins >= 400, "{report:?}");
    // It was disturbed, and it noticed.
    assert!(report.disturbances.len() > 20, "{report:?}");
    assert!(report.failures.len() > 3, "{report:?}");
    assert!(report.attempts > report.logins, "{report:?}");
    assert!(report.bytes_first > 1_000, "{report:?}");
}
