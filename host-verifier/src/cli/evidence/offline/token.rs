//! Methods over tokens of an issuer. The token is the proof; a key that the issuer publishes stands in a file.

use assay_common::{
    login::{LoginKeys, Transcript},
    policy::AttestorKind,
};

use super::{Case, Failure, Offline};
use crate::{
    attestor::{
        AttestError, Attestor as _, Claims, Facts, Fault, Judged, LoginContext, custom_jwt,
        issuer::{IssuedToken, Keys, Rules},
        k8s_token,
    },
    blobs::Blobs,
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
    // A token is not made for a login, so nothing of one is looked at.
    let cx = LoginContext {
        now: case.at,
        transcript: &Transcript::new(),
        request: &[],
        blobs: &Blobs::default(),
        facts: &Facts::default(),
        last_boot: None,
        keys: &LoginKeys::new([0; 32]),
    };
    // An editor's line end is no part of a token.
    let payload = case.payload.trim_ascii_end();
    let judged = attestor.judge(&cx, payload).map_err(Failure::Refused)?;
    match judged {
        Judged::Proven(claims) => Ok(*claims),
        Judged::Errand(errand) => {
            let answer = answer(attestor.rules(), payload, case)?;
            errand.judge(&cx, &answer).map_err(Failure::Refused)
        }
        Judged::Challenge(_) => Err(Failure::Refused(AttestError::new(
            Fault::Internal,
            "offline",
            "a token has no challenge",
        ))),
    }
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
            .with_hint("give the issuer's JWK set with --jwks")
            .into());
    };
    let set = JwkSet::parse_fetched(set).map_err(|error| Unreadable::new("--jwks", error))?;
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
