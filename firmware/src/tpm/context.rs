//! Chapter 28: what stays in the TPM and what leaves it.

use assay_common::tpm::handle::Handle;
use assay_common::tpm::properties::Capability;

use super::exchange::{AUTH, AUTH_AREA, HANDLE, HEADER, MAKING_ROOM};
use super::op::Op;
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

const FLUSH_CONTEXT: Op = Op::new(0x165, DurationClass::Medium);
const EVICT_CONTROL: Op = Op::new(0x120, DurationClass::Long).authorized(1);

const _: () = assert!(HEADER + 2 * HANDLE + AUTH_AREA + AUTH + HANDLE <= COMMAND_MAX - MAKING_ROOM);

/// Handles of one kind after which flushing ends, flushed or not: more than any chip holds, and a bound
/// for one that lies.
const MOST_TRIED: u16 = 128;

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_FlushContext` (28.4) of an object or session. Its number is free for reuse then.
    ///
    /// # Errors
    /// [`TpmError::Rc`] when there is no such object or session.
    pub fn flush(&mut self, handle: Handle) -> Result<(), TpmError> {
        // Ours no longer, whatever the TPM says: either it is gone or nothing is known of it.
        self.live.remove(handle);
        #[cfg(feature = "secure-bus")]
        self.secure.forget(handle);
        // The handle is a parameter here, not in the handle area.
        self.begin(FLUSH_CONTEXT, &[]).put_u32(handle.0);
        self.run();
        self.finish()
    }

    /// Unloads what a failure leaves behind, whatever the TPM says to it; [`last_command`](Self::last_command) stays the one
    /// that failed.
    #[cfg(feature = "secure-bus")]
    pub(crate) fn clean_up(&mut self, handle: Handle) {
        let failed = self.exchange.frame;
        let _ = self.flush(handle);
        self.exchange.frame = failed;
    }

    /// Flushes every transient object, loaded session and saved session that isn't ours; returns how
    /// many. Persistent objects stay.
    ///
    /// # Errors
    /// As [`handles`](Self::handles); [`TpmError::Reset`] when the TPM says that it was. One that can't be flushed is left where it is.
    pub fn flush_stale(&mut self) -> Result<u16, TpmError> {
        // In a capability list the first kind of session means "loaded", whatever the kind of the
        // handles in it, and the second means "saved".
        static RANGES: [(Handle, Handle); 3] = [
            (Handle::TRANSIENT_FIRST, Handle(0x80FF_FFFF)),
            (Handle::HMAC_SESSION_FIRST, Handle(0x03FF_FFFF)),
            (Handle::POLICY_SESSION_FIRST, Handle(0x03FF_FFFF)),
        ];
        let mut flushed = 0;
        for &(first, last) in &RANGES {
            let mut next = first;
            // One query per handle: this happens once in the life of a boot, if at all.
            for _ in 0..MOST_TRIED {
                let Some(handle) = self.first_stale(next, last)? else {
                    break;
                };
                match self.flush(handle) {
                    Ok(()) => flushed += 1,
                    // Nothing is left to look at, and whoever waits for room waits for nothing.
                    Err(TpmError::Reset) => return Err(TpmError::Reset),
                    // What can't be flushed is passed over, so that this ends.
                    Err(_) => next = Handle(handle.0.saturating_add(1)),
                }
            }
        }
        Ok(flushed)
    }

    /// The first handle from `first` to `last` that isn't ours.
    fn first_stale(&mut self, first: Handle, last: Handle) -> Result<Option<Handle>, TpmError> {
        let mut stale = None;
        let live = self.live;
        self.list(Capability::HANDLES, first.0, last.0, &mut |handle, _| {
            let handle = Handle(handle);
            if stale.is_none() && !live.contains(handle) {
                stale = Some(handle);
            }
        })?;
        Ok(stale)
    }

    /// `TPM2_EvictControl` (28.5): makes a transient object persistent at `persistent`, or removes a
    /// persistent object when `object` is that same handle. Owner authorization, empty.
    ///
    /// # Errors
    /// [`TpmError::Rc`] when the place is taken, or the owner has a password.
    pub fn evict_control(&mut self, object: Handle, persistent: Handle) -> Result<(), TpmError> {
        self.begin(EVICT_CONTROL, &[Handle::OWNER, object, Handle::PW])
            .put_u32(persistent.0);
        self.run();
        self.finish()
    }
}
