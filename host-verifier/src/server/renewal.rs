//! Renewals: one message, one answer, wherever it came in.

use assay_common::protocol::{DenyCode, Renew};

use super::Server;
use crate::audit::{IssuedSvid, Kind, Record, Trail};
use crate::login::renewal::Repeated;
use crate::login::{Denied, Env, RefusedRenewal, Renewed, Verifier, renewal};
use crate::store::{Conflict, SessionRecord};
use crate::telemetry::events::Body;
use crate::telemetry::metrics::{Occasion, SessionChange};
use crate::telemetry::{Event, names};

/// What came of a renewal.
enum Outcome {
    /// The session goes on.
    Renewed(Box<Renewed>),
    /// It did before, with the same message: the session, and the message for the node.
    Repeated(Box<SessionRecord>, Vec<u8>),
}

fn unavailable(what: &dyn core::fmt::Display) -> Denied {
    Denied::new(None, DenyCode::UNAVAILABLE, what.to_string())
}

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
        let (outcome, svid) = match self.renewed(renew, message).await {
            Ok(renewed) => renewed,
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
        let now = self.clock.now().wall;
        let (session, told, record) = match outcome {
            Outcome::Renewed(renewed) => {
                let Renewed {
                    message,
                    session,
                    judged_by,
                } = *renewed;
                let record = Record::renewed(now, link, &session, judged_by, &trail);
                (session, message, record)
            }
            Outcome::Repeated(session, message) => {
                let record = Record::repeated(now, link, &session, &trail);
                (*session, message, record)
            }
        };
        let repeated = record.kind == Kind::Repeat;
        let record = record.with_svid(svid);
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
            repeated,
            "{}",
            names::RENEWED
        );
        if !repeated {
            self.renewal_event(link, Body::renewed(&session));
            self.metrics.session(SessionChange::Renewed);
        }
        Ok(told)
    }

    async fn renewed(
        &self,
        renew: &Renew<'_>,
        message: &[u8],
    ) -> Result<(Outcome, Option<IssuedSvid>), RefusedRenewal> {
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
        if let Some(repeated) = renewal::repeated(&verifier, &env, session.as_ref(), message)? {
            return Ok(self.repeated(&verifier, repeated).await?);
        }
        let judged = renewal::judge(&verifier, &env, session, renew, message)?;
        let known_as = &judged.renewal().basis.known_as;
        let ban = self.banned(known_as).await;
        if let Some(ban) = ban.map_err(|error| judged.refused_with(unavailable(&error)))? {
            let told = Conflict::from(ban).to_string();
            let denied = Denied::new(None, DenyCode::LOGIN_REQUIRED, told);
            return Err(judged.refused_with(denied));
        }
        let stored = self.store.renew_session(judged.renewal()).await;
        if !stored.map_err(|error| judged.refused_with(unavailable(&error)))? {
            // The same message may have come to another verifier at the same time.
            let session = self.store.session(id).await;
            let session = session.map_err(|error| judged.refused_with(unavailable(&error)))?;
            return match renewal::repeated(&verifier, &env, session.as_ref(), message)? {
                Some(repeated) => Ok(self.repeated(&verifier, repeated).await?),
                None => Err(judged.refused()),
            };
        }
        let (chain, svid) = match judged.order() {
            None => (Vec::new(), None),
            Some(order) => {
                let issued = self.issue(order, Occasion::Renewal).await;
                let issued = issued.map_err(|error| judged.refused_with(unavailable(&error)))?;
                (issued.chain, Some(issued.record))
            }
        };
        let renewed = judged.issued(&verifier, &chain)?;
        Ok((Outcome::Renewed(Box::new(renewed)), svid))
    }

    /// What a message came to before, told again.
    async fn repeated(
        &self,
        verifier: &Verifier,
        repeated: Repeated,
    ) -> Result<(Outcome, Option<IssuedSvid>), Denied> {
        let (chain, svid) = match repeated.order() {
            None => (Vec::new(), None),
            Some(order) => {
                let issued = self.issue(order, Occasion::Renewal).await;
                let issued = issued.map_err(|error| unavailable(&error))?;
                (issued.chain, Some(issued.record))
            }
        };
        let (session, message) = repeated.issued(verifier, &chain)?;
        Ok((Outcome::Repeated(Box::new(session), message), svid))
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
