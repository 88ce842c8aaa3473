//! A verifier that ends at every point of a login and of a renewal: before and after each call of the store, and before,
//! in the middle of and after each write of the audit trail. The next one goes on with what is on the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use assay_common::protocol::DenyCode;
use assay_host_verifier::audit::{self, AuditLog, Disk, Folder, Settings, verify};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::server::{Reply, RequestLogins};
use assay_host_verifier::store::{SessionRecord, SqliteStore, Store, StoreError};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::{renew, renewed_until};
use crate::agent::{Answer, Opened};
use crate::desk::{Desk, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;
use crate::postgres;
use crate::seam::{Call, Seam, SeamStore};
use crate::state_keys::open;

/// Every point of a login of two rounds and of a renewal, in order.
const POINTS: [&str; 18] = [
    "before TakeChallenge",
    "after TakeChallenge",
    "before Node",
    "after Node",
    "before TakeChallenge",
    "after TakeChallenge",
    "before CommitLogin",
    "after CommitLogin",
    "before Record",
    "amid Record",
    "after Record",
    "before Session",
    "after Session",
    "before RenewSession",
    "after RenewSession",
    "before Record",
    "amid Record",
    "after Record",
];

/// Ends a verifier at one of the points that it passes.
#[derive(Debug)]
struct Fate {
    /// How many points it still passes.
    left: AtomicUsize,
    /// Where it ended.
    ended: Mutex<Option<String>>,
    died: Notify,
    /// Whether everything of it has been dropped but the thread of its disk.
    buried: Mutex<bool>,
    burial: Condvar,
}

impl Fate {
    fn after(points: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(points),
            ended: Mutex::new(None),
            died: Notify::new(),
            buried: Mutex::new(false),
            burial: Condvar::new(),
        })
    }

    /// Whether it has ended, here or before.
    fn ends(&self, point: &str) -> bool {
        let mut ended = self.ended.lock().unwrap();
        if ended.is_some() {
            return true;
        }
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
            return false;
        }
        *ended = Some(point.to_owned());
        self.died.notify_one();
        true
    }

    /// Lets the disk's thread go: nobody hears it any more.
    fn bury(&self) {
        *self.buried.lock().unwrap() = true;
        self.burial.notify_all();
    }

    fn point(&self) -> Option<String> {
        self.ended.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Seam for Arc<Fate> {
    async fn before(&self, call: Call) -> Result<(), StoreError> {
        match self.ends(&format!("before {call:?}")) {
            true => std::future::pending().await,
            false => Ok(()),
        }
    }

    async fn after(&self, call: Call) {
        if self.ends(&format!("after {call:?}")) {
            std::future::pending().await
        }
    }
}

/// The disk of a verifier: when it has ended, nothing changes any more.
struct MortalDisk {
    folder: Folder,
    fate: Arc<Fate>,
}

impl MortalDisk {
    fn passes(&self, point: &str) -> io::Result<()> {
        if !self.fate.ends(point) {
            return Ok(());
        }
        let buried = self.fate.buried.lock().unwrap();
        let _buried = self.fate.burial.wait_while(buried, |buried| !*buried);
        Err(io::Error::other("ended"))
    }
}

impl Disk for MortalDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.passes("before Record")?;
        let (begin, rest) = bytes.split_at(bytes.len() / 2);
        self.folder.append(begin)?;
        self.passes("amid Record")?;
        self.folder.append(rest)?;
        self.passes("after Record")
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        match self.fate.point() {
            Some(_) => Err(io::Error::other("ended")),
            None => self.folder.truncate(len),
        }
    }
}

/// What a node sent and was answered.
#[derive(Debug, Default)]
struct Story {
    /// Requests that were answered: (state, message).
    answered: Vec<(Vec<u8>, Vec<u8>)>,
    /// The request that was not.
    open: Option<(Vec<u8>, Vec<u8>)>,
    session: Option<Opened>,
    renewed_until: Option<u64>,
}

impl Story {
    async fn turn(
        &mut self,
        desk: &Desk,
        logins: &RequestLogins,
        state: Vec<u8>,
        message: Vec<u8>,
    ) -> Reply {
        self.open = Some((state.clone(), message.clone()));
        let reply = turn(desk, logins, &state, &message).await;
        self.open = None;
        self.answered.push((state, message));
        reply
    }

    /// A login, half an hour, a renewal.
    async fn live(&mut self, desk: &Desk, tpm: &mut FakeTpm) {
        let logins = RequestLogins::default();
        let mut agent = desk.agent();
        let hello = agent.hello();
        let mut reply = self.turn(desk, &logins, Vec::new(), hello).await;
        let session = loop {
            match agent.hear(&reply.message) {
                Answer::Asked(asked) => {
                    let proofs = agent.answer(tpm, &asked);
                    reply = self.turn(desk, &logins, reply.state, proofs).await;
                }
                other => break granted(other),
            }
        };
        let (_, nonce, _) = session.renewal.clone().unwrap();
        let id = session.session_id;
        self.session = Some(session);
        desk.clock.advance(Duration::from_secs(1800));
        tpm.clock += 1_800_000;
        let message = renew(tpm, id, &nonce);
        let reply = self.turn(desk, &logins, Vec::new(), message).await;
        self.renewed_until = renewed_until(&reply.message);
        assert!(self.renewed_until.is_some(), "{reply:?}");
    }
}

async fn turn(desk: &Desk, logins: &RequestLogins, state: &[u8], message: &[u8]) -> Reply {
    let blobs = Blobs::default();
    logins
        .turn(&desk.server, "https:192.0.2.1", state, &blobs, message)
        .await
}

/// What a life leaves: the store, and a folder with its trail.
struct Left {
    store: Arc<dyn Store>,
    folder: TempDir,
}

