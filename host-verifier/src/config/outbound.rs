//! `outbound`: what methods may ask of others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::model::Report;
use crate::document::{self, DocumentError};
use crate::outside::{Credential, Credentials, NetworkError, Origin, Outbound, PrivateNetwork};
use crate::x509::decode;

/// Where resolvers listen.
const DNS: u16 = 53;
/// Most private networks.
const MAX_NETWORKS: usize = 64;
/// Most resolvers.
const MAX_RESOLVERS: usize = 8;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Source {
    /// Who resolves names, each an address with or without a port. Default: those of /etc/resolv.conf.
    #[schemars(with = "Option<Vec<String>>", length(min = 1, max = 8))]
    resolvers: Option<Spanned<Vec<String>>>,
    /// Let this machine's own loopback addresses be asked where an operator chose whom to ask; never by `http_dns`. Default:
    /// false.
    #[serde(default)]
    allow_loopback: bool,
    /// The private networks that may be asked, `ADDRESS/BITS` each, whoever chose whom to ask; an empty list for none. Default:
    /// all that are private, where a policy and its method may ask such addresses at all.
    #[schemars(with = "Option<Vec<String>>", length(max = 64))]
    private_networks: Option<Spanned<Vec<String>>>,
    /// Secrets that policies may have sent, by the name that policies call them.
    #[serde(default)]
    credentials: BTreeMap<String, CredentialSource>,
}

/// A secret, and to whom it may be sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "credential")]
struct CredentialSource {
    /// The file with it; read whenever it is sent.
    #[schemars(with = "String", length(min = 1))]
    file: Spanned<String>,
    /// Who may be sent it: `https://HOST[:PORT]` each.
    #[schemars(
        with = "Vec<String>",
        length(min = 1),
        inner(regex(pattern = "^https://"))
    )]
    origins: Spanned<Vec<String>>,
    /// The authorities that their certificates must come from: PEM, or the path of a PEM file, read at the start. Default: the
    /// system's.
    #[schemars(with = "Option<String>", length(min = 1))]
    ca_certs: Option<Spanned<String>>,
}

impl CredentialSource {
    fn roots(
        &self,
        report: &Report<'_>,
        name: &str,
        base: &Path,
    ) -> Result<Option<Arc<str>>, DocumentError> {
        let Some(given) = &self.ca_certs else {
            return Ok(None);
        };
        let wrong = |why: &str| {
            let message = format!("outbound.credentials.{name}.caCerts: {why}");
            let hint = "PEM in place, or the path of a PEM file, with the authority's certificate";
            report.at(given, message).hint(hint)
        };
        let pem = match given.value.contains("-----BEGIN ") {
            true => given.value.clone(),
            false => {
                let path = base.join(&given.value);
                document::read(&path).map_err(|why| wrong(&why.to_string()))?
            }
        };
        match decode::certificates(pem.as_bytes()) {
            Err(why) => Err(wrong(&why.to_string())),
            Ok(none) if none.is_empty() => Err(wrong("no certificate")),
            Ok(_) => Ok(Some(pem.into())),
        }
    }

    fn check(
        &self,
        report: &Report<'_>,
        name: &str,
        base: &Path,
    ) -> Result<Credential, DocumentError> {
        if self.file.value.is_empty() {
            let message = format!("outbound.credentials.{name}.file is empty");
            return Err(report.at(&self.file, message));
        }
        let hint =
            "name who may be sent it, e.g. https://webhook.example.org or https://10.0.0.1:6443";
        if self.origins.value.is_empty() {
            let message = format!("outbound.credentials.{name}.origins is empty");
            return Err(report.at(&self.origins, message).hint(hint));
        }
        let origin = |text: &String| {
            Origin::parse(text).ok_or_else(|| {
                let shown = text.escape_debug();
                let message =
                    format!("outbound.credentials.{name}.origins: `{shown}` is no https origin");
                report.at(&self.origins, message).hint(hint)
            })
        };
        Ok(Credential {
            file: base.join(&self.file.value),
            origins: self
                .origins
                .value
                .iter()
                .map(origin)
                .collect::<Result<_, _>>()?,
            roots: self.roots(report, name, base)?,
        })
    }
}

pub(super) fn check(
    report: &Report<'_>,
    source: &Source,
    base: &Path,
) -> Result<Outbound, DocumentError> {
    let mut credentials = Credentials::default();
    for (name, credential) in &source.credentials {
        credentials.add(name, credential.check(report, name, base)?);
    }
    let resolvers = match &source.resolvers {
        None => Vec::new(),
        Some(named) if named.value.is_empty() || named.value.len() > MAX_RESOLVERS => {
            let message = format!("outbound.resolvers: {} resolvers", named.value.len());
            let hint = "name one to eight, or leave the field out to ask those of /etc/resolv.conf";
            return Err(report.at(named, message).hint(hint));
        }
        Some(named) => {
            let read = |text: &String| {
                address(text).ok_or_else(|| {
                    let shown = text.escape_debug();
                    let message = format!("outbound.resolvers: `{shown}` is no address");
                    let hint = "e.g. 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]:53";
                    report.at(named, message).hint(hint)
                })
            };
            named.value.iter().map(read).collect::<Result<_, _>>()?
        }
    };
    Ok(Outbound {
        resolvers,
        allow_loopback: source.allow_loopback,
        private_networks: networks(report, source)?,
        credentials: Arc::new(credentials),
    })
}

fn networks(
    report: &Report<'_>,
    source: &Source,
) -> Result<Option<Arc<[PrivateNetwork]>>, DocumentError> {
    let Some(named) = &source.private_networks else {
        return Ok(None);
    };
    let hint = "e.g. 10.20.0.0/16 or fd00:1234::/32, up to 64 of them";
    if named.value.len() > MAX_NETWORKS {
        let message = format!("outbound.privateNetworks: {} networks", named.value.len());
        return Err(report.at(named, message).hint(hint));
    }
    let read = |text: &String| {
        text.parse().map_err(|error: NetworkError| {
            let shown = text.escape_debug();
            let message = format!("outbound.privateNetworks: `{shown}`: {error}");
            report.at(named, message).hint(hint)
        })
    };
    let networks: Result<Vec<PrivateNetwork>, _> = named.value.iter().map(read).collect();
    networks.map(|networks| Some(networks.into()))
}

fn address(text: &str) -> Option<SocketAddr> {
    let plain = || Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, DNS));
    let address = text.parse().ok().or_else(plain)?;
    (address.port() != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_resolver_is_an_address_with_or_without_a_port() {
        let shown = |text| address(text).map(|address| address.to_string());
        assert_eq!(shown("192.0.2.53").as_deref(), Some("192.0.2.53:53"));
        assert_eq!(shown("127.0.0.1:5353").as_deref(), Some("127.0.0.1:5353"));
        assert_eq!(shown("2001:db8::53").as_deref(), Some("[2001:db8::53]:53"));
        assert_eq!(
            shown("[2001:db8::53]:5").as_deref(),
            Some("[2001:db8::53]:5")
        );
        for wrong in [
            "",
            "ns.example.org",
            "192.0.2.53:0",
            "192.0.2.53:x",
            "192.0.2",
        ] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
