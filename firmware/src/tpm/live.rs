//! Which objects and sessions in the TPM are ours.
//!
//! Chips have room for three objects and three sessions. Knowing ours tells what may be flushed when
//! the TPM runs out, and keeps a forgotten flush from being found only on silicon.

use assay_common::tpm::handle::{Handle, HandleKind};

/// Objects, and sessions, that the smallest chips hold.
pub(super) const SLOTS: usize = 3;

/// Handles that this agent has loaded; 0, which is PCR 0 and never loaded, marks a free place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live([[Handle; SLOTS]; 2]);

const FREE: Handle = Handle(0);

impl Live {
    /// Nothing is loaded.
    pub(super) const NONE: Self = Self([[FREE; SLOTS]; 2]);

    pub(super) fn clear(&mut self) {
        *self = Self::NONE;
    }

    /// The first free place for this kind of handle.
    fn place(&mut self, kind: HandleKind) -> Option<&mut Handle> {
        let [objects, sessions] = &mut self.0;
        let places = if kind == HandleKind::TRANSIENT {
            objects
        } else {
            sessions
        };
        places.iter_mut().find(|place| **place == FREE)
    }

    /// True when another handle of this kind may be loaded.
    pub(super) fn has_room(&mut self, kind: HandleKind) -> bool {
        self.place(kind).is_some()
    }

    pub(super) fn add(&mut self, handle: Handle) {
        if let Some(place) = self.place(handle.kind()) {
            *place = handle;
        }
    }

    pub(super) fn remove(&mut self, handle: Handle) {
        for place in self.0.as_flattened_mut() {
            if *place == handle {
                *place = FREE;
            }
        }
    }

    pub(super) fn contains(&self, handle: Handle) -> bool {
        self.0.as_flattened().contains(&handle)
    }

    pub(super) fn count(&self) -> usize {
        self.0
            .as_flattened()
            .iter()
            .filter(|place| **place != FREE)
            .count()
    }
}
