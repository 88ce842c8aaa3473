//! The store as the service asks it: every call is counted and timed, here and nowhere else, so that none is forgotten.

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use jiff::Timestamp;

use crate::session::SessionId;
use crate::store::{
    ApiTokenRecord, ApiTokens, Authorities, AuthorityRecord, AuthorityStore, Ban, BoundInstance,
    ClusterConfigStore, Commit, ConfigChange, ConfigEntry, ConfigOutcome, ConfigVersion,
    ImageRecord, JoinTokenRecord, JoinTokenTaken, JoinTokens, Lifecycle, LoginRecord, MeasuredBoot,
    NodeBoot, NodeRecord, Paging, SessionRecord, SessionRenewal, StateKeyRecord, StateKeyStore,
    Store, StoreError,
};
use crate::svid::rotation::State;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::StoreOperation;

/// A store whose calls are counted.
#[derive(Debug)]
pub struct Counted {
    inner: Arc<dyn Store>,
    metrics: Metrics,
}

impl Counted {
    /// Counts the calls of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

/// `Operation: method(arguments) -> answer;` for each, and in brackets what is not counted.
macro_rules! counted {
    ($(impl $trait:ident {
        $($operation:ident: $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*
        $([ $($uncounted:tt)* ])?
    })*) => {$(
        #[async_trait::async_trait]
        impl $trait for Counted {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                let call = self.inner.$name($($argument),*);
                self.metrics.store(StoreOperation::$operation, call).await
            })*
            $($($uncounted)*)?
        }
    )*};
}

counted! {
    impl Store {
        TakeChallenge: take_challenge(digest: &[u8; 32], expires_at: Timestamp) -> bool;
        CommitLogin: commit_login(login: &LoginRecord) -> Commit;
        Node: node(ek_hash: &str) -> Option<NodeRecord>;
        List: nodes(limit: u32) -> Vec<NodeRecord>;
        Node: evict_node(ek_hash: &str) -> bool;
        Session: session(id: SessionId) -> Option<SessionRecord>;
        List: sessions(now: Timestamp, limit: u32) -> Vec<SessionRecord>;
        List: kept_sessions(limit: u32) -> Vec<SessionRecord>;
        Purge: purge(before: Timestamp) -> u64;
        [
            // Whoever asks waits for so long and no longer, and counts with that.
            async fn probe(&self, unique: &[u8; 32], now: Timestamp) -> Result<(), StoreError> {
                self.inner.probe(unique, now).await
            }

            async fn close(&self) {
                self.inner.close().await;
            }
        ]
    }
    impl Lifecycle {
        RenewSession: renew_session(renewal: &SessionRenewal) -> bool;
        Session: revoke_session(id: SessionId, at: Timestamp) -> bool;
        Node: ban(ban: &Ban) -> bool;
        Node: unban(ek_hash: &str) -> bool;
        Node: ban_of(ek_hash: &str) -> Option<Ban>;
        Node: bound(method: AttestorKind, identity: &[u8; 32]) -> Option<BoundInstance>;
        Node: unbind(method: AttestorKind, identity: &[u8; 32]) -> Option<BoundInstance>;
        Session: sessions_of(ek_hash: &str, now: Timestamp, limit: u32) -> Vec<SessionRecord>;
        List: bans(limit: u32) -> Vec<Ban>;
    }
    impl Paging {
        List: session_page(now: Timestamp, after: Option<SessionId>, limit: u32) -> Vec<SessionRecord>;
        List: node_page(after: &str, limit: u32) -> Vec<NodeRecord>;
    }
    impl ApiTokens {
        Token: add_api_token(token: &ApiTokenRecord) -> bool;
        Token: api_token(sha256: &[u8; 32]) -> Option<ApiTokenRecord>;
        List: api_tokens(after: &str, limit: u32) -> Vec<ApiTokenRecord>;
        Token: revoke_api_token(id: &str) -> Option<ApiTokenRecord>;
    }
    impl JoinTokens {
        Token: add_join_token(token: &JoinTokenRecord) -> bool;
        Token: take_join_token(sha256: &[u8; 32], now: Timestamp) -> JoinTokenTaken;
        List: join_tokens(after: &str, limit: u32) -> Vec<JoinTokenRecord>;
        Token: revoke_join_token(id: &str) -> Option<JoinTokenRecord>;
    }
    impl MeasuredBoot {
        Config: register_image(image: &ImageRecord) -> bool;
        Config: images_for(names: &[String], digests: &[[u8; 32]]) -> Vec<ImageRecord>;
        List: images(after: Option<&[u8; 32]>, limit: u32) -> Vec<ImageRecord>;
        Config: revoke_image(sha256: &[u8; 32], at: Timestamp) -> Option<ImageRecord>;
        Node: note_boot(ek_hash: &str, boot: &NodeBoot) -> Option<NodeBoot>;
        Node: noted_boot(ek_hash: &str) -> Option<NodeBoot>;
        Node: forget_boot(ek_hash: &str) -> bool;
    }
    impl StateKeyStore {
        StateKey: add_state_key(key: &StateKeyRecord) -> bool;
        StateKey: state_keys(family: &[u8; 32]) -> Vec<StateKeyRecord>;
        StateKey: remove_state_keys(family: &[u8; 32], number: u64) -> u64;
    }
    impl ClusterConfigStore {
        Config: config_generation() -> u64;
        Config: change_config(change: &ConfigChange) -> ConfigOutcome;
        Config: config_in_force(generation: u64) -> Vec<ConfigVersion>;
        Config: config_at(cluster: &str, version: Option<u64>) -> Vec<ConfigVersion>;
        Config: config_history(
            cluster: &str,
            section: Option<&str>,
            before: Option<u64>,
            limit: u32
        ) -> Vec<ConfigEntry>;
        Config: config_clusters(after: Option<&str>, limit: u32) -> Vec<ConfigEntry>;
    }
    impl AuthorityStore {
        Authority: publish_authority(record: &AuthorityRecord) -> bool;
        Authority: set_authority_state(trust_domain: &str, id: &str, state: State) -> bool;
        Authority: remove_authority(trust_domain: &str, id: &str, before: Timestamp) -> bool;
        Authority: authorities(trust_domain: &str) -> Authorities;
    }
}
