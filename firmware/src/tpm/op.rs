//! What is fixed about a command.

use super::DurationClass;

/// A command: its `TPM_CC`, how long it may take, and the shape of its frames. In one word, since every
/// command passes one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    /// Command codes of the specification have 16 bits.
    code: u16,
    class: DurationClass,
    shape: u8,
}

/// The bit of `shape` that says that the response has a handle; those below it are the number of
/// authorizations.
const RETURNS_HANDLE: u8 = 0x80;

impl Op {
    /// Before the first command.
    pub(super) const NONE: Self = Self::new(0, DurationClass::Medium);

    /// `TPM_ST_NO_SESSIONS`.
    pub(super) const NO_SESSIONS: u16 = 0x8001;
    /// `TPM_ST_SESSIONS`.
    pub(super) const SESSIONS: u16 = 0x8002;

    /// A command without authorization.
    pub(super) const fn new(code: u16, class: DurationClass) -> Self {
        Self {
            code,
            class,
            shape: 0,
        }
    }

    /// With so many authorizations.
    pub(super) const fn authorized(self, auths: u8) -> Self {
        Self {
            shape: self.shape | auths,
            ..self
        }
    }

    /// With a handle in its response.
    pub(super) const fn returning_a_handle(self) -> Self {
        Self {
            shape: self.shape | RETURNS_HANDLE,
            ..self
        }
    }

    /// `TPM_CC`.
    pub(super) const fn code(self) -> u32 {
        self.code as u32
    }

    /// How long it may take.
    pub(super) const fn class(self) -> DurationClass {
        self.class
    }

    /// Number of authorizations.
    pub(super) const fn auths(self) -> usize {
        (self.shape & !RETURNS_HANDLE) as usize
    }

    pub(super) const fn returns_a_handle(self) -> bool {
        self.shape & RETURNS_HANDLE != 0
    }

    /// The tag of its frames.
    pub(super) const fn tag(self) -> u16 {
        const _: () = assert!(Op::SESSIONS == Op::NO_SESSIONS + 1);
        Self::NO_SESSIONS + (self.auths() > 0) as u16
    }
}
