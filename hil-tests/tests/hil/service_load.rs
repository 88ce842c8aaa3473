//! The load of `hil service` at the real service: that what it counts are logins, renewals and sessions.

use std::path::PathBuf;

use assay_hil_tests::measure::service::load::{Amount, Work};
use assay_hil_tests::measure::service::tpm::Keys;
use assay_hil_tests::measure::service::{Rig, rows};

/// `assayd` of the same build: tests lie one folder below it.
fn assayd() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().with_file_name("assayd")
}

#[test]
fn software_tpms_log_in_with_an_svid_and_renew() {
    for keys in [Keys::P256, Keys::Rsa2048] {
        let mut rig = Rig::new(&assayd(), keys, 2).unwrap();
        let before = rows::count(&rig.site.database()).unwrap();
        let logins = rig.run(Work::Logins, Amount::Count(4)).unwrap();
        assert_eq!((logins.done, logins.took.len()), (4, 4));
        // A session and two answered challenges, in the file when the grant is there.
        let after = rows::count(&rig.site.database()).unwrap();
        assert_eq!(after - before, 4 * 3, "{keys:?}");
        let renewals = rig.run(Work::Renewals, Amount::Count(4)).unwrap();
        assert_eq!(renewals.done, 4);
        assert_eq!(rows::count(&rig.site.database()).unwrap(), after);
        assert!(renewals.after.cpu >= logins.before.cpu);
        let nothing = rig.run(Work::Nothing, Amount::Count(4)).unwrap();
        assert_eq!(nothing.done, 4);
        assert_eq!(rows::count(&rig.site.database()).unwrap(), after);
    }
}

#[test]
fn seeded_sessions_are_sessions_to_the_service() {
    let rig = Rig::new(&assayd(), Keys::P256, 1).unwrap();
    let rig = rig.restarted(|database| rows::seed(database, 40)).unwrap();
    let token = format!("authorization: Bearer {}\r\n", rig.site.token().unwrap());
    let mut connection = rig.site.target(&rig.assayd).unwrap().connect().unwrap();
    let list = connection.send("GET", "/v1/sessions?limit=100", &token, &[]);
    let (status, body) = list.unwrap();
    let text = String::from_utf8(body).unwrap();
    assert_eq!(
        (status, text.matches("spiffe://bench.example/node/").count()),
        (200, 40),
        "{text}"
    );
}
