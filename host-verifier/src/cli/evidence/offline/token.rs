//! Methods over tokens of an issuer. The token is the proof; a key that the issuer publishes stands in a file.

use std::borrow::Cow;

use assay_common::policy::AttestorKind;

use super::answers::Answers;
use super::{Case, Failure, HOW_TO_GET, Nonce, Offline, without_login};
use crate::{
    attestor::{
        AttestError, Claims, aws_token, custom_jwt, gcp_iit,
        issuer::{IssuedToken, Keys, Rules, payload},
        k8s_token,
    },
    cli::report::Unreadable,
    document::Files,
    jwt,
};

/// `assay evidence verify custom_jwt`.
pub(in super::super) struct CustomJwt;

impl Offline for CustomJwt {
    const KIND: AttestorKind = AttestorKind::CUSTOM_JWT;
    const TAKES_KEYS: bool = true;
    const NONCE: Nonce = Nonce::None;
    type Config = custom_jwt::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        known_audience("audience", config.audience.is_some(), files)?;
        let attestor = config.attestor(files)?;
        compact(attestor.rules().token(case.payload.trim_ascii_end()))?;
        judge(&attestor, &case)
    }
}

/// `assay evidence verify k8s_token`.
pub(in super::super) struct K8sToken;

impl Offline for K8sToken {
    const KIND: AttestorKind = AttestorKind::K8S_TOKEN;
    const TAKES_KEYS: bool = true;
    const NONCE: Nonce = Nonce::None;
    type Config = k8s_token::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        known_audience("audience", config.audience.is_some(), files)?;
        let attestor = config.attestor(files)?;
        let payload = wrapped(&case.payload).into_owned();
        let case = Case { payload, ..case };
        compact(attestor.rules().token(case.payload.trim_ascii_end()))?;
        judge(&attestor, &case)
    }
}

/// `assay evidence verify aws_token`.
pub(in super::super) struct AwsToken;

impl Offline for AwsToken {
    const KIND: AttestorKind = AttestorKind::AWS_TOKEN;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    const NONCE: Nonce = Nonce::Half;
    type Config = aws_token::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        known_audience(
            "allowedAudiences",
            config.allowed_audiences.is_some(),
            files,
        )?;
        let nonce = nonce_in_audience(config.nonce_in_audience, &case)?;
        let attestor = config.attestor_for(files, nonce)?;
        let token = case.payload.trim_ascii_end();
        compact(Ok(token))?;
        let issuer = attestor.issuer_of(token);
        judge(issuer.map_err(Failure::Refused)?, &case)
    }
}

/// `assay evidence verify gcp_iit`.
pub(in super::super) struct GcpIit;

impl Offline for GcpIit {
    const KIND: AttestorKind = AttestorKind::GCP_IIT;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    const NONCE: Nonce = Nonce::Half;
    type Config = gcp_iit::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        known_audience("audience", config.audience.is_some(), files)?;
        let nonce = nonce_in_audience(config.nonce_in_audience, &case)?;
        let attestor = config.attestor_for(files, nonce)?;
        compact(payload::token(&case.payload))?;
        let answers: Answers<gcp_iit::Asked> = Answers::read(Self::KIND, &case)?;
        without_login(&attestor, &case.payload, case.at, || {
            let token = payload::token(&case.payload).map_err(Failure::Refused)?;
            let source = attestor.keys().location.url();
            let kept = gcp_iit::Answer {
                source: source.into(),
                jwk: jwk(&answers, source, token)?.into(),
                instance: answers.api,
            };
            Ok(serde_json::json!(kept).to_string().into_bytes())
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
            let hint = "give the nonce of the login with --nonce, 32 hexadecimal digits: `assay audit evidence` writes it as METHOD.nonce.hex";
            Err(unreadable.with_hint(hint).into())
        }
        (Some(_), false) => {
            let why = "the settings ask for no nonce in the audience (nonceInAudience)";
            Err(Unreadable::new("--nonce", why).into())
        }
    }
}

/// Without one in the settings (`field`) the audience is the trust domain's own, which no file names.
fn known_audience(field: &str, configured: bool, files: Files<'_>) -> Result<(), Failure> {
    if configured || files.trust_domain().is_some() {
        return Ok(());
    }
    let why = format_args!(
        "no `{field}` is set, and the default names the verifier's trust domain, which is unknown here"
    );
    let hint = format!(
        "give `{field}` in the settings; the default of the trust domain example.org is urn:assay:example.org:server"
    );
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
pub(super) fn compact(token: Result<&[u8], AttestError>) -> Result<(), Failure> {
    let unreadable = |why: String| {
        let unreadable = Unreadable::new("--payload", why);
        Failure::from(unreadable.with_hint(HOW_TO_GET))
    };
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
    let answers: Answers<serde_json::Value> = Answers::read(attestor.rules().kind(), case)?;
    without_login(attestor, payload, case.at, || {
        answer(attestor.rules(), payload, &answers)
    })
}

/// The issuer's answer as a login keeps it.
fn answer<R: Rules>(
    rules: &R,
    payload: &[u8],
    answers: &Answers<serde_json::Value>,
) -> Result<Vec<u8>, Failure> {
    let Keys::Published(source) = rules.keys() else {
        return Ok(Vec::new());
    };
    let token = rules.token(payload).map_err(Failure::Refused)?;
    let source = source.location.url();
    let answer = serde_json::json!({"source": source, "jwk": jwk(answers, source, token)?});
    Ok(answer.to_string().into_bytes())
}

/// The key that a token means, where `source` would be asked for it.
fn jwk<A: serde::Serialize>(
    answers: &Answers<A>,
    source: &str,
    token: &[u8],
) -> Result<String, Failure> {
    let parsed = jwt::parse(token).map_err(|error| {
        let detail = format!("JWT verification failed: {error}");
        Failure::Refused(AttestError::new(error.fault(), error.check(), detail))
    })?;
    answers.jwk(source, parsed.header().kid.as_deref())
}
