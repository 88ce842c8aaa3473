//! Versions of the clusters' configuration: what holds for every store, and who wins when two change one cluster.

use std::sync::Arc;

use assay_host_verifier::store::{
    ClusterConfigStore, ConfigChange, ConfigOutcome, ConfigVersion, MemoryStore, SQLITE_FILE,
    SqliteStore, Store,
};
use sqlx::Connection;

use crate::postgres::database;
use crate::stores::{at, conformance};

const A: &str = "AgentAttestation";
const S: &str = "SVIDIssuancePolicy";

/// A change of `lab` as far as a test cares.
pub(crate) fn change(sections: &[(&str, Option<&str>)]) -> ConfigChange {
    let owned = |(name, text): &(&str, Option<&str>)| ((*name).to_owned(), text.map(str::to_owned));
    ConfigChange {
        cluster: "lab".to_owned(),
        sections: sections.iter().map(owned).collect(),
        expected: None,
        author: "token:eve".to_owned(),
        comment: "quotes \" and '; DROP TABLE nodes; --é".to_owned(),
        changed_at: at(1000),
        rollback_of: None,
    }
}

fn texts(versions: &[ConfigVersion]) -> Vec<(&str, u64, Option<&str>)> {
    let shown = versions.iter().map(|v| {
        let entry = &v.entry;
        (entry.section.as_str(), entry.version, v.document.as_deref())
    });
    shown.collect()
}

async fn what_was_set_is_found_again_to_the_letter(store: Arc<dyn Store>) {
    assert_eq!(store.config_generation().await.unwrap(), 0);
    assert!(store.config_at("lab", None).await.unwrap().is_empty());
    let mut first = change(&[(A, Some("one \u{1f980}\r\n\ttext"))]);
    first.expected = Some(0);
    assert_eq!(
        store.change_config(&first).await.unwrap(),
        ConfigOutcome::Changed(1)
    );
    assert_eq!(store.config_generation().await.unwrap(), 1);
    let found = store.config_at("lab", None).await.unwrap();
    let [ConfigVersion { entry, document }] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(document.as_deref(), Some("one \u{1f980}\r\n\ttext"));
    assert_eq!(
        (
            entry.cluster.as_str(),
            entry.section.as_str(),
            entry.version
        ),
        ("lab", A, 1)
    );
    assert_eq!(entry.author, "token:eve");
    assert_eq!(entry.comment, first.comment);
    assert_eq!((entry.changed_at, entry.rollback_of), (at(1000), None));
    // printf 'one \U0001f980\r\n\ttext' | sha256sum
    assert_eq!(
        hex::encode(entry.sha256.unwrap()),
        "d0fbd65b2dc73c547cafa69cabd317550094e756f3ca7fc01157c2937a232c4f"
    );
    assert_eq!(store.config_in_force(0).await.unwrap(), found);
}

