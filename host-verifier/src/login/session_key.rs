//! The session key of an agent without a TPM, from the verifier's side: see [`assay_common::login::session_key`].

use assay_common::login::Transcript;
use assay_common::login::session_key::{SHARE_LEN, session_secret};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use zeroize::Zeroizing;

use super::MethodKeys;
use crate::attestor::{AttestError, Fault};

/// How far the agreement has come.
#[derive(Debug)]
pub(crate) enum SessionKey {
    /// The agent sent no share: its session is sealed to what its TPM opens.
    None,
    /// The agent's share.
    Offered(Box<[u8; SHARE_LEN]>),
    /// The agent has shown that it knows the secret.
    Confirmed,
    /// It has not.
    Refused(AttestError),
}

/// Reads the share in a hello.
///
/// # Errors
///
/// Why it is none.
pub(super) fn offered(share: &[u8]) -> Result<SessionKey, String> {
    if share.is_empty() {
        return Ok(SessionKey::None);
    }
    let share = <[u8; SHARE_LEN]>::try_from(share)
        .ok()
        .filter(|share| share.first() == Some(&4))
        .ok_or_else(|| {
            format!(
                "a key share of {} bytes, where an uncompressed P-256 point has {SHARE_LEN}",
                share.len()
            )
        })?;
    Ok(SessionKey::Offered(Box::new(share)))
}

/// Draws the verifier's share: what to ask with, and the login's keys.
///
/// # Errors
///
/// Why there are none; a point that is not on the curve is one of them.
pub(super) fn agree_with(share: &[u8; SHARE_LEN]) -> Result<(Vec<u8>, MethodKeys), AttestError> {
    let internal = |what| AttestError::new(Fault::Internal, "session-key", what);
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| internal("no key can be drawn"))?;
    let request = own
        .compute_public_key()
        .map_err(|_| internal("the drawn key has no public half"))?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, share);
    let refused = AttestError::new(
        Fault::Refused,
        "session-key-share",
        "the agent's key share is no point of P-256",
    );
    let secret = agree(&own, peer, refused, |agreed| {
        let x =
            <[u8; 32]>::try_from(agreed).map_err(|_| internal("an agreement of another length"))?;
        let x = Zeroizing::new(x);
        Ok(session_secret(&x, share, request.as_ref()))
    })?;
    Ok((request.as_ref().to_vec(), MethodKeys::of(secret)))
}

/// Judges the agent's answer. `asked` includes the challenge that asked.
pub(super) fn judge(keys: Option<&MethodKeys>, asked: &Transcript, answer: &[u8]) -> SessionKey {
    let refused =
        |check, detail: &str| SessionKey::Refused(AttestError::new(Fault::Refused, check, detail));
    let Ok(proof) = <&[u8; 32]>::try_from(answer) else {
        return refused("session-key-answer", "an answer that is not 32 bytes long");
    };
    match keys {
        Some(keys) if keys.keys.proof_fits(asked, proof) => SessionKey::Confirmed,
        _ => refused(
            "session-key-proof",
            "the agent does not know the secret that its key share makes with the verifier's",
        ),
    }
}
