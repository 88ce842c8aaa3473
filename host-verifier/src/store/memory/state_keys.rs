//! Keys of login states in memory.

use std::collections::BTreeMap;

use super::MemoryStore;
use crate::store::{StateKeyRecord, StateKeyStore, StoreError};

/// By family and number.
pub(super) type All = BTreeMap<([u8; 32], u64), StateKeyRecord>;

#[async_trait::async_trait]
impl StateKeyStore for MemoryStore {
    async fn add_state_key(&self, key: &StateKeyRecord) -> Result<bool, StoreError> {
        let mut state = self.state();
        let name = (key.family, key.number);
        let free = !state.state_keys.contains_key(&name);
        if free {
            state.state_keys.insert(name, key.clone());
        }
        Ok(free)
    }

    async fn state_keys(&self, family: &[u8; 32]) -> Result<Vec<StateKeyRecord>, StoreError> {
        let state = self.state();
        let keys = state
            .state_keys
            .range((*family, 0)..=(*family, u64::MAX))
            .map(|(_, key)| key.clone());
        Ok(keys.collect())
    }

    async fn remove_state_keys(&self, family: &[u8; 32], number: u64) -> Result<u64, StoreError> {
        let mut state = self.state();
        let before = state.state_keys.len();
        state
            .state_keys
            .retain(|name, _| name.0 != *family || name.1 >= number);
        Ok((before - state.state_keys.len()) as u64)
    }
}
