//! SVIDs for nodes that may have one.

use std::time::Duration;

use assay_common::identity::{SpiffeId, SpiffeIdError};
use jiff::Timestamp;

use super::Server;
use crate::audit::IssuedSvid;
use crate::login::SvidOrder;
use crate::store::SessionRecord;
use crate::svid::{IssueError, JwtSvid, X509Svid};
use crate::telemetry::metrics::{Authority, Occasion};

/// An SVID as the login hands it on.
#[derive(Debug)]
pub(crate) struct Issued {
    /// DER certificates one after the other, the leaf first.
    pub(crate) chain: Vec<u8>,
    /// What the log calls it: its serial number and its end.
    pub(crate) name: String,
    /// What the audit trail says of it.
    pub(crate) record: IssuedSvid,
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
    pub(crate) async fn issue(
        &self,
        order: SvidOrder<'_>,
        occasion: Occasion,
    ) -> Result<Issued, IssueFailed> {
        let svid = self.issue_x509(order, occasion).await?;
        Ok(Issued {
            name: format!("{} until {}", hex::encode(svid.serial), svid.not_after),
            record: IssuedSvid::x509(&svid),
            chain: svid.chain.concat(),
        })
    }

    /// As [`Self::issue`], with everything that is known of it.
    pub(crate) async fn issue_x509(
        &self,
        order: SvidOrder<'_>,
        occasion: Occasion,
    ) -> Result<X509Svid, IssueFailed> {
        let id = SpiffeId::parse(order.spiffe_id).map_err(IssueFailed::Name)?;
        let now = self.clock.now().wall;
        let ttl = left(order.expires_at, now).min(self.issuer.x509_ttl());
        let issued = self.issuer.issue_x509(&id, order.key, now, Some(ttl)).await;
        self.metrics
            .svid_issued(Authority::X509, occasion, issued.is_ok());
        Ok(issued?)
    }

    /// Issues a JWT-SVID to the holder of a session, which was proven: it ends with the session at the latest.
    pub(crate) async fn issue_jwt(
        &self,
        session: &SessionRecord,
        audience: &[&str],
    ) -> Result<JwtSvid, IssueFailed> {
        let id = SpiffeId::parse(&session.spiffe_id).map_err(IssueFailed::Name)?;
        let now = self.clock.now().wall;
        let ttl = left(session.expires_at, now);
        let issued = self.issuer.issue_jwt(&id, audience, now, Some(ttl)).await;
        self.metrics
            .svid_issued(Authority::Jwt, Occasion::Session, issued.is_ok());
        Ok(issued?)
    }
}

/// The time until `end`; none when it has passed.
fn left(end: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(now)).unwrap_or_default()
}
