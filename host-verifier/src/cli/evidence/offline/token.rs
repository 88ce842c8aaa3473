//! Methods over tokens of an issuer. The token is the proof; a key that the issuer publishes stands in a file.

use assay_common::policy::AttestorKind;

use super::{Case, Failure, Offline, without_login};
use crate::{
    attestor::{
        AttestError, Claims, Fault, custom_jwt,
        issuer::{IssuedToken, Keys, Rules},
        k8s_token,
    },
    cli::report::Unreadable,
    document::Files,
    jwt::{self, JwkSet},
};

/// `assay evidence verify custom_jwt`.
pub(in super::super) struct CustomJwt;

impl Offline for CustomJwt {
    const KIND: AttestorKind = AttestorKind::CUSTOM_JWT;
    const TAKES_KEYS: bool = true;
    type Config = custom_jwt::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        judge(&config.attestor(files)?, &case)
    }
}

/// `assay evidence verify k8s_token`.
pub(in super::super) struct K8sToken;

impl Offline for K8sToken {
    const KIND: AttestorKind = AttestorKind::K8S_TOKEN;
    const TAKES_KEYS: bool = true;
    type Config = k8s_token::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        judge(&config.attestor(files)?, &case)
    }
}

fn judge<R: Rules + 'static>(attestor: &IssuedToken<R>, case: &Case) -> Result<Claims, Failure> {
    // An editor's line end is no part of a token.
    let payload = case.payload.trim_ascii_end();
    without_login(attestor, payload, case.at, || {
        answer(attestor.rules(), payload, case)
    })
}

/// The issuer's answer as a login keeps it, made of the key set in the file.
fn answer<R: Rules>(rules: &R, payload: &[u8], case: &Case) -> Result<Vec<u8>, Failure> {
    let Keys::Published(source) = rules.keys() else {
        return Ok(Vec::new());
    };
    let Some(set) = &case.keys else {
        let unreadable = Unreadable::new(
            "--config",
            "it says where the issuer publishes its keys, and nobody is asked here",
        );
        return Err(unreadable
            .with_hint("give the issuer's JWK set with --keys")
            .into());
    };
    let set = JwkSet::parse_fetched(set).map_err(|error| Unreadable::new("--keys", error))?;
    let refused = |check: &'static str, detail: String| {
        Failure::Refused(AttestError::new(Fault::Refused, check, detail))
    };
    let token = rules.token(payload).map_err(Failure::Refused)?;
    let parsed = jwt::parse(&token).map_err(|error| refused("token-form", error.to_string()))?;
    let key = set
        .select(parsed.header().kid.as_deref())
        .map_err(|error| refused("token-key-unknown", error.to_string()))?;
    let answer = serde_json::json!({
        "source": source.location.url(),
        "jwk": String::from_utf8_lossy(&key.to_json()),
    });
    Ok(answer.to_string().into_bytes())
}
