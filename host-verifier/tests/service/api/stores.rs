//! Tokens and pages, the same in every store.

use std::sync::Arc;

use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::{
    ApiTokenRecord, Ban, MemoryStore, Role, SQLITE_FILE, SqliteStore, Store,
};

use crate::stores::{at, conformance, login};

fn token(number: u8) -> ApiTokenRecord {
    ApiTokenRecord {
        id: format!("{number:016x}"),
        sha256: [number; 32],
        name: format!("name \"{number}\"; DROP TABLE api_tokens; --é"),
        role: Role::ALL[usize::from(number) % 3],
        created_at: at(1000),
        created_by: "test".to_owned(),
        expires_at: number.is_multiple_of(2).then(|| at(5000)),
    }
}

async fn a_token_is_found_by_its_hash_to_the_letter_until_it_is_revoked(store: Arc<dyn Store>) {
    for number in [2, 1] {
        assert!(store.add_api_token(&token(number)).await.unwrap());
    }
    assert_eq!(store.api_token(&[1; 32]).await.unwrap(), Some(token(1)));
    assert_eq!(store.api_token(&[2; 32]).await.unwrap(), Some(token(2)));
    assert_eq!(store.api_token(&[3; 32]).await.unwrap(), None);
    assert_eq!(
        store.api_tokens("", 10).await.unwrap(),
        [token(1), token(2)]
    );
    assert_eq!(store.api_tokens("", 1).await.unwrap(), [token(1)]);
    assert_eq!(store.api_tokens(&token(1).id, 1).await.unwrap(), [token(2)]);
    let revoked = store.revoke_api_token(&token(1).id).await.unwrap();
    assert_eq!(revoked, Some(token(1)));
    assert_eq!(store.revoke_api_token(&token(1).id).await.unwrap(), None);
    assert_eq!(store.api_token(&[1; 32]).await.unwrap(), None);
    assert_eq!(store.api_tokens("", 10).await.unwrap(), [token(2)]);
}

async fn a_token_that_is_there_is_not_written_over(store: Arc<dyn Store>) {
    assert!(store.add_api_token(&token(1)).await.unwrap());
    let same_id = ApiTokenRecord {
        role: Role::Admin,
        sha256: [9; 32],
        ..token(1)
    };
    assert!(!store.add_api_token(&same_id).await.unwrap());
    let same_hash = ApiTokenRecord {
        role: Role::Admin,
        id: "f".repeat(16),
        ..token(1)
    };
    assert!(!store.add_api_token(&same_hash).await.unwrap());
    assert_eq!(store.api_tokens("", 10).await.unwrap(), [token(1)]);
}

async fn pages_show_each_that_lives_once_and_in_order(store: Arc<dyn Store>) {
    for number in 1..=9 {
        let mut record = login(number, &format!("ek{number}"));
        if number == 3 {
            record.session.expires_at = at(1900);
        }
        store.commit_login(&record).await.unwrap();
    }
    store
        .revoke_session(SessionId([4; 16]), at(1500))
        .await
        .unwrap();
    let ban = Ban {
        ek_hash: "ek5".to_owned(),
        banned_at: at(1500),
        banned_by: "test".to_owned(),
        reason: "test".to_owned(),
    };
    store.ban(&ban).await.unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.session_page(at(2000), after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.iter().map(|session| session.id.0[0]));
    }
    assert_eq!(seen, [1, 2, 6, 7, 8, 9]);
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = store.node_page(&after, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after.clone_from(&last.ek_hash);
        seen.extend(
            page.iter()
                .map(|node| (node.ek_hash.clone(), node.ban.is_some())),
        );
    }
    let all: Vec<_> = (1..=9).map(|n| (format!("ek{n}"), n == 5)).collect();
    assert_eq!(seen, all);
}

conformance! {
    a_token_is_found_by_its_hash_to_the_letter_until_it_is_revoked,
    a_token_that_is_there_is_not_written_over,
    pages_show_each_that_lives_once_and_in_order,
}
