//! The limits of silicon, enforced in front of a software TPM that has none of them.
//!
//! Figures of the SLB9670 data sheet (revision 1.4): about 1 KiB of parameters, NV access of 768
//! bytes, three transient objects, three loaded sessions. GetCapability answers are adjusted to
//! tell the truth about them, unless the answer is protected by a session.

use super::handles::LoadedHandles;
use crate::backend::{BackendError, TpmBackend};
use crate::message::{self, TAG_NO_SESSIONS, error_response, plain_command, set_u32, u32_at};

const NV_WRITE: u32 = 0x137;
const NV_READ: u32 = 0x14E;
const CONTEXT_LOAD: u32 = 0x161;
const START_AUTH_SESSION: u32 = 0x176;
const GET_CAPABILITY: u32 = 0x17A;
const GET_RANDOM: u32 = 0x17B;

/// TPM_RC_COMMAND_SIZE.
pub const RC_COMMAND_SIZE: u32 = 0x142;
/// TPM_RC_OBJECT_MEMORY: out of object slots.
pub const RC_OBJECT_MEMORY: u32 = 0x902;
/// TPM_RC_SESSION_MEMORY: out of session slots.
pub const RC_SESSION_MEMORY: u32 = 0x903;
/// TPM_RC_SIZE, parameter 1: what chips answer to an NV access that is too large.
pub const RC_SIZE_P1: u32 = 0x1D5;

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChipLimits {
    /// Longest command, bytes.
    pub max_command: usize,
    /// Largest NV_Read or NV_Write, bytes (TPM_PT_NV_BUFFER_MAX).
    pub nv_buffer_max: u16,
    /// Transient objects at a time.
    pub transient: usize,
    /// Loaded sessions at a time.
    pub sessions: usize,
    /// Most bytes that one GetRandom returns.
    pub random: u16,
}

impl ChipLimits {
    /// SLB9670.
    pub const SILICON: Self = Self {
        max_command: 1024,
        nv_buffer_max: 768,
        transient: 3,
        sessions: 3,
        random: 32,
    };
}

impl Default for ChipLimits {
    fn default() -> Self {
        Self::SILICON
    }
}

/// A TPM behind [`ChipLimits`].
pub struct LimitedTpm<B> {
    inner: B,
    limits: Option<ChipLimits>,
    held: LoadedHandles,
}

impl<B: TpmBackend> LimitedTpm<B> {
    /// Puts `limits` in front of `inner`, which must be freshly started. `None` lets all pass.
    pub fn new(inner: B, limits: impl Into<Option<ChipLimits>>) -> Self {
        Self {
            inner,
            limits: limits.into(),
            held: LoadedHandles::default(),
        }
    }

    /// What occupies the slots.
    #[must_use]
    pub fn held(&self) -> &LoadedHandles {
        &self.held
    }

    /// The refusal that a chip would give without running the command.
    fn refusal(&self, command: &[u8]) -> Option<u32> {
        let limits = self.limits?;
        if command.len() > limits.max_command {
            return Some(RC_COMMAND_SIZE);
        }
        let code = message::code(command)?;
        let row = crate::command::info(code)?;
        let nv_size = match code {
            NV_READ | NV_WRITE => first_parameter(command, row.handles),
            _ => None,
        };
        if nv_size.is_some_and(|size| size > limits.nv_buffer_max) {
            return Some(RC_SIZE_P1);
        }
        let makes_session = code == START_AUTH_SESSION
            || (code == CONTEXT_LOAD && saved_handle(command).is_some_and(|h| h >> 24 != 0x80));
        if makes_session {
            return (self.held.sessions() >= limits.sessions).then_some(RC_SESSION_MEMORY);
        }
        (row.returns_handle && self.held.transient() >= limits.transient)
            .then_some(RC_OBJECT_MEMORY)
    }

