//! Renewals: one message, one answer, wherever it came in.

use assay_common::protocol::{DenyCode, Renew};

use super::Server;
use crate::audit::{IssuedSvid, Record, Trail};
use crate::login::{Denied, Env, RefusedRenewal, Renewed, renewal};
use crate::telemetry::events::Body;
use crate::telemetry::metrics::{Occasion, SessionChange};
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
        let trail = Trail::begin(message.into());
        let id = renewal::untrusted_session(renew);
        let (renewed, svid) = match self.renewed(renew, message).await {
            Ok((renewed, svid)) => (renewed, svid),
            Err(RefusedRenewal { denied, proven }) => {
                let now = self.clock.now().wall;
                let record = match proven {
                    Some(proven) => {
                        let (session, judged_by) = *proven;
                        let of = (&session, judged_by);
                        Record::renewal_denied(now, link, of, &denied, &trail)
                    }
                    None => Record::stray_renewal(now, link, id, &denied, &trail),
                };
                self.refused(link, &denied, record).await;
                return Err(denied);
            }
        };
        let session = &renewed.session;
        let now = self.clock.now().wall;
        let judged_by = renewed.judged_by.clone();
        let record = Record::renewed(now, link, session, judged_by, &trail).with_svid(svid);
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
    ) -> Result<(Renewed, Option<IssuedSvid>), RefusedRenewal> {
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
        let stored = self.store.renew_session(judged.renewal()).await;
        if !stored.map_err(|error| judged.refused_with(unavailable(&error)))? {
            return Err(judged.refused());
        }
        let (chain, svid) = match judged.order() {
            None => (Vec::new(), None),
            Some(order) => {
                let issued = self.issue(order, Occasion::Renewal).await;
                let issued = issued.map_err(|error| judged.refused_with(unavailable(&error)))?;
                (issued.chain, Some(issued.record))
            }
        };
        Ok((judged.issued(&verifier, &chain)?, svid))
    }

    /// Tells of a refusal.
    async fn refused(&self, link: &str, denied: &Denied, record: Record) {
        let (session_id, untrusted) = (
            record.session_id.clone(),
            record.untrusted_session_id.clone(),
        );
        self.record_refusal(record).await;
        tracing::warn!(
            link,
            session_id,
            untrusted_session_id = untrusted,
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
