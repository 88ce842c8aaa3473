//! Who is at the other end of a connection: its address, and what its certificate says.

use core::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::config::ClientName;
use crate::x509::Certificate;
use crate::x509::extensions::GeneralName;

/// The other end of a connection; in the extensions of every request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Its certificate, which an authority of `clientCAs` vouches for. `None`: it showed none.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Peer {
    /// What limits are counted by.
    #[must_use]
    pub fn key(&self) -> PeerKey {
        PeerKey::from(self.address.ip())
    }
}

/// What limits are counted by: an IPv4 address, or the first 64 bits of an IPv6 address, of which everybody has 2⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerKey([u8; 8]);

impl From<IpAddr> for PeerKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 prefix that routes begins with zeros.
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self([0, 0, 0, 0, a, b, c, d])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// A client certificate that TLS has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The names in its subject alternative names that can have a role.
    pub names: Vec<ClientName>,
    /// When it ends: a connection may last longer.
    pub not_after: Timestamp,
    /// Its subject, for logs; control characters are escaped.
    pub subject: String,
    /// SHA-256 of the file with the authorities that vouched for it.
    pub verified_by: [u8; 32],
}

impl ClientCertificate {
    /// Reads the leaf of a chain that was verified by the authorities whose file has this hash. `None` when it cannot
    /// be read, which counts as no certificate.
    #[must_use]
    pub fn new(leaf: &CertificateDer<'_>, verified_by: [u8; 32]) -> Option<Self> {
        let certificate = Certificate::from_der(leaf).ok()?;
        let names = certificate.extensions().subject_alt_name.as_deref();
        let names = names.unwrap_or_default();
        // "A SVID must contain exactly one URI SAN" (X.509-SVID, section 2): of one with more nobody knows whose it is, and
        // it has no name here.
        let uris = names
            .iter()
            .filter(|name| matches!(name, GeneralName::Uri(_)));
        let names = if uris.count() > 1 { &[] } else { names };
        let names = names.iter().filter_map(|name| match name {
            GeneralName::Uri(uri) => Some(ClientName::SpiffeId(uri.clone())),
            GeneralName::Dns(name) => Some(ClientName::DnsName(name.to_ascii_lowercase())),
            _ => None,
        });
        Some(Self {
            names: names.collect(),
            not_after: Timestamp::from_second(certificate.not_after().0).unwrap_or(Timestamp::MAX),
            subject: certificate.subject().to_string(),
            verified_by,
        })
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpiffeId(id) => id,
            Self::DnsName(name) => name,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::PeerKey;

    #[test]
    fn an_ipv4_address_is_itself_and_an_ipv6_address_its_network() {
        let key = |text: &str| PeerKey::from(text.parse::<core::net::IpAddr>().unwrap());
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    }
}
