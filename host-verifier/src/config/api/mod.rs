//! `listeners.api`, `listeners.health`, `listeners.metrics`, `api` and `limits.api`: where HTTP is served, to whom, and how
//! much of it.

mod source;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub(super) use source::{ApiSource, LimitsSource, ListenerSource, PlainSource, Sources, check};

use crate::document::Place;
use crate::store::Role;

/// Where the API listens unless the configuration says otherwise: port 8443 of every address.
pub const DEFAULT_API: SocketAddr =
    SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);
/// Where `/live` and `/ready` are served unless the configuration says otherwise: on this machine only.
pub const DEFAULT_HEALTH: SocketAddr =
    SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where `/metrics` is served unless the configuration says otherwise: on this machine only.
pub const DEFAULT_METRICS: SocketAddr =
    SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9988);

/// What is served over HTTP. A listener that is not named is not opened.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// The API, over TLS.
    pub api: Option<ApiListener>,
    /// `/live` and `/ready`, in the clear.
    pub health: Option<SocketAddr>,
    /// `/metrics`, in the clear.
    pub metrics: Option<SocketAddr>,
    /// Who may do what with a client certificate, besides those who hold a token.
    pub clients: Vec<ApiClient>,
    /// How much of it.
    pub limits: ApiLimits,
}

impl HttpSettings {
    /// Whether nothing is served over HTTP.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.api.is_none() && self.health.is_none() && self.metrics.is_none()
    }
}

/// `listeners.api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiListener {
    /// Where it listens. Port 0 is one that the system chooses; the log says which.
    pub address: SocketAddr,
    /// The server's certificate.
    pub tls: TlsFiles,
}

/// The files of a TLS server. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then the intermediates that lead to its root.
    pub certificate: PathBuf,
    /// PEM: its private key, in PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// PEM: the authorities of client certificates. Without it none is asked for.
    pub client_cas: Option<PathBuf>,
    /// Where the configuration names the three, in this order; the last is that of the certificate when there is none.
    pub places: [Place; 3],
}

/// One entry of `api.clients`: a name in a client certificate, and what its holder may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiClient {
    /// The name.
    pub name: ClientName,
    /// What it may do.
    pub role: Role,
}

/// A name in the subject alternative names of a client certificate, compared as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClientName {
    /// A URI that is a SPIFFE ID.
    SpiffeId(String),
    /// A DNS name, in lower case.
    DnsName(String),
}

/// `limits.api`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiLimits {
    /// Most connections of one listener.
    pub connections: usize,
    /// Most connections of one peer: an IPv4 address, or the 64-bit prefix of an IPv6 address.
    pub connections_per_peer: usize,
    /// Most requests that are worked on at once; of one peer, three quarters of them.
    pub requests_in_flight: usize,
    /// Requests of one peer per second, and as many connections.
    pub requests_per_second: u32,
    /// Longest body of a request, bytes.
    pub body_bytes: usize,
    /// Longest head of a request, bytes.
    pub header_bytes: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take from its first byte.
    pub header_timeout: Duration,
    /// How long a request may take from its head to the head of its answer; the answer's body may take as long again.
    pub request_timeout: Duration,
    /// How long a connection may have nothing to do.
    pub idle_timeout: Duration,
    /// How long requests may go on when the service stops.
    pub drain_timeout: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_peer: 512,
            requests_in_flight: 512,
            requests_per_second: 500,
            body_bytes: 1024 * 1024,
            header_bytes: 16 * 1024,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(20),
        }
    }
}
