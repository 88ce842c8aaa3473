//! Methods whose proof is a token that somebody else vouches for, judged with an outside that answers whatever a test wants.
//!
//! * `cache`: keys of issuers that were fetched before.
//! * `tokens`: `custom_jwt` and `k8s_token`.
//! * `clusters`: `k8s_psat` and `k8s_sat`.

mod cache;
mod clusters;
mod settings;
mod tokens;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use assay_common::login::{LoginKeys, Transcript};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::{
    AttestError, Attestor, Claims, ConfigError, ErrandContext, Facts, Judged, LoginContext,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::document::Files;
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use serde_json::Value;

use crate::jwt::signer::now;

/// A body, or why there is none.
type Answer = Result<Vec<u8>, ErrorKind>;

/// Answers of the world outside, by URL; each URL's last answer stays.
#[derive(Debug, Default)]
pub(crate) struct World {
    answers: Mutex<BTreeMap<String, VecDeque<Answer>>>,
    /// The key sets, by their source's URL.
    keys: Mutex<BTreeMap<String, Value>>,
    /// What was asked.
    asked: Mutex<Vec<Request>>,
}

impl World {
    /// What a URL answers from now on, in turns.
    pub(crate) fn answers(&self, url: &str, answer: Result<Value, ErrorKind>) {
        let answer = answer.map(|value| value.to_string().into_bytes());
        let mut answers = self.answers.lock().unwrap();
        answers.entry(url.to_owned()).or_default().push_back(answer);
    }

    /// Forgets what a URL answers.
    pub(crate) fn forget(&self, url: &str) {
        self.answers.lock().unwrap().remove(url);
    }

    /// The key that a source has.
    pub(crate) fn has_key(&self, source: &str, jwk: Value) {
        self.keys.lock().unwrap().insert(source.to_owned(), jwk);
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Fetch for World {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.asked.lock().unwrap().push(request.clone());
        // An answer takes its time, in which others may ask.
        tokio::task::yield_now().await;
        let mut answers = self.answers.lock().unwrap();
        let Some(queue) = answers.get_mut(&request.url) else {
            return Err(Error::new(&request.url, ErrorKind::Status(404)));
        };
        let next = match queue.len() {
            0 | 1 => queue.front().cloned(),
            _ => queue.pop_front(),
        };
        match next.unwrap() {
            Ok(body) if body.len() > request.max_body => {
                Err(Error::new(&request.url, ErrorKind::TooLarge))
            }
            Ok(body) => Ok(Response::new(200, body)),
            Err(kind) => Err(Error::new(&request.url, kind)),
        }
    }
}

#[async_trait::async_trait]
impl Outside for World {
    async fn jwk(&self, source: &KeySource, kid: Option<&str>) -> Result<Vec<u8>, Error> {
        let url = source.location.url();
        let keys = self.keys.lock().unwrap();
        let key = keys.get(url).filter(|key| key["kid"].as_str() == kid);
        key.map(|key| key.to_string().into_bytes())
            .ok_or_else(|| Error::new(url, ErrorKind::NoKey))
    }

    async fn take_join_token(
        &self,
        _: &[u8; 32],
        _: jiff::Timestamp,
    ) -> Result<JoinTokenTaken, Error> {
        Err(Error::store(ErrorKind::Store))
    }
}

/// An attestor with these settings.
pub(crate) fn attestor(
    kind: AttestorKind,
    config: Value,
) -> Result<std::sync::Arc<dyn Attestor>, ConfigError> {
    let config = deserialize_config(kind, config).unwrap();
    let files = Files::beside(std::path::Path::new("/nonexistent"));
    config.build_in(files.in_trust_domain("example.org"))
}

/// The answer as it would be kept, and what is judged of it.
pub(crate) struct Judgement {
    pub(crate) kept: Option<Vec<u8>>,
    pub(crate) result: Result<Claims, AttestError>,
}

/// Judges a payload to its end.
pub(crate) fn judge(attestor: &dyn Attestor, outside: &dyn Outside, payload: &[u8]) -> Judgement {
    judge_in(attestor, outside, payload, &Transcript::new())
}

/// In a login of its own.
pub(crate) fn judge_in(
    attestor: &dyn Attestor,
    outside: &dyn Outside,
    payload: &[u8],
    transcript: &Transcript,
) -> Judgement {
    let keys = LoginKeys::new([0; 32]);
    let cx = LoginContext {
        now: now(),
        transcript,
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &keys,
    };
    let errand = match attestor.judge(&cx, payload) {
        Ok(Judged::Proven(claims)) => {
            return Judgement {
                kept: None,
                result: Ok(*claims),
            };
        }
        Ok(Judged::Errand(errand)) => errand,
        Ok(Judged::Challenge(other)) => panic!("{other:?}"),
        Err(error) => {
            return Judgement {
                kept: None,
                result: Err(error),
            };
        }
    };
    let errand_cx = ErrandContext {
        now: now(),
        login_id: "login".to_owned(),
        cluster: "cluster".to_owned(),
        trust_domain: "example.org".to_owned(),
        policy: "policy".to_owned(),
        proven: Vec::new(),
        proof_nonce: [0; 32],
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    match runtime.block_on(errand.run(outside, &errand_cx)) {
        Err(error) => Judgement {
            kept: None,
            result: Err(error),
        },
        Ok(answer) => Judgement {
            result: errand.judge(&cx, &answer),
            kept: Some(answer),
        },
    }
}
