//! After the login: renewal, revocation and bans, the same in every store.

use std::sync::Arc;

use assay_host_verifier::attestor::BootState;
use assay_host_verifier::session::{QuotedState, RenewalBasis, SessionId, Shown};
use assay_host_verifier::store::{
    Ban, Commit, Conflict, LoginRecord, MemoryStore, Renewable, SQLITE_FILE, SessionRenewal,
    SqliteStore, Store,
};

use crate::stores::{at, boot, conformance, login};

fn basis(clock: u64) -> RenewalBasis {
    RenewalBasis {
        shown: Shown::Quote(QuotedState {
            ak_public: vec![0, 1, 255],
            selection: vec![1],
            values_sha256: [7; 32],
            boot: BootState { clock, ..boot(7) },
        }),
        shown_at: at(1500),
        configuration: "lab@1".to_owned(),
        svid_key: Some(vec![0x30, 0]),
        renewed_for: (clock > 1).then_some([6; 32]),
        known_as: vec!["ab".repeat(32)],
    }
}

fn renewable(number: u8, ek: &str) -> LoginRecord {
    let mut record = login(number, ek);
    record.session.renewal = Some(Renewable {
        nonce: [number; 32],
        basis: basis(1),
    });
    record
}

fn renewal(number: u8, nonce: u8, next: u8) -> SessionRenewal {
    SessionRenewal {
        id: SessionId([number; 16]),
        nonce: [nonce; 32],
        next_nonce: [next; 32],
        basis: basis(u64::from(next)),
        renewed_at: at(2000),
        expires_at: at(6000),
    }
}

fn ban(ek: &str, second: i64) -> Ban {
    Ban {
        ek_hash: ek.to_owned(),
        banned_at: at(second),
        banned_by: "token:ops".to_owned(),
        reason: "stolen; 'rack 7'".to_owned(),
    }
}

async fn a_renewal_moves_the_end_and_takes_the_nonce(store: Arc<dyn Store>) {
    let record = renewable(1, "a");
    store.commit_login(&record).await.unwrap();
    let read = store.session(SessionId([1; 16])).await.unwrap().unwrap();
    assert_eq!(read, record.session, "to the letter");
    assert!(store.renew_session(&renewal(1, 1, 2)).await.unwrap());
    let read = store.session(SessionId([1; 16])).await.unwrap().unwrap();
    assert_eq!(
        (read.expires_at, read.renewed_at, read.issued_at),
        (at(6000), Some(at(2000)), record.session.issued_at)
    );
    assert_eq!(
        read.renewal,
        Some(Renewable {
            nonce: [2; 32],
            basis: basis(2)
        })
    );
    assert!(
        !store.renew_session(&renewal(1, 1, 3)).await.unwrap(),
        "the nonce is used up"
    );
    assert!(store.renew_session(&renewal(1, 2, 3)).await.unwrap());
}

async fn of_many_renewals_over_one_nonce_one_is_made(store: Arc<dyn Store>) {
    store.commit_login(&renewable(1, "a")).await.unwrap();
    let renewals: Vec<_> = (10..18u8)
        .map(|next| {
            let store = store.clone();
            tokio::spawn(async move { store.renew_session(&renewal(1, 1, next)).await.unwrap() })
        })
        .collect();
    let mut made = 0;
    for renewal in renewals {
        made += usize::from(renewal.await.unwrap());
    }
    assert_eq!(made, 1);
}

async fn only_a_live_session_is_renewed(store: Arc<dyn Store>) {
    assert!(
        !store.renew_session(&renewal(1, 1, 2)).await.unwrap(),
        "there is none"
    );
    store.commit_login(&login(1, "a")).await.unwrap();
    assert!(
        !store.renew_session(&renewal(1, 1, 2)).await.unwrap(),
        "it was granted without renewal"
    );
    store.commit_login(&renewable(2, "a")).await.unwrap();
    let mut late = renewal(2, 2, 3);
    late.renewed_at = at(5000);
    assert!(
        !store.renew_session(&late).await.unwrap(),
        "it ended this second"
    );
    let mut long = renewal(2, 2, 3);
    long.expires_at = at(9001);
    assert!(
        !store.renew_session(&long).await.unwrap(),
        "beyond the time of the next full login"
    );
    long.expires_at = at(9000);
    assert!(store.renew_session(&long).await.unwrap());
    assert!(store.revoke_session(long.id, at(2500)).await.unwrap());
    assert!(!store.renew_session(&renewal(2, 3, 4)).await.unwrap());
}

async fn a_revoked_session_is_over_for_every_reader(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    store.commit_login(&login(2, "a")).await.unwrap();
    let id = SessionId([1; 16]);
    assert!(store.revoke_session(id, at(2000)).await.unwrap());
    assert!(
        !store.revoke_session(id, at(2001)).await.unwrap(),
        "once is enough"
    );
    let read = store.session(id).await.unwrap().unwrap();
    assert_eq!(
        (read.revoked_at, read.is_live(at(2000))),
        (Some(at(2000)), false)
    );
    let live = store.sessions(at(2000), 10).await.unwrap();
    assert_eq!(live.iter().map(|s| s.id.0[0]).collect::<Vec<_>>(), [2]);
    let kept = store.kept_sessions(10).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|s| (s.id.0[0], s.revoked_at)).collect();
    assert_eq!(kept, [(2, None), (1, Some(at(2000)))], "the newest first");
    assert_eq!(store.kept_sessions(1).await.unwrap().len(), 1);
    assert!(
        !store
            .revoke_session(SessionId([9; 16]), at(1))
            .await
            .unwrap()
    );
    assert!(
        !store
            .revoke_session(SessionId([2; 16]), at(5000))
            .await
            .unwrap(),
        "what has ended is not revoked"
    );
}

