//! The strict reading of a URL.
//!
//! Parsers that disagree about where a URL leads are how requests get where they may not: `http://1.1.1.1 &@2.2.2.2#`,
//! `http://0x7f.1/`, `http://①②⑦.0.0.1/`. So there is one parser here, it reads one spelling of everything, and what it
//! read is what is connected to; nobody reads the text a second time.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest URL, bytes.
pub(crate) const MAX_URL: usize = 2048;
/// Longest host name, bytes, without a trailing dot (RFC 1035).
pub const MAX_NAME: usize = 253;
/// Longest label of one, bytes.
pub(crate) const MAX_LABEL: usize = 63;

/// How a target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case, without a trailing dot.
    Name(String),
    /// An address, in the one spelling that is read.
    Address(IpAddr),
}

impl core::fmt::Display for Host {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => write!(f, "{v4}"),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub scheme: Scheme,
    /// To whom.
    pub host: Host,
    /// Where; the scheme's own unless the URL names one.
    pub port: u16,
    /// Path and query as they stand, at least `/`.
    pub path: String,
}

/// Why a URL is not asked. Says nothing of what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than `MAX_URL`.
    #[error("a URL has up to {MAX_URL} bytes")]
    Long,
    /// Something that no URL has, written as itself.
    #[error("a URL has printable ASCII only, without spaces, `\\` and `#`")]
    Character,
    /// Neither `http://` nor `https://`.
    #[error("not an https URL")]
    Scheme,
    /// `user:password@`.
    #[error("a URL with a user in it")]
    User,
    /// No port that can be connected to.
    #[error("no port: 1 to 65535, in plain decimal")]
    Port,
    /// Neither a name nor an address.
    #[error("no host name")]
    Host,
    /// Something that others would read as an IPv4 address.
    #[error("an IPv4 address is written as four decimal numbers")]
    Ipv4,
    /// Brackets without an IPv6 address, or one with a zone.
    #[error("no IPv6 address in the brackets")]
    Ipv6,
    /// An address, where only a name may stand.
    #[error("an IP address in the place of the name")]
    Literal,
    /// A `%` without two hexadecimal digits.
    #[error("no percent-encoding")]
    Percent,
}

impl Target {
    /// Reads a URL: `https://name[:port][/path][?query]`.
    ///
    /// # Errors
    ///
    /// [`TargetError`] for every other form, also for those that RFC 3986 allows and nobody writes by accident.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        if url.len() > MAX_URL {
            return Err(TargetError::Long);
        }
        if !url.bytes().all(is_plain) {
            return Err(TargetError::Character);
        }
        let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return Err(TargetError::Scheme);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(TargetError::User);
        }
        let (host, port) = split_port(authority)?;
        let port = port.map_or(Ok(scheme.port()), parse_port)?;
        let path = match path {
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        };
        check_percent(&path)?;
        Ok(Self {
            scheme,
            host: parse_host(host)?,
            port,
            path,
        })
    }

    /// A name and a port, where the name was chosen by somebody who is not trusted.
    ///
    /// # Errors
    ///
    /// [`TargetError::Literal`] for an address in any notation; otherwise as [`Target::parse`].
    pub fn named(scheme: Scheme, name: &str, port: u16, path: String) -> Result<Self, TargetError> {
        if port == 0 {
            return Err(TargetError::Port);
        }
        Ok(Self {
            scheme,
            host: Host::Name(parse_name(name)?),
            port,
            path,
        })
    }

    /// Scheme, host and port: what may be told.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}", self.authority())
    }

    /// As the `host` header has it: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port == self.scheme.port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The whole URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }
}

/// Reads a host name: LDH labels, in lower case, without a trailing dot. An internationalised name is written as its A-labels
/// (`xn--…`): whoever compares names compares these.
///
/// # Errors
///
/// [`TargetError::Literal`] for an address in any notation; [`TargetError::Host`] for what is no name.
pub fn parse_name(text: &str) -> Result<String, TargetError> {
    match parse_host(text) {
        Ok(Host::Name(name)) => Ok(name),
        Ok(Host::Address(_)) | Err(TargetError::Ipv4 | TargetError::Ipv6) => {
            Err(TargetError::Literal)
        }
        Err(error) => Err(error),
    }
}

/// Visible ASCII but for what RFC 3986 does not allow in a URL; and no fragment, which is not sent.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'\\' | b'#' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}'
        )
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), TargetError> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_once(']').ok_or(TargetError::Ipv6)?;
        let port = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(':').ok_or(TargetError::Port)?),
        };
        // With its bracket, so that it cannot be taken for a name.
        return Ok((host, port));
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    let canonical = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if canonical => Ok(port),
        _ => Err(TargetError::Port),
    }
}

fn parse_host(text: &str) -> Result<Host, TargetError> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').unwrap_or(inner);
        let address = inner.parse::<Ipv6Addr>().map_err(|_| TargetError::Ipv6)?;
        return Ok(Host::Address(IpAddr::V6(address)));
    }
    if text.contains(':') {
        return Err(TargetError::Ipv6);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    // What ends in a number is an address to those who follow the WHATWG's URL standard and to inet_aton, in one of many
    // spellings (127.1, 0x7f.1, 017700000001, 2130706433). A name's last label never is one (RFC 3696, 2).
    if name.rsplit('.').next().is_some_and(is_number) {
        let address = text.parse::<Ipv4Addr>().map_err(|_| TargetError::Ipv4)?;
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    if name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return Err(TargetError::Host);
    }
    Ok(Host::Name(name.to_ascii_lowercase()))
}

fn is_number(label: &str) -> bool {
    let digits = !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    let hex = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"))
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    digits || hex
}

/// Letters, digits, hyphens; no hyphen at either end (RFC 1123, 2.1).
fn is_label(label: &str) -> bool {
    let ldh = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(ldh)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check_percent(path: &str) -> Result<(), TargetError> {
    let bad = path.split('%').skip(1).any(|after| {
        let digits = after.as_bytes().get(..2);
        !digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    });
    match bad {
        true => Err(TargetError::Percent),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
