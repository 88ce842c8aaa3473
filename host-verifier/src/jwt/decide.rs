//! Deciding: what a verified token must say (RFC 7519 section 4.1).

use core::time::Duration;
use std::borrow::Cow;

use jiff::Timestamp;

use super::algorithm::Algorithm;
use super::error::{JwtError, Part, shown};
use super::json::{Json, Object};
use super::verify::Verified;

/// Longest leeway for clocks that differ that settings may ask for.
pub const MAX_LEEWAY: Duration = Duration::from_secs(60);
/// Longest leeway of all: what Microsoft's own libraries grant the tokens of Entra.
pub const LONGEST_LEEWAY: Duration = Duration::from_secs(300);

/// What a token must say. Borrowed from a method's settings.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// `iss`, byte for byte: no slash is added or forgiven.
    pub issuer: &'a str,
    /// `aud` must have one of these. An empty list lets nothing pass.
    pub audiences: &'a [String],
    /// `sub`, byte for byte, where only one is expected.
    pub subject: Option<&'a str>,
    /// The header's `typ` (RFC 7515 section 4.1.9), without `application/`. `None`: absent, or `JWT`.
    pub typ: Option<&'a str>,
    /// Algorithms that count, of those that there are; `None` for all.
    pub algorithms: Option<&'a [Algorithm]>,
    /// For clocks that differ; more than [`LONGEST_LEEWAY`] counts as that.
    pub leeway: Duration,
    /// Longest time from `iat` to `exp`; `iat` is required then.
    pub max_lifetime: Option<Duration>,
}

/// What a token that passed says.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims<'t> {
    /// `sub`.
    pub subject: Option<Cow<'t, str>>,
    /// `exp`.
    pub expires: Timestamp,
    /// `iat`.
    pub issued: Option<Timestamp>,
    /// All claims.
    pub all: Cow<'t, Object<'t>>,
}

impl Claims<'_> {
    /// The same, apart from the token that they stand in.
    #[must_use]
    pub fn into_owned(self) -> Claims<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Claims {
            subject: self.subject.map(owned),
            expires: self.expires,
            issued: self.issued,
            all: Cow::Owned(self.all.into_owned().into_owned()),
        }
    }
}

/// Decides whether a verified token is one that is expected, now.
///
/// `exp` is required. A claim that is there is of the right type, or the token is refused: a text in `nbf` is not the
/// absence of `nbf` (CVE-2026-25537).
///
/// # Errors
///
/// [`JwtError`]: type, issuer, audience, subject, times.
pub fn decide<'t>(
    token: Verified<'t>,
    expected: &Expectations<'_>,
    now: Timestamp,
) -> Result<Claims<'t>, JwtError> {
    let Verified { typ, claims } = token;
    check_type(typ, expected.typ)?;
    check_issuer(&claims, expected.issuer)?;
    check_audience(&claims, expected.audiences)?;
    let subject = text(&claims, "sub")?;
    if let Some(wanted) = expected.subject {
        let subject = subject.ok_or(JwtError::Missing("subject (sub)"))?;
        if subject != wanted {
            return Err(JwtError::Subject {
                found: subject.to_string(),
                expected: wanted.to_owned(),
            });
        }
    }
    let times = check_time(&claims, now, expected.leeway)?;
    let expires = times.expires.ok_or(JwtError::Missing("expiry (exp)"))?;
    check_lifetime(expires, times.issued, expected.max_lifetime)?;
    Ok(Claims {
        subject: subject.cloned(),
        expires,
        issued: times.issued,
        all: claims,
    })
}

/// Decides about a token that may have no end and is for nobody in particular: Kubernetes' service account tokens of before
/// 1.21. The issuer is exact, and the times that are there count. Not for anything else.
///
/// # Errors
///
/// [`JwtError`]: type, issuer, times.
pub fn decide_endless<'t>(
    token: Verified<'t>,
    issuer: &str,
    now: Timestamp,
) -> Result<Object<'t>, JwtError> {
    let Verified { typ, claims } = token;
    check_type(typ, None)?;
    check_issuer(&claims, issuer)?;
    check_time(&claims, now, MAX_LEEWAY)?;
    Ok(claims.into_owned())
}

/// Media types are compared without regard to case, and `application/` may be left out.
fn check_type(found: Option<&str>, expected: Option<&str>) -> Result<(), JwtError> {
    const PREFIX: &str = "application/";
    let short = found.map(|typ| match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    });
    let fits = match (short, expected) {
        (None, None) => true,
        (Some(typ), None) => typ.eq_ignore_ascii_case("jwt"),
        (found, Some(wanted)) => found.is_some_and(|typ| typ.eq_ignore_ascii_case(wanted)),
    };
    match fits {
        true => Ok(()),
        false => Err(JwtError::Type {
            found: found.unwrap_or("none").to_owned(),
            expected: expected.unwrap_or("JWT").to_owned(),
        }),
    }
}

