//! The bundle, asked for as often as it says, and the files, written whenever something in them changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::backoff::Backoff;
use crate::client::Verifiers;
use crate::config::Outputs;
use crate::names;
use crate::session::Shared;
use crate::svid::bundle::Bundle;
use crate::svid::store::{self, Identity};

/// A disk that is full may have room later.
const WRITE_AGAIN: Duration = Duration::from_secs(30);

/// Keeps the bundle up to date for ever. One that cannot be had leaves the last one in force. A session that is new, or
/// renewed, may be signed by a new authority, so the bundle is asked for then too.
pub(super) async fn keep_bundle(
    verifiers: Verifiers,
    mut sessions: watch::Receiver<Shared>,
    told: watch::Sender<Option<Arc<Bundle>>>,
) {
    let mut backoff = Backoff::default();
    loop {
        let wait = match verifiers.bundle().await {
            Ok(bundle) => {
                backoff = Backoff::default();
                let refresh = bundle.refresh;
                let changed = told.send_if_modified(|last| {
                    let new = last.as_deref() != Some(&bundle);
                    if new {
                        *last = Some(Arc::new(bundle));
                    }
                    new
                });
                if changed {
                    tracing::info!("{}", names::BUNDLE_UPDATED);
                }
                refresh
            }
            Err(error) => {
                let wait = backoff.after_failure(None);
                tracing::warn!(%error, next_in_seconds = wait.as_secs(), "{}", names::BUNDLE_FAILED);
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Ok(()) = sessions.changed() => {}
        }
    }
}

/// Writes the files for ever.
pub(super) async fn keep_files(
    outputs: Outputs,
    mut sessions: watch::Receiver<Shared>,
    mut bundles: watch::Receiver<Option<Arc<Bundle>>>,
) {
    loop {
        let current = sessions.borrow_and_update().clone();
        let bundle = bundles.borrow_and_update().clone();
        let mut again = None;
        if let Some(bundle) = bundle {
            // A session that is over leaves the last files: whoever reads them sees when they end.
            let identity = current.as_deref().map(|current| Identity {
                svid: &current.svid,
                key: current.key.as_ref().map(|key| key.as_slice()),
            });
            match store::write(&outputs, identity.as_ref(), &bundle) {
                Ok(files) => {
                    let files = serde_json::to_string(&files).unwrap_or_default();
                    tracing::debug!(files, "{}", names::FILES_WRITTEN);
                }
                Err(error) => {
                    tracing::error!(%error, hint = error.hint(), "{}", names::FILES_FAILED);
                    again = Some(WRITE_AGAIN);
                }
            }
        }
        tokio::select! {
            Ok(()) = sessions.changed() => {}
            Ok(()) = bundles.changed() => {}
            () = tokio::time::sleep(again.unwrap_or(Duration::MAX)), if again.is_some() => {}
            else => return,
        }
    }
}
