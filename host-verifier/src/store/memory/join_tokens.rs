//! Join tokens in memory.

use core::ops::Bound;

use jiff::Timestamp;

use super::MemoryStore;
use crate::store::{JoinTokenRecord, JoinTokenTaken, JoinTokens, StoreError};

#[async_trait::async_trait]
impl JoinTokens for MemoryStore {
    async fn add_join_token(&self, token: &JoinTokenRecord) -> Result<bool, StoreError> {
        let mut state = self.state();
        let mut tokens = state.join_tokens.values();
        if tokens.any(|known| known.id == token.id || known.sha256 == token.sha256) {
            return Ok(false);
        }
        state.join_tokens.insert(token.id.clone(), token.clone());
        Ok(true)
    }

    async fn take_join_token(
        &self,
        sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, StoreError> {
        let mut state = self.state();
        let mut tokens = state.join_tokens.values_mut();
        let found = tokens.find(|token| token.sha256 == *sha256);
        Ok(match found {
            Some(token) if token.used_at.is_none() && now < token.expires_at => {
                let second = Timestamp::from_second(now.as_second());
                token.used_at = Some(second.unwrap_or(now));
                JoinTokenTaken::Taken(token.clone())
            }
            other => JoinTokenTaken::refused(other.cloned()),
        })
    }

    async fn join_tokens(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<JoinTokenRecord>, StoreError> {
        let state = self.state();
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let tokens = state.join_tokens.range::<str, _>(behind);
        let tokens = tokens.map(|(_, token)| token.clone());
        Ok(tokens.take(limit as usize).collect())
    }

    async fn revoke_join_token(&self, id: &str) -> Result<Option<JoinTokenRecord>, StoreError> {
        Ok(self.state().join_tokens.remove(id))
    }
}
