//! What methods over tokens of a cloud share: whom a token is for, and how it is bound to the login.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{MethodError, ProofRequest, token};

/// The longest audience that an issuer of any cloud takes, bytes.
const MAX_AUDIENCE: usize = 512;

/// Whom tokens are for where the settings do not say: this trust domain's verifiers. One that every deployment had in common
/// would let a token that was shown to one verifier in at another.
pub(super) fn default_audience(trust_domain: &str) -> String {
    format!("urn:assay:{trust_domain}:server")
}

/// An audience that an issuer takes.
pub(super) fn checked_audience(audience: &str) -> Result<(), MethodError> {
    let legal = |c: char| !c.is_control() && !c.is_whitespace();
    if audience.is_empty() || audience.len() > MAX_AUDIENCE || !audience.chars().all(legal) {
        let what = "audience: not 1 to 512 bytes without blanks";
        return Err(MethodError::new(what, "the one of the verifier's policy"));
    }
    Ok(())
}

/// This method's nonce in this login, as a text that every issuer takes: the first 16 bytes as 32 hex digits.
pub(super) fn login_nonce(nonce: &[u8; 32]) -> String {
    let (half, _) = nonce.split_at(16);
    hex::encode(half)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wishes {
    #[serde(default)]
    nonce_in_audience: bool,
}

/// The nonce, when the verifier wants it in the token's audience.
pub(super) fn wanted_nonce(request: &ProofRequest<'_>) -> Result<Option<String>, MethodError> {
    let wishes = match request.payload {
        [] => Wishes::default(),
        payload => serde_json::from_slice(payload).map_err(|_| {
            let what = "the verifier asks for what this agent does not know";
            MethodError::new(what, "upgrade the agent")
        })?,
    };
    Ok(wishes.nonce_in_audience.then(|| login_nonce(request.nonce)))
}

/// A token as an issuer gave it, when it has the form of one.
pub(super) fn checked_token(by: &str, text: &str) -> Result<Zeroizing<String>, MethodError> {
    match token::is_token(text) {
        true => Ok(Zeroizing::new(text.to_owned())),
        false => {
            let what = format!("{by}: what it answers is no token");
            Err(MethodError::new(
                what,
                "something between answers in the service's place; look at what stands between",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_common::login::Transcript;

    use super::{checked_audience, default_audience, login_nonce, wanted_nonce};
    use crate::method::ProofRequest;

    #[test]
    fn a_nonce_is_its_first_half_in_small_hex_digits() {
        let mut nonce = [0xEE; 32];
        nonce[..16].copy_from_slice(&[0xAB; 16]);
        assert_eq!(login_nonce(&nonce), "ab".repeat(16));
    }

    #[test]
    fn the_nonce_is_in_the_audience_when_the_verifier_says_so_and_only_then() {
        let wanted = |payload: &[u8]| {
            wanted_nonce(&ProofRequest {
                round: 0,
                payload,
                transcript: &Transcript::new(),
                nonce: &[7; 32],
            })
        };
        assert_eq!(wanted(b""), Ok(None));
        assert_eq!(wanted(br#"{"nonceInAudience":false}"#), Ok(None));
        let nonce = "07".repeat(16);
        assert_eq!(wanted(br#"{"nonceInAudience":true}"#), Ok(Some(nonce)));
        assert!(wanted(br#"{"nonceInTags":true}"#).is_err());
        assert!(wanted(b"x").is_err());
    }

    #[test]
    fn an_audience_is_one_word() {
        assert_eq!(
            default_audience("example.org"),
            "urn:assay:example.org:server"
        );
        assert!(checked_audience("api://a/b").is_ok());
        for wrong in ["", "a b", "a\n", &"a".repeat(513)] {
            assert!(checked_audience(wrong).is_err(), "{wrong:?}");
        }
    }
}
