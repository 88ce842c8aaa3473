//! `listeners.api`, `listeners.health`, `listeners.metrics`, `api` and `limits.api`: where HTTP is served, to whom, and how
//! much of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_common::identity::SpiffeId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::model::Report;
use super::schema::SpanText;
use super::values::Span;
use crate::document::DocumentError;
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

/// Most entries of `api.clients`.
const MAX_CLIENTS: usize = 1024;

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

/// The API, over TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerSource {
    /// Address and port. Default 0.0.0.0:8443.
    #[schemars(with = "Option<String>")]
    address: Option<Spanned<SocketAddr>>,
    /// Files of the TLS server; read again when they change.
    tls: TlsSource,
}

/// Files of a TLS server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TlsSource {
    /// PEM: the server's certificate, then its intermediates.
    #[schemars(with = "String", length(min = 1))]
    certificate: Spanned<String>,
    /// PEM: its private key.
    #[schemars(with = "String", length(min = 1))]
    key: Spanned<String>,
    /// PEM: authorities of client certificates. Without it none is asked for.
    #[serde(rename = "clientCAs")]
    #[schemars(with = "Option<String>", length(min = 1))]
    client_cas: Option<Spanned<String>>,
}

/// A port that is served in the clear: on this machine, unless the address says otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainSource {
    /// Address and port. Default 127.0.0.1, port 8080 (health) or 9988 (metrics).
    #[schemars(with = "Option<String>")]
    address: Option<Spanned<SocketAddr>>,
}

/// Who may use the API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiSource {
    /// Names in client certificates, and what their holders may do.
    #[schemars(with = "Option<Vec<ClientSource>>", length(max = 1024))]
    clients: Option<Spanned<Vec<Spanned<ClientSource>>>>,
}

/// A name in a client certificate: either a SPIFFE ID or a DNS name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClientSource {
    /// A SPIFFE ID, compared as a whole.
    #[schemars(with = "Option<String>", regex(pattern = "^spiffe://"))]
    spiffe_id: Option<Spanned<String>>,
    /// A DNS name, compared as a whole.
    #[schemars(with = "Option<String>", length(min = 1, max = 253))]
    dns_name: Option<Spanned<String>>,
    /// What its holder may do: `viewer`, `operator` or `admin`.
    role: Role,
}

/// Limits of the API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LimitsSource {
    /// Most connections of one listener.
    #[schemars(with = "Option<usize>")]
    connections: Option<Spanned<usize>>,
    /// Most connections of one address (IPv6: of one /64).
    #[schemars(with = "Option<usize>")]
    connections_per_peer: Option<Spanned<usize>>,
    /// Most requests that are worked on at once.
    #[schemars(with = "Option<usize>")]
    requests_in_flight: Option<Spanned<usize>>,
    /// Requests of one address per second.
    #[schemars(with = "Option<u32>")]
    requests_per_second: Option<Spanned<u32>>,
    /// Longest body of a request.
    #[schemars(with = "Option<usize>")]
    body_bytes: Option<Spanned<usize>>,
    /// Longest head of a request.
    #[schemars(with = "Option<usize>")]
    header_bytes: Option<Spanned<usize>>,
    /// How long a TLS handshake may take.
    #[schemars(with = "Option<SpanText>")]
    handshake_timeout: Option<Spanned<Span>>,
    /// How long the head of a request may take.
    #[schemars(with = "Option<SpanText>")]
    header_timeout: Option<Spanned<Span>>,
    /// How long a request may take.
    #[schemars(with = "Option<SpanText>")]
    request_timeout: Option<Spanned<Span>>,
    /// How long a connection may have nothing to do.
    #[schemars(with = "Option<SpanText>")]
    idle_timeout: Option<Spanned<Span>>,
    /// How long requests may go on when the service stops.
    #[schemars(with = "Option<SpanText>")]
    drain_timeout: Option<Spanned<Span>>,
}

/// The sections that this file reads.
pub(super) struct Sources<'a> {
    pub(super) api: Option<&'a Spanned<ListenerSource>>,
    pub(super) health: Option<&'a Spanned<PlainSource>>,
    pub(super) metrics: Option<&'a Spanned<PlainSource>>,
    pub(super) settings: &'a ApiSource,
    pub(super) limits: &'a LimitsSource,
}

pub(super) fn check(
    report: &Report<'_>,
    sources: &Sources<'_>,
    base: &Path,
) -> Result<HttpSettings, DocumentError> {
    let api = match sources.api {
        None => None,
        Some(source) => Some(source.value.check(report, base)?),
    };
    let plain = |source: Option<&Spanned<PlainSource>>, default| {
        source.map(|source| {
            let address = source.value.address.as_ref();
            address.map_or(default, |address| address.value)
        })
    };
    let health = plain(sources.health, DEFAULT_HEALTH);
    let metrics = plain(sources.metrics, DEFAULT_METRICS);
    let taken = [api.as_ref().map(|api| api.address), health];
    // Port 0 is a port of its own for each.
    if let (Some(address), Some(source)) = (metrics, sources.metrics)
        && address.port() != 0
        && taken.contains(&Some(address))
    {
        return Err(report
            .at(
                source,
                format!("listeners.metrics: {address} is listed twice"),
            )
            .hint("each listener needs a port of its own"));
    }
    if let (Some(address), Some(source)) = (health, sources.health)
        && address.port() != 0
        && taken.first() == Some(&Some(address))
    {
        return Err(report
            .at(
                source,
                format!("listeners.health: {address} is listed twice"),
            )
            .hint("each listener needs a port of its own"));
    }
    let with_certificates = api.as_ref().is_some_and(|api| api.tls.client_cas.is_some());
    Ok(HttpSettings {
        clients: sources.settings.check(report, with_certificates)?,
        limits: sources.limits.check(report)?,
        api,
        health,
        metrics,
    })
}

