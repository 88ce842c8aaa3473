//! Why there is no answer.

use super::reach::AddressClass;
use super::target::{Target, TargetError};
use crate::attestor::{AttestError, Fault};

pub use assay_host::TlsFault;

/// A question without an answer. Nothing of what the other side sent is in it, nor an address that a name stood for: it may
/// reach whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{to}: {kind}")]
pub struct Error {
    /// Scheme, name and port as the question had them; never a path, which may hold a secret.
    pub to: String,
    /// What went wrong.
    pub kind: ErrorKind,
}

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// This is no URL that can be asked.
    #[error("{0}")]
    Url(#[from] TargetError),
    /// The name stands for an address, or is one, that the method may not talk to.
    #[error("{0} address refused")]
    Address(AddressClass),
    /// There is no such name, or it has no address.
    #[error("no address for this name")]
    NameNotFound,
    /// The resolver does not answer, or has failed.
    #[error("the name could not be resolved")]
    Resolver,
    /// Nobody takes the connection.
    #[error("no connection")]
    Connect,
    /// Whoever took it is not whom the URL names.
    #[error("TLS: {0}")]
    Tls(TlsFault),
    /// It took too long.
    #[error("no answer in time")]
    Deadline,
    /// The answer, or its headers, are longer than they may be.
    #[error("the answer is too long")]
    TooLarge,
    /// The status is neither a success nor a redirect.
    #[error("status {0}")]
    Status(u16),
    /// It answers that something else should be asked. Nobody follows.
    #[error("status {0}: redirects are not followed")]
    Redirect(u16),
    /// What came is no HTTP, or broke off.
    #[error("the answer is no HTTP, or broke off")]
    Malformed,
    /// The answer is of another media type than was asked for, or compressed.
    #[error("the answer has another content type")]
    ContentType,
    /// The answer was whole, and does not say what it must: a key set that is none.
    #[error("the answer is not what was asked for: {0}")]
    Content(&'static str),
    /// The key set has no such key, or several.
    #[error("no such key")]
    NoKey,
    /// Too many questions at once, to all or to this target.
    #[error("too many requests at once")]
    Busy,
    /// It has failed so often that it is left alone for a while.
    #[error("not asked: it failed too often just now")]
    Open,
    /// The pinned authorities cannot be read.
    #[error(
        "no authorities to trust: the pinned ones are no PEM certificates, or the system has none"
    )]
    Roots,
    /// The store does not answer.
    #[error("the store does not answer")]
    Store,
    /// Nobody may be asked: evidence is judged without a network.
    #[error("no outside calls here")]
    Offline,
}

impl Error {
    /// About a URL, of which scheme, name and port are kept.
    #[must_use]
    pub fn new(url: &str, kind: ErrorKind) -> Self {
        let to = Target::parse(url).map_or_else(|_| "the URL".to_owned(), |t| t.origin());
        Self { to, kind }
    }

    /// About the store.
    #[must_use]
    pub fn store(kind: ErrorKind) -> Self {
        let to = "the store".to_owned();
        Self { to, kind }
    }

    /// As a method's failed check. What is out of order outside is nobody's bad proof; only an agent that named an address
    /// which may not be asked is refused for it.
    #[must_use]
    pub fn failed(&self, check: &'static str) -> AttestError {
        AttestError::new(self.kind.fault(), check, self.to_string())
    }
}

impl ErrorKind {
    /// Whose fault it is, when the operator chose whom to ask. A method whose agent chooses ([`http_dns`]) sorts anew.
    ///
    /// [`http_dns`]: assay_common::policy::AttestorKind::HTTP_DNS
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Url(_) | Self::Address(_) | Self::Roots | Self::Offline => Fault::Misconfigured,
            Self::NoKey => Fault::Refused,
            _ => Fault::Unavailable,
        }
    }

    /// Stable name for logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Url(_) => "url",
            Self::Address(_) => "address",
            Self::NameNotFound => "name-not-found",
            Self::Resolver => "resolver",
            Self::Connect => "connect",
            Self::Tls(_) => "tls",
            Self::Deadline => "deadline",
            Self::TooLarge => "too-large",
            Self::Status(_) => "status",
            Self::Redirect(_) => "redirect",
            Self::Malformed => "malformed",
            Self::ContentType => "content-type",
            Self::Content(_) => "content",
            Self::NoKey => "no-key",
            Self::Busy => "busy",
            Self::Open => "circuit-open",
            Self::Roots => "roots",
            Self::Store => "store",
            Self::Offline => "offline",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Url(_) => "e.g. https://issuer.example.org/keys",
            Self::Address(AddressClass::Private) => {
                "private addresses are for the operator to allow: see the method's `allowPrivateAddresses`"
            }
            Self::Address(AddressClass::Loopback) => {
                "this machine itself is for the operator to allow: `outbound.allowLoopback` in assayd.yaml; never for `http_dns`"
            }
            Self::Address(_) => "nothing that may be asked lies there",
            Self::NameNotFound | Self::Resolver => {
                "resolve the name on the verifier's machine, or name other resolvers: `outbound.resolvers` in assayd.yaml"
            }
            Self::Connect | Self::Deadline => {
                "reach it from the verifier's machine: a firewall, or nobody listens"
            }
            Self::Tls(fault) => match fault {
                TlsFault::UnknownAuthority => "pin the server's authority: `caCerts`",
                TlsFault::Name => {
                    "name the server as its certificate does, or give it a certificate for this name"
                }
                TlsFault::Time => "renew its certificate, or set the clocks right",
                TlsFault::Certificate => {
                    "give it another certificate: `openssl x509 -noout -text` shows this one"
                }
                TlsFault::Protocol => "is that its HTTPS port, and does it speak TLS 1.2 or 1.3?",
            },
            Self::Redirect(_) => "name the place that it redirects to",
            Self::NoKey => "the token's issuer has rotated its keys, or it is another issuer",
            Self::Busy | Self::Open => "try again soon",
            _ => return None,
        })
    }
}
