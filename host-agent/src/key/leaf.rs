//! What a certificate says of itself, read for people: from when to when it counts, and which key it is for. Nobody has verified
//! it here; the verifier does.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::finding::Finding;

/// From when to when something counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The first moment; `None` when it has none.
    pub from: Option<Timestamp>,
    /// The last; `None` when it has none.
    pub until: Option<Timestamp>,
}

impl Term {
    /// That a login by it fails at `now`, and how that is mended.
    #[must_use]
    pub fn doctor(&self, subject: &str, name: &str, now: Timestamp) -> Option<Finding> {
        match (self.from, self.until) {
            (_, Some(until)) if until < now => Some(Finding::fail(
                subject,
                format!("{name}: it expired at {until}"),
                "have it issued anew; if it should be good, look at this machine's clock",
            )),
            (Some(from), _) if from > now => Some(Finding::fail(
                subject,
                format!("{name}: it counts from {from} on"),
                "look at this machine's clock and at that of whoever issued it",
            )),
            _ => None,
        }
    }
}

/// A certificate as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// When it counts.
    pub term: Term,
    /// SHA-256 of its SubjectPublicKeyInfo, as the verifier's audit trail names the node.
    pub key_sha256: [u8; 32],
}

impl Leaf {
    /// Reads a certificate (RFC 5280, section 4.1). `None`: it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (certificate, _) = tagged(0x30, der)?;
        let (mut rest, _) = tagged(0x30, certificate.content)?;
        // The version, which the first one leaves out.
        if let Some((_, after)) = tagged(0xA0, rest.content) {
            rest.content = after;
        }
        let (_serial, after) = tagged(0x02, rest.content)?;
        let (_algorithm, after) = tagged(0x30, after)?;
        let (_issuer, after) = tagged(0x30, after)?;
        let (validity, after) = tagged(0x30, after)?;
        let (_subject, after) = tagged(0x30, after)?;
        let (key, _) = tagged(0x30, after)?;
        let (from, until) = element(validity.content)?;
        let (until, _) = element(until)?;
        Some(Self {
            term: Term {
                from: Some(time(&from)?),
                until: Some(time(&until)?),
            },
            key_sha256: Sha256::digest(key.whole).into(),
        })
    }
}

/// The first of certificates that stand one after the other.
#[must_use]
pub(crate) fn first(chain: &[u8]) -> Option<&[u8]> {
    tagged(0x30, chain).map(|(certificate, _)| certificate.whole)
}

/// A DER element.
struct Element<'a> {
    tag: u8,
    /// With its header.
    whole: &'a [u8],
    content: &'a [u8],
}

/// The element at the front, and what follows (X.690, sections 8.1.2 and 8.1.3, lengths below 65536).
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (head, len) = match der {
        [_, len @ 0..=0x7F, ..] => (2, usize::from(*len)),
        [_, 0x81, len, ..] => (3, usize::from(*len)),
        [_, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return None,
    };
    let (whole, rest) = der.split_at_checked(len + head)?;
    let element = Element {
        tag: *der.first()?,
        whole,
        content: whole.get(head..)?,
    };
    Some((element, rest))
}

fn tagged(tag: u8, der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    element(der).filter(|(element, _)| element.tag == tag)
}

/// UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 wants them: to the second, in UTC.
fn time(element: &Element<'_>) -> Option<Timestamp> {
    let text = core::str::from_utf8(element.content).ok()?;
    let text = text.strip_suffix('Z')?;
    let (year, rest) = match element.tag {
        0x17 => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let pair = |at: usize| number::<i8>(rest.get(at..at + 2)?);
    let date = Date::new(year, pair(0)?, pair(2)?).ok()?;
    let time = Time::new(pair(4)?, pair(6)?, pair(8)?, 0).ok()?;
    let zoned = DateTime::from_parts(date, time).to_zoned(TimeZone::UTC);
    zoned.ok().map(|zoned| zoned.timestamp())
}

fn number<T: core::str::FromStr>(digits: &str) -> Option<T> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}
