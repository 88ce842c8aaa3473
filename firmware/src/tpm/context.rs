//! Chapter 28: what stays in the TPM and what leaves it.

use assay_common::tpm::handle::Handle;

use super::call::{AUTH, AUTH_AREA, Auth, HANDLE, HEADER, Op};
use super::{COMMAND_MAX, DurationClass, Tpm, TpmError, TpmTransport};

const FLUSH_CONTEXT: Op = Op::new(0x165, DurationClass::Medium);
const EVICT_CONTROL: Op = Op::new(0x120, DurationClass::Long);

const _: () = assert!(HEADER + 2 * HANDLE + AUTH_AREA + AUTH + HANDLE <= COMMAND_MAX);

/// Handles that one round of flushing collects before it flushes them.
const ROUND: usize = 8;
/// Rounds before flushing ends: more objects than any chip holds.
const ROUNDS: u8 = 16;

impl<T: TpmTransport> Tpm<T> {
    /// `TPM2_FlushContext` (28.4) of an object or session. Its number is free for reuse then.
    ///
    /// # Errors
    /// [`TpmError::Rc`] when there is no such object or session.
    pub fn flush(&mut self, handle: Handle) -> Result<(), TpmError> {
        // Ours no longer, whatever the TPM says: either it is gone or nothing is known of it.
        self.live.remove(handle);
        // The handle is a parameter here, not in the handle area.
        match self.once(FLUSH_CONTEXT, &[], &[], &|w| w.u32(handle.0)) {
            Ok(_) => self.last_reply(FLUSH_CONTEXT, 0)?.finish(),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Flushes every transient object, loaded session and saved session that isn't ours; returns how
    /// many. Persistent objects stay.
    ///
    /// # Errors
    /// As [`handles`](Self::handles). One that can't be flushed is left where it is.
    pub fn flush_stale(&mut self) -> Result<u16, TpmError> {
        // In a capability list the first kind of session means "loaded" and the second "saved".
        const RANGES: [Handle; 3] = [
            Handle::TRANSIENT_FIRST,
            Handle::HMAC_SESSION_FIRST,
            Handle::POLICY_SESSION_FIRST,
        ];
        let mut flushed = 0;
        for first in RANGES {
            for _ in 0..ROUNDS {
                let mut found = [None; ROUND];
                let mut free = found.iter_mut();
                let live = core::mem::take(&mut self.live);
                // Loaded policy sessions are listed by their own handles, one kind further up.
                let last = match first {
                    Handle::HMAC_SESSION_FIRST => Handle(first.0 | 0x01FF_FFFF),
                    _ => Handle(first.0 | 0x00FF_FFFF),
                };
                let listed = self.handles(first, last, &mut |handle| {
                    if !live.contains(handle)
                        && let Some(slot) = free.next()
                    {
                        *slot = Some(handle);
                    }
                });
                self.live = live;
                listed?;
                let before = flushed;
                for handle in found.into_iter().flatten() {
                    if self.flush(handle).is_ok() {
                        flushed += 1;
                    }
                }
                // Fewer than a round was all there is; none flushed means that no more will be.
                if found.contains(&None) || flushed == before {
                    break;
                }
            }
        }
        Ok(flushed)
    }

    /// `TPM2_EvictControl` (28.5): makes a transient object persistent at `persistent`, or removes a
    /// persistent object when `object` is that same handle. Owner authorization, empty.
    ///
    /// # Errors
    /// [`TpmError::Rc`] when the place is taken, or the owner has a password.
    pub fn evict_control(&mut self, object: Handle, persistent: Handle) -> Result<(), TpmError> {
        self.call(
            EVICT_CONTROL,
            &[Handle::OWNER, object],
            &[Auth::Empty],
            &|w| {
                w.u32(persistent.0);
            },
        )?
        .finish()
    }
}
