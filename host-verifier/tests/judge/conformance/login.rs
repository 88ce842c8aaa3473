//! One proof, judged as a login judges it.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::path::Path;
use std::sync::Arc;

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::method::tpm_ek::EkResponse;
use assay_host_verifier::attestor::{
    AttestError, Attestor, Claims, ErrandContext, Fault, Judged, LoginContext, registry,
};
use assay_host_verifier::document::{Files, Provided};
use assay_host_verifier::random::SystemRandom;
use jiff::Timestamp;
use serde_json::Value;

use super::{Method, Sent, World};

const SECRET: [u8; 32] = [0x5a; 32];

/// Turns bytes into others on their way.
pub(crate) type Spoil<'a> = &'a dyn Fn(Vec<u8>) -> Vec<u8>;

/// A login in which one entry of a policy judges.
pub(crate) struct Login<'a> {
    method: &'a dyn Method,
    attestor: Arc<dyn Attestor>,
    pub(crate) transcript: Transcript,
}

/// What the login came to.
pub(crate) struct Done {
    pub(crate) claims: Claims,
    /// The response to the challenge, if there was one.
    pub(crate) response: Option<Vec<u8>>,
    /// The answer that is kept, if somebody was asked.
    pub(crate) answer: Option<Vec<u8>>,
}

/// What is not as it should be.
pub(crate) struct Wrong<'a> {
    /// The login that the proof, the response and whatever the node serves are made for.
    pub(crate) made_for: Transcript,
    pub(crate) at: Timestamp,
    pub(crate) response: Spoil<'a>,
    pub(crate) answer: Spoil<'a>,
    pub(crate) world: Option<World>,
}

pub(crate) fn as_it_is(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

impl<'a> Login<'a> {
    pub(crate) fn of(method: &'a dyn Method, transcript: Transcript) -> Self {
        Self::with(method, transcript, method.config(), &method.provided())
    }

    /// With other settings than the adapter's.
    pub(crate) fn with(
        method: &'a dyn Method,
        transcript: Transcript,
        config: Value,
        provided: &Provided,
    ) -> Self {
        let config = registry::deserialize_config(method.kind(), config).unwrap();
        let files = Files::beside(Path::new("/nonexistent"))
            .in_trust_domain("example.org")
            .provided_by(provided);
        let attestor = config.build_in(files).unwrap();
        Self {
            method,
            attestor,
            transcript,
        }
    }

    pub(crate) fn attestor(&self) -> &dyn Attestor {
        self.attestor.as_ref()
    }

    pub(crate) fn nothing_wrong(&self) -> Wrong<'static> {
        Wrong {
            made_for: self.transcript,
            at: self.method.now(),
            response: &as_it_is,
            answer: &as_it_is,
            world: None,
        }
    }

    pub(crate) fn honest(&self) -> Result<Done, AttestError> {
        self.judge(&self.method.prove(&self.transcript), self.nothing_wrong())
    }

    /// Judges a payload with the honest node's blobs, and everything else as it should be.
    pub(crate) fn payload(&self, sent: &Sent, payload: Vec<u8>) -> Result<Claims, AttestError> {
        let sent = Sent {
            payload,
            blobs: sent.blobs.clone(),
        };
        self.judge(&sent, self.nothing_wrong())
            .map(|done| done.claims)
    }

    /// Judges it all. Whatever is shown of it on the way is searched for secrets.
    pub(crate) fn judge(&self, sent: &Sent, wrong: Wrong<'_>) -> Result<Done, AttestError> {
        self.steps(sent, wrong).inspect_err(|error| {
            self.holds_no_secret(&format!("{error} {error:?}"));
            assert!(!error.check.is_empty() && !error.detail.is_empty());
        })
    }

    fn steps(&self, sent: &Sent, wrong: Wrong<'_>) -> Result<Done, AttestError> {
        let request = self.attestor.request(None)?;
        let facts = self.method.facts();
        let keys = LoginKeys::new(SECRET);
        let mut cx = LoginContext {
            now: wrong.at,
            transcript: &self.transcript,
            request: &request,
            blobs: &sent.blobs,
            facts: &facts,
            last_boot: None,
            keys: &keys,
        };
        let judged = self.attestor.judge(&cx, &sent.payload)?;
        self.holds_no_secret(&format!("{judged:?}"));
        let (claims, response, answer) = match judged {
            Judged::Proven(claims) => (*claims, None, None),
            Judged::Challenge(pending) => {
                let challenge = pending.challenge(&SECRET, &SystemRandom)?;
                let hidden_for = pending.if_answered().and_then(|c| c.facts.attestation_key);
                let hidden_for = hidden_for.map(|key| key.public);
                let found = match hidden_for.as_deref() == self.method.attestation_key() {
                    true => SECRET,
                    false => [0; 32],
                };
                let asked = self.transcript.then(Direction::Verifier, &challenge);
                let heard = wrong.made_for.then(Direction::Verifier, &challenge);
                let response = (wrong.response)(respond(&LoginKeys::new(found), &heard));
                cx.transcript = &asked;
                (pending.finish(&cx, &response)?, Some(response), None)
            }
            Judged::Errand(errand) => {
                let world = wrong.world;
                let world = world.unwrap_or_else(|| self.method.world(&wrong.made_for));
                let context = self.errand_context(wrong.at);
                let answer = at_once(errand.run(&world, &context))?;
                self.holds_no_secret(&String::from_utf8_lossy(&answer));
                let answer = (wrong.answer)(answer);
                (errand.judge(&cx, &answer)?, None, Some(answer))
            }
        };
        Ok(Done {
            claims,
            response,
            answer,
        })
    }

    fn errand_context(&self, now: Timestamp) -> ErrandContext {
        ErrandContext {
            now,
            login_id: "0123456789abcdef".to_owned(),
            cluster: "lab".to_owned(),
            trust_domain: "example.org".to_owned(),
            policy: "rack".to_owned(),
            proven: Vec::new(),
            proof_nonce: proof_nonce(self.method.kind(), &self.transcript),
        }
    }

    fn holds_no_secret(&self, shown: &str) {
        for secret in self.method.secrets() {
            assert!(!shown.contains(&secret), "{secret:?} is in {shown}");
        }
    }

    /// It fails, and by nobody's fault here.
    #[track_caller]
    pub(crate) fn refused(&self, result: Result<Claims, AttestError>, what: &str) -> AttestError {
        match result {
            Ok(claims) => panic!("{what}: {claims:?}"),
            Err(error) => {
                assert_ne!(error.fault, Fault::Internal, "{what}: {error}");
                error
            }
        }
    }

    /// It fails, or says what the honest proof says: what was changed did not matter.
    #[track_caller]
    pub(crate) fn nothing_else(
        &self,
        result: Result<Claims, AttestError>,
        honest: &Claims,
        what: &str,
    ) {
        if let Ok(claims) = result {
            assert_eq!(&claims, honest, "{what}");
        }
    }
}

/// What a TPM's owner answers who found this secret. `login` has the challenge.
fn respond(keys: &LoginKeys, login: &Transcript) -> Vec<u8> {
    let mac = keys.proof(login);
    let mut buffer = [0; 64];
    let response = postcard::to_slice(&EkResponse { mac }, &mut buffer);
    response.unwrap().to_vec()
}

/// Nothing in a test's world waits.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something that is not there"),
    }
}
