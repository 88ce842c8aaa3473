//! SPIFFE IDs, as strict as the standard: <https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md>
//! sections 2.1 and 2.2. Nothing is normalised or unescaped: what is not legal as it stands is refused.

/// Longest SPIFFE ID, bytes (section 2.3).
pub const MAX_SPIFFE_ID: usize = 2048;
/// Longest trust domain, bytes (section 2.1).
pub const MAX_TRUST_DOMAIN: usize = 255;

const SCHEME: &str = "spiffe://";

/// Which rule a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SpiffeIdError {
    /// Does not begin with `spiffe://` in lower case.
    Scheme,
    /// Empty trust domain.
    EmptyTrustDomain,
    /// A character other than `a-z`, `0-9`, `-`, `_`, `.` in the trust domain.
    TrustDomainCharacter,
    /// No path where one is needed, or none after a `/`.
    EmptyPath,
    /// Two slashes in a row, or one at the end.
    EmptySegment,
    /// A `.` or `..` segment.
    DotSegment,
    /// A character other than letters, digits, `-`, `_`, `.` in a segment.
    PathCharacter,
    /// Longer than the standard allows.
    TooLong,
}

impl core::fmt::Display for SpiffeIdError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Scheme => "a SPIFFE ID begins with `spiffe://`",
            Self::EmptyTrustDomain => "empty trust domain",
            Self::TrustDomainCharacter => {
                "a trust domain has only lower-case letters, digits, `-`, `_` and `.`"
            }
            Self::EmptyPath => "empty path",
            Self::EmptySegment => "empty path segment",
            Self::DotSegment => "`.` and `..` are not allowed as path segments",
            Self::PathCharacter => "a path segment has only letters, digits, `-`, `_` and `.`",
            Self::TooLong => "longer than a SPIFFE ID may be",
        })
    }
}

impl core::error::Error for SpiffeIdError {}

/// A trust domain's name, e.g. `example.org`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TrustDomain<'a>(&'a str);

impl<'a> TrustDomain<'a> {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`SpiffeIdError`].
    pub fn parse(name: &'a str) -> Result<Self, SpiffeIdError> {
        if name.is_empty() {
            return Err(SpiffeIdError::EmptyTrustDomain);
        }
        if name.len() > MAX_TRUST_DOMAIN {
            return Err(SpiffeIdError::TooLong);
        }
        let legal =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        if name.bytes().all(legal) {
            Ok(Self(name))
        } else {
            Err(SpiffeIdError::TrustDomainCharacter)
        }
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl core::fmt::Display for TrustDomain<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}

/// A SPIFFE ID with a path, e.g. `spiffe://example.org/node/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SpiffeId<'a> {
    text: &'a str,
    trust_domain: TrustDomain<'a>,
    path: &'a str,
}

impl<'a> SpiffeId<'a> {
    /// Checks a workload's or agent's ID. An ID without a path names a trust domain, not a node, and is refused.
    ///
    /// # Errors
    ///
    /// [`SpiffeIdError`].
    pub fn parse(text: &'a str) -> Result<Self, SpiffeIdError> {
        if text.len() > MAX_SPIFFE_ID {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        // Over bytes, here and below: the standard library's search for a `char` takes 0.5 KB of flash.
        let slash = rest.bytes().position(|b| b == b'/');
        let split = slash.and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?)));
        let (domain, path) = split.ok_or(if rest.is_empty() {
            SpiffeIdError::EmptyTrustDomain
        } else {
            SpiffeIdError::EmptyPath
        })?;
        let trust_domain = TrustDomain::parse(domain)?;
        if path.is_empty() {
            return Err(SpiffeIdError::EmptyPath);
        }
        for segment in path.as_bytes().split(|b| *b == b'/') {
            check_segment_bytes(segment)?;
        }
        Ok(Self {
            text,
            trust_domain,
            path,
        })
    }

    /// The whole text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The trust domain.
    #[must_use]
    pub const fn trust_domain(&self) -> TrustDomain<'a> {
        self.trust_domain
    }

    /// The path without its first slash.
    #[must_use]
    pub const fn path(&self) -> &'a str {
        self.path
    }
}

impl core::fmt::Display for SpiffeId<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text)
    }
}

/// Checks one path segment by itself, for whoever fills a template.
///
/// # Errors
///
/// [`SpiffeIdError`].
pub fn check_segment(segment: &str) -> Result<(), SpiffeIdError> {
    check_segment_bytes(segment.as_bytes())
}

fn check_segment_bytes(segment: &[u8]) -> Result<(), SpiffeIdError> {
    if segment.is_empty() {
        return Err(SpiffeIdError::EmptySegment);
    }
    if matches!(segment, b"." | b"..") {
        return Err(SpiffeIdError::DotSegment);
    }
    if segment
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        Ok(())
    } else {
        Err(SpiffeIdError::PathCharacter)
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::{SpiffeId, SpiffeIdError, TrustDomain};

    #[test]
    fn a_legal_id_is_taken_apart() {
        let id = SpiffeId::parse("spiffe://example.org/node_group/a-1.B").expect("legal");
        assert_eq!(id.trust_domain().as_str(), "example.org");
        assert_eq!(id.path(), "node_group/a-1.B");
    }

    #[test]
    fn every_illegal_shape_has_its_own_refusal() {
        for (text, error) in [
            ("SPIFFE://example.org/a", SpiffeIdError::Scheme),
            ("https://example.org/a", SpiffeIdError::Scheme),
            ("spiffe://", SpiffeIdError::EmptyTrustDomain),
            ("spiffe:///a", SpiffeIdError::EmptyTrustDomain),
            (
                "spiffe://Example.org/a",
                SpiffeIdError::TrustDomainCharacter,
            ),
            (
                "spiffe://user@example.org/a",
                SpiffeIdError::TrustDomainCharacter,
            ),
            (
                "spiffe://example.org:8443/a",
                SpiffeIdError::TrustDomainCharacter,
            ),
            ("spiffe://example.org", SpiffeIdError::EmptyPath),
            ("spiffe://example.org/", SpiffeIdError::EmptyPath),
            ("spiffe://example.org//a", SpiffeIdError::EmptySegment),
            ("spiffe://example.org/a/", SpiffeIdError::EmptySegment),
            ("spiffe://example.org/a/../b", SpiffeIdError::DotSegment),
            ("spiffe://example.org/./b", SpiffeIdError::DotSegment),
            ("spiffe://example.org/a%2fb", SpiffeIdError::PathCharacter),
            ("spiffe://example.org/a?b", SpiffeIdError::PathCharacter),
            ("spiffe://example.org/a#b", SpiffeIdError::PathCharacter),
            ("spiffe://example.org/é", SpiffeIdError::PathCharacter),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn length_limits_are_the_standards() {
        let domain = "a".repeat(255);
        assert!(TrustDomain::parse(&domain).is_ok());
        assert_eq!(
            TrustDomain::parse(&"a".repeat(256)),
            Err(SpiffeIdError::TooLong)
        );
        let long = std::format!("spiffe://a/{}", "b".repeat(2048));
        assert_eq!(SpiffeId::parse(&long), Err(SpiffeIdError::TooLong));
    }

    use std::string::ToString;

    #[test]
    fn it_prints_as_it_was_written() {
        let id = SpiffeId::parse("spiffe://example.org/a").expect("legal");
        assert_eq!(id.to_string(), "spiffe://example.org/a");
    }
}
