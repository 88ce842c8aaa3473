//! A failed check, an error or a broken store grants nothing.

use assay_common::protocol::DenyCode;
use assay_host_verifier::attestor::Fault;
use assay_host_verifier::login::denial::code_of;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::{
    ApiTokenRecord, ApiTokens, Authorities, AuthorityRecord, AuthorityStore, Ban,
    ClusterConfigStore, Commit, ConfigChange, ConfigEntry, ConfigOutcome, ConfigVersion, Lifecycle,
    LoginRecord, MemoryStore, NodeRecord, Paging, SessionRecord, SessionRenewal, Store, StoreError,
};
use assay_host_verifier::svid::rotation::State;
use assay_host_verifier::transport::connection::Conversation;

use super::{assert_refused, round_1};
use crate::agent::{Answer, EK, QUOTE, banks, encode};
use crate::desk::{Desk, LOGIN_TIMEOUT, ek_and_quote, say};
use crate::fake_tpm::FakeTpm;

#[tokio::test]
async fn a07_a_bad_quote_signature_is_a_refusal_and_not_a_log_line() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let forger = FakeTpm::new();
    let answer = round_1(&desk, &tpm, |agent, asked| {
        let nonce = assay_common::login::quote_nonce(&agent.transcript);
        let banks = banks(asked.item(QUOTE));
        let values = tpm.selected(&banks);
        let attest = tpm.attest(&banks, &nonce, &values);
        let payload = assay_common::method::tpm_quote::QuotePayload {
            attest: &attest,
            signature: &forger.sign(&attest),
            pcr_values: &values,
        };
        vec![
            (EK, agent.ek_response(&tpm, asked.item(EK))),
            (QUOTE, encode(&payload)),
        ]
    })
    .await;
    assert_refused(&answer);
    assert!(
        desk.last_denial().contains("tpm_quote failed"),
        "the operator sees which proof"
    );
    assert_eq!(desk.sessions().await, 0);
    assert_eq!(desk.store.node(&tpm.ek_hash()).await.unwrap(), None);
}

#[tokio::test]
async fn a08_an_error_or_a_timeout_never_leaves_a_node_attested() {
    // Every kind of fault maps to a refusal; there is none that goes on.
    for fault in [
        Fault::Malformed,
        Fault::Refused,
        Fault::Misconfigured,
        Fault::Unavailable,
        Fault::Internal,
    ] {
        assert!(code_of(fault).name().is_some());
    }
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    // The agent falls silent after its EK was proven and before the quote.
    let (mut link, mut agent, asked) = desk.at_round_1(&tpm).await;
    let message = agent.answer(&tpm, &asked);
    desk.clock.advance(LOGIN_TIMEOUT * 2);
    let denied = agent.hear(&link.tick().await.unwrap());
    assert!(
        matches!(denied, Answer::Denied(DenyCode::EXPIRED, _)),
        "{denied:?}"
    );
    let late = agent.hear(&say(&mut link, &message).await.unwrap());
    assert!(
        matches!(late, Answer::Denied(DenyCode::MALFORMED, _)),
        "{late:?}"
    );
    assert_eq!(desk.sessions().await, 0);
}

