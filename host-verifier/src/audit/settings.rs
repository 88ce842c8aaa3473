//! How a trail is kept.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::config::AuditFiles;

/// How a trail is kept, and by whose time.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long files grow, and which are kept.
    pub files: AuditFiles,
    /// For the age of files and the records of their removal.
    pub clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        AuditFiles::default().into()
    }
}

impl From<AuditFiles> for Settings {
    fn from(files: AuditFiles) -> Self {
        Self {
            files,
            clock: Arc::new(SystemClock::new()),
        }
    }
}
