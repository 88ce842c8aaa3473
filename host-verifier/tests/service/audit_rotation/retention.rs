//! Files that follow one another, and those that retention removes.

use std::time::Duration;

use assay_host_verifier::audit::{AuditError, AuditLog, Head};
use assay_host_verifier::clock::Clock;
use assay_host_verifier::config::Keep;

use super::Archive;

#[tokio::test]
async fn a_file_that_is_long_enough_is_closed_and_the_chain_goes_on_in_the_next() {
    let archive = Archive::new(Keep::All);
    let log = archive.open();
    archive.write(&log, 0..5).await;
    drop(log);
    let names = ["audit-1-2.jsonl", "audit-3-4.jsonl", "audit.jsonl"];
    assert_eq!(archive.names(), names);
    let whole = archive.verify(&[]).unwrap();
    assert_eq!((whole.head.seq, whole.base), (5, Head::default()));

    // A start goes on behind what is there, also behind a file that has no record yet.
    archive.write(&archive.open(), 5..6).await;
    assert_eq!(archive.names().len(), 4);
    archive.write(&archive.open(), 6..7).await;
    let whole = archive.verify(&[whole.head]).unwrap();
    assert_eq!(whole.head.seq, 7);
    assert_eq!(archive.logins().len(), 7);
}

#[tokio::test]
async fn files_that_are_changed_missing_or_unfinished_are_named() {
    let archive = Archive::new(Keep::All);
    let log = archive.open();
    archive.write(&log, 0..7).await;
    drop(log);
    let file = |name: &str| archive.folder.path().join(name);
    let second = "audit-3-4.jsonl";
    let kept = std::fs::read_to_string(file(second)).unwrap();

    std::fs::write(file(second), kept.replacen("xx", "xy", 1)).unwrap();
    assert_eq!(archive.verify(&[]), Err((second.to_owned(), "chain")));
    std::fs::write(file(second), &kept[..kept.len() - 1]).unwrap();
    assert_eq!(archive.verify(&[]), Err((second.to_owned(), "unfinished")));
    archive.remove(second);
    assert_eq!(
        archive.verify(&[]),
        Err(("audit-5-6.jsonl".to_owned(), "sequence"))
    );
    std::fs::write(file(second), &kept).unwrap();
    assert!(archive.verify(&[]).is_ok());
    archive.remove("audit-1-2.jsonl");
    assert_eq!(
        archive.verify(&[]),
        Err(("audit.jsonl".to_owned(), "beginning"))
    );

    // A service does not go on behind a file that does not end as its name says.
    let newest = "audit-5-6.jsonl";
    std::fs::rename(file(newest), file("audit-5-8.jsonl")).unwrap();
    let refused = AuditLog::open_with(&archive.path(), archive.settings()).unwrap_err();
    assert!(matches!(refused, AuditError::Broken { .. }), "{refused}");
    // Nor on a file that does not follow the newest closed one.
    archive.remove("audit-5-8.jsonl");
    let refused = AuditLog::open_with(&archive.path(), archive.settings()).unwrap_err();
    assert!(matches!(refused, AuditError::Broken { .. }), "{refused}");
}

#[tokio::test]
async fn what_retention_removes_is_anchored_in_what_is_kept() {
    let archive = Archive::new(Keep::Files(2));
    let log = archive.open();
    archive.write(&log, 0..4).await;
    let old = archive.verify(&[]).unwrap().head;
    archive.write(&log, 4..12).await;
    drop(log);
    assert!(archive.names().len() <= 3, "{:?}", archive.names());
    let left = archive.verify(&[]).unwrap();
    assert!(left.base.seq > old.seq, "{left:?}");
    // The last record that was removed is still known, older ones are not.
    assert!(archive.verify(&[left.base, left.head]).is_ok());
    assert_eq!(
        archive.verify(&[old]).map_err(|(_, check)| check),
        Err("removed")
    );

    // Only what an anchor names was removed by retention.
    let oldest = archive.names().remove(0);
    let path = archive.folder.path().join(&oldest);
    let kept = std::fs::read(&path).unwrap();
    archive.remove(&oldest);
    assert_eq!(
        archive.verify(&[]).map_err(|(_, check)| check),
        Err("beginning")
    );
    std::fs::write(&path, kept).unwrap();
    assert!(archive.verify(&[]).is_ok());
    archive.write(&archive.open(), 12..13).await;
    assert!(archive.verify(&[]).is_ok());
}