async fn versions_rise_per_cluster_and_sections_set_together_share_one(store: Arc<dyn Store>) {
    let set = |sections: &[(&str, Option<&str>)]| {
        let (store, change) = (store.clone(), change(sections));
        async move { store.change_config(&change).await.unwrap() }
    };
    assert_eq!(
        set(&[(A, Some("a1")), (S, Some("s1"))]).await,
        ConfigOutcome::Changed(1)
    );
    assert_eq!(set(&[(A, Some("a2"))]).await, ConfigOutcome::Changed(2));
    // Only what is new gets a version.
    assert_eq!(
        set(&[(A, Some("a2")), (S, Some("s3"))]).await,
        ConfigOutcome::Changed(3)
    );
    assert_eq!(
        set(&[(A, Some("a2")), (S, Some("s3"))]).await,
        ConfigOutcome::Unchanged(3)
    );
    let mut other = change(&[(A, Some("b1"))]);
    other.cluster = "other".to_owned();
    assert_eq!(
        store.change_config(&other).await.unwrap(),
        ConfigOutcome::Changed(1)
    );
    assert_eq!(
        store.config_generation().await.unwrap(),
        4,
        "what changed nothing is none"
    );

    for (version, expected) in [
        (Some(0), vec![]),
        (Some(1), vec![(A, 1, Some("a1")), (S, 1, Some("s1"))]),
        (Some(2), vec![(A, 2, Some("a2")), (S, 1, Some("s1"))]),
        (Some(3), vec![(A, 2, Some("a2")), (S, 3, Some("s3"))]),
        (Some(u64::MAX), vec![(A, 2, Some("a2")), (S, 3, Some("s3"))]),
        (None, vec![(A, 2, Some("a2")), (S, 3, Some("s3"))]),
    ] {
        let found = store.config_at("lab", version).await.unwrap();
        assert_eq!(texts(&found), expected, "{version:?}");
    }
    let changed = store.config_in_force(3).await.unwrap();
    assert_eq!(
        texts(&changed),
        [(A, 1, Some("b1"))],
        "only what changed since"
    );
    assert_eq!(store.config_in_force(0).await.unwrap().len(), 3);
    assert!(store.config_in_force(4).await.unwrap().is_empty());

    let history = |section: Option<&'static str>, before: Option<u64>, limit: u32| {
        let store = store.clone();
        async move {
            let entries = store.config_history("lab", section, before, limit).await;
            let shown = entries.unwrap().into_iter();
            shown.map(|e| (e.version, e.section)).collect::<Vec<_>>()
        }
    };
    let all = [(3, S), (2, A), (1, A), (1, S)].map(|(v, s)| (v, s.to_owned()));
    assert_eq!(history(None, None, 100).await, all);
    assert_eq!(history(None, None, 2).await, all[..2]);
    assert_eq!(history(None, Some(2), 100).await, all[2..]);
    assert_eq!(history(Some(S), None, 1).await, all[..1]);
    assert!(history(Some("A"), None, 100).await.is_empty());
}

async fn a_removed_section_is_a_version_too(store: Arc<dyn Store>) {
    let remove = change(&[(A, None)]);
    assert_eq!(
        store.change_config(&remove).await.unwrap(),
        ConfigOutcome::Unchanged(0),
        "there is nothing to remove"
    );
    store
        .change_config(&change(&[(A, Some("a1"))]))
        .await
        .unwrap();
    assert_eq!(
        store.change_config(&remove).await.unwrap(),
        ConfigOutcome::Changed(2)
    );
    let found = store.config_at("lab", None).await.unwrap();
    assert_eq!(texts(&found), [(A, 2, None)]);
    assert_eq!(found[0].entry.sha256, None);
    assert_eq!(
        texts(&store.config_in_force(1).await.unwrap()),
        [(A, 2, None)]
    );
    let mut back = change(&[(A, Some("a1"))]);
    back.rollback_of = Some(1);
    assert_eq!(
        store.change_config(&back).await.unwrap(),
        ConfigOutcome::Changed(3)
    );
    let found = store.config_at("lab", None).await.unwrap();
    assert_eq!(found[0].entry.rollback_of, Some(1));
}

async fn clusters_are_listed_page_by_page(store: Arc<dyn Store>) {
    for name in ["c", "a", "b"] {
        let mut one = change(&[(A, Some("a1")), (S, Some("s1"))]);
        one.cluster = name.to_owned();
        store.change_config(&one).await.unwrap();
    }
    let page = |after: Option<&'static str>, limit: u32| {
        let store = store.clone();
        async move {
            let entries = store.config_clusters(after, limit).await.unwrap();
            entries.into_iter().map(|e| e.cluster).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(None, 2).await, ["a", "a", "b", "b"]);
    assert_eq!(page(Some("b"), 2).await, ["c", "c"]);
    assert!(page(Some("c"), 2).await.is_empty());
}

