//! Renewals: one message, one answer, wherever it came in.

use assay_common::protocol::{DenyCode, Renew};

use super::Server;
use crate::audit::{IssuedSvid, Record, Trail};
use crate::login::{Denied, Env, Renewed, renewal};
use crate::telemetry::events::Body;
use crate::telemetry::metrics::{Occasion, SessionChange, StoreOperation};
use crate::telemetry::{Event, names};

impl Server {
    /// Renews a session; `message` is the whole message that `renew` was read from.
    ///
    /// # Errors
    ///
    /// The refusal, which is recorded and logged already.
    pub(crate) async fn renew(
        &self,
        link: &str,
        renew: &Renew<'_>,
        message: &[u8],
    ) -> Result<Vec<u8>, Denied> {
        let trail = Trail::begin(message);
        let id = renewal::untrusted_session(renew);
        let (renewed, svid) = match self.renewed(renew, message).await {
            Ok((renewed, svid)) => (renewed, svid),
            Err(denied) => {
                let record =
                    Record::renewal_denied(self.clock.now().wall, link, id, &denied, &trail);
                self.refused(link, &denied, record).await;
                return Err(denied);
            }
        };
        let session = &renewed.session;
        let record = Record::renewed(self.clock.now().wall, link, session, &trail).with_svid(svid);
        if let Err(error) = self.record(&record).await {
            let denied = Denied::new(None, DenyCode::UNAVAILABLE, error.to_string());
            tracing::error!(session_id = %session.id, %error, "{}", names::AUDIT_FAILED);
            return Err(denied);
        }
        tracing::info!(
            login_id = session.login_id,
            link,
            session_id = %session.id,
            spiffe_id = session.spiffe_id,
            expires_at = %session.expires_at,
            "{}",
            names::RENEWED
        );
        self.renewal_event(link, Body::renewed(session));
        self.metrics.session(SessionChange::Renewed);
        Ok(renewed.message)
    }

    async fn renewed(
        &self,
        renew: &Renew<'_>,
        message: &[u8],
    ) -> Result<(Renewed, Option<IssuedSvid>), Denied> {
        let unavailable = |what: &dyn core::fmt::Display| {
            Denied::new(None, DenyCode::UNAVAILABLE, what.to_string())
        };
        let id = renewal::untrusted_session(renew);
        let session = self
            .store
            .session(id)
            .await
            .map_err(|error| unavailable(&error))?;
        let env = Env {
            now: self.clock.now(),
            random: self.random.as_ref(),
        };
        let verifier = self.verifier.current();
        let judged = renewal::judge(&verifier, &env, session, renew, message)?;
        let call = self.store.renew_session(judged.renewal());
        let stored = self.metrics.store(StoreOperation::RenewSession, call).await;
        if !stored.map_err(|error| unavailable(&error))? {
            return Err(judged.refused());
        }
        let (chain, svid) = match judged.order() {
            None => (Vec::new(), None),
            Some(order) => {
                let issued = self.issue(order, Occasion::Renewal).await;
                let issued = issued.map_err(|error| unavailable(&error))?;
                (issued.chain, Some(issued.record))
            }
        };
        Ok((judged.issued(&verifier, &chain)?, svid))
    }

    /// Tells of a refusal. Where it cannot be recorded nothing is gained by not refusing.
    async fn refused(&self, link: &str, denied: &Denied, record: Record) {
        if let Err(error) = self.record(&record).await {
            tracing::error!(%error, "{}", names::AUDIT_FAILED);
        }
        tracing::warn!(
            link,
            session_id = record.session_id,
            code = %denied.code,
            detail = denied.detail,
            "{}",
            names::RENEWAL_DENIED
        );
        self.renewal_event(
            link,
            Body::denied(denied.code.to_string(), denied.detail.clone()),
        );
    }

    fn renewal_event(&self, link: &str, body: Body) {
        self.events.send(Event {
            time: self.clock.now().wall,
            login_id: None,
            link: link.to_owned(),
            elapsed_ms: None,
            body,
        });
    }
}