    fn adjust_response(&self, command: &[u8], response: &mut [u8]) {
        // A GetCapability answer inside a session is covered by the session's HMAC.
        if message::tag(response) != Some(TAG_NO_SESSIONS)
            || message::code(command) != Some(GET_CAPABILITY)
            || u32_at(response, 11) != Some(CAP_TPM_PROPERTIES)
        {
            return;
        }
        let count = u32_at(response, 15).unwrap_or(0);
        for i in 0..usize::try_from(count).unwrap_or(0).min(256) {
            let at = 19usize.saturating_add(i.saturating_mul(8));
            let Some(property) = u32_at(response, at) else {
                return;
            };
            if let Some(value) = self.property(property) {
                set_u32(response, at.saturating_add(4), value);
            }
        }
    }

    /// What the chip reports for `property`, where it differs from the software TPM.
    fn property(&self, property: u32) -> Option<u32> {
        let limits = self.limits?;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let left = |limit: usize, used: usize| number(limit.saturating_sub(used));
        match property {
            0x11E => Some(number(limits.max_command)), // MAX_COMMAND_SIZE
            0x10E => Some(number(limits.transient)),   // HR_TRANSIENT_MIN
            0x110 => Some(number(limits.sessions)),    // HR_LOADED_MIN
            0x12C => Some(u32::from(limits.nv_buffer_max)), // NV_BUFFER_MAX
            0x203 => Some(number(self.held.sessions())), // HR_LOADED
            0x204 => Some(left(limits.sessions, self.held.sessions())),
            0x207 => Some(left(limits.transient, self.held.transient())),
            _ => None,
        }
    }

    /// Asks the TPM for its transient objects, after a command that flushes by hierarchy.
    fn recount(&mut self) -> Result<(), BackendError> {
        let ask = plain_command(GET_CAPABILITY, &[0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 64]);
        let answer = self.inner.execute(&ask, 0)?;
        let list = answer.get(19..).unwrap_or_default();
        self.held
            .set_transient(list.chunks_exact(4).filter_map(|h| u32_at(h, 0)));
        Ok(())
    }
}

const CAP_TPM_PROPERTIES: u32 = 6;

impl<B: TpmBackend> TpmBackend for LimitedTpm<B> {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        if let Some(rc) = self.refusal(command) {
            return Ok(error_response(rc));
        }
        let cut = self
            .limits
            .and_then(|limits| cut_random(command, limits.random));
        let command = cut.as_deref().unwrap_or(command);
        let mut response = self.inner.execute(command, locality)?;
        if self.held.follow(command, &response) {
            self.recount()?;
        }
        self.adjust_response(command, &mut response);
        Ok(response)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.held.clear();
        self.inner.reset()
    }

    fn power_cycle(&mut self) -> Result<(), BackendError> {
        self.held.clear();
        self.inner.power_cycle()
    }

    fn cancel(&mut self) -> Result<(), BackendError> {
        self.inner.cancel()
    }

    fn disconnect(&mut self) {
        self.inner.disconnect();
    }
}

/// The first parameter as a number: NV_Read's size, and the length of NV_Write's data.
fn first_parameter(command: &[u8], handles: usize) -> Option<u16> {
    let mut at = 10usize.checked_add(handles.checked_mul(4)?)?;
    if message::tag(command) != Some(TAG_NO_SESSIONS) {
        let auth = usize::try_from(u32_at(command, at)?).ok()?;
        at = at.checked_add(4)?.checked_add(auth)?;
    }
    message::u16_at(command, at)
}

/// The saved handle inside a TPMS_CONTEXT: u64 sequence, u32 handle.
fn saved_handle(command: &[u8]) -> Option<u32> {
    u32_at(command, 18)
}

/// GetRandom for more bytes than the chip gives at once, with the chip's number in its place.
/// Only without sessions: the count is part of what a session signs.
fn cut_random(command: &[u8], most: u16) -> Option<Vec<u8>> {
    let asked = message::u16_at(command, 10)?;
    let applies = message::code(command) == Some(GET_RANDOM)
        && message::tag(command) == Some(TAG_NO_SESSIONS)
        && command.len() == 12
        && asked > most;
    applies.then(|| plain_command(GET_RANDOM, &most.to_be_bytes()))
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
