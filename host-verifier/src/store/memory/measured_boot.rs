//! Measured boot in memory.

use core::ops::Bound;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::MemoryStore;
use crate::store::measured_boot::MAX_OF_A_NAME;
use crate::store::{ImageRecord, MeasuredBoot, NodeBoot, StoreError};

#[async_trait::async_trait]
impl MeasuredBoot for MemoryStore {
    async fn register_image(&self, image: &ImageRecord) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.images.contains_key(&image.sha256) {
            return Ok(false);
        }
        state.images.insert(image.sha256, image.clone());
        Ok(true)
    }

    async fn images_for(
        &self,
        names: &[String],
        digests: &[[u8; 32]],
    ) -> Result<Vec<ImageRecord>, StoreError> {
        let state = self.state();
        let mut found: BTreeMap<_, _> = digests
            .iter()
            .filter_map(|digest| state.images.get_key_value(digest))
            .collect();
        for name in names {
            let own = state.images.iter().filter(|(_, image)| image.name == *name);
            let mut own: Vec<_> = own.collect();
            own.sort_by_key(|(digest, image)| (core::cmp::Reverse(image.registered_at), **digest));
            found.extend(own.into_iter().take(MAX_OF_A_NAME as usize));
        }
        Ok(found.into_values().cloned().collect())
    }

    async fn images(
        &self,
        after: Option<&[u8; 32]>,
        limit: u32,
    ) -> Result<Vec<ImageRecord>, StoreError> {
        let state = self.state();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let images = state.images.range::<[u8; 32], _>((after, Bound::Unbounded));
        let images = images.map(|(_, image)| image.clone());
        Ok(images.take(limit as usize).collect())
    }

    async fn revoke_image(
        &self,
        sha256: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<ImageRecord>, StoreError> {
        let mut state = self.state();
        let image = state.images.get_mut(sha256);
        Ok(image
            .filter(|image| image.revoked_at.is_none())
            .map(|image| {
                let second = Timestamp::from_second(at.as_second());
                image.revoked_at = Some(second.unwrap_or(at));
                image.clone()
            }))
    }

    async fn note_boot(
        &self,
        ek_hash: &str,
        boot: &NodeBoot,
    ) -> Result<Option<NodeBoot>, StoreError> {
        let mut state = self.state();
        let last = state.node_boots.get(ek_hash).copied();
        if last.is_none_or(|last| boot.follows(&last).is_ok()) {
            state.node_boots.insert(ek_hash.to_owned(), *boot);
        }
        Ok(last)
    }

    async fn noted_boot(&self, ek_hash: &str) -> Result<Option<NodeBoot>, StoreError> {
        Ok(self.state().node_boots.get(ek_hash).copied())
    }

    async fn forget_boot(&self, ek_hash: &str) -> Result<bool, StoreError> {
        Ok(self.state().node_boots.remove(ek_hash).is_some())
    }
}