#[tokio::test]
async fn files_are_kept_as_long_as_their_last_record_is_young() {
    let archive = Archive::new(Keep::For(Duration::from_secs(3600)));
    let log = archive.open();
    archive.write(&log, 0..2).await;
    archive.clock.advance(Duration::from_secs(3000));
    archive.write(&log, 2..4).await;
    archive.clock.advance(Duration::from_secs(599));
    log.tend().await.unwrap();
    assert_eq!(archive.names().len(), 3);
    // As seen from the last record nothing is old enough, however late it is.
    archive.clock.advance(Duration::from_secs(2));
    log.tend().await.unwrap();
    assert_eq!(archive.names().len(), 3);
    archive.write(&log, 4..5).await;
    assert_eq!(archive.names(), ["audit-3-4.jsonl", "audit.jsonl"]);
    let left = archive.verify(&[]).unwrap();
    assert_eq!(
        (left.base.seq, left.head.seq),
        (2, 6),
        "the sixth is the anchor"
    );
}

#[tokio::test]
async fn a_calendar_that_steps_removes_no_record_before_somebody_could_see_it() {
    const YEAR: i64 = 8760 * 3600;
    let archive = Archive::new(Keep::For(Duration::from_secs(3600)));
    let log = archive.open();
    let step = |seconds: i64| {
        let to = archive.clock.now().wall + jiff::SignedDuration::from_secs(seconds);
        archive.clock.set_wall(to);
    };
    archive.write(&log, 0..4).await;
    // Long enough for the start to be over, and not for the records to be old.
    for _ in 0..59 {
        archive.clock.advance(Duration::from_secs(61));
        log.tend().await.unwrap();
    }
    archive.write(&log, 4..5).await;
    assert_eq!(archive.names().len(), 3);
    step(YEAR);
    // A login under the wrong calendar: all others are a year old now, as seen from it.
    archive.write(&log, 5..6).await;
    archive.clock.advance(Duration::from_secs(3000));
    archive.write(&log, 6..7).await;
    assert!(archive.names().len() >= 3, "{:?}", archive.names());
    assert_eq!(archive.logins().len(), 7);
    // Somebody mends it; that is a step, too.
    step(-YEAR);
    archive.write(&log, 7..8).await;
    assert_eq!(archive.logins().len(), 8);
    drop(log);
    // A service that starts under a wrong calendar removes nothing either.
    step(YEAR);
    let log = archive.open();
    archive.write(&log, 8..9).await;
    archive.clock.advance(Duration::from_secs(3599));
    archive.write(&log, 9..10).await;
    assert_eq!(archive.logins().len(), 10);
    // Nobody did: what is older than an hour goes.
    archive.clock.advance(Duration::from_secs(2));
    archive.write(&log, 10..11).await;
    assert!(archive.logins().len() < 10, "{:?}", archive.names());
    assert!(archive.verify(&[]).is_ok());
}

#[tokio::test]
async fn a_closed_file_is_never_written_over() {
    let archive = Archive::new(Keep::All);
    let log = archive.open();
    let victim = archive.folder.path().join("audit-1-1.jsonl");
    archive.write(&log, 0..1).await;
    std::fs::write(&victim, "somebody else's").unwrap();
    assert!(matches!(
        log.rotate().await,
        Err(AuditError::Rotation { .. })
    ));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "somebody else's");
    // Records are written as before.
    archive.write(&log, 1..2).await;
    std::fs::remove_file(&victim).unwrap();
    assert_eq!(archive.verify(&[]).unwrap().head.seq, 2);
}
