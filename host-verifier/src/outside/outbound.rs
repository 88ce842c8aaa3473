//! What the operator of the machine says about requests to others.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Credentials, PrivateNetwork};

/// `outbound` of `assayd.yaml`: what the operator of the machine says, and no policy can.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Who resolves names; empty: those of `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
    /// Whether this machine's own loopback addresses may be asked where an operator has chosen whom to ask: an API server,
    /// an issuer or a webhook that runs beside the verifier. Never by a method whose agents choose (`http_dns`).
    pub allow_loopback: bool,
    /// The private networks that may be asked, whoever chose whom to ask; `None`: all, as far as a method and its policy may
    /// ask private addresses.
    pub private_networks: Option<Arc<[PrivateNetwork]>>,
    /// What documents may have sent to whom.
    pub credentials: Arc<Credentials>,
}
