//! Lists that may be long, one page after the other.

use jiff::Timestamp;

use super::{NodeRecord, SessionRecord, StoreError};
use crate::session::SessionId;

/// Pages in the order of a key that never changes: whoever follows them to the end has seen all that were there all the
/// time, each once, whatever came and went meanwhile. What a page costs does not grow with what is stored.
#[async_trait::async_trait]
pub trait Paging {
    /// At most `limit` sessions that live at `now`, by id, behind `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn session_page(
        &self,
        now: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRecord>, StoreError>;

    /// At most `limit` nodes by the hash of their EK, behind `after`; `""` is before all of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    async fn node_page(&self, after: &str, limit: u32) -> Result<Vec<NodeRecord>, StoreError>;
}
