//! What a node keeps of a session, and who else hears of it.

use crate::agent::{Renewed, Session, Term};

/// Uses the sessions of a node. `()` uses none and takes nothing.
pub trait Observer {
    /// A session was granted. What is needed of it must be copied: it is wiped afterwards. Called before the node rests,
    /// which it does until the session is renewed or for three quarters of its life, and should not take long.
    fn granted(&mut self, session: &Session<'_>);

    /// A session goes on, with a fresh SVID for the same key. Ignored as it is.
    fn renewed(&mut self, renewed: &Renewed<'_>) {
        let _ = renewed;
    }
}

impl Observer for () {
    fn granted(&mut self, _: &Session<'_>) {}
}

impl<F: FnMut(&Session<'_>)> Observer for F {
    fn granted(&mut self, session: &Session<'_>) {
        self(session);
    }
}

/// What is left of a login or a renewal when its buffers are free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The session's name.
    pub session_id: [u8; 16],
    /// How long it lasts, seconds.
    pub lifetime_s: u64,
    /// When it is to be renewed, seconds from now; `None` when it ends in a login.
    pub renew_in_s: Option<u64>,
    /// Whether an SVID came with it, for a key in the TPM.
    pub has_svid: bool,
}

impl Granted {
    pub(super) fn of(term: &Term, svid: &[u8]) -> Self {
        Self {
            session_id: term.session_id,
            lifetime_s: term.lifetime_s,
            renew_in_s: term.renew_in_s,
            has_svid: !svid.is_empty(),
        }
    }

    /// Three quarters of its life: time enough for several attempts before it ends.
    pub(super) fn most_of_life_ms(&self) -> u32 {
        u32::try_from(self.lifetime_s.saturating_mul(750)).unwrap_or(u32::MAX)
    }

    /// How long the node rests now, milliseconds: until the session may be renewed, or for three quarters of its life.
    #[must_use]
    pub fn rest_ms(&self) -> u32 {
        self.renew_in_s
            .and_then(|wait_s| u32::try_from(wait_s.saturating_mul(1_000)).ok())
            .unwrap_or_else(|| self.most_of_life_ms())
    }
}

/// A session that can be renewed.
#[derive(Clone, Copy)]
pub(super) struct Live {
    pub(super) term: Term,
    /// From when on a renewal that failed is not tried again but followed by a login, microseconds since start.
    pub(super) give_up_at: u64,
}
