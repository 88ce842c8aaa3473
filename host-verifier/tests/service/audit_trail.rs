//! The audit trail: before the answer, whole after a crash, and never quietly changed.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use assay_host_verifier::audit::{self, AuditError, AuditLog, Disk, Head, VerifyError, verify};
use assay_host_verifier::transport::connection::Conversation;
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::Answer;
use crate::desk::{Desk, asked_of, ek_only, granted, say, tell};
use crate::fake_tpm::FakeTpm;

/// A desk with a trail on disk.
struct Office {
    desk: Desk,
    folder: TempDir,
}

impl Office {
    fn new(tpm: &FakeTpm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = Desk::new(&ek_only("rack", &[tpm]));
        let path = folder.path().join(audit::FILE);
        desk.server.audit = AuditLog::open(&path).unwrap().0;
        Self { desk, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(audit::FILE)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn records(&self) -> Vec<Value> {
        let bytes = self.bytes();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|l| !l.is_empty());
        lines.map(|l| serde_json::from_slice(l).unwrap()).collect()
    }
}

fn check(bytes: &[u8], heads: &[Head]) -> Result<audit::Summary, &'static str> {
    verify(bytes, heads).map_err(|error| error.check())
}

/// A trail of some logins.
async fn trail(logins: usize) -> Vec<u8> {
    let tpm = FakeTpm::new();
    let office = Office::new(&tpm);
    for _ in 0..logins {
        granted(office.desk.login(&tpm).await);
    }
    office.bytes()
}

#[tokio::test]
async fn each_decision_is_one_record_with_what_led_to_it() {
    let (tpm, stranger) = (FakeTpm::new(), FakeTpm::new());
    let office = Office::new(&tpm);
    let opened = granted(office.desk.login(&tpm).await);
    assert!(matches!(
        office.desk.login(&stranger).await,
        Answer::Denied(..)
    ));

    let records = office.records();
    let [first, second] = records.as_slice() else {
        panic!("{records:#?}")
    };
    assert_eq!(first["outcome"], "granted");
    assert_eq!(first["session_id"], hex::encode(opened.session_id));
    assert_eq!(first["spiffe_id"], opened.spiffe_id);
    assert_eq!(first["cluster"], "lab");
    assert_eq!(second["outcome"], "denied");
    assert_eq!(second["code"], "refused");
    assert!(second.get("session_id").is_none());
    let detail = second["detail"].as_str().unwrap();
    assert!(detail.contains("tpm_ek failed"), "{detail}");
    for record in [first, second] {
        let steps = record["steps"].as_array().unwrap();
        assert_eq!(steps[0]["step"], "hello", "{steps:?}");
        let said = record["evidence"].as_array().unwrap();
        let from: Vec<_> = said.iter().map(|s| s["from"].as_str().unwrap()).collect();
        assert_eq!(&from[..3], ["agent", "verifier", "agent"]);
    }
    // A secret of the login is nowhere in it.
    let text = String::from_utf8(office.bytes()).unwrap();
    assert!(!text.contains(&hex::encode(opened.secret)));
}

