//! What nodes may boot, and how often they did, in every store; and how operators register images.

use std::sync::Arc;

use assay_host_verifier::store::{
    ImageRecord, MemoryStore, NodeBoot, SQLITE_FILE, SqliteStore, Store,
};

use crate::stores::{at, conformance, login};

fn image(number: u8, name: &str) -> ImageRecord {
    ImageRecord {
        sha256: [number; 32],
        name: name.to_owned(),
        version: format!("1.0.{number}"),
        len: u32::MAX - u32::from(number),
        build_id: "\"'; DROP TABLE images; --é".to_owned(),
        registered_at: at(1000 + i64::from(number)),
        registered_by: "test".to_owned(),
        revoked_at: None,
    }
}

fn boot(counter: u32, reset_count: u32, witness: u8) -> NodeBoot {
    NodeBoot {
        counter,
        reset_count,
        witness: [witness; 32],
    }
}

async fn images_are_found_by_name_and_by_digest_each_once(store: Arc<dyn Store>) {
    for (number, name) in [(2, "b"), (1, "a"), (3, "a"), (4, "c")] {
        assert!(store.register_image(&image(number, name)).await.unwrap());
    }
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let found = store.images_for(&names(&["a"]), &[]).await.unwrap();
    assert_eq!(found, [image(1, "a"), image(3, "a")]);
    let found = store
        .images_for(&names(&["a"]), &[[3; 32], [4; 32], [9; 32]])
        .await
        .unwrap();
    assert_eq!(found, [image(1, "a"), image(3, "a"), image(4, "c")]);
    assert_eq!(
        store
            .images_for(&names(&["A", "%", ""]), &[])
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.images_for(&[], &[]).await.unwrap(), []);
    let page = store.images(None, 2).await.unwrap();
    assert_eq!(page, [image(1, "a"), image(2, "b")]);
    let page = store.images(Some(&[2; 32]), 9).await.unwrap();
    assert_eq!(page, [image(3, "a"), image(4, "c")]);
}

async fn an_image_that_is_there_is_not_written_over_also_when_it_was_revoked(
    store: Arc<dyn Store>,
) {
    assert!(store.register_image(&image(1, "a")).await.unwrap());
    let other = ImageRecord {
        name: "b".to_owned(),
        ..image(1, "a")
    };
    assert!(!store.register_image(&other).await.unwrap());
    let revoked = ImageRecord {
        revoked_at: Some(at(5000)),
        ..image(1, "a")
    };
    let told = store.revoke_image(&[1; 32], at(5000)).await.unwrap();
    assert_eq!(told.as_ref(), Some(&revoked));
    assert_eq!(store.revoke_image(&[1; 32], at(6000)).await.unwrap(), None);
    assert_eq!(store.revoke_image(&[2; 32], at(6000)).await.unwrap(), None);
    assert!(!store.register_image(&image(1, "a")).await.unwrap());
    assert_eq!(store.images(None, 9).await.unwrap(), [revoked]);
}

async fn a_boot_takes_the_place_of_the_one_before_only_where_it_follows(store: Arc<dyn Store>) {
    let note = async |node: &str, boot: NodeBoot| store.note_boot(node, &boot).await.unwrap();
    assert_eq!(note("a", boot(7, 5, 1)).await, None);
    assert_eq!(note("a", boot(8, 6, 2)).await, Some(boot(7, 5, 1)));
    for refused in [boot(9, 8, 3), boot(8, 7, 3), boot(8, 6, 3), boot(7, 6, 2)] {
        assert!(refused.follows(&boot(8, 6, 2)).is_err());
        assert_eq!(note("a", refused).await, Some(boot(8, 6, 2)), "{refused:?}");
    }
    assert_eq!(note("a", boot(8, 6, 2)).await, Some(boot(8, 6, 2)));
    assert_eq!(
        note("b", boot(1, 1, 1)).await,
        None,
        "each node has its own"
    );
    let top = boot(u32::MAX, u32::MAX, 9);
    assert_eq!(note("c", top).await, None);
    assert_eq!(note("c", boot(0, 0, 1)).await, Some(top));
}

async fn boots_are_forgotten_alone(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    assert_eq!(store.noted_boot("a").await.unwrap(), None);
    assert!(!store.forget_boot("a").await.unwrap());
    store.note_boot("a", &boot(7, 5, 1)).await.unwrap();
    store.note_boot("b", &boot(7, 5, 1)).await.unwrap();
    assert_eq!(store.noted_boot("a").await.unwrap(), Some(boot(7, 5, 1)));
    assert!(store.forget_boot("a").await.unwrap());
    assert_eq!(store.noted_boot("a").await.unwrap(), None);
    assert_eq!(store.noted_boot("b").await.unwrap(), Some(boot(7, 5, 1)));
    assert!(store.node("a").await.unwrap().is_some());
}

async fn a_node_that_is_evicted_boots_anew(store: Arc<dyn Store>) {
    store.commit_login(&login(1, "a")).await.unwrap();
    store.note_boot("a", &boot(7, 5, 1)).await.unwrap();
    store.note_boot("b", &boot(7, 5, 1)).await.unwrap();
    assert!(store.evict_node("a").await.unwrap());
    assert_eq!(store.note_boot("a", &boot(1, 1, 1)).await.unwrap(), None);
    assert_eq!(
        store.note_boot("b", &boot(8, 5, 1)).await.unwrap(),
        Some(boot(7, 5, 1))
    );
}

conformance! {
    images_are_found_by_name_and_by_digest_each_once,
    an_image_that_is_there_is_not_written_over_also_when_it_was_revoked,
    a_boot_takes_the_place_of_the_one_before_only_where_it_follows,
    boots_are_forgotten_alone,
    a_node_that_is_evicted_boots_anew,
}
