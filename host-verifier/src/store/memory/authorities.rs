//! Authorities in memory.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::MemoryStore;
use crate::store::StoreError;
use crate::store::authorities::{Authorities, AuthorityRecord, AuthorityStore, MAX_AUTHORITIES};
use crate::svid::rotation::State;

/// By trust domain.
pub(super) type All = BTreeMap<String, Authorities>;

#[async_trait::async_trait]
impl AuthorityStore for MemoryStore {
    async fn publish_authority(&self, record: &AuthorityRecord) -> Result<bool, StoreError> {
        let mut state = self.state();
        let domain = state
            .authorities
            .entry(record.trust_domain.clone())
            .or_default();
        if domain.records.iter().any(|known| known.id == record.id) {
            return Ok(false);
        }
        if domain.records.len() >= MAX_AUTHORITIES {
            return Err(StoreError::TooManyAuthorities);
        }
        domain.records.push(record.clone());
        domain
            .records
            .sort_by(|a, b| (a.kind, a.not_before, &a.id).cmp(&(b.kind, b.not_before, &b.id)));
        domain.sequence += 1;
        Ok(true)
    }

    async fn set_authority_state(
        &self,
        trust_domain: &str,
        id: &str,
        state: State,
    ) -> Result<bool, StoreError> {
        let mut all = self.state();
        let domain = all.authorities.get_mut(trust_domain);
        let record =
            domain.and_then(|domain| domain.records.iter_mut().find(|record| record.id == id));
        Ok(record.map(|record| record.state = state).is_some())
    }

    async fn remove_authority(
        &self,
        trust_domain: &str,
        id: &str,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut all = self.state();
        let Some(domain) = all.authorities.get_mut(trust_domain) else {
            return Ok(false);
        };
        let count = domain.records.len();
        domain
            .records
            .retain(|record| record.id != id || record.not_after >= before);
        let removed = domain.records.len() < count;
        domain.sequence += u64::from(removed);
        Ok(removed)
    }

    async fn authorities(&self, trust_domain: &str) -> Result<Authorities, StoreError> {
        let all = self.state();
        Ok(all
            .authorities
            .get(trust_domain)
            .cloned()
            .unwrap_or_default())
    }
}