#[tokio::test]
async fn a08_a_store_that_fails_grants_nothing() {
    let tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    for broken in [Broken::Challenges, Broken::Nodes, Broken::Commit] {
        desk.server.store = std::sync::Arc::new(BrokenStore {
            broken,
            inner: MemoryStore::new(),
        });
        let answer = desk.login(&tpm).await;
        assert!(
            matches!(answer, Answer::Denied(DenyCode::UNAVAILABLE, _)),
            "{broken:?}: {answer:?}"
        );
        let left = desk
            .server
            .store
            .sessions(jiff::Timestamp::MIN, 10)
            .await
            .unwrap();
        assert!(left.is_empty(), "{broken:?}");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Challenges,
    Nodes,
    Commit,
}

/// A store that fails at one place.
#[derive(Debug)]
struct BrokenStore {
    broken: Broken,
    inner: MemoryStore,
}

impl BrokenStore {
    fn fail(&self, place: Broken) -> Result<(), StoreError> {
        if self.broken == place {
            Err(StoreError::Damaged("test"))
        } else {
            Ok(())
        }
    }
}

/// Configuration is not what breaks here.
#[async_trait::async_trait]
impl ClusterConfigStore for BrokenStore {
    async fn config_generation(&self) -> Result<u64, StoreError> {
        self.inner.config_generation().await
    }

    async fn change_config(&self, change: &ConfigChange) -> Result<ConfigOutcome, StoreError> {
        self.inner.change_config(change).await
    }

    async fn config_in_force(&self, generation: u64) -> Result<Vec<ConfigVersion>, StoreError> {
        self.inner.config_in_force(generation).await
    }

    async fn config_at(
        &self,
        cluster: &str,
        version: Option<u64>,
    ) -> Result<Vec<ConfigVersion>, StoreError> {
        self.inner.config_at(cluster, version).await
    }

    async fn config_history(
        &self,
        cluster: &str,
        section: Option<&str>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        let inner = &self.inner;
        inner.config_history(cluster, section, before, limit).await
    }

    async fn config_clusters(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ConfigEntry>, StoreError> {
        self.inner.config_clusters(after, limit).await
    }
}

#[async_trait::async_trait]
impl ApiTokens for BrokenStore {
    async fn add_api_token(&self, token: &ApiTokenRecord) -> Result<bool, StoreError> {
        self.inner.add_api_token(token).await
    }

    async fn api_token(&self, sha256: &[u8; 32]) -> Result<Option<ApiTokenRecord>, StoreError> {
        self.inner.api_token(sha256).await
    }

    async fn api_tokens(&self, after: &str, limit: u32) -> Result<Vec<ApiTokenRecord>, StoreError> {
        self.inner.api_tokens(after, limit).await
    }

    async fn revoke_api_token(&self, id: &str) -> Result<Option<ApiTokenRecord>, StoreError> {
        self.inner.revoke_api_token(id).await
    }
}

#[async_trait::async_trait]
impl Paging for BrokenStore {
    async fn session_page(
        &self,
        now: jiff::Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.session_page(now, after, limit).await
    }

    async fn node_page(&self, after: &str, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        self.inner.node_page(after, limit).await
    }
}

#[async_trait::async_trait]
impl AuthorityStore for BrokenStore {
    async fn publish_authority(&self, record: &AuthorityRecord) -> Result<bool, StoreError> {
        self.inner.publish_authority(record).await
    }

    async fn set_authority_state(
        &self,
        trust_domain: &str,
        id: &str,
        state: State,
    ) -> Result<bool, StoreError> {
        self.inner
            .set_authority_state(trust_domain, id, state)
            .await
    }

    async fn remove_authority(
        &self,
        trust_domain: &str,
        id: &str,
        before: jiff::Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.remove_authority(trust_domain, id, before).await
    }

    async fn authorities(&self, trust_domain: &str) -> Result<Authorities, StoreError> {
        self.inner.authorities(trust_domain).await
    }
}

#[async_trait::async_trait]
impl Store for BrokenStore {
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: jiff::Timestamp,
    ) -> Result<bool, StoreError> {
        self.fail(Broken::Challenges)?;
        self.inner.take_challenge(digest, expires_at).await
    }

    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError> {
        self.fail(Broken::Commit)?;
        self.inner.commit_login(login).await
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.fail(Broken::Nodes)?;
        self.inner.node(ek_hash).await
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        self.inner.nodes(limit).await
    }

    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError> {
        self.inner.evict_node(ek_hash).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.inner.session(id).await
    }

    async fn sessions(
        &self,
        now: jiff::Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.sessions(now, limit).await
    }

    async fn purge(&self, before: jiff::Timestamp) -> Result<u64, StoreError> {
        self.inner.purge(before).await
    }

    async fn close(&self) {}
}

#[async_trait::async_trait]
impl Lifecycle for BrokenStore {
    async fn renew_session(&self, renewal: &SessionRenewal) -> Result<bool, StoreError> {
        self.fail(Broken::Commit)?;
        self.inner.renew_session(renewal).await
    }

    async fn revoke_session(&self, id: SessionId, at: jiff::Timestamp) -> Result<bool, StoreError> {
        self.inner.revoke_session(id, at).await
    }

    async fn ban(&self, ban: &Ban) -> Result<bool, StoreError> {
        self.inner.ban(ban).await
    }

    async fn unban(&self, ek_hash: &str) -> Result<bool, StoreError> {
        self.inner.unban(ek_hash).await
    }

    async fn bans(&self, limit: u32) -> Result<Vec<Ban>, StoreError> {
        self.inner.bans(limit).await
    }
}
