//! Keys in files: PKCS#8 in DER, mode 0600, in a directory of mode 0700 that one process uses.
//!
//! ```text
//!   <40 hex digits>.p8     a key, named by its own identifier
//!   replica                whose keys these are: 32 hex digits
//!   lock                   held while a process uses the directory
//! ```
//!
//! A file is written aside, flushed and linked into place, so a crash leaves no half key under a key's name; what it leaves
//! aside is removed at the next start. A file that is damaged, or whose contents are another key than its name says, is
//! reported and left as it is: whoever put it there may have the right one.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::memory::generate;
use super::{KeyError, KeyManager, KeyType, LocalKey, Signer};
use crate::random::{self, SecureRandom};

const SUFFIX: &str = "p8";
const ASIDE: &str = "new";
const REPLICA: &str = "replica";
const LOCK: &str = "lock";
/// Longest file that is read, bytes: a key of 4096 bits has 2.4 KiB.
const MAX_LEN: u64 = 16 * 1024;

/// A directory of keys.
#[derive(Debug)]
pub struct DiskKeys {
    dir: PathBuf,
    replica: String,
    keys: Mutex<BTreeMap<String, Arc<LocalKey>>>,
    /// Its lock goes when it is closed.
    _lock: File,
}

impl DiskKeys {
    /// Opens a directory, makes it when it is not there, and reads all of its keys.
    ///
    /// # Errors
    ///
    /// [`KeyError`]; nothing is replaced then.
    pub fn open(dir: &Path, random: &dyn SecureRandom) -> Result<Self, KeyError> {
        make_dir(dir)?;
        let lock = lock(dir)?;
        let mut keys = BTreeMap::new();
        let entries = std::fs::read_dir(dir).map_err(|error| failed(dir, error))?;
        for entry in entries {
            let path = entry.map_err(|error| failed(dir, error))?.path();
            match path.extension().and_then(|suffix| suffix.to_str()) {
                // Nobody else is at it: the directory is locked.
                Some(ASIDE) => std::fs::remove_file(&path).map_err(|error| failed(&path, error))?,
                Some(SUFFIX) => {
                    let key = load(&path)?;
                    keys.insert(key.id().to_owned(), Arc::new(key));
                }
                _ => {}
            }
        }
        Ok(Self {
            replica: replica(&dir.join(REPLICA), random)?,
            dir: dir.to_owned(),
            keys: Mutex::new(keys),
            _lock: lock,
        })
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.{SUFFIX}"))
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Arc<LocalKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl KeyManager for DiskKeys {
    fn replica(&self) -> &str {
        &self.replica
    }

    async fn create(&self, key_type: KeyType) -> Result<Arc<dyn Signer>, KeyError> {
        let key = Arc::new(generate(key_type).await?);
        place(&self.path(key.id()), &key.to_pkcs8()?)?;
        self.keys().insert(key.id().to_owned(), key.clone());
        Ok(key)
    }

    async fn keys(&self) -> Result<Vec<Arc<dyn Signer>>, KeyError> {
        let all = self.keys();
        Ok(all.values().map(|key| key.clone() as _).collect())
    }

    async fn remove(&self, id: &str) -> Result<bool, KeyError> {
        if !self.keys().contains_key(id) {
            return Ok(false);
        }
        let path = self.path(id);
        match std::fs::remove_file(&path).and_then(|()| sync_dir(&self.dir)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(self.keys().remove(id).is_some()),
        }
    }
}

fn load(path: &Path) -> Result<LocalKey, KeyError> {
    let invalid = |reason| KeyError::Invalid {
        path: path.display().to_string(),
        reason,
    };
    let der = read_private(path)?;
    let key = LocalKey::from_pkcs8(&der).ok_or_else(|| {
        invalid("not a PKCS#8 key of a type that authorities have: damaged, or put here by hand")
    })?;
    if path.file_stem().and_then(|name| name.to_str()) != Some(key.id()) {
        return Err(invalid("another key than its name says"));
    }
    Ok(key)
}

/// A verifier's name, made once.
pub(super) fn replica(path: &Path, random: &dyn SecureRandom) -> Result<String, KeyError> {
    let text = match read_private(path) {
        Ok(text) => text,
        Err(KeyError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
            let name = random::bytes::<16>(random)
                .map_err(|error| failed(path, io::Error::other(error.to_string())))?;
            place(path, hex::encode(name).as_bytes())?;
            read_private(path)?
        }
        Err(error) => return Err(error),
    };
    let hex = |text: &&str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    core::str::from_utf8(&text)
        .ok()
        .filter(hex)
        .map(str::to_owned)
        .ok_or_else(|| KeyError::Invalid {
            path: path.display().to_string(),
            reason: "not 32 hex digits",
        })
}

/// Writes a file aside, flushes it and links it into place. A file that is there already stays.
fn place(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".");
    aside.push(ASIDE);
    let aside = PathBuf::from(aside);
    let placed = write_private(&aside, bytes)
        .and_then(|()| std::fs::hard_link(&aside, path))
        .and_then(|()| path.parent().map_or(Ok(()), sync_dir));
    let _ = std::fs::remove_file(&aside);
    placed.map_err(|error| failed(path, error))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let file = File::open(path).map_err(|error| failed(path, error))?;
    let meta = file.metadata().map_err(|error| failed(path, error))?;
    check_mode(path, &meta)?;
    if !meta.is_file() || meta.len() > MAX_LEN {
        return Err(KeyError::Invalid {
            path: path.display().to_string(),
            reason: "not a file of this directory's making",
        });
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(MAX_LEN).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_LEN)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(path, error))?;
    Ok(bytes)
}

fn make_dir(dir: &Path) -> Result<(), KeyError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    let made = builder.create(dir).and_then(|()| std::fs::metadata(dir));
    check_mode(dir, &made.map_err(|error| failed(dir, error))?)
}

fn lock(dir: &Path) -> Result<File, KeyError> {
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(&path).map_err(|error| failed(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(KeyError::Locked(dir.display().to_string())),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(&path, error)),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn failed(path: &Path, source: io::Error) -> KeyError {
    KeyError::File {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(unix)]
fn check_mode(path: &Path, meta: &std::fs::Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    match meta.permissions().mode() {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(KeyError::Exposed {
            path: path.display().to_string(),
            mode: mode & 0o777,
        }),
    }
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &std::fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}
