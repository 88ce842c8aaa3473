//! Which objects and sessions in the TPM are ours.
//!
//! Chips have room for three objects and three sessions. Knowing ours tells what may be flushed when
//! the TPM runs out, and keeps a forgotten flush from being found only on silicon.

use assay_common::tpm::handle::{Handle, HandleKind};

/// Objects, and sessions, that the smallest chips hold.
pub(super) const SLOTS: usize = 3;

/// Handles that this agent has loaded.
#[derive(Debug, Default)]
pub(super) struct Live {
    objects: [Option<Handle>; SLOTS],
    sessions: [Option<Handle>; SLOTS],
}

impl Live {
    pub(super) const fn clear(&mut self) {
        self.objects = [None; SLOTS];
        self.sessions = [None; SLOTS];
    }

    const fn slots(&mut self, kind: HandleKind) -> &mut [Option<Handle>; SLOTS] {
        if kind.0 == HandleKind::TRANSIENT.0 {
            &mut self.objects
        } else {
            &mut self.sessions
        }
    }

    /// True when another handle of this kind may be loaded.
    pub(super) fn has_room(&mut self, kind: HandleKind) -> bool {
        self.slots(kind).iter().any(Option::is_none)
    }

    pub(super) fn add(&mut self, handle: Handle) {
        if let Some(free) = self
            .slots(handle.kind())
            .iter_mut()
            .find(|slot| slot.is_none())
        {
            *free = Some(handle);
        }
    }

    pub(super) fn remove(&mut self, handle: Handle) {
        for slot in self.objects.iter_mut().chain(&mut self.sessions) {
            if *slot == Some(handle) {
                *slot = None;
            }
        }
    }

    pub(super) fn contains(&self, handle: Handle) -> bool {
        self.objects
            .iter()
            .chain(&self.sessions)
            .any(|slot| *slot == Some(handle))
    }

    pub(super) fn count(&self) -> usize {
        self.objects.iter().chain(&self.sessions).flatten().count()
    }
}
