//! What occupies a chip's few slots: transient objects and loaded sessions, followed from the
//! commands that pass by. Asking the TPM instead would end an exclusive audit session.

use std::collections::BTreeSet;

use crate::command;
use crate::message::{self, TAG_SESSIONS, u32_at};

const CLEAR: u32 = 0x126;
const CHANGE_EPS: u32 = 0x124;
const CHANGE_PPS: u32 = 0x125;
const HIERARCHY_CONTROL: u32 = 0x121;
const CONTEXT_SAVE: u32 = 0x162;
const FLUSH_CONTEXT: u32 = 0x165;
const SEQUENCE_COMPLETE: u32 = 0x13E;
const EVENT_SEQUENCE_COMPLETE: u32 = 0x185;

/// Handle types by their first byte. `[TPM2.0 1.83 Part 2] 7.2`
const HMAC_SESSION: u32 = 0x02;
const POLICY_SESSION: u32 = 0x03;
const TRANSIENT: u32 = 0x80;

/// The handles in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadedHandles {
    transient: BTreeSet<u32>,
    sessions: BTreeSet<u32>,
}

impl LoadedHandles {
    /// Transient objects and sequences in the TPM.
    #[must_use]
    pub fn transient(&self) -> usize {
        self.transient.len()
    }

    /// Sessions in the TPM (saved ones are not).
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Forgets everything, as `_TPM_Init` does.
    pub fn clear(&mut self) {
        self.transient.clear();
        self.sessions.clear();
    }

    /// Follows one command that was executed. Returns whether the table may be wrong afterwards
    /// (a command that flushes by hierarchy), so that the caller asks the TPM.
    pub fn follow(&mut self, command: &[u8], response: &[u8]) -> bool {
        let (Some(code), Some(0)) = (message::code(command), message::code(response)) else {
            return false;
        };
        match code {
            FLUSH_CONTEXT => self.remove(u32_at(command, 10)),
            // The object stays, a saved session leaves its slot.
            CONTEXT_SAVE => {
                if let Some(handle) = u32_at(command, 10) {
                    self.sessions.remove(&handle);
                }
            }
            SEQUENCE_COMPLETE => self.remove(u32_at(command, 10)),
            EVENT_SEQUENCE_COMPLETE => self.remove(u32_at(command, 14)),
            _ => {}
        }
        for handle in ended_sessions(command, code) {
            self.sessions.remove(&handle);
        }
        if command::info(code).is_some_and(|row| row.returns_handle) {
            self.insert(u32_at(response, 10));
        }
        matches!(code, CLEAR | CHANGE_EPS | CHANGE_PPS | HIERARCHY_CONTROL)
    }

    /// Replaces the transient objects, after the TPM was asked.
    pub fn set_transient(&mut self, handles: impl IntoIterator<Item = u32>) {
        self.transient = handles.into_iter().collect();
    }

    fn insert(&mut self, handle: Option<u32>) {
        let Some(handle) = handle else { return };
        match handle >> 24 {
            TRANSIENT => {
                self.transient.insert(handle);
            }
            HMAC_SESSION | POLICY_SESSION => {
                self.sessions.insert(handle);
            }
            _ => {}
        }
    }

    fn remove(&mut self, handle: Option<u32>) {
        if let Some(handle) = handle {
            self.transient.remove(&handle);
            self.sessions.remove(&handle);
        }
    }
}

/// Sessions of the command's authorization area whose continueSession bit is clear: the TPM
/// flushes them when the command succeeds. `[TPM2.0 1.83 Part 1] 17.6.3`
fn ended_sessions(command: &[u8], code: u32) -> Vec<u32> {
    const CONTINUE: u8 = 1;
    let mut ended = Vec::new();
    if message::tag(command) != Some(TAG_SESSIONS) {
        return ended;
    }
    let Some(row) = command::info(code) else {
        return ended;
    };
    let mut at = 10usize.saturating_add(row.handles.saturating_mul(4));
    let Some(size) = u32_at(command, at) else {
        return ended;
    };
    at = at.saturating_add(4);
    let end = at.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
    while at < end {
        let Some((handle, attributes, next)) = auth_at(command, at) else {
            break;
        };
        if attributes & CONTINUE == 0 {
            ended.push(handle);
        }
        at = next;
    }
    ended
}

/// One TPMS_AUTH_COMMAND: handle, attributes, and where the next begins.
fn auth_at(command: &[u8], at: usize) -> Option<(u32, u8, usize)> {
    let handle = u32_at(command, at)?;
    let nonce = usize::from(message::u16_at(command, at.checked_add(4)?)?);
    let attributes_at = at.checked_add(6)?.checked_add(nonce)?;
    let attributes = *command.get(attributes_at)?;
    let hmac = usize::from(message::u16_at(command, attributes_at.checked_add(1)?)?);
    Some((
        handle,
        attributes,
        attributes_at.checked_add(3)?.checked_add(hmac)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::plain_command;

    fn ok(handle: u32) -> Vec<u8> {
        let mut r = message::error_response(0);
        r.extend_from_slice(&handle.to_be_bytes());
        message::set_u32(&mut r, 2, 14);
        r
    }

    #[test]
    fn a_made_object_is_held_until_flushed() {
        let mut held = LoadedHandles::default();
        held.follow(&plain_command(0x131, &[0; 4]), &ok(0x8000_0000));
        held.follow(&plain_command(0x176, &[0; 8]), &ok(0x0300_0000));
        assert_eq!((held.transient(), held.sessions()), (1, 1));
        let flush = plain_command(FLUSH_CONTEXT, &0x8000_0000u32.to_be_bytes());
        held.follow(&flush, &message::error_response(0x1C4));
        assert_eq!(held.transient(), 1, "a refused flush frees nothing");
        held.follow(&flush, &message::error_response(0));
        assert_eq!((held.transient(), held.sessions()), (0, 1));
    }

    #[test]
    fn a_session_used_without_continue_leaves_its_slot() {
        let mut held = LoadedHandles::default();
        held.follow(&plain_command(0x176, &[0; 8]), &ok(0x0300_0000));
        // ActivateCredential: two handles, then an authorization area of two sessions.
        let mut body = vec![0u8; 8];
        body.extend_from_slice(&18u32.to_be_bytes());
        for (handle, attributes) in [(0x4000_0009u32, 1u8), (0x0300_0000, 0)] {
            body.extend_from_slice(&handle.to_be_bytes());
            body.extend_from_slice(&[0, 0, attributes, 0, 0]);
        }
        let mut command = plain_command(0x147, &body);
        command.splice(0..2, TAG_SESSIONS.to_be_bytes());
        held.follow(&command, &message::error_response(0x98E));
        assert_eq!(held.sessions(), 1, "a refused command keeps the session");
        held.follow(&command, &message::error_response(0));
        assert_eq!(held.sessions(), 0);
    }

    #[test]
    fn a_cut_authorization_area_is_harmless() {
        let mut command = plain_command(0x158, &[0, 0, 0, 0, 0, 0, 0, 40, 3, 0, 0, 0]);
        command.splice(0..2, TAG_SESSIONS.to_be_bytes());
        assert!(ended_sessions(&command, 0x158).is_empty());
    }
}
