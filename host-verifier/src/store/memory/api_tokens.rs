//! Tokens of the API in memory.

use core::ops::Bound;

use super::MemoryStore;
use crate::store::{ApiTokenRecord, ApiTokens, StoreError};

#[async_trait::async_trait]
impl ApiTokens for MemoryStore {
    async fn add_api_token(&self, token: &ApiTokenRecord) -> Result<bool, StoreError> {
        let mut state = self.state();
        let mut tokens = state.api_tokens.values();
        if tokens.any(|known| known.id == token.id || known.sha256 == token.sha256) {
            return Ok(false);
        }
        state.api_tokens.insert(token.id.clone(), token.clone());
        Ok(true)
    }

    async fn api_token(&self, sha256: &[u8; 32]) -> Result<Option<ApiTokenRecord>, StoreError> {
        let state = self.state();
        let mut tokens = state.api_tokens.values();
        Ok(tokens.find(|token| token.sha256 == *sha256).cloned())
    }

    async fn api_tokens(&self, after: &str, limit: u32) -> Result<Vec<ApiTokenRecord>, StoreError> {
        let state = self.state();
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let tokens = state.api_tokens.range::<str, _>(behind);
        let tokens = tokens.map(|(_, token)| token.clone());
        Ok(tokens.take(limit as usize).collect())
    }

    async fn revoke_api_token(&self, id: &str) -> Result<Option<ApiTokenRecord>, StoreError> {
        Ok(self.state().api_tokens.remove(id))
    }
}
