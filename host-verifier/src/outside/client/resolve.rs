//! Names to addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;

use super::ErrorKind;

/// Most addresses that one name may stand for.
const MAX_ADDRESSES: usize = 32;

/// Who resolves names. There is one resolver for the service; it asks when it is asked, and keeps nothing.
#[derive(Clone)]
pub(super) struct Names(Option<TokioResolver>);

impl core::fmt::Debug for Names {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let by = self.0.as_ref().map(|resolver| resolver.options().timeout);
        f.debug_tuple("Names").field(&by).finish()
    }
}

impl Names {
    /// Those that are named, or the system's: `/etc/resolv.conf` and `/etc/hosts`.
    pub(super) fn new(resolvers: &[SocketAddr]) -> Self {
        let named = ResolverConfig::from_name_servers(resolvers.iter().map(server).collect());
        let (config, mut options) = match resolvers {
            [] => match hickory_resolver::system_conf::read_system_conf() {
                Ok(system) => system,
                // As resolv.conf(5): without a name server the one of this machine is asked.
                Err(_) => {
                    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
                    let config = ResolverConfig::from_name_servers(vec![server(&own)]);
                    (config, ResolverOpts::default())
                }
            },
            _ => (named, ResolverOpts::default()),
        };
        // What a name stood for a minute ago proves nothing of who holds it now.
        options.cache_size = 0;
        // All of its addresses are looked at, of both families.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        if !resolvers.is_empty() {
            options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
        }
        let provider = TokioRuntimeProvider::default();
        let builder = hickory_resolver::Resolver::builder_with_config(config, provider);
        Self(builder.with_options(options).build().ok())
    }

    /// Every address of a name. The name is asked for as it stands: no search domain is put behind it.
    pub(super) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ErrorKind> {
        // RFC 6761, 6.3: nobody is asked for these.
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        }
        let resolver = self.0.as_ref().ok_or(ErrorKind::Resolver)?;
        let mut asked = Name::from_ascii(name).map_err(|_| ErrorKind::NameNotFound)?;
        asked.set_fqdn(true);
        match resolver.lookup_ip(asked).await {
            Ok(found) => {
                let addresses: Vec<_> = found.iter().take(MAX_ADDRESSES + 1).collect();
                match addresses.len() {
                    0 => Err(ErrorKind::NameNotFound),
                    // Not cut off: an address behind the limit would not be looked at.
                    n if n > MAX_ADDRESSES => Err(ErrorKind::Resolver),
                    _ => Ok(addresses),
                }
            }
            Err(error) if error.is_no_records_found() => Err(ErrorKind::NameNotFound),
            Err(_) => Err(ErrorKind::Resolver),
        }
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        let connection: &mut ConnectionConfig = connection;
        connection.port = address.port();
    }
    server
}
