//! A login's nonce in a token's audience, for methods whose agents choose it (`aws_token`, `gcp_iit`).
//!
//! Such a token is bearer evidence: whoever reads it can send it again. Where the policy says `nonceInAudience`, the request
//! says so, and the agent has its token made for an audience that holds this login's nonce. The token is good for one login
//! then.

use assay_common::login::{Transcript, proof_nonce};
use assay_common::policy::AttestorKind;

use super::{AttestError, Fault};

/// The request for a token with the nonce in its audience.
pub const REQUEST: &[u8] = br#"{"nonceInAudience":true}"#;

/// The request of an attestor that does or does not want the nonce, behind one that asked before. What one of them wants, the
/// agent does, and all of them judge by.
#[must_use]
pub fn request(wanted: bool, so_far: Option<&[u8]>) -> Vec<u8> {
    match wanted || so_far.is_some_and(|before| before == REQUEST) {
        true => REQUEST.to_vec(),
        false => Vec::new(),
    }
}

/// Whether the agent was told to.
///
/// # Errors
///
/// [`Fault::Internal`]: it was told something that no attestor of these methods says.
pub fn was_requested(request: &[u8]) -> Result<bool, AttestError> {
    match request {
        [] => Ok(false),
        REQUEST => Ok(true),
        _ => {
            let why = "the request is none of this method's";
            Err(AttestError::new(Fault::Internal, "request", why))
        }
    }
}

/// The nonce as it stands in an audience: the first 16 bytes of the method's nonce in this login
/// ([`proof_nonce`]), 32 lower-case hexadecimal digits. An audience has no room to spare, and 128 bits are not found twice.
#[must_use]
pub fn text(kind: AttestorKind, transcript: &Transcript) -> String {
    let nonce = proof_nonce(kind, transcript);
    let (half, _) = nonce.split_at(16);
    hex::encode(half)
}

#[cfg(test)]
mod tests {
    use super::{REQUEST, request, was_requested};

    #[test]
    fn one_that_wants_the_nonce_is_enough() {
        assert_eq!(request(false, None), b"");
        assert_eq!(request(false, Some(b"")), b"");
        assert_eq!(request(false, Some(REQUEST)), REQUEST);
        assert_eq!(request(true, Some(b"")), REQUEST);
        assert_eq!(was_requested(REQUEST), Ok(true));
        assert_eq!(was_requested(b""), Ok(false));
        assert!(was_requested(b"{}").is_err());
    }
}
