//! A store with a seam: a test says what happens before and after each call that a login or a renewal makes.

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::session::SessionId;
use assay_host_verifier::store::{
    ApiTokenRecord, ApiTokens, Authorities, AuthorityRecord, AuthorityStore, Ban, BoundInstance,
    ClusterConfigStore, Commit, ConfigChange, ConfigEntry, ConfigOutcome, ConfigVersion,
    ImageRecord, JoinTokenRecord, JoinTokenTaken, JoinTokens, Lifecycle, LoginRecord, MeasuredBoot,
    NodeBoot, NodeRecord, Paging, SessionRecord, SessionRenewal, StateKeyRecord, StateKeyStore,
    Store, StoreError,
};
use assay_host_verifier::svid::rotation::State;

/// The calls that logins and renewals make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    TakeChallenge,
    Node,
    CommitLogin,
    Session,
    RenewSession,
}

/// What happens around a call.
#[async_trait::async_trait]
pub(crate) trait Seam: Send + Sync + core::fmt::Debug {
    /// An error is the call's answer; the store does not see it.
    async fn before(&self, call: Call) -> Result<(), StoreError>;

    /// The store has done it, and nobody knows yet.
    async fn after(&self, call: Call);
}

/// Every other call goes straight through.
#[derive(Debug)]
pub(crate) struct SeamStore<S> {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) seam: S,
}

#[async_trait::async_trait]
impl<S: Seam> ClusterConfigStore for SeamStore<S> {
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
impl<S: Seam> ApiTokens for SeamStore<S> {
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
impl<S: Seam> JoinTokens for SeamStore<S> {
    async fn add_join_token(&self, token: &JoinTokenRecord) -> Result<bool, StoreError> {
        self.inner.add_join_token(token).await
    }

    async fn take_join_token(
        &self,
        sha256: &[u8; 32],
        now: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, StoreError> {
        self.inner.take_join_token(sha256, now).await
    }

    async fn join_tokens(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<JoinTokenRecord>, StoreError> {
        self.inner.join_tokens(after, limit).await
    }

    async fn revoke_join_token(&self, id: &str) -> Result<Option<JoinTokenRecord>, StoreError> {
        self.inner.revoke_join_token(id).await
    }
}

#[async_trait::async_trait]
impl<S: Seam> MeasuredBoot for SeamStore<S> {
    async fn register_image(&self, image: &ImageRecord) -> Result<bool, StoreError> {
        self.inner.register_image(image).await
    }

    async fn images_for(
        &self,
        names: &[String],
        digests: &[[u8; 32]],
    ) -> Result<Vec<ImageRecord>, StoreError> {
        self.inner.images_for(names, digests).await
    }

    async fn images(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<ImageRecord>, StoreError> {
        self.inner.images(after, limit).await
    }

    async fn revoke_image(
        &self,
        sha256: &[u8; 32],
        at: jiff::Timestamp,
    ) -> Result<Option<ImageRecord>, StoreError> {
        self.inner.revoke_image(sha256, at).await
    }

    async fn note_boot(
        &self,
        ek_hash: &str,
        boot: &NodeBoot,
    ) -> Result<Option<NodeBoot>, StoreError> {
        self.inner.note_boot(ek_hash, boot).await
    }

    async fn noted_boot(&self, ek_hash: &str) -> Result<Option<NodeBoot>, StoreError> {
        self.inner.noted_boot(ek_hash).await
    }

    async fn forget_boot(&self, ek_hash: &str) -> Result<bool, StoreError> {
        self.inner.forget_boot(ek_hash).await
    }
}

#[async_trait::async_trait]
impl<S: Seam> Paging for SeamStore<S> {
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
impl<S: Seam> AuthorityStore for SeamStore<S> {
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
impl<S: Seam> StateKeyStore for SeamStore<S> {
    async fn add_state_key(&self, key: &StateKeyRecord) -> Result<bool, StoreError> {
        self.inner.add_state_key(key).await
    }

    async fn state_keys(&self, family: &[u8; 32]) -> Result<Vec<StateKeyRecord>, StoreError> {
        self.inner.state_keys(family).await
    }

    async fn remove_state_keys(&self, family: &[u8; 32], number: u64) -> Result<u64, StoreError> {
        self.inner.remove_state_keys(family, number).await
    }
}

#[async_trait::async_trait]
impl<S: Seam> Store for SeamStore<S> {
    async fn take_challenge(
        &self,
        digest: &[u8; 32],
        expires_at: jiff::Timestamp,
    ) -> Result<bool, StoreError> {
        self.seam.before(Call::TakeChallenge).await?;
        let result = self.inner.take_challenge(digest, expires_at).await;
        self.seam.after(Call::TakeChallenge).await;
        result
    }

    async fn commit_login(&self, login: &LoginRecord) -> Result<Commit, StoreError> {
        self.seam.before(Call::CommitLogin).await?;
        let result = self.inner.commit_login(login).await;
        self.seam.after(Call::CommitLogin).await;
        result
    }

    async fn node(&self, ek_hash: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.seam.before(Call::Node).await?;
        let result = self.inner.node(ek_hash).await;
        self.seam.after(Call::Node).await;
        result
    }

    async fn nodes(&self, limit: u32) -> Result<Vec<NodeRecord>, StoreError> {
        self.inner.nodes(limit).await
    }

    async fn evict_node(&self, ek_hash: &str) -> Result<bool, StoreError> {
        self.inner.evict_node(ek_hash).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.seam.before(Call::Session).await?;
        let result = self.inner.session(id).await;
        self.seam.after(Call::Session).await;
        result
    }

    async fn sessions(
        &self,
        now: jiff::Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.sessions(now, limit).await
    }

    async fn kept_sessions(&self, limit: u32) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.kept_sessions(limit).await
    }

    async fn purge(&self, before: jiff::Timestamp) -> Result<u64, StoreError> {
        self.inner.purge(before).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait::async_trait]
impl<S: Seam> Lifecycle for SeamStore<S> {
    async fn renew_session(&self, renewal: &SessionRenewal) -> Result<bool, StoreError> {
        self.seam.before(Call::RenewSession).await?;
        let result = self.inner.renew_session(renewal).await;
        self.seam.after(Call::RenewSession).await;
        result
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

    async fn ban_of(&self, ek_hash: &str) -> Result<Option<Ban>, StoreError> {
        self.inner.ban_of(ek_hash).await
    }

    async fn bound(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        self.inner.bound(method, identity).await
    }

    async fn unbind(
        &self,
        method: AttestorKind,
        identity: &[u8; 32],
    ) -> Result<Option<BoundInstance>, StoreError> {
        self.inner.unbind(method, identity).await
    }

    async fn sessions_of(
        &self,
        ek_hash: &str,
        now: jiff::Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.sessions_of(ek_hash, now, limit).await
    }

    async fn bans(&self, limit: u32) -> Result<Vec<Ban>, StoreError> {
        self.inner.bans(limit).await
    }
}