async fn a_banned_node_has_no_sessions_and_gets_none(store: Arc<dyn Store>) {
    store.commit_login(&renewable(1, "a")).await.unwrap();
    store.commit_login(&login(2, "b")).await.unwrap();
    assert!(store.ban(&ban("a", 2000)).await.unwrap());
    assert!(!store.ban(&ban("a", 3000)).await.unwrap());
    let live = store.sessions(at(2000), 10).await.unwrap();
    assert_eq!(live.iter().map(|s| s.id.0[0]).collect::<Vec<_>>(), [2]);
    let read = store.session(SessionId([1; 16])).await.unwrap().unwrap();
    assert_eq!(read.revoked_at, Some(at(2000)));
    assert!(!store.renew_session(&renewal(1, 1, 2)).await.unwrap());
    let node = store.node("a").await.unwrap().unwrap();
    assert_eq!(node.ban, Some(ban("a", 2000)), "the first ban stays");
    assert_eq!(store.node("b").await.unwrap().unwrap().ban, None);
    match store.commit_login(&login(3, "a")).await.unwrap() {
        Commit::Refused(Conflict::Banned { reason, .. }) => assert_eq!(reason, "stolen; 'rack 7'"),
        other => panic!("{other:?}"),
    }

    assert!(store.unban("a").await.unwrap());
    assert!(!store.unban("a").await.unwrap());
    let read = store.session(SessionId([1; 16])).await.unwrap().unwrap();
    assert_eq!(
        read.revoked_at,
        Some(at(2000)),
        "what a ban ended stays ended"
    );
    assert_eq!(
        store.commit_login(&login(3, "a")).await.unwrap(),
        Commit::Stored
    );
}

async fn an_ek_is_banned_before_it_is_known_and_after_it_is_evicted(store: Arc<dyn Store>) {
    assert!(store.ban(&ban("new", 1000)).await.unwrap());
    assert!(matches!(
        store.commit_login(&login(1, "new")).await.unwrap(),
        Commit::Refused(Conflict::Banned { .. })
    ));
    assert_eq!(store.node("new").await.unwrap(), None);
    store.commit_login(&login(2, "old")).await.unwrap();
    store.ban(&ban("old", 3000)).await.unwrap();
    assert!(store.evict_node("old").await.unwrap());
    assert!(matches!(
        store.commit_login(&login(3, "old")).await.unwrap(),
        Commit::Refused(Conflict::Banned { .. })
    ));
    let bans = store.bans(10).await.unwrap();
    assert_eq!(
        bans,
        [ban("old", 3000), ban("new", 1000)],
        "the latest first"
    );
    assert_eq!(store.bans(1).await.unwrap().len(), 1);
}

async fn a_nodes_live_sessions_and_a_ban_are_found_by_their_hash(store: Arc<dyn Store>) {
    for number in 1..=3 {
        store.commit_login(&login(number, "a")).await.unwrap();
    }
    store.commit_login(&login(4, "b")).await.unwrap();
    let id = |number| SessionId([number; 16]);
    assert!(store.revoke_session(id(2), at(2000)).await.unwrap());
    let of = async |node: &str, now: i64, limit: u32| {
        let sessions = store.sessions_of(node, at(now), limit).await.unwrap();
        sessions.into_iter().map(|s| s.id).collect::<Vec<_>>()
    };
    assert_eq!(of("a", 2000, 9).await, [id(3), id(1)]);
    assert_eq!(of("a", 2000, 1).await, [id(3)]);
    assert_eq!(of("b", 2000, 9).await, [id(4)]);
    assert!(of("a", 5000, 9).await.is_empty(), "they ended this second");
    assert!(of("c", 2000, 9).await.is_empty());
    let ban = ban("b", 2000);
    assert_eq!(store.ban_of("b").await.unwrap(), None);
    store.ban(&ban).await.unwrap();
    assert_eq!(store.ban_of("b").await.unwrap(), Some(ban));
    assert_eq!(store.ban_of("a").await.unwrap(), None);
    assert!(of("b", 2000, 9).await.is_empty());
}

conformance! {
    a_nodes_live_sessions_and_a_ban_are_found_by_their_hash,
    a_renewal_moves_the_end_and_takes_the_nonce,
    of_many_renewals_over_one_nonce_one_is_made,
    only_a_live_session_is_renewed,
    a_revoked_session_is_over_for_every_reader,
    a_banned_node_has_no_sessions_and_gets_none,
    an_ek_is_banned_before_it_is_known_and_after_it_is_evicted,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_write_that_fails_takes_no_other_of_its_batch_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join(SQLITE_FILE))
        .await
        .unwrap();
    store.commit_login(&login(1, "first")).await.unwrap();
    // All wait together: a session's name that is taken, and 40 logins that have nothing to do with it.
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..41u8 {
        let store = store.clone();
        let taken = number == 20;
        let mut record = login(number + 100, &format!("ek{number}"));
        if taken {
            record.session.id = SessionId([1; 16]);
        }
        writes.spawn(async move { (taken, store.commit_login(&record).await) });
    }
    while let Some(joined) = writes.join_next().await {
        let (taken, result) = joined.unwrap();
        assert_eq!(taken, result.is_err(), "{result:?}");
    }
    assert_eq!(store.nodes(100).await.unwrap().len(), 41);
    store.close().await;
    assert!(
        store.commit_login(&login(2, "late")).await.is_err(),
        "closed"
    );
}
