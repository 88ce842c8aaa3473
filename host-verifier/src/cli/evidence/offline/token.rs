//! Methods over tokens of an issuer. The token is the proof; a key that the issuer publishes stands in a file.

use std::borrow::Cow;

use assay_common::policy::AttestorKind;

use super::{Case, Failure, HOW_TO_GET, Offline, cloud_answers, without_login};
use crate::{
    attestor::{
        AttestError, Claims, Fault, aws_token, custom_jwt, gcp_iit,
        issuer::{IssuedToken, Keys, Rules, payload},
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
        known_audience(config.audience.is_some(), files)?;
        let attestor = config.attestor(files)?;
        compact(attestor.rules(), case.payload.trim_ascii_end())?;
        judge(&attestor, &case)
    }
}

/// `assay evidence verify k8s_token`.
pub(in super::super) struct K8sToken;

impl Offline for K8sToken {
    const KIND: AttestorKind = AttestorKind::K8S_TOKEN;
    const TAKES_KEYS: bool = true;
    type Config = k8s_token::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        known_audience(config.audience.is_some(), files)?;
        let attestor = config.attestor(files)?;
        let payload = wrapped(&case.payload).into_owned();
        let case = Case { payload, ..case };
        compact(attestor.rules(), case.payload.trim_ascii_end())?;
        judge(&attestor, &case)
    }
}

/// `assay evidence verify aws_token`.
pub(in super::super) struct AwsToken;

impl Offline for AwsToken {
    const KIND: AttestorKind = AttestorKind::AWS_TOKEN;
    const TAKES_KEYS: bool = true;
    const NONCE_LEN: usize = 16;
    type Config = aws_token::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let nonce = nonce_in_audience(config.nonce_in_audience, &case)?;
        let attestor = config.attestor_for(files, nonce)?;
        let issuer = attestor.issuer_of(case.payload.trim_ascii_end());
        judge(issuer.map_err(Failure::Refused)?, &case)
    }
}

/// `assay evidence verify gcp_iit`.
pub(in super::super) struct GcpIit;

impl Offline for GcpIit {
    const KIND: AttestorKind = AttestorKind::GCP_IIT;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    const NONCE_LEN: usize = 16;
    type Config = gcp_iit::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let nonce = nonce_in_audience(config.nonce_in_audience, &case)?;
        let attestor = config.attestor_for(files, nonce)?;
        without_login(&attestor, &case.payload, case.at, || {
            if case.cloud_answers.is_some() || config.use_instance_metadata {
                return cloud_answers(&case);
            }
            let token = payload::token(&case.payload).map_err(Failure::Refused)?;
            let source = attestor.keys();
            let answer = gcp_iit::Answer {
                source: source.location.url().into(),
                jwk: jwk(token, &case)?.into(),
                instance: None,
            };
            Ok(serde_json::json!(answer).to_string().into_bytes())
        })
    }
}

/// The login's nonce as the token's audience must have it: 16 bytes, which the settings ask for or do not.
fn nonce_in_audience(wanted: bool, case: &Case) -> Result<Option<String>, Failure> {
    match (&case.nonce, wanted) {
        (Some(nonce), true) => Ok(Some(hex::encode(nonce))),
        (None, false) => Ok(None),
        (None, true) => {
            let why = "the settings ask for a nonce in the audience";
            let unreadable = Unreadable::new("--config", why);
            let hint = "give the first 16 bytes of the method's nonce in its login with --nonce";
            Err(unreadable.with_hint(hint).into())
        }
        (Some(_), false) => {
            let why = "the settings ask for no nonce in the audience (nonceInAudience)";
            Err(Unreadable::new("--nonce", why).into())
        }
    }
}

/// Without one in the settings the audience is the trust domain's own, which no file names.
fn known_audience(configured: bool, files: Files<'_>) -> Result<(), Failure> {
    if configured || files.trust_domain().is_some() {
        return Ok(());
    }
    let why = "no `audience` is set, and the default names the verifier's trust domain, which is unknown here";
    let hint = "give `audience` in the settings, e.g. urn:assay:example.org:server";
    Err(Unreadable::new("--config", why).with_hint(hint).into())
}

/// A token as Kubernetes keeps it in a file is taken too, in the form that agents send.
fn wrapped(payload: &[u8]) -> Cow<'_, [u8]> {
    match core::str::from_utf8(payload.trim_ascii()) {
        Ok(token) if !token.starts_with('{') => {
            let payload = serde_json::json!({"token": token});
            Cow::Owned(payload.to_string().into_bytes())
        }
        _ => Cow::Borrowed(payload),
    }
}

/// Whether there is a token at all: bytes that are none are no evidence, and nothing is decided about them.
fn compact(rules: &impl Rules, payload: &[u8]) -> Result<(), Failure> {
    let unreadable = |why: String| {
        let unreadable = Unreadable::new("--payload", why);
        Failure::from(unreadable.with_hint(HOW_TO_GET))
    };
    let token = rules.token(payload);
    let token = token.map_err(|error| unreadable(error.detail))?;
    let is_part = |part: &[u8]| {
        part.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let parts = token.split(|byte| *byte == b'.');
    match parts.clone().count() == 3 && parts.clone().all(is_part) {
        true => Ok(()),
        false => Err(unreadable(
            "no token: three parts in base64url with dots between them".to_owned(),
        )),
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
    let token = rules.token(payload).map_err(Failure::Refused)?;
    let answer = serde_json::json!({
        "source": source.location.url(),
        "jwk": jwk(token, case)?,
    });
    Ok(answer.to_string().into_bytes())
}

/// The key that the token means, of the key set in the file.
fn jwk(token: &[u8], case: &Case) -> Result<String, Failure> {
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
    let parsed = jwt::parse(token).map_err(|error| refused("token-form", error.to_string()))?;
    let key = set
        .select(parsed.header().kid.as_deref())
        .map_err(|error| refused("token-key-unknown", error.to_string()))?;
    Ok(String::from_utf8_lossy(&key.to_json()).into_owned())
}
