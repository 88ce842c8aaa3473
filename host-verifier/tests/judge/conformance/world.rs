//! What an errand finds outside: pages, keys, a store. Everything else is not there.

use std::sync::Arc;

use assay_host_verifier::cloud::{CallError, CallErrorKind, Cloud, Key, Known, Question};
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, Outside, Request, Response,
};
use assay_host_verifier::store::{JoinTokenTaken, JoinTokens, MemoryStore};
use jiff::Timestamp;
use zeroize::Zeroizing;

type Page = Box<dyn Fn(&Request) -> Option<Response> + Send + Sync>;
type Told = Box<dyn Fn(&Key) -> Option<Vec<u8>> + Send + Sync>;
type Spoil = Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send + Sync>;

/// See [`Outside`].
#[derive(Default)]
pub(crate) struct World {
    pages: Vec<Page>,
    keys: Vec<(String, Vec<u8>)>,
    told: Vec<Told>,
    store: Option<MemoryStore>,
    spoil: Option<Spoil>,
}

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// Somebody who answers requests; `None`: it is not for him.
    #[must_use]
    pub(crate) fn page(
        mut self,
        page: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        self.pages.push(Box::new(page));
        self
    }

    /// Whoever is asked for the key at this place publishes this one.
    #[must_use]
    pub(crate) fn key(mut self, place: &str, jwk: &[u8]) -> Self {
        self.keys.push((place.to_owned(), jwk.to_vec()));
        self
    }

    /// A cloud that answers questions; `None`: it does not know.
    #[must_use]
    pub(crate) fn cloud(
        mut self,
        told: impl Fn(&Key) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.told.push(Box::new(told));
        self
    }

    #[must_use]
    pub(crate) fn store(mut self, store: MemoryStore) -> Self {
        self.store = Some(store);
        self
    }

    /// Whatever comes back over a network is spoilt.
    #[must_use]
    pub(crate) fn spoilt(
        mut self,
        spoil: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        self.spoil = Some(Box::new(spoil));
        self
    }

    fn passed(&self, body: Vec<u8>) -> Vec<u8> {
        match &self.spoil {
            Some(spoil) => spoil(body),
            None => body,
        }
    }
}

/// An answer that is all right.
pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Response {
    Response::new(200, body.into())
}

#[async_trait::async_trait]
impl Fetch for World {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        let answer = self.pages.iter().find_map(|page| page(request));
        let Some(answer) = answer else {
            return Err(Error::new(&request.url, ErrorKind::Connect));
        };
        if !(200..300).contains(&answer.status) {
            return Err(Error::new(&request.url, ErrorKind::Status(answer.status)));
        }
        Ok(Response {
            body: self.passed(answer.body),
            ..answer
        })
    }
}

#[async_trait::async_trait]
impl Outside for World {
    async fn jwk(&self, source: &KeySource, _: Option<&str>) -> Result<Vec<u8>, Error> {
        let place = source.location.url();
        match self.keys.iter().find(|(at, _)| at == place) {
            Some((_, jwk)) => Ok(self.passed(jwk.clone())),
            None => Err(Error::new(place, ErrorKind::Connect)),
        }
    }

    async fn answer(&self, question: Arc<dyn Question>) -> Result<Known, CallError> {
        let key = question.key();
        match self.told.iter().find_map(|told| told(&key)) {
            Some(answer) => Ok(Arc::new(Zeroizing::new(self.passed(answer)))),
            // Whoever asks Google and Azure over pages is answered by pages.
            None if matches!(key.cloud, Cloud::Gcp | Cloud::Azure) => {
                Ok(Arc::new(question.ask(self).await?.body))
            }
            None => {
                let kind = CallErrorKind::Outside(ErrorKind::Connect);
                Err(CallError::new(key.cloud.name(), "call", kind))
            }
        }
    }

    async fn take_join_token(
        &self,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        let Some(store) = &self.store else {
            return Err(Error::store(ErrorKind::Store));
        };
        let taken = store.take_join_token(digest, now).await;
        taken.map_err(|_| Error::store(ErrorKind::Store))
    }
}
