//! The session of the node, kept alive: logs in, renews, and logs in again, on a thread of its own, since proofs block.
//!
//! What others see of it is [`Current`](crate::session::Current). A session that cannot be renewed stays what it is until it ends: a verifier that is
//! away for an hour is not missed by whoever holds an SVID for two.

use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_common::protocol::DenyCode;
use tokio::sync::watch;

use super::backoff::{Backoff, login_again_after, renew_after};
use crate::client::{Granted, LoginError, Renewable, Verifiers, log_in, renew};
use crate::evidence::Evidence;
use crate::names;
use crate::session::{Current, Shared};

/// What keeps a session alive.
pub(super) struct Keeper {
    pub(super) record: Vec<u8>,
    pub(super) verifiers: Verifiers,
    pub(super) evidence: Evidence,
    pub(super) told: watch::Sender<Shared>,
    /// Set when the verifier no longer knows the session, as somebody who used it found out.
    pub(super) lost: watch::Receiver<Option<String>>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Keeper {
    /// Keeps a session until the agent stops.
    pub(super) async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.forever() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // A TPM is left as it was found.
        assay_firmware::evidence::EvidenceSource::end(&mut self.evidence);
    }

    async fn forever(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            let attestors = self.evidence.offers();
            tracing::debug!(attestors, "{}", names::SENDING_LOGIN);
            let result = log_in(&self.record, &self.verifiers, &mut self.evidence).await;
            for trouble in self.evidence.take_troubles() {
                let error = trouble.error;
                tracing::warn!(
                    method = trouble.source,
                    reason = error.what,
                    hint = error.hint,
                    "{}",
                    names::METHOD_LEFT_OUT
                );
            }
            match result {
                Ok(granted) => {
                    backoff = Backoff::default();
                    self.hold(granted).await;
                }
                Err(error) => {
                    let wait = backoff.after_failure(error.retry_after());
                    failed(&error, names::LOGIN_FAILED, backoff, wait);
                    self.rest(wait).await;
                }
            }
        }
    }

    /// Sleeps, and ends the session for everybody when it ends meanwhile.
    async fn rest(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let ends = self.told.borrow().as_ref().map(|current| current.ends);
        if let Some(ends) = ends.filter(|ends| *ends <= until) {
            tokio::time::sleep_until(ends.into()).await;
            tracing::warn!("{}", names::SESSION_OVER);
            self.told.send_replace(None);
        }
        tokio::time::sleep_until(until.into()).await;
    }

    /// Holds a session for as long as it can be renewed; returns when it is time for a login.
    async fn hold(&mut self, granted: Granted) {
        let attestors: Vec<_> = granted.proven.iter().map(|kind| kind.to_string()).collect();
        let attestors = serde_json::to_string(&attestors).unwrap_or_default();
        tracing::info!(
            session_id = granted.session_id,
            spiffe_id = granted.spiffe_id,
            attestors,
            server = granted.by,
            lifetime_seconds = granted.term.lifetime_s,
            "{}",
            names::CONNECTED
        );
        let mut term = granted.term;
        let mut since = granted.since;
        let session = granted.session_id.clone();
        let mut current = Arc::new(Current {
            ends: since + Duration::from_secs(term.lifetime_s),
            session_id: granted.session_id,
            spiffe_id: granted.spiffe_id,
            secret: granted.secret,
            svid: granted.svid,
            key: granted.key,
        });
        self.told.send_replace(Some(current.clone()));
        loop {
            let lifetime = Duration::from_secs(term.lifetime_s);
            let at = match term.renew_in_s {
                Some(renew_in) => since + renew_after(Duration::from_secs(renew_in), lifetime),
                None => since + login_again_after(lifetime),
            };
            if self.wait(at, &session).await {
                // Revoked, or the node was banned: nobody is to act as it any more.
                tracing::warn!(session_id = session, "{}", names::SESSION_OVER);
                self.told.send_replace(None);
                return;
            }
            if term.renew_in_s.is_none() {
                return;
            }
            // For three quarters of its life a renewal is tried; a login takes longer, and the last quarter is for it.
            let give_up = (since + lifetime / 4 * 3).max(at);
            let Some(Renewable {
                term: renewed,
                since: now,
                svid,
            }) = self.renewed(term, give_up).await
            else {
                return;
            };
            (term, since) = (renewed, now);
            current = Arc::new(Current {
                ends: since + Duration::from_secs(term.lifetime_s),
                session_id: current.session_id.clone(),
                spiffe_id: current.spiffe_id.clone(),
                secret: current.secret.clone(),
                svid: match svid.is_empty() {
                    true => current.svid.clone(),
                    false => svid,
                },
                key: current.key.clone(),
            });
            tracing::info!(
                session_id = session,
                lifetime_seconds = term.lifetime_s,
                "{}",
                names::RENEWED
            );
            self.told.send_replace(Some(current.clone()));
        }
    }

    /// Waits until a time, or until the verifier no longer knows the session; whether that was it.
    async fn wait(&mut self, until: Instant, session: &str) -> bool {
        let lost = self.lost.wait_for(|lost| lost.as_deref() == Some(session));
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => false,
            _ = lost => true,
        }
    }

    /// A renewal, tried until it is time for a login; `None` when it is.
    async fn renewed(
        &mut self,
        term: assay_firmware::agent::Term,
        give_up: Instant,
    ) -> Option<Renewable> {
        let mut backoff = Backoff::default();
        loop {
            let result = renew(&self.record, &self.verifiers, &mut self.evidence, term).await;
            let error = match result {
                Ok(renewed) => return Some(renewed),
                Err(error) => error,
            };
            let wait = backoff.after_failure(error.retry_after());
            failed(&error, names::RENEWAL_FAILED, backoff, wait);
            if !mended_by_waiting(&error) || Instant::now() + wait >= give_up {
                return None;
            }
            self.rest(wait).await;
        }
    }
}

/// Whether a renewal that failed so may succeed later. The session, or the key for it, may be gone; a verifier that is away
/// or overloaded is not helped by a login.
fn mended_by_waiting(error: &LoginError) -> bool {
    match error {
        LoginError::Unreachable(_) | LoginError::Untrusted | LoginError::Answer { .. } => true,
        LoginError::Denied { code, .. } => *code != DenyCode::LOGIN_REQUIRED,
        LoginError::Evidence(_) | LoginError::Protocol(_) | LoginError::Own(_) => false,
    }
}

fn failed(error: &LoginError, message: &str, backoff: Backoff, wait: Duration) {
    let login_id = match error {
        LoginError::Denied { login_id, .. } => login_id.as_deref(),
        _ => None,
    };
    tracing::warn!(
        %error,
        hint = error.hint(),
        login_id,
        attempt = backoff.attempts(),
        next_in_seconds = wait.as_secs(),
        "{message}"
    );
}
