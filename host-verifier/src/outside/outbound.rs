//! What the operator of the machine says about requests to others.

use std::net::SocketAddr;

/// `outbound` of `assayd.yaml`: what the operator of the machine says, and no policy can.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Who resolves names; empty: those of `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
    /// Whether this machine's own loopback addresses may be asked, by every method: for an API server or a webhook that runs
    /// beside the verifier. Never where nodes that are not trusted use `http_dns`.
    pub allow_loopback: bool,
}
