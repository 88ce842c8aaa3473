//! Where a metadata service is.

use core::fmt;

use hyper::Uri;

use crate::method::MethodError;

const HINT: &str = "`http://` and a host, with a port where it is not 80: http://169.254.169.254, http://[fd00:ec2::254]";

/// A host and a port that speak plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// As it stands in the URL.
    pub(super) authority: String,
}

impl Endpoint {
    /// The endpoint of a URL without a path.
    ///
    /// # Errors
    ///
    /// [`MethodError`] for another URL.
    pub fn of(url: &str) -> Result<Self, MethodError> {
        let (endpoint, path) = Self::with_path(url)?;
        match path.as_str() {
            "/" => Ok(endpoint),
            _ => Err(wrong("a path is in it")),
        }
    }

    /// The endpoint of a URL, and its path and query.
    ///
    /// # Errors
    ///
    /// [`MethodError`] when it is no `http` URL, or has a user in it.
    pub fn with_path(url: &str) -> Result<(Self, String), MethodError> {
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("it does not begin with `http://`"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a user is in it"));
        }
        let host = authority.host();
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let inner = inner.unwrap_or(host);
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => 80,
            Some(port) => port.trim_start_matches(':').parse().unwrap_or(0),
            None => 0,
        };
        if inner.is_empty() || port == 0 {
            return Err(wrong("it names no host, or no port"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let endpoint = Self {
            host: inner.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
        };
        Ok((endpoint, path.to_owned()))
    }

    /// Its host, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// The URL is not repeated: what somebody took for one may be a secret.
fn wrong(why: &str) -> MethodError {
    MethodError::new(format!("not the URL of a metadata service: {why}"), HINT)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn an_endpoint_is_a_host_and_a_port_and_nothing_else() {
        for (url, host, port) in [
            ("http://169.254.169.254", "169.254.169.254", 80),
            ("http://169.254.169.254/", "169.254.169.254", 80),
            ("http://[fd00:ec2::254]", "fd00:ec2::254", 80),
            (
                "http://metadata.google.internal",
                "metadata.google.internal",
                80,
            ),
            ("http://127.0.0.1:8111", "127.0.0.1", 8111),
        ] {
            let endpoint = Endpoint::of(url);
            let endpoint = endpoint.map(|endpoint| (endpoint.host, endpoint.port));
            assert_eq!(endpoint, Ok((host.to_owned(), port)), "{url}");
        }
        for url in [
            "",
            "169.254.169.254",
            "https://169.254.169.254",
            "http://169.254.169.254/latest",
            "http://169.254.169.254/?a",
            "http://me:secret@169.254.169.254",
            "http://:80",
            "http://a:0",
            "http://a:99999",
            "ftp://a",
        ] {
            let refused = Endpoint::of(url);
            assert!(
                refused.is_err_and(|error| !error.what.contains("secret")),
                "{url}"
            );
        }
    }
}
