//! What an answer's headers say about time.

use core::time::Duration;

use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, DATE, EXPIRES, HeaderName, RETRY_AFTER};
use jiff::Timestamp;

/// Longest that a header is believed: whoever answers does not decide for longer.
const MOST: Duration = Duration::from_secs(24 * 3600);

/// When to ask again: seconds, or a date (RFC 9110 section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = one(headers, RETRY_AFTER)?;
    let seconds = text.parse().map(Duration::from_secs).ok();
    let wait = seconds.or_else(|| between(one(headers, DATE)?, text))?;
    Some(wait.min(MOST))
}

/// How long the answer is fresh (RFC 9111 section 4.2.1), less the time that it lay in a cache on its way.
pub(super) fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let fresh = match one(headers, CACHE_CONTROL) {
        Some(control) => {
            let mut directives = control.split(',').map(str::trim);
            if directives
                .clone()
                .any(|d| matches!(d, "no-store" | "no-cache"))
            {
                return Some(Duration::ZERO);
            }
            let age = directives.find_map(|d| d.strip_prefix("max-age="));
            age.and_then(|age| age.parse().ok())
                .map(Duration::from_secs)
        }
        None => None,
    };
    let fresh = fresh.or_else(|| between(one(headers, DATE)?, one(headers, EXPIRES)?))?;
    let age = one(headers, HeaderName::from_static("age"));
    let age = age
        .and_then(|age| age.parse().ok())
        .map(Duration::from_secs);
    Some(fresh.saturating_sub(age.unwrap_or_default()).min(MOST))
}

/// A header that is there once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().ok().map(str::trim),
        _ => None,
    }
}

fn between(from: &str, to: &str) -> Option<Duration> {
    let passed = date(to)?.duration_since(date(from)?);
    Some(Duration::try_from(passed).unwrap_or_default())
}

/// The one form that is sent (RFC 9110 section 5.6.7).
fn date(text: &str) -> Option<Timestamp> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(time.timestamp())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::HeaderName;

    use super::{MOST, fresh_for, retry_after};

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        all.iter().map(header).collect()
    }

    #[test]
    fn a_wish_to_be_left_alone_is_seconds_or_a_date() {
        let wait = |all: &[_]| retry_after(&headers(all)).map(|wait| wait.as_secs());
        let date = ("date", "Sun, 22 Nov 2026 10:00:00 GMT");
        assert_eq!(wait(&[("retry-after", "7")]), Some(7));
        assert_eq!(
            wait(&[date, ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")]),
            Some(30)
        );
        // A date that is over, and what nobody would wait for.
        assert_eq!(
            wait(&[date, ("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")]),
            Some(0)
        );
        assert_eq!(wait(&[("retry-after", "99999999")]), Some(MOST.as_secs()));
        for wrong in ["", "-1", "soon", "Sun, 22 Nov 2026 10:00:30 GMT"] {
            assert_eq!(wait(&[("retry-after", wrong)]), None, "{wrong}");
        }
        assert_eq!(wait(&[("retry-after", "1"), ("retry-after", "2")]), None);
    }

    #[test]
    fn freshness_is_the_age_that_is_left() {
        let fresh = |all: &[_]| fresh_for(&headers(all)).map(|fresh| fresh.as_secs());
        assert_eq!(
            fresh(&[
                ("cache-control", "public, max-age=3600, must-revalidate"),
                ("age", "600")
            ]),
            Some(3000)
        );
        assert_eq!(
            fresh(&[
                ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
                ("expires", "Sun, 22 Nov 2026 11:00:00 GMT"),
            ]),
            Some(3600)
        );
        assert_eq!(fresh(&[("cache-control", "no-store")]), Some(0));
        assert_eq!(
            fresh(&[("cache-control", "max-age=10"), ("age", "60")]),
            Some(0)
        );
        assert_eq!(
            fresh(&[("cache-control", "max-age=999999999")]),
            Some(MOST.as_secs())
        );
        assert_eq!(fresh(&[("expires", "0")]), None);
        assert_eq!(fresh(&[]), None);
    }
}
