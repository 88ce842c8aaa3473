//! JWT-SVIDs: SPIFFE JWT-SVID, in JWS compact serialization (RFC 7515 section 7.1).
//!
//! # Why an own encoder
//!
//! A library that signs tokens wants the private key itself. Here a key may be where nobody can take it out of
//! ([`super::keys::Signer`]). What remains is two JSON objects in base64url; verifying, which is the hard part, is left to
//! those who receive tokens.

use core::time::Duration;

use assay_common::identity::SpiffeId;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;

use super::authority::{JwtAuthority, Own as _};
use super::issuer::IssueError;
use super::keys::{KeyError, KeyType};
use super::x509::whole;
use crate::x509::der::{DerError, Reader, tag};

/// Lifetime unless something else is configured: a token can be replayed for as long.
pub const DEFAULT_TTL: Duration = Duration::from_secs(300);
/// Longest lifetime.
pub const MAX_TTL: Duration = Duration::from_secs(3600);
/// Most audiences of one token. Whoever receives it can present it to all of the others (JWT-SVID section 7.2).
pub const MAX_AUDIENCES: usize = 8;
/// Longest audience, bytes.
pub const MAX_AUDIENCE: usize = 256;

/// A JWT-SVID. Whoever holds the token has the identity: it is in no debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSvid {
    /// The token.
    pub token: String,
    /// Whole seconds.
    pub issued_at: Timestamp,
    /// Whole seconds.
    pub expires_at: Timestamp,
    /// The authority that signed it.
    pub authority: String,
}

impl core::fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("JwtSvid")
            .field("expires_at", &self.expires_at)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// The header: nothing but what JWT-SVID section 2 allows.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a [&'a str],
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    sub: &'a str,
}

/// Signs one. The end is `now + ttl`, or that of the authority if it comes before.
pub(super) async fn issue(
    authority: &JwtAuthority,
    id: &SpiffeId<'_>,
    audience: &[&str],
    (now, ttl): (Timestamp, Duration),
    issuer: Option<&str>,
) -> Result<JwtSvid, IssueError> {
    check_audience(audience)?;
    let record = authority.record();
    let issued_at = whole(Ok(now))?;
    let expires_at = whole(now.checked_add(ttl.min(MAX_TTL)))?.min(record.not_after);
    if expires_at <= now {
        return Err(IssueError::Lifetime(ttl));
    }
    let signer = authority.signer();
    let header = Header {
        alg: signer.key_type().jws_algorithm(),
        kid: &record.id,
        typ: "JWT",
    };
    let claims = Claims {
        aud: audience,
        exp: expires_at.as_second(),
        iat: issued_at.as_second(),
        iss: issuer,
        sub: id.as_str(),
    };
    let mut token = String::with_capacity(768);
    // Texts and numbers always serialize.
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&header).unwrap_or_default(), &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&claims).unwrap_or_default(), &mut token);
    let signature = signer.sign(token.as_bytes()).await?;
    let signature = jws_signature(signer.key_type(), signature)
        .map_err(|_| KeyError::Sign(record.id.clone()))?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(JwtSvid {
        token,
        issued_at,
        expires_at,
        authority: record.id.clone(),
    })
}

fn check_audience(audience: &[&str]) -> Result<(), IssueError> {
    let legal = |one: &&str| {
        !one.is_empty() && one.len() <= MAX_AUDIENCE && !one.chars().any(char::is_control)
    };
    match !audience.is_empty() && audience.len() <= MAX_AUDIENCES && audience.iter().all(legal) {
        true => Ok(()),
        false => Err(IssueError::Audience),
    }
}

/// ECDSA as RFC 7518 section 3.4 wants it: both numbers one behind the other, as long as the field. RSA stays as it is.
fn jws_signature(key_type: KeyType, signature: Vec<u8>) -> Result<Vec<u8>, DerError> {
    let field = match key_type {
        KeyType::EcP256 => 32,
        KeyType::EcP384 => 48,
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => return Ok(signature),
    };
    let mut outer = Reader::new(&signature);
    let mut numbers = outer.expect(tag::SEQUENCE)?.reader();
    outer.finish()?;
    let mut fixed = Vec::with_capacity(2 * field);
    for _ in 0..2 {
        let number = numbers.expect(tag::INTEGER)?.contents;
        let number = crate::crypto::encode::trim_leading_zeros(number);
        let pad = field
            .checked_sub(number.len())
            .ok_or(DerError::Value("signature"))?;
        fixed.resize(fixed.len() + pad, 0);
        fixed.extend_from_slice(number);
    }
    numbers.finish()?;
    Ok(fixed)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{KeyType, jws_signature};

    #[test]
    fn short_numbers_of_a_signature_are_padded_and_long_ones_refused() {
        // 1, and a number with its top bit set, which DER writes with a zero in front.
        let der = [0x30, 0x08, 2, 1, 1, 2, 3, 0, 0x80, 7];
        let fixed = jws_signature(KeyType::EcP256, der.to_vec()).unwrap();
        assert_eq!(fixed.len(), 64);
        assert_eq!(
            (fixed.get(31), fixed.get(62..)),
            (Some(&1), Some(&[0x80, 7][..]))
        );
        assert!(fixed.iter().take(31).all(|byte| *byte == 0));
        let mut long = vec![0x30, 0x26, 2, 33];
        long.resize(37, 1);
        long.extend([2, 1, 1]);
        assert!(jws_signature(KeyType::EcP256, long.clone()).is_err());
        assert_eq!(jws_signature(KeyType::EcP384, long).unwrap().len(), 96);
        assert_eq!(
            jws_signature(KeyType::Rsa2048, vec![7; 256]).unwrap(),
            [7; 256]
        );
    }
}