/// A disk with room for so many bytes, behind which it takes as much as fits and fails.
struct SmallDisk {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Disk for SmallDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stored = self.bytes.lock().unwrap();
        let fits = bytes.len().min(self.room - stored.len());
        stored.extend_from_slice(&bytes[..fits]);
        match fits == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().truncate(len as usize);
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_denies_and_leaves_no_half_record() {
    let one = trail(1).await.len();
    let tpm = FakeTpm::new();
    let mut office = Office::new(&tpm);
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let disk = SmallDisk {
        bytes: Arc::clone(&bytes),
        // Also the record of the refusal, which is shorter, finds no room.
        room: one + one / 4,
    };
    office.desk.server.audit = AuditLog::on(disk, "small".as_ref()).unwrap();
    granted(office.desk.login(&tpm).await);
    for _ in 0..2 {
        let Answer::Denied(code, _) = office.desk.login(&tpm).await else {
            panic!("granted without a record")
        };
        assert_eq!(code, assay_common::protocol::DenyCode::UNAVAILABLE);
        assert!(office.desk.last_denial().starts_with("audit trail small: "));
    }
    let bytes = bytes.lock().unwrap();
    let summary = check(&bytes, &[]).unwrap();
    assert_eq!((summary.head.seq, summary.unfinished), (1, 0));
}

#[tokio::test]
async fn a_message_without_a_login_is_no_decision() {
    let tpm = FakeTpm::new();
    let office = Office::new(&tpm);
    let mut link = office.desk.link();
    let (_, mut agent, asked) = office.desk.at_round_0().await;
    let proofs = agent.answer(&tpm, &asked);
    assert!(say(&mut link, &proofs).await.is_some());
    assert!(office.records().is_empty());
}

#[tokio::test]
async fn a_record_that_is_changed_moved_or_taken_out_is_found() {
    let bytes = trail(4).await;
    let whole = check(&bytes, &[]).unwrap();
    assert_eq!((whole.head.seq, whole.unfinished), (4, 0));
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();

    assert_eq!(
        check(&[lines[0], lines[2], lines[3]].concat(), &[]),
        Err("sequence")
    );
    // What retention removed is named by an anchor; there is none.
    assert_eq!(check(&lines[1..].concat(), &[]), Err("beginning"));
    let swapped = [lines[0], lines[2], lines[1], lines[3]].concat();
    assert_eq!(check(&swapped, &[]), Err("sequence"));
    let changed = String::from_utf8(bytes.clone()).unwrap();
    let changed = changed.replacen("\"outcome\":\"granted\"", "\"outcome\":\"denied\"", 1);
    assert_eq!(check(changed.as_bytes(), &[]), Err("chain"));
    assert_eq!(check(b"{}\n", &[]), Err("record"));

    // Every single byte counts, but for the last line's, which nothing follows.
    let last = bytes.len() - lines[3].len();
    for at in (0..last).step_by(97) {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1;
        assert!(check(&spoilt, &[]).is_err(), "byte {at}");
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_or_written_anew_is_found_by_a_head_that_was_kept() {
    let bytes = trail(3).await;
    let head = check(&bytes, &[]).unwrap().head;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let before = check(&lines[..2].concat(), &[]).unwrap().head;
    assert_eq!(head.to_string().parse(), Ok(head));

    assert!(check(&bytes, &[before, head]).is_ok());
    assert_eq!(check(&lines[..2].concat(), &[before, head]), Err("head"));
    let anew = trail(3).await;
    assert!(check(&anew, &[]).is_ok());
    assert_eq!(check(&anew, &[head]), Err("head"));
    assert_eq!(
        verify(&b""[..], &[head]),
        Err(VerifyError::Head(3)),
        "an empty file is a trail that was cut off whole"
    );
}

#[tokio::test]
async fn after_a_power_failure_at_any_byte_the_trail_goes_on_behind_the_last_whole_record() {
    let bytes = trail(2).await;
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let tpm = FakeTpm::new();
    for cut in [
        0,
        1,
        second / 2,
        second - 1,
        second,
        second + 1,
        bytes.len() - 1,
    ] {
        let mut office = Office::new(&tpm);
        office.desk.server.audit = AuditLog::default();
        let path = office.folder.path().join("cut.jsonl");
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (log, lost) = AuditLog::open(&path).unwrap();
        let whole = if cut < second { 0 } else { second };
        assert_eq!(lost, (cut - whole) as u64);
        office.desk.server.audit = log;
        granted(office.desk.login(&tpm).await);
        let now = std::fs::read(&path).unwrap();
        assert!(now.starts_with(&bytes[..whole]));
        let records = if whole == 0 { 1 } else { 2 };
        assert_eq!(check(&now, &[]).unwrap().head.seq, records, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_trail_that_was_changed_is_neither_continued_nor_mended() {
    let bytes = trail(2).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trail");
    let spoilt = String::from_utf8(bytes)
        .unwrap()
        .replacen("rack", "rick", 1);
    std::fs::write(&path, &spoilt).unwrap();
    let error = AuditLog::open(&path).unwrap_err();
    assert!(matches!(error, AuditError::Broken { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), spoilt);
}

#[tokio::test]
async fn two_services_do_not_write_one_trail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trail");
    let first = AuditLog::open(&path).unwrap();
    assert!(matches!(AuditLog::open(&path), Err(AuditError::Locked(_))));
    drop(first);
}

#[tokio::test]
async fn many_logins_at_once_are_all_recorded_in_one_chain() {
    let tpm = FakeTpm::new();
    let office = Office::new(&tpm);
    let tpm = &tpm;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let (link, mut agent, asked) = office.desk.at_round_0().await;
        let proofs = agent.answer(tpm, &asked);
        waiting.push((link, agent, proofs));
    }
    let tasks = waiting
        .into_iter()
        .map(|(mut link, mut agent, proofs)| async move {
            let asked = asked_of(tell(&mut link, &mut agent, &proofs).await);
            let proofs = agent.answer(tpm, &asked);
            granted(tell(&mut link, &mut agent, &proofs).await);
            link.closed();
        });
    // All in one task, each waiting for the same writer.
    let mut tasks: Vec<_> = tasks.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        if tasks.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    assert_eq!(check(&office.bytes(), &[]).unwrap().head.seq, 4);
}