fn check_issuer(claims: &Object<'_>, expected: &str) -> Result<(), JwtError> {
    let issuer = text(claims, "iss")?.ok_or(JwtError::Missing("issuer (iss)"))?;
    match issuer == expected {
        true => Ok(()),
        false => Err(JwtError::Issuer {
            found: issuer.to_string(),
            expected: expected.to_owned(),
        }),
    }
}

fn check_audience(claims: &Object<'_>, expected: &[String]) -> Result<(), JwtError> {
    const MEMBER: &str = "aud";
    let wrong = |found| JwtError::Member {
        part: Part::Claims,
        name: MEMBER,
        found,
        expected: "a string or a list of strings",
    };
    let audiences = match claims.get(MEMBER) {
        None => return Err(JwtError::Missing("audience (aud)")),
        Some(one @ Json::Text(_)) => core::slice::from_ref(one),
        Some(Json::List(several)) => several,
        Some(other) => return Err(wrong(other.kind())),
    };
    if audiences.iter().any(|one| one.text().is_none()) {
        return Err(wrong("a list of something else"));
    }
    let mut texts = audiences.iter().filter_map(Json::text);
    if texts
        .clone()
        .any(|one| expected.iter().any(|wanted| wanted == one))
    {
        return Ok(());
    }
    let quoted = |texts: &mut dyn Iterator<Item = &str>| {
        let texts: Vec<_> = texts.take(4).map(shown).collect();
        texts.join(", ")
    };
    Err(JwtError::Audience {
        found: quoted(&mut texts),
        expected: quoted(&mut expected.iter().map(String::as_str)),
    })
}

fn text<'c, 't>(
    claims: &'c Object<'t>,
    name: &'static str,
) -> Result<Option<&'c Cow<'t, str>>, JwtError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Text(text)) => Ok(Some(text)),
        Some(other) => Err(JwtError::Member {
            part: Part::Claims,
            name,
            found: other.kind(),
            expected: "a string",
        }),
    }
}

/// The times that a token states, which are all in order.
struct Times {
    expires: Option<Timestamp>,
    issued: Option<Timestamp>,
}

fn check_time(claims: &Object<'_>, now: Timestamp, leeway: Duration) -> Result<Times, JwtError> {
    let leeway = leeway.min(LONGEST_LEEWAY).as_secs() as i64;
    let now = now.as_second();
    let expires = numeric_date(claims, "exp")?;
    let over = |time: &Timestamp| now >= time.as_second().saturating_add(leeway);
    if let Some(time) = expires.filter(over) {
        return Err(JwtError::Expired(time));
    }
    let ahead = |time: &Timestamp| time.as_second() > now.saturating_add(leeway);
    if let Some(time) = numeric_date(claims, "nbf")?.filter(ahead) {
        return Err(JwtError::NotYet(time));
    }
    let issued = numeric_date(claims, "iat")?;
    match issued.filter(ahead) {
        Some(time) => Err(JwtError::FromTheFuture(time)),
        None => Ok(Times { expires, issued }),
    }
}

fn check_lifetime(
    expires: Timestamp,
    issued: Option<Timestamp>,
    most: Option<Duration>,
) -> Result<(), JwtError> {
    let Some(most) = most.map(|most| most.as_secs()) else {
        return Ok(());
    };
    let issued = issued.ok_or(JwtError::Missing("issue time (iat)"))?;
    let found = expires.as_second().saturating_sub(issued.as_second());
    match u64::try_from(found).is_ok_and(|found| found > most) {
        true => Err(JwtError::Lifetime { found, most }),
        false => Ok(()),
    }
}

/// Seconds since 1970, a fraction allowed (RFC 7519 section 2); the fraction is cut off.
fn numeric_date(claims: &Object<'_>, name: &'static str) -> Result<Option<Timestamp>, JwtError> {
    let wrong = |found| JwtError::Member {
        part: Part::Claims,
        name,
        found,
        expected: "a number of seconds since 1970",
    };
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Json::Number(number)) => number,
        Some(other) => return Err(wrong(other.kind())),
    };
    // A cast saturates, and what saturates is out of a calendar's range.
    let seconds = match (number.as_i64(), number.as_f64()) {
        (Some(seconds), _) => seconds,
        (None, Some(fraction)) => fraction as i64,
        (None, None) => return Err(wrong("another number")),
    };
    match Timestamp::from_second(seconds) {
        Ok(time) if seconds >= 0 => Ok(Some(time)),
        _ => Err(wrong("out of range")),
    }
}
