//! Somebody outside, page by page.

use std::sync::{Arc, Mutex};

use assay_host_verifier::cloud::{CallError, Known, Question};
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use serde_json::Value;

type Page = Box<dyn Fn(&Request) -> Option<Result<Response, ErrorKind>> + Send + Sync>;

/// See [`Outside`].
#[derive(Default)]
pub(crate) struct AzureWorld {
    pages: Vec<Page>,
    keys: Vec<(String, Vec<u8>)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl core::fmt::Debug for AzureWorld {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AzureWorld")
    }
}

impl AzureWorld {
    /// Somebody who answers; `None`: it is not for him. The first one counts.
    #[must_use]
    pub(crate) fn page(
        mut self,
        page: impl Fn(&Request) -> Option<Result<Response, ErrorKind>> + Send + Sync + 'static,
    ) -> Self {
        self.pages.push(Box::new(page));
        self
    }

    /// The key that a source has.
    #[must_use]
    pub(crate) fn key(mut self, source: &str, jwk: &Value) -> Self {
        self.keys
            .push((source.to_owned(), jwk.to_string().into_bytes()));
        self
    }

    /// What was asked: keys by their source, pages by their URL.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn note(&self, what: &str) {
        self.asked.lock().unwrap().push(what.to_owned());
    }
}

#[async_trait::async_trait]
impl Fetch for AzureWorld {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.note(&request.url);
        let fail = |kind| Error::new(&request.url, kind);
        let answer = self.pages.iter().find_map(|page| page(request));
        let answer = answer.unwrap_or(Err(ErrorKind::Connect)).map_err(fail)?;
        if answer.body.len() > request.max_body {
            return Err(fail(ErrorKind::TooLarge));
        }
        match answer.status {
            200..300 => Ok(answer),
            300..400 => Err(fail(ErrorKind::Redirect(answer.status))),
            _ if request.any_status => Ok(answer),
            status => Err(fail(ErrorKind::Status(status))),
        }
    }
}

#[async_trait::async_trait]
impl Outside for AzureWorld {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        let place = source.location.url();
        self.note(place);
        let Some((_, jwk)) = self.keys.iter().find(|(at, _)| at == place) else {
            return Err(Error::new(place, ErrorKind::Connect));
        };
        let known: Value = serde_json::from_slice(jwk).unwrap();
        match known["kid"].as_str() == kid {
            true => Ok(jwk.clone()),
            false => Err(Error::new(place, ErrorKind::NoKey)),
        }
    }

    async fn take_join_token(
        &self,
        _: &[u8; 32],
        _: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        Err(Error::store(ErrorKind::Store))
    }

    async fn answer(&self, question: Arc<dyn Question>) -> Result<Known, CallError> {
        let answer = question.ask(self).await?;
        Ok(Arc::new(answer.body))
    }
}
