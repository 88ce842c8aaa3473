//! Reading: three parts, of which only the header is looked into.

use std::borrow::Cow;

use yoke::Yoke;

use super::MAX_TOKEN;
use super::algorithm::Algorithm;
use super::error::{JwtError, Part};
use super::json::{self, Json, Object};
use crate::base64_text;

/// Longest claims that are read before there is a key, bytes: what was read takes several times as much memory, and waits with
/// the token. Those of clouds have about a thousand.
const MOST_READ: usize = 4096;
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
    pub(super) claims: Held<'a, Claimed>,
    pub(super) signature: Cow<'a, [u8]>,
}

/// The second part, decoded; and what it says, where that was read before the signature was verified, and has one reading. It
/// is given out to nobody but [`verify`](super::verify) then, and [`untrusted_texts`](super::untrusted_texts).
pub(super) type Claimed = Yoke<Option<Object<'static>>, Vec<u8>>;

/// What is one's own, or another one's.
pub(super) enum Held<'a, T> {
    Own(T),
    Of(&'a T),
}

impl<T> Held<'_, T> {
    pub(super) const fn get(&self) -> &T {
        match self {
            Self::Own(own) => own,
            Self::Of(other) => other,
        }
    }
}

fn unread(claims: Vec<u8>) -> Claimed {
    Yoke::attach_to_cart(claims, |_| None)
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

    /// Keeps what was read of it until there is a key.
    #[must_use]
    pub fn wait(self) -> Waiting {
        Waiting {
            header: self.header.into_owned(),
            signed: Wiped(self.signed.to_vec()),
            claims: match self.claims {
                Held::Own(claims) => claims,
                Held::Of(claims) => unread(claims.backing_cart().clone()),
            },
            signature: Wiped(self.signature.into_owned()),
        }
    }
}

/// As [`Unverified`], apart from the message that it came in: one that waits for a key.
pub struct Waiting {
    header: Header,
    signed: Wiped,
    claims: Claimed,
    signature: Wiped,
}

impl core::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.unverified().fmt(f)
    }
}

impl Waiting {
    /// What it says of its signature.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The token as [`parse`] gives it.
    #[must_use]
    pub fn unverified(&self) -> Unverified<'_> {
        Unverified {
            header: Cow::Borrowed(&self.header),
            signed: &self.signed.0,
            claims: Held::Of(&self.claims),
            signature: Cow::Borrowed(&self.signature.0),
        }
    }
}

/// Bytes that are overwritten before their memory is given back.
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        // Nobody reads what was written, so it could be left out.
        zeroize::optimization_barrier(self.0.as_slice());
    }
}

/// Takes a token in the compact form (RFC 7515 section 7.1) apart.
///
/// The header's `jku`, `x5u`, `jwk`, `x5c` and `x5t` are not looked at: who signs a token does not say which keys count. Its
/// `crit` is refused (section 4.1.11), since no extension is understood.
///
/// # Errors
///
/// [`JwtError`]: the length, before anything is decoded; the form of the three parts; the header's members. What the claims
/// hold is not looked at.
pub fn parse(token: &[u8]) -> Result<Unverified<'_>, JwtError> {
    if token.len() > MAX_TOKEN {
        return Err(JwtError::TooLong(token.len()));
    }
    let (signed, [header, claims, signature]) = three(token)
        .ok_or_else(|| JwtError::Parts(1 + memchr::memchr_iter(b'.', token).count()))?;
    Ok(Unverified {
        header: Cow::Owned(read_header(&decode(header, Part::Header)?)?),
        signed,
        claims: Held::Own(unread(decode(claims, Part::Claims)?)),
        signature: Cow::Owned(decode(signature, Part::Signature)?),
    })
}

/// As [`parse`], for a method that looks at claims before there is a key, to know whose it is: they are read once, now. Those that
/// have no one reading are not refused here, but where they are looked at.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_and_read(token: &[u8]) -> Result<Unverified<'_>, JwtError> {
    let token = parse(token)?;
    let claims = match token.claims {
        Held::Own(claims) if claims.backing_cart().len() <= MOST_READ => {
            let bytes = claims.into_backing_cart();
            Held::Own(Yoke::attach_to_cart(bytes, |bytes| {
                json::object(bytes).ok()
            }))
        }
        other => other,
    };
    Ok(Unverified { claims, ..token })
}

/// What is signed, and the parts, if these are three.
fn three(token: &[u8]) -> Option<(&[u8], [&[u8]; 3])> {
    let mut dots = memchr::memchr_iter(b'.', token);
    let (first, second) = (dots.next()?, dots.next()?);
    if dots.next().is_some() {
        return None;
    }
    let (signed, signature) = token.split_at_checked(second)?;
    let (header, claims) = signed.split_at_checked(first)?;
    Some((signed, [header, claims.get(1..)?, signature.get(1..)?]))
}

/// Strict: the alphabet of RFC 4648 section 5, no padding, no stray bits in the last character, not empty.
fn decode(text: &[u8], part: Part) -> Result<Vec<u8>, JwtError> {
    let bytes = base64_text::url_safe(text).filter(|bytes| !bytes.is_empty());
    bytes.ok_or(JwtError::Base64(part))
}

/// Bytes that are one JSON object.
pub(super) fn object(bytes: &[u8], part: Part) -> Result<Object<'_>, JwtError> {
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
        Some(Json::Text(text)) if !text.is_empty() && text.len() <= MAX_NAME => Ok(Some(&**text)),
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