impl ListenerSource {
    fn check(&self, report: &Report<'_>, base: &Path) -> Result<ApiListener, DocumentError> {
        let file = |path: &Spanned<String>, name: &str| match path.value.is_empty() {
            false => Ok(base.join(&path.value)),
            true => Err(report
                .at(path, format!("listeners.api.tls.{name} is empty"))
                .hint("name a PEM file; `assayd init` makes one")),
        };
        let client_cas = self.tls.client_cas.as_ref();
        Ok(ApiListener {
            address: self.address.as_ref().map_or(DEFAULT_API, |a| a.value),
            tls: TlsFiles {
                certificate: file(&self.tls.certificate, "certificate")?,
                key: file(&self.tls.key, "key")?,
                client_cas: client_cas.map(|path| file(path, "clientCAs")).transpose()?,
            },
        })
    }
}

impl ApiSource {
    fn check(
        &self,
        report: &Report<'_>,
        with_certificates: bool,
    ) -> Result<Vec<ApiClient>, DocumentError> {
        let Some(sources) = &self.clients else {
            return Ok(Vec::new());
        };
        if !with_certificates && !sources.value.is_empty() {
            return Err(report
                .at(sources, "api.clients without listeners.api.tls.clientCAs")
                .hint("name the authorities that client certificates come from, or remove the clients"));
        }
        if sources.value.len() > MAX_CLIENTS {
            return Err(report.at(sources, format!("more than {MAX_CLIENTS} clients")));
        }
        let mut clients: Vec<ApiClient> = Vec::new();
        for source in &sources.value {
            let name = client_name(report, source)?;
            if clients.iter().any(|client| client.name == name) {
                return Err(report
                    .at(source, "a client that is listed twice")
                    .hint("each name has one role"));
            }
            let role = source.value.role;
            clients.push(ApiClient { name, role });
        }
        Ok(clients)
    }
}

fn client_name(
    report: &Report<'_>,
    source: &Spanned<ClientSource>,
) -> Result<ClientName, DocumentError> {
    match (&source.value.spiffe_id, &source.value.dns_name) {
        (Some(id), None) => match SpiffeId::parse(&id.value) {
            Ok(_) => Ok(ClientName::SpiffeId(id.value.clone())),
            Err(error) => Err(report
                .at(id, format!("spiffeId: {error}"))
                .hint("for example spiffe://example.org/operator")),
        },
        (None, Some(name)) if is_dns_name(&name.value) => {
            Ok(ClientName::DnsName(name.value.to_ascii_lowercase()))
        }
        (None, Some(name)) => Err(report
            .at(name, format!("dnsName: `{}` is no host name", name.value))
            .hint("a name like console.example.org; wildcards are not compared")),
        _ => Err(report
            .at(
                source,
                "a client is named by either `spiffeId` or `dnsName`",
            )
            .hint("for example `- {spiffeId: spiffe://example.org/operator, role: operator}`")),
    }
}

/// Letters, digits and hyphens in labels of 1 to 63, 253 in all (RFC 1123, section 2.1).
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

impl LimitsSource {
    fn check(&self, report: &Report<'_>) -> Result<ApiLimits, DocumentError> {
        const SECOND: Duration = Duration::from_secs(1);
        const MINUTE: Duration = Duration::from_secs(60);
        let default = ApiLimits::default();
        let count = |value: &Option<Spanned<usize>>, default, limits| {
            report.within(value.as_ref(), default, limits, |n: usize| n.to_string())
        };
        let span = |value: &Option<Spanned<Span>>, default, limits| {
            report.span(value.as_ref(), default, limits)
        };
        Ok(ApiLimits {
            connections: count(&self.connections, default.connections, (1, 1_000_000))?,
            connections_per_peer: count(
                &self.connections_per_peer,
                default.connections_per_peer,
                (1, 1_000_000),
            )?,
            requests_in_flight: count(
                &self.requests_in_flight,
                default.requests_in_flight,
                (1, 65_536),
            )?,
            requests_per_second: report.within(
                self.requests_per_second.as_ref(),
                default.requests_per_second,
                (1, 1_000_000),
                |n| n.to_string(),
            )?,
            body_bytes: count(
                &self.body_bytes,
                default.body_bytes,
                (64 * 1024, 16 * 1024 * 1024),
            )?,
            header_bytes: count(&self.header_bytes, default.header_bytes, (8192, 65_536))?,
            handshake_timeout: span(
                &self.handshake_timeout,
                default.handshake_timeout,
                (SECOND, MINUTE),
            )?,
            header_timeout: span(
                &self.header_timeout,
                default.header_timeout,
                (SECOND, MINUTE),
            )?,
            request_timeout: span(
                &self.request_timeout,
                default.request_timeout,
                (SECOND, 10 * MINUTE),
            )?,
            idle_timeout: span(
                &self.idle_timeout,
                default.idle_timeout,
                (SECOND, 60 * MINUTE),
            )?,
            drain_timeout: span(
                &self.drain_timeout,
                default.drain_timeout,
                (SECOND, 10 * MINUTE),
            )?,
        })
    }
}
