//! SVIDs for nodes that may have one.

use super::Server;
use crate::login::SvidOrder;

/// An SVID as the login hands it on.
#[derive(Debug)]
pub(crate) struct Issued {
    /// DER certificates one after the other, the leaf first.
    pub(crate) chain: Vec<u8>,
    /// What the log calls it.
    pub(crate) name: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[error("no SVID can be issued: {0}")]
pub(crate) struct IssueFailed(String);

impl Server {
    /// Issues to an order.
    pub(crate) async fn issue(&self, order: SvidOrder<'_>) -> Result<Issued, IssueFailed> {
        Err(IssueFailed(order.spiffe_id.to_owned()))
    }
}
