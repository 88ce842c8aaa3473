//! Whose certificates are trusted, read once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;

use super::ErrorKind;
use crate::http::tls::{self, Roots};

/// Most sets of pinned authorities that are kept. More than any configuration has; when a set is changed again and again,
/// all are forgotten and read anew.
const KEPT: usize = 64;

/// The settings of TLS by pinned authorities; without any, the system's.
#[derive(Debug, Default)]
pub(super) struct Trust(Mutex<BTreeMap<Option<Arc<str>>, Arc<ClientConfig>>>);

impl Trust {
    pub(super) fn config(&self, pinned: Option<&Arc<str>>) -> Result<Arc<ClientConfig>, ErrorKind> {
        let key = pinned.cloned();
        let known = self.lock().get(&key).cloned();
        if let Some(config) = known {
            return Ok(config);
        }
        let roots = match pinned {
            Some(pem) => Roots::Pem(pem.clone()),
            None => Roots::System,
        };
        let config = Arc::new(tls::config(&roots).map_err(|_| ErrorKind::Roots)?);
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, config.clone());
        Ok(config)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Option<Arc<str>>, Arc<ClientConfig>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
