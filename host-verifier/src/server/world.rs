//! What a service asks of others: requests, keys that are cached, tokens in the store.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::jwt::cache::KeyCache;
use crate::outside::{Error, ErrorKind, Fetch, KeySource, Outside, Request, Response};
use crate::store::{JoinTokenTaken, Store};

/// The world as methods see it.
#[derive(Debug)]
pub struct World {
    fetch: Arc<dyn Fetch>,
    keys: KeyCache,
    store: Arc<dyn Store>,
}

impl World {
    /// One that sends requests by `fetch`, and takes tokens from `store`.
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys: KeyCache::new(clock, fetch.clone()),
            fetch,
            store,
        }
    }
}

#[async_trait]
impl Fetch for World {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.fetch.fetch(request).await
    }
}

#[async_trait]
impl Outside for World {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        self.keys.jwk(source, kid).await
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        let taken = self.store.take_join_token(digest, now).await;
        taken.map_err(|error| {
            // The store's own words are for the operator's log; what is kept of a login says no more than that it failed.
            tracing::warn!(%error, "a join token could not be taken");
            Error::store(ErrorKind::Store)
        })
    }
}