impl Left {
    fn trail(&self, life: usize) -> PathBuf {
        let folder = self.folder.path().join(life.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(audit::FILE)
    }

    async fn sessions(&self, tpm: &FakeTpm) -> Vec<SessionRecord> {
        let mut sessions = self
            .store
            .sessions(jiff::Timestamp::MIN, 1000)
            .await
            .unwrap();
        sessions.retain(|session| session.ek_hash == tpm.ek_hash());
        sessions
    }

    /// What holds of the store and the trail together, whenever a verifier ended.
    async fn check(&self, trail: &Path, tpm: &FakeTpm, story: &Story, point: &str) {
        let bytes = std::fs::read(trail).unwrap();
        let summary = verify(bytes.as_slice(), &[]).unwrap();
        assert_eq!(summary.unfinished, 0, "{point}: cut off by the start");
        let records: Vec<Value> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let recorded = |outcome: &str, id: &str| {
            let told = |record: &&Value| record["outcome"] == outcome && record["session_id"] == id;
            records.iter().filter(told).count()
        };
        let sessions = self.sessions(tpm).await;
        let stored = |id: &str| sessions.iter().find(|session| session.id.to_string() == id);
        for record in &records {
            if let Some(id) = record["session_id"].as_str() {
                let session = stored(id).unwrap_or_else(|| panic!("{point}: {id} is not stored"));
                if record["outcome"] == "renewed" {
                    assert!(session.renewed_at.is_some(), "{point}");
                }
            }
        }
        for session in &sessions {
            let granted = recorded("granted", &session.id.to_string());
            assert!(granted <= 1, "{point}: decided once");
            if granted == 0 {
                assert!(story.session.is_none(), "{point}: told without a record");
            }
        }
        if let Some(opened) = &story.session {
            let id = hex::encode(opened.session_id);
            let session = stored(&id).unwrap_or_else(|| panic!("{point}: the session is lost"));
            assert_eq!(recorded("granted", &id), 1, "{point}");
            if let Some(until) = story.renewed_until {
                assert_eq!(session.expires_at.as_second(), until as i64, "{point}");
                assert_eq!(recorded("renewed", &id), 1, "{point}");
            }
        }
    }
}

/// A life that ends after so many points, and the next one. Where it ended; `None` when it came to its end by itself.
async fn lives(store: &Arc<dyn Store>, points: usize) -> Option<String> {
    let mut tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let left = Left {
        store: store.clone(),
        folder: tempfile::tempdir().unwrap(),
    };
    let fate = Fate::after(points);
    let challenge = desk.server.verifier.current().key.clone();
    desk.server.state_keys = open(store.clone(), challenge.clone(), &desk.clock).await;
    let trail = left.trail(0);
    let disk = |folder| MortalDisk {
        folder,
        fate: fate.clone(),
    };
    desk.server.audit = AuditLog::through(&trail, Settings::default(), disk).unwrap();
    desk.server.store = Arc::new(SeamStore {
        inner: store.clone(),
        seam: fate.clone(),
    });
    let mut story = Story::default();
    tokio::select! {
        () = fate.died.notified() => {}
        () = story.live(&desk, &mut tpm) => {}
    }
    fate.bury();
    let point = fate.point();
    let name = point.as_deref().unwrap_or("end");

    // The next life reads what is on the disk, and has nothing in memory.
    let next = left.trail(1);
    std::fs::copy(&trail, &next).unwrap();
    let (audit, cut) = AuditLog::open(&next).unwrap();
    assert_eq!(cut > 0, name == "amid Record", "{name}");
    desk.server.audit = audit;
    desk.server.store = store.clone();
    desk.server.state_keys = open(store.clone(), challenge, &desk.clock).await;
    let logins = RequestLogins::default();
    left.check(&next, &tpm, &story, name).await;

    // What was answered before is not answered again: neither a challenge nor a nonce.
    for (state, message) in story.answered.iter().skip(1) {
        let reply = turn(&desk, &logins, state, message).await;
        let code = reply.denied.map(|denied| denied.code);
        let expected = match state.is_empty() {
            // The same message has the answer that it had.
            true => None,
            // Half an hour after its grant, a login has no more time for a second answer either.
            false if story.session.is_some() => Some(DenyCode::EXPIRED),
            false => Some(DenyCode::REFUSED),
        };
        assert_eq!(code, expected, "{name}");
    }
    // What was not is taken if the store has not taken it yet.
    if let Some((state, message)) = &story.open {
        let reply = turn(&desk, &logins, state, message).await;
        let code = reply.denied.map(|denied| denied.code);
        let expected = match (state.is_empty(), name) {
            (false, "before TakeChallenge") => None,
            (false, _) => Some(DenyCode::REFUSED),
            // Whether it was stored and nobody knows, or not: the same message goes through.
            (true, _) => None,
        };
        assert_eq!(code, expected, "{name}");
    }
    // And the same node logs in.
    let sessions = left.sessions(&tpm).await.len();
    tpm.clock += 1;
    granted(desk.login(&tpm).await);
    assert_eq!(left.sessions(&tpm).await.len(), sessions + 1, "{name}");
    let bytes = std::fs::read(&next).unwrap();
    verify(bytes.as_slice(), &[]).unwrap();
    point
}

async fn a_life_for_every_point(store: Arc<dyn Store>) {
    let mut points = Vec::new();
    while let Some(point) = lives(&store, points.len()).await {
        points.push(point);
    }
    assert_eq!(points, POINTS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_may_end_at_any_point_over_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("assay.sqlite");
    a_life_for_every_point(Arc::new(SqliteStore::open(&path).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_may_end_at_any_point_over_postgresql() {
    let database = postgres::database();
    a_life_for_every_point(Arc::new(database.store().await)).await;
}
