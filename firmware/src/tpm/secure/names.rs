//! Names of the entities that commands are about: what an HMAC covers instead of handles, which are anybody's to choose
//! (`[TPM2.0 1.85 Part 1]` 13).

use assay_common::tpm::handle::{Handle, HandleKind};

use crate::tpm::exchange::{HANDLE, MAX_NAME};
use crate::tpm::live::SLOTS;

/// Names of as many objects as are ever loaded, and of one NV index or persistent object.
pub(super) struct Names([(Handle, heapless::Vec<u8, MAX_NAME>); SLOTS + 1]);

const FREE: Handle = Handle(0);

impl Names {
    pub(super) const fn new() -> Self {
        Self([const { (FREE, heapless::Vec::new()) }; SLOTS + 1])
    }

    /// Notes a Name.
    pub(super) fn set(&mut self, handle: Handle, name: &[u8]) {
        let (other, objects) = match &mut self.0 {
            [other, objects @ ..] => (other, objects),
        };
        let place = if handle.is(HandleKind::TRANSIENT) {
            let mut places = objects.iter_mut();
            let taken = places.position(|(known, _)| *known == handle);
            let free = || objects.iter().position(|(known, _)| *known == FREE);
            match taken.or_else(free).and_then(|at| objects.get_mut(at)) {
                Some(place) => place,
                // There are as many places as there are slots.
                None => return,
            }
        } else {
            other
        };
        place.0 = handle;
        place.1.clear();
        let _ = place.1.extend_from_slice(name);
    }

    pub(super) fn remove(&mut self, handle: Handle) {
        for (known, _) in &mut self.0 {
            if *known == handle {
                *known = FREE;
            }
        }
    }

    /// The Name that was noted.
    pub(super) fn of(&self, handle: Handle) -> Option<&[u8]> {
        let mut own = self.0.iter().filter(|(known, _)| *known == handle);
        own.next().map(|(_, name)| name.as_slice())
    }

    /// The Name of what a handle in a command is of. PCRs, sessions and hierarchies are named by their handles.
    pub(super) fn name<'n>(&'n self, handle: &'n [u8; HANDLE]) -> Option<&'n [u8]> {
        let number = Handle(u32::from_be_bytes(*handle));
        match number.kind() {
            HandleKind::PCR
            | HandleKind::HMAC_SESSION
            | HandleKind::POLICY_SESSION
            | HandleKind::PERMANENT => Some(handle),
            _ => self.of(number),
        }
    }
}
