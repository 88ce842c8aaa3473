//! Methods whose proof is a token that a cloud signs: `aws_token` and `gcp_iit`.
//!
//! * `signer`: an issuer with RSA and P-384 keys that signs whatever it is told to.
//! * `negatives`: tokens that no such method may take, one test for each entry of the list and each method.
//! * `aws`, `gcp`: what each asks beyond that.
//! * `offline`: recorded tokens, judged by the command.

pub(crate) mod aws;
pub(crate) mod gcp;
mod negatives;
mod offline;
pub(crate) mod signer;

use core::time::Duration;
use std::sync::Arc;

use assay_common::login::{LoginKeys, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{
    AttestError, Attestor, Claims, ErrandContext, Facts, Judged, LoginContext,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::outside::Outside;
use jiff::Timestamp;
use serde_json::Value;

use self::signer::Key;
use crate::issuers::{World, attestor};
use crate::jwt::signer::now;

/// A method, a policy's settings for it, and a token that they let in.
pub(crate) trait Bench {
    const KIND: AttestorKind;

    /// Settings that let the token in.
    fn config() -> Value;

    /// Where the key's set is asked for.
    fn source() -> &'static str;

    /// The claims of a token that is let in at [`now`].
    fn claims() -> Value;

    /// What the agent sends.
    fn payload(token: &str) -> Vec<u8>;

    /// What the cloud has beside its keys.
    fn furnish(_: &World) {}
}

/// A login in which one token is judged.
pub(crate) struct Case {
    pub(crate) attestor: Arc<dyn Attestor>,
    pub(crate) at: Timestamp,
    pub(crate) transcript: Transcript,
}

impl Case {
    pub(crate) fn of<B: Bench>() -> Self {
        Self::with(B::KIND, B::config())
    }

    pub(crate) fn with(kind: AttestorKind, config: Value) -> Self {
        Self {
            attestor: attestor(kind, config).unwrap(),
            at: now(),
            transcript: Transcript::new(),
        }
    }

    pub(crate) fn judge(
        &self,
        outside: &dyn Outside,
        payload: &[u8],
    ) -> Result<Claims, AttestError> {
        let keys = LoginKeys::new([0; 32]);
        let request = self.attestor.request(None)?;
        let cx = LoginContext {
            now: self.at,
            transcript: &self.transcript,
            request: &request,
            blobs: &Blobs::default(),
            facts: &Facts::default(),
            last_boot: None,
            keys: &keys,
        };
        let errand = match self.attestor.judge(&cx, payload)? {
            Judged::Proven(claims) => return Ok(*claims),
            Judged::Errand(errand) => errand,
            Judged::Challenge(other) => panic!("{other:?}"),
        };
        let errand_cx = ErrandContext {
            now: self.at,
            login_id: "login".to_owned(),
            cluster: "cluster".to_owned(),
            trust_domain: "example.org".to_owned(),
            policy: "policy".to_owned(),
            proven: Vec::new(),
            proof_nonce: proof_nonce(self.attestor.kind(), &self.transcript),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let answer = runtime.block_on(errand.run(outside, &errand_cx))?;
        errand.judge(&cx, &answer)
    }
}

/// A world in which the cloud's key is [`Key::rsa`].
pub(crate) fn world<B: Bench>() -> World {
    let world = World::default();
    world.has_key(B::source(), Key::rsa().jwk("k1"));
    B::furnish(&world);
    world
}

/// A token with these claims, judged with everything else as it should be.
pub(crate) fn claimed<B: Bench>(claims: &Value) -> Result<Claims, AttestError> {
    token::<B>(&Key::rsa().token("k1", claims))
}

/// A token, judged with everything else as it should be.
pub(crate) fn token<B: Bench>(token: &str) -> Result<Claims, AttestError> {
    Case::of::<B>().judge(&world::<B>(), &B::payload(token))
}

/// The claims of a token that is let in, but for one, which is another or, as `null`, absent.
pub(crate) fn but<B: Bench>(name: &str, value: Value) -> Value {
    let mut claims = B::claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

/// The check that fails.
#[track_caller]
pub(crate) fn check(result: Result<Claims, AttestError>) -> &'static str {
    match result {
        Ok(claims) => panic!("{claims:?}"),
        Err(error) => error.check,
    }
}

/// The leeway that these methods have unless they are told otherwise.
pub(crate) const LEEWAY: i64 = Duration::from_secs(60).as_secs() as i64;
