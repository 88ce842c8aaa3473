//! Keys that end with their process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{KeyError, KeyManager, KeyType, LocalKey, Signer};
use crate::random::{self, RandomError, SecureRandom};

/// The file with the verifier's name.
const NAME: &str = "svid-replica";

/// Keys in memory. After a restart new authorities are made; the old ones stay in the bundle until they have expired.
#[derive(Debug)]
pub struct MemoryKeys {
    replica: String,
    keys: Mutex<BTreeMap<String, Arc<LocalKey>>>,
}

impl MemoryKeys {
    /// No keys yet.
    ///
    /// # Errors
    ///
    /// [`RandomError`]: the replica's name is random.
    pub fn new(random: &dyn SecureRandom) -> Result<Self, RandomError> {
        Ok(Self {
            replica: hex::encode(random::bytes::<16>(random)?),
            keys: Mutex::default(),
        })
    }

    /// No keys yet, of a verifier whose name is kept in a directory although its keys are not: so it finds what it left in the
    /// store when it ended without having signed anything.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: the name cannot be read or made.
    pub fn named(dir: &Path, random: &dyn SecureRandom) -> Result<Self, KeyError> {
        Ok(Self {
            replica: super::disk::replica(&dir.join(NAME), random)?,
            keys: Mutex::default(),
        })
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Arc<LocalKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl KeyManager for MemoryKeys {
    fn replica(&self) -> &str {
        &self.replica
    }

    async fn create(&self, key_type: KeyType) -> Result<Arc<dyn Signer>, KeyError> {
        let key = Arc::new(generate(key_type).await?);
        self.keys().insert(key.id().to_owned(), key.clone());
        Ok(key)
    }

    async fn keys(&self) -> Result<Vec<Arc<dyn Signer>>, KeyError> {
        let all = self.keys();
        Ok(all.values().map(|key| key.clone() as _).collect())
    }

    async fn remove(&self, id: &str) -> Result<bool, KeyError> {
        Ok(self.keys().remove(id).is_some())
    }
}

/// RSA takes long enough that nothing else should wait for it on the same thread.
pub(super) async fn generate(key_type: KeyType) -> Result<LocalKey, KeyError> {
    match key_type {
        KeyType::EcP256 | KeyType::EcP384 => LocalKey::generate(key_type),
        _ => tokio::task::spawn_blocking(move || LocalKey::generate(key_type))
            .await
            .unwrap_or(Err(KeyError::Generate(key_type))),
    }
}
