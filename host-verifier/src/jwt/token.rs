//! Reading: three parts, of which only the header is looked into.

use core::ops::Range;
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::MAX_TOKEN;
use super::algorithm::Algorithm;
use super::error::{JwtError, Part};
use super::json::{self, Json, Object};

/// Longest `kid` and `typ`, bytes.
const MAX_NAME: usize = 256;

/// What a token says of its own signature: a wish, nothing more, until the signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`: which key.
    pub kid: Option<String>,
    /// `typ`.
    pub typ: Option<String>,
}

/// A token that was taken apart and not verified. Its claims are not readable: nothing can be decided by them yet.
pub struct Unverified<'a> {
    pub(super) header: Cow<'a, Header>,
    /// The first two parts and the dot between them, as they were signed.
    pub(super) signed: &'a [u8],
    /// The second part, not decoded.
    pub(super) claims: &'a [u8],
    pub(super) signature: Cow<'a, [u8]>,
}

/// Without the signature, which is what makes a token worth stealing.
impl core::fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Unverified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Unverified<'_> {
    /// What it says of its signature.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }
}

/// As [`Unverified`], with its token: one that waits for a key.
pub struct Waiting {
    token: Zeroizing<Vec<u8>>,
    taken_apart: TakenApart,
}

impl core::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.unverified().fmt(f)
    }
}

impl Waiting {
    /// As [`parse`].
    ///
    /// # Errors
    ///
    /// As [`parse`].
    pub fn parse(token: Zeroizing<Vec<u8>>) -> Result<Self, JwtError> {
        let taken_apart = take_apart(&token)?;
        Ok(Self { token, taken_apart })
    }

    /// What it says of its signature.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.taken_apart.header
    }

    /// The token as [`parse`] gives it.
    #[must_use]
    pub fn unverified(&self) -> Unverified<'_> {
        let TakenApart {
            header,
            claims,
            signature,
        } = &self.taken_apart;
        Unverified {
            header: Cow::Borrowed(header),
            signed: self.token.get(..claims.end).unwrap_or_default(),
            claims: self.token.get(claims.clone()).unwrap_or_default(),
            signature: Cow::Borrowed(signature),
        }
    }
}

/// What is read of a token.
struct TakenApart {
    header: Header,
    /// Where the second part is. What is signed begins with the token and ends with it.
    claims: Range<usize>,
    signature: Vec<u8>,
}

/// Takes a token in the compact form (RFC 7515 section 7.1) apart.
///
/// The header's `jku`, `x5u`, `jwk`, `x5c` and `x5t` are not looked at: who signs a token does not say which keys count. Its
/// `crit` is refused (section 4.1.11), since no extension is understood.
///
/// # Errors
///
/// [`JwtError`]: the length, before anything is decoded; the form of the three parts; the header's members.
pub fn parse(token: &[u8]) -> Result<Unverified<'_>, JwtError> {
    let TakenApart {
        header,
        claims,
        signature,
    } = take_apart(token)?;
    Ok(Unverified {
        header: Cow::Owned(header),
        signed: token.get(..claims.end).unwrap_or_default(),
        claims: token.get(claims).unwrap_or_default(),
        signature: Cow::Owned(signature),
    })
}

fn take_apart(token: &[u8]) -> Result<TakenApart, JwtError> {
    if token.len() > MAX_TOKEN {
        return Err(JwtError::TooLong(token.len()));
    }
    // In a text dots are found faster than among bytes.
    let three = match core::str::from_utf8(token) {
        Ok(text) => three(text.split('.').map(str::as_bytes)),
        Err(_) => three(token.split(|byte| *byte == b'.')),
    };
    let Some([header, claims, signature]) = three else {
        let parts = token.split(|byte| *byte == b'.').count();
        return Err(JwtError::Parts(parts));
    };
    let start = header.len() + 1;
    Ok(TakenApart {
        header: read_header(&decode(header, Part::Header)?)?,
        claims: start..start + claims.len(),
        signature: decode(signature, Part::Signature)?,
    })
}

/// All parts, if they are three.
fn three<'a>(mut parts: impl Iterator<Item = &'a [u8]>) -> Option<[&'a [u8]; 3]> {
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// Strict: the alphabet of RFC 4648 section 5, no padding, no stray bits in the last character, not empty.
pub(super) fn decode(text: &[u8], part: Part) -> Result<Vec<u8>, JwtError> {
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(JwtError::Base64(part)),
    }
}

/// Bytes that are one JSON object.
pub(super) fn object(bytes: &[u8], part: Part) -> Result<Object, JwtError> {
    json::object(bytes).map_err(|error| JwtError::Json {
        part,
        why: error.to_string(),
    })
}

fn read_header(bytes: &[u8]) -> Result<Header, JwtError> {
    let header = object(bytes, Part::Header)?;
    if header.contains_key("crit") {
        return Err(JwtError::Critical);
    }
    let text = |name: &'static str| match header.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) if !text.is_empty() && text.len() <= MAX_NAME => {
            Ok(Some(text.as_str()))
        }
        Some(other) => Err(JwtError::Member {
            part: Part::Header,
            name,
            found: other.kind(),
            expected: "a string of 1 to 256 bytes",
        }),
    };
    let algorithm = text("alg")?.ok_or(JwtError::Member {
        part: Part::Header,
        name: "alg",
        found: "absent",
        expected: "a string of 1 to 256 bytes",
    })?;
    Ok(Header {
        algorithm: Algorithm::from_name(algorithm)
            .ok_or_else(|| JwtError::Algorithm(algorithm.to_owned()))?,
        kid: text("kid")?.map(ToOwned::to_owned),
        typ: text("typ")?.map(ToOwned::to_owned),
    })
}
