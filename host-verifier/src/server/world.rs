//! What a service asks of others: requests, keys that are cached, answers of clouds, tokens in the store.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::cloud::{Answers, CallError, Counts, Known, NoCounts, Question, Times};
use crate::jwt::cache::KeyCache;
use crate::outside::{Error, ErrorKind, Fetch, KeySource, Outside, Request, Response};
use crate::store::{ImageRecord, JoinTokenTaken, NodeBoot, Store};

/// The world as methods see it. A copy is the same world: what was asked goes on without whoever asked.
#[derive(Debug, Clone)]
pub struct World {
    fetch: Arc<dyn Fetch>,
    keys: Arc<KeyCache>,
    answers: Arc<Answers>,
    store: Arc<dyn Store>,
}

impl World {
    /// One that sends requests by `fetch`, and takes tokens from `store`.
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let answers = Answers::new(clock.clone(), Arc::new(NoCounts), Times::default());
        Self {
            keys: Arc::new(KeyCache::new(clock, fetch.clone())),
            answers: Arc::new(answers),
            fetch,
            store,
        }
    }

    /// With clouds' answers counted by `counts`, and asked for within `times`.
    #[must_use]
    pub fn with_answers(
        self,
        clock: Arc<dyn Clock>,
        counts: Arc<dyn Counts>,
        times: Times,
    ) -> Self {
        let answers = Arc::new(Answers::new(clock, counts, times));
        Self { answers, ..self }
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

    async fn images_for(
        &self,
        names: &[String],
        digests: &[[u8; 32]],
    ) -> Result<Vec<ImageRecord>, Error> {
        let found = self.store.images_for(names, digests).await;
        found.map_err(|error| {
            tracing::warn!(%error, "registered images could not be read");
            Error::store(ErrorKind::Store)
        })
    }

    async fn note_boot(&self, ek_hash: &str, boot: &NodeBoot) -> Result<Option<NodeBoot>, Error> {
        let last = self.store.note_boot(ek_hash, boot).await;
        last.map_err(|error| {
            tracing::warn!(%error, "a node's boot could not be noted");
            Error::store(ErrorKind::Store)
        })
    }

    async fn noted_boot(&self, ek_hash: &str) -> Result<Option<NodeBoot>, Error> {
        let last = self.store.noted_boot(ek_hash).await;
        last.map_err(|error| {
            tracing::warn!(%error, "a node's last boot could not be read");
            Error::store(ErrorKind::Store)
        })
    }

    async fn answer(&self, question: Arc<dyn Question>) -> Result<Known, CallError> {
        self.answers.answer(Arc::new(self.clone()), question).await
    }
}
