//! One proof, and a login for it.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::{Attestor, Facts, Judged, LoginContext, MethodConfig};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::document::{Files, Provided};
use jiff::Timestamp;
use serde_json::Value;

use crate::keys::Bare;

/// A proof with everything that judging it takes.
pub(crate) struct Case {
    login: Login,
    config: Box<dyn MethodConfig>,
    payload: Vec<u8>,
    /// What came from outside, or the agent's response to the challenge.
    then: Vec<u8>,
    fresh: Vec<Bare>,
    lasting: Vec<Bare>,
    provided: Provided,
    /// Files that the service's settings name.
    _files: Option<tempfile::TempDir>,
}

/// What was said before the proof.
pub(crate) struct Login {
    kind: AttestorKind,
    now: Timestamp,
    transcript: Transcript,
    keys: LoginKeys,
    pub(crate) blobs: Blobs,
    facts: Facts,
}

impl Login {
    pub(crate) fn new(kind: AttestorKind) -> Self {
        Self {
            kind,
            now: Timestamp::now(),
            transcript: Transcript::new().then(Direction::Agent, b"hello"),
            keys: LoginKeys::new([7; 32]),
            blobs: Blobs::default(),
            facts: Facts::default(),
        }
    }

    pub(crate) fn nonce(&self) -> [u8; 32] {
        proof_nonce(self.kind, &self.transcript)
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.now.as_second()
    }

    /// That the challenge's secret was found.
    pub(crate) fn activated(&self) -> [u8; 32] {
        self.keys.proof(&self.transcript)
    }
}

impl Case {
    pub(crate) fn new(login: Login, config: Value, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            config: deserialize_config(login.kind, config).unwrap(),
            login,
            payload: payload.into(),
            then: Vec::new(),
            fresh: Vec::new(),
            lasting: Vec::new(),
            provided: Provided::default(),
            _files: None,
        }
    }

    /// The answer from outside, or the response to the challenge.
    pub(crate) fn then(mut self, then: impl Into<Vec<u8>>) -> Self {
        self.then = then.into();
        self
    }

    /// What the operator of the service has set up.
    pub(crate) fn provided(self, provided: Provided, files: tempfile::TempDir) -> Self {
        Self {
            provided,
            _files: Some(files),
            ..self
        }
    }

    /// With what stands around the answer.
    pub(crate) fn wrapped(mut self, around: impl Fn(Value) -> Value) -> Self {
        let answer = serde_json::from_slice(&self.then).unwrap();
        self.then = around(answer).to_string().into_bytes();
        self
    }

    /// The signatures that are made for each login.
    pub(crate) fn fresh(mut self, signatures: impl IntoIterator<Item = Bare>) -> Self {
        self.fresh.extend(signatures);
        self
    }

    /// Those that a node brings to every login as they were.
    pub(crate) fn lasting(mut self, signatures: impl IntoIterator<Item = Bare>) -> Self {
        self.lasting.extend(signatures);
        self
    }

    /// A new attestor, as a policy's document makes it.
    pub(crate) fn attestor(&self) -> Arc<dyn Attestor> {
        let files = Files::beside(Path::new("/")).provided_by(&self.provided);
        self.config.build_in(files).unwrap()
    }

    /// The whole judgement of the proof.
    pub(crate) fn judge(&self, attestor: &dyn Attestor) {
        let login = &self.login;
        let cx = LoginContext {
            now: login.now,
            transcript: &login.transcript,
            request: &[],
            blobs: &login.blobs,
            facts: &login.facts,
            last_boot: None,
            keys: &login.keys,
        };
        let claims = match attestor.judge(&cx, &self.payload).unwrap() {
            Judged::Proven(claims) => *claims,
            Judged::Challenge(pending) => pending.finish(&cx, &self.then).unwrap(),
            Judged::Errand(errand) => errand.judge(&cx, &self.then).unwrap(),
        };
        black_box(claims);
    }

    /// Verifies the signatures, and does nothing else.
    pub(crate) fn bare(&self, all: bool) {
        self.signatures_of(all).for_each(Bare::verify);
    }

    /// How many these are.
    pub(crate) fn signatures(&self, all: bool) -> usize {
        self.signatures_of(all).count()
    }

    fn signatures_of(&self, all: bool) -> impl Iterator<Item = &Bare> {
        let lasting = self.lasting.iter().filter(move |_| all);
        self.fresh.iter().chain(lasting)
    }
}
