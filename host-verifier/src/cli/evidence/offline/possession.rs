//! The methods by which a node shows that it has a key: the nonce of the login stands beside the payload.
//!
//! Two forms of file are read: the login's own payload, with `--nonce` or a member `challenge` in it as SPIRE's verifiers send
//! it; and SPIRE's three messages as the members `payload`, `challenge` and `response` of one object.

use assay_common::policy::AttestorKind;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Case, Failure, HOW_TO_GET, Offline};
use crate::{
    attestor::{Claims, ssh_pop, x509pop},
    cli::report::Unreadable,
    document::Files,
    x509::UnixTime,
};

/// `assay evidence verify x509pop`.
pub(in super::super) struct X509Pop;

impl Offline for X509Pop {
    const KIND: AttestorKind = AttestorKind::X509POP;
    type Config = x509pop::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let attestor = config.attestor(files)?;
        let at = UnixTime::from(case.at);
        let (payload, nonce) = split(case, "response", |challenge| {
            let kinds = ["rsa_signature", "ecdsa_signature", "ed25519_signature"];
            kinds
                .iter()
                .find_map(|kind| challenge.get(*kind)?.get("nonce"))
        })?;
        let claims = attestor.prove(&payload, &nonce, at);
        claims.map_err(|error| Failure::Refused(error.into()))
    }
}

/// `assay evidence verify ssh_pop`.
pub(in super::super) struct SshPop;

impl Offline for SshPop {
    const KIND: AttestorKind = AttestorKind::SSH_POP;
    type Config = ssh_pop::Config;

    fn judge(config: &Self::Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        let attestor = config.attestor(files)?;
        let at = UnixTime::from(case.at);
        let (payload, nonce) = split(case, "Response", |challenge| {
            challenge.get("Nonce").or_else(|| challenge.get("nonce"))
        })?;
        let claims = attestor.prove(&payload, &nonce, at);
        claims.map_err(|error| Failure::Refused(error.into()))
    }
}

fn unreadable(why: impl core::fmt::Display) -> Failure {
    Failure::Unreadable(Unreadable::new("--payload", why).with_hint(HOW_TO_GET))
}

/// The login's payload and the verifier's nonce. `response` is what the payload calls the response, `nonce` finds the nonce in
/// a challenge.
fn split(
    case: Case,
    response: &str,
    nonce: impl Fn(&Value) -> Option<&Value>,
) -> Result<(Vec<u8>, [u8; 32]), Failure> {
    let file: Value = serde_json::from_slice(&case.payload)
        .map_err(|error| unreadable(format_args!("not JSON: {error}")))?;
    let Value::Object(mut file) = file else {
        return Err(unreadable("not a JSON object"));
    };
    let challenge = file.remove("challenge");
    let given = match &challenge {
        None => None,
        Some(challenge) => Some(decode(nonce(challenge))?),
    };
    let nonce = match (given, case.nonce32()) {
        (Some(given), Some(nonce)) if given != nonce => {
            return Err(unreadable("its challenge has another nonce than --nonce"));
        }
        (Some(nonce), _) | (None, Some(nonce)) => nonce,
        (None, None) => {
            return Err(Failure::Unreadable(
                Unreadable::new("--payload", "there is no nonce in it").with_hint(
                    "give the verifier's nonce with --nonce, or the challenge in the file",
                ),
            ));
        }
    };
    let three = file.contains_key("payload");
    if !three && challenge.is_none() {
        // The very bytes that a login would judge.
        return Ok((case.payload, nonce));
    }
    let object = match three {
        true => whole(file, response)?,
        false => file,
    };
    Ok((Value::Object(object).to_string().into_bytes(), nonce))
}

/// The login's payload out of SPIRE's messages.
fn whole(mut file: Map<String, Value>, response: &str) -> Result<Map<String, Value>, Failure> {
    let (Some(Value::Object(mut payload)), Some(answer)) =
        (file.remove("payload"), file.remove("response"))
    else {
        return Err(unreadable(
            "beside `payload`, an object, it must have `challenge` and `response`",
        ));
    };
    if let Some(other) = file.keys().next() {
        return Err(unreadable(format_args!(
            "{:?} is none of `payload`, `challenge` and `response`",
            other.chars().take(64).collect::<String>()
        )));
    }
    payload.insert(response.to_owned(), answer);
    Ok(payload)
}

fn decode(nonce: Option<&Value>) -> Result<[u8; 32], Failure> {
    let text = nonce.and_then(Value::as_str);
    let bytes = text.and_then(|text| STANDARD.decode(text).ok());
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| unreadable("its challenge has no nonce of 32 bytes in base64"))
}