async fn of_many_who_expect_one_version_one_changes_it(store: Arc<dyn Store>) {
    for round in 0..8u64 {
        let changes: Vec<_> = (0..8)
            .map(|number| {
                let store = store.clone();
                let text = format!("{round} {number}");
                let mut change = change(&[(A, Some(&text)), (S, Some(&text))]);
                change.expected = Some(round);
                tokio::spawn(async move { (text, store.change_config(&change).await.unwrap()) })
            })
            .collect();
        let mut winners = Vec::new();
        for change in changes {
            match change.await.unwrap() {
                (text, ConfigOutcome::Changed(version)) => winners.push((text, version)),
                (_, outcome) => assert_eq!(outcome, ConfigOutcome::Conflict(round + 1)),
            }
        }
        let [(text, version)] = winners.as_slice() else {
            panic!("{winners:?}")
        };
        assert_eq!(*version, round + 1);
        let found = store.config_at("lab", None).await.unwrap();
        let text = Some(text.as_str());
        assert_eq!(texts(&found), [(A, *version, text), (S, *version, text)]);
    }
    assert_eq!(store.config_generation().await.unwrap(), 8);
}

async fn of_many_who_expect_nothing_all_change_it_one_after_the_other(store: Arc<dyn Store>) {
    let changes: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            let change = change(&[(A, Some(&number.to_string()))]);
            tokio::spawn(async move { store.change_config(&change).await.unwrap() })
        })
        .collect();
    let mut versions = Vec::new();
    for change in changes {
        match change.await.unwrap() {
            ConfigOutcome::Changed(version) => versions.push(version),
            outcome => panic!("{outcome:?}"),
        }
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=8).collect::<Vec<_>>());
}

conformance! {
    what_was_set_is_found_again_to_the_letter,
    versions_rise_per_cluster_and_sections_set_together_share_one,
    a_removed_section_is_a_version_too,
    clusters_are_listed_page_by_page,
    of_many_who_expect_one_version_one_changes_it,
    of_many_who_expect_nothing_all_change_it_one_after_the_other,
}

/// The other replica has changed the cluster and not committed yet: whoever expects the version before waits for it, and
/// is refused by what it left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_at_another_replica_is_waited_for_and_then_seen() {
    for keep in [true, false] {
        let database = database();
        let store = database.store().await;
        let mut other = database.connect().await;
        let mut tx = other.begin().await.unwrap();
        for statement in [
            "UPDATE config_generation SET generation = generation + 1",
            "INSERT INTO cluster_config VALUES ('lab', 'AgentAttestation', 1, 1, 'x', decode('00', 'hex'), 'a', '', 0)",
        ] {
            sqlx::query(statement).execute(&mut *tx).await.unwrap();
        }
        let mut change = change(&[(A, Some("a1"))]);
        change.expected = Some(0);
        let changing = tokio::spawn(async move { store.change_config(&change).await.unwrap() });
        let waits = database.clone();
        tokio::task::spawn_blocking(move || waits.wait_for_a_waiter())
            .await
            .unwrap();
        if keep {
            // A digest that this text has, so that the row is read.
            let fix = "UPDATE cluster_config SET sha256 = sha256('x'::bytea)";
            sqlx::query(fix).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let expected = match keep {
            true => ConfigOutcome::Conflict(1),
            false => ConfigOutcome::Changed(1),
        };
        assert_eq!(changing.await.unwrap(), expected);
        let generation = database.sql("SELECT generation FROM config_generation");
        assert_eq!(generation, "1", "a change that is refused is none");
    }
}

#[tokio::test]
async fn a_text_that_is_not_the_one_that_was_stored_is_not_read() {
    let database = database();
    let store = database.store().await;
    store
        .change_config(&change(&[(A, Some("a1"))]))
        .await
        .unwrap();
    database.sql("UPDATE cluster_config SET document = 'a2'");
    assert!(store.config_at("lab", None).await.is_err());
    assert!(store.config_in_force(0).await.is_err());
    store.close().await;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let store = SqliteStore::open(&path).await.unwrap();
    store
        .change_config(&change(&[(A, Some("a1"))]))
        .await
        .unwrap();
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display()))
        .await
        .unwrap();
    sqlx::query("UPDATE cluster_config SET document = 'a2'")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    assert!(store.config_at("lab", None).await.is_err());
    assert!(store.config_in_force(0).await.is_err());
}
