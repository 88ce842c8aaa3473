//! The sections as they are written, and the checks that turn them into [`HttpSettings`].

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use assay_common::identity::SpiffeId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{
    ApiClient, ApiLimits, ApiListener, ClientName, DEFAULT_API, DEFAULT_HEALTH, DEFAULT_METRICS,
    HttpSettings, TlsFiles,
};
use crate::config::model::Report;
use crate::config::schema::SpanText;
use crate::config::values::Span;
use crate::document::DocumentError;
use crate::store::Role;

/// Most entries of `api.clients`.
const MAX_CLIENTS: usize = 1024;

/// The API, over TLS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ListenerSource {
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
pub(in crate::config) struct PlainSource {
    /// Address and port. Default 127.0.0.1, port 8080 (health) or 9988 (metrics).
    #[schemars(with = "Option<String>")]
    address: Option<Spanned<SocketAddr>>,
}

/// Who may use the API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ApiSource {
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
pub(in crate::config) struct LimitsSource {
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
pub(in crate::config) struct Sources<'a> {
    pub(in crate::config) api: Option<&'a Spanned<ListenerSource>>,
    pub(in crate::config) health: Option<&'a Spanned<PlainSource>>,
    pub(in crate::config) metrics: Option<&'a Spanned<PlainSource>>,
    pub(in crate::config) settings: &'a ApiSource,
    pub(in crate::config) limits: &'a LimitsSource,
}

pub(in crate::config) fn check(
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
                places: [
                    self.tls.certificate.referenced.into(),
                    self.tls.key.referenced.into(),
                    client_cas
                        .unwrap_or(&self.tls.certificate)
                        .referenced
                        .into(),
                ],
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
