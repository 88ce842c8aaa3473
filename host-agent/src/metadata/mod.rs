//! The metadata services of the clouds: what a virtual machine asks to learn, or to prove, who it is.
//!
//! * Plain HTTP to one address, which is link-local unless the agent's operator says otherwise. No proxy of the environment,
//!   no redirect, one connection per request.
//! * An end to everything: connecting, each attempt, all attempts together, the body's length.
//! * What went wrong is told apart, for each has a mend of its own: nobody there, somebody who does not answer, another
//!   cloud, a service that is switched off.
//!
//! | module | knows |
//! |---|---|
//! | [`client`] | requests, and when they are made again |
//! | [`settings`] | what the methods' settings have in common |
//! | [`aws`], [`azure`], [`google`] | each cloud's ways and words |

pub mod aws;
pub mod azure;
pub mod client;
mod endpoint;
pub mod google;
pub mod settings;

use hyper::HeaderMap;
use hyper::header::SERVER;

use crate::method::MethodError;

pub use client::{Answer, AskError, Client, Question};
pub use endpoint::Endpoint;
pub use settings::Asking;

/// The header that Google's service answers with.
const FLAVOR: &str = "metadata-flavor";

/// A cloud, as its metadata service gives itself away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon EC2.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Compute Engine.
    Google,
}

impl Cloud {
    /// Whose service wrote these headers, as far as they tell.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text(FLAVOR).is_some_and(|flavor| flavor.eq_ignore_ascii_case("google")) {
            return Some(Self::Google);
        }
        let server = text(SERVER.as_str())?;
        let begins = |with: &str| {
            server
                .get(..with.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(with))
        };
        match () {
            () if begins("EC2ws") => Some(Self::Aws),
            () if begins("IMDS/") || begins("Microsoft-IIS") => Some(Self::Azure),
            () => None,
        }
    }

    /// Its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Azure => "Azure",
            Self::Google => "Google Cloud",
        }
    }

    /// The methods for it.
    const fn methods(self) -> &'static str {
        match self {
            Self::Aws => "`aws_iid` and `aws_token`",
            Self::Azure => "`azure_imds` and `azure_msi`",
            Self::Google => "`gcp_iit`",
        }
    }

    /// What nobody answering means on this cloud, and what another cloud's answer does.
    fn unasked(self, error: &AskError) -> MethodError {
        let hint = match error {
            AskError::Own(_) => "try again; look at the machine's limits (`ulimit -u`)".to_owned(),
            AskError::Unreached { .. } | AskError::NoConnection { .. } => format!(
                "is this a virtual machine of {}? If so, let this process reach the address: no firewall, network policy or \
                 route of a VPN may take it away",
                self.name()
            ),
            AskError::Silent { .. } => format!(
                "is this a virtual machine of {}? Something took the connection and did not answer: look at its load, and at \
                 what stands between",
                self.name()
            ),
            AskError::Broken { .. } | AskError::TooLong { .. } => {
                "this is no metadata service: correct `metadataEndpoint`, or leave it out"
                    .to_owned()
            }
        };
        MethodError::new(error.to_string(), hint)
    }

    /// When it is another cloud's service that has answered.
    fn elsewhere(self, answer: &Answer) -> Option<MethodError> {
        let found = Self::of(&answer.headers).filter(|found| *found != self)?;
        let what = format!(
            "{}: this is {} and not {}",
            answer.by,
            found.name(),
            self.name()
        );
        let hint = format!("offer {} here instead", found.methods());
        Some(MethodError::new(what, hint))
    }
}

/// Whether this process seems to be in a container. For hints alone.
#[must_use]
pub fn in_container() -> bool {
    let marks = ["/.dockerenv", "/run/.containerenv"];
    marks.iter().any(|mark| std::path::Path::new(mark).exists())
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// A text as a query has it: everything but letters, digits and `-._~` by its bytes (RFC 3986, section 2.3).
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                out.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::{Cloud, encoded};

    #[test]
    fn a_query_has_every_other_byte_written_out() {
        assert_eq!(
            encoded("urn:assay:a b/é~-._0"),
            "urn%3Aassay%3Aa%20b%2F%C3%A9~-._0"
        );
    }

    #[test]
    fn a_cloud_is_known_by_its_headers() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
            Cloud::of(&headers)
        };
        assert_eq!(of("metadata-flavor", "Google"), Some(Cloud::Google));
        assert_eq!(of("server", "EC2ws"), Some(Cloud::Aws));
        assert_eq!(of("server", "Microsoft-IIS/10.0"), Some(Cloud::Azure));
        assert_eq!(of("server", "IMDS/150.870.65.1854"), Some(Cloud::Azure));
        assert_eq!(of("server", "nginx"), None);
        assert_eq!(of("server", "é"), None);
        assert_eq!(of("metadata-flavor", "Other"), None);
    }
}
