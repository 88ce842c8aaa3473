//! SVIDs for nodes that may have one.

use std::time::Duration;

use assay_common::identity::{SpiffeId, SpiffeIdError};

use super::Server;
use crate::login::SvidOrder;
use crate::svid::IssueError;

/// An SVID as the login hands it on.
#[derive(Debug)]
pub(crate) struct Issued {
    /// DER certificates one after the other, the leaf first.
    pub(crate) chain: Vec<u8>,
    /// What the log calls it: its serial number and its end.
    pub(crate) name: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueFailed {
    /// The name is no SPIFFE ID.
    #[error("no SVID can be issued: {0}")]
    Name(SpiffeIdError),
    /// The issuer's reason.
    #[error("no SVID can be issued: {0}")]
    Issue(#[from] IssueError),
}

impl Server {
    /// Issues to an order: an SVID that ends with its session at the latest.
    pub(crate) async fn issue(&self, order: SvidOrder<'_>) -> Result<Issued, IssueFailed> {
        let id = SpiffeId::parse(order.spiffe_id).map_err(IssueFailed::Name)?;
        let now = self.clock.now().wall;
        let left = Duration::try_from(order.expires_at.duration_since(now)).unwrap_or_default();
        let ttl = left.min(self.issuer.x509_ttl());
        let svid = self
            .issuer
            .issue_x509(&id, order.key, now, Some(ttl))
            .await?;
        Ok(Issued {
            name: format!("{} until {}", hex::encode(svid.serial), svid.not_after),
            chain: svid.chain.concat(),
        })
    }
}
