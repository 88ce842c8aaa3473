//! What a login finds out, told to the log, the event stream, the audit trail and the metrics.

use std::time::Duration;

use assay_common::policy::AttestorKind;
use assay_common::protocol::{AgentMessage, DenyCode, decode};

use super::{Answer, Course};
use crate::audit::{IssuedSvid, Record};
use crate::clock::Moment;
use crate::login::{Denied, Granted, LoginId, Next, Step, Turn};
use crate::telemetry::events::Body;
use crate::telemetry::metrics::{LoginEnd, SessionChange};
use crate::telemetry::{Event, names};

impl Course {
    /// Also for a hello that is refused: what was offered is what explains the refusal.
    pub(super) fn log_started(&self, turn: &Turn, message: &[u8]) {
        let Ok(AgentMessage::Hello(hello)) = decode(message) else {
            return;
        };
        let id = match &turn.next {
            Next::Ask(_, state) => Some(state.login_id()),
            Next::Denied(denied) => denied.login_id,
            Next::Recall(_) | Next::Inquire(_) | Next::Commit(_) => None,
        };
        let methods = hello
            .methods
            .iter()
            .map(|number| AttestorKind(*number).to_string());
        tracing::info!(
            login_id = id.map(|id| id.to_string()),
            link = self.link,
            cluster = hello.cluster,
            board = hello.untrusted_board,
            version = hello.untrusted_version,
            providedMethods = json(&methods.collect::<Vec<_>>()),
            "{}",
            names::LOGIN_STARTED
        );
    }

    /// Recorded first: a session that the audit trail does not know is told to nobody. It is in the store, its secret is
    /// nowhere, and it ends by itself.
    pub(super) async fn granted(&mut self, granted: Granted, svid: Option<IssuedSvid>) -> Answer {
        let now = self.server.clock.now().wall;
        let beside = self.server.beside(&granted.session).await;
        let record = Record::granted(now, &self.link, &granted, &self.trail).with_svid(svid);
        let record = self.server.sealed(record.beside(beside));
        if let Err(error) = self.server.record(&record).await {
            let id = Some(granted.login_id);
            let denied = Denied::new(id, DenyCode::UNAVAILABLE, error.to_string());
            return self.denied(denied).await;
        }
        let session = &granted.session;
        let attributes: Vec<_> = session.attributes.iter().map(ToString::to_string).collect();
        tracing::info!(
            login_id = %granted.login_id,
            link = self.link,
            policy = session.policy,
            agentAttestationAttributes = json(&attributes),
            "{}",
            names::AUTHORIZED
        );
        tracing::info!(
            login_id = %granted.login_id,
            link = self.link,
            session_id = %session.id,
            spiffe_id = session.spiffe_id,
            expires_at = %session.expires_at,
            "{}",
            names::CONNECTED
        );
        if beside > 0 {
            tracing::warn!(
                login_id = %granted.login_id,
                link = self.link,
                session_id = %session.id,
                spiffe_id = session.spiffe_id,
                live_beside = beside,
                "{}",
                names::LIVE_BESIDE
            );
            self.server.metrics.session(SessionChange::Beside);
        }
        self.event(Some(granted.login_id), || Body::granted(session));
        self.server.metrics.session(SessionChange::Granted);
        self.ended(LoginEnd::Granted, Some(self.began), self.worked());
        Answer::Granted(granted.message)
    }

    /// Recorded first, too; but where that fails nothing is gained by not refusing.
    pub(crate) async fn denied(&mut self, denied: Denied) -> Answer {
        let now = self.server.clock.now().wall;
        if let Some(record) = Record::denied(now, &self.link, &denied, &self.trail) {
            self.server.record_refusal(record).await;
        }
        let explanation = denied.explanation.as_ref().map(|e| json(&e.policies));
        tracing::warn!(
            login_id = denied.login_id.map(|id| id.to_string()),
            link = self.link,
            code = %denied.code,
            detail = denied.detail,
            explanation,
            "{}",
            names::DENIED
        );
        let body = || Body::denied(denied.code.to_string(), denied.detail.clone());
        self.event(denied.login_id, body);
        let began = denied.login_id.map(|_| self.began);
        self.ended(LoginEnd::Denied(denied.code), began, self.worked());
        Answer::Denied(denied)
    }

    /// An answer to a challenge that was answered before. Whoever sent it has seen the line, and that is all that is
    /// known: the login went its own way, and neither its record nor its events are touched.
    pub(super) async fn replayed(&mut self, denied: Denied) -> Answer {
        let now = self.server.clock.now().wall;
        if let Some(record) = Record::denied(now, &self.link, &denied, &self.trail) {
            self.server.record_refusal(record.replayed()).await;
        }
        tracing::warn!(
            untrusted_login_id = denied.login_id.map(|id| id.to_string()),
            link = self.link,
            code = %denied.code,
            detail = denied.detail,
            "{}",
            names::REPLAYED
        );
        let body = || Body::denied(denied.code.to_string(), denied.detail.clone());
        self.event(None, body);
        // How long the login took is not known of what is played back.
        self.ended(LoginEnd::Denied(denied.code), None, self.worked());
        Answer::Denied(denied)
    }

    /// What was worked on it, until now.
    pub(super) fn worked(&self) -> Duration {
        let (before, turn_began) = self.worked;
        let now = self.server.clock.now().monotonic;
        before + now.saturating_sub(turn_began)
    }

    fn ended(&mut self, end: LoginEnd, began: Option<Moment>, worked: Duration) {
        let now = self.server.clock.now().monotonic;
        let took = began.map(|began| now.saturating_sub(began.monotonic));
        self.tally.count(&self.server.metrics);
        self.server.metrics.login_ended(end, took, worked);
    }

    /// Ends a login without a result.
    pub(crate) fn abandon(&mut self, id: LoginId, why: &str) {
        tracing::info!(login_id = %id, link = self.link, why, "{}", names::ABANDONED);
        self.event(Some(id), || Body::denied("abandoned", why));
        self.ended(LoginEnd::Abandoned, Some(self.began), self.worked.0);
    }

    pub(super) fn steps(&mut self, id: Option<LoginId>, steps: Vec<Step>) {
        self.trail.found(&steps);
        self.tally.see(&steps);
        for step in steps {
            self.event(id, || Body::Step(step));
        }
    }

    fn event(&self, id: Option<LoginId>, body: impl FnOnce() -> Body) {
        if !self.server.events.is_read() {
            return;
        }
        let now = self.server.clock.now();
        let elapsed = now.monotonic.saturating_sub(self.began.monotonic);
        self.server.events.send(Event {
            time: now.wall,
            login_id: id.map(|id| id.to_string()),
            link: self.link.clone(),
            elapsed_ms: Some(millis(elapsed)),
            body: body(),
        });
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
