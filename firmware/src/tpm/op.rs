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

/// Bits of `shape`: the response has a handle.
const RETURNS_HANDLE: u8 = 0x80;
/// A session guards it although nothing in it is authorized.
const AUDITED: u8 = 0x40;
/// Its first parameter is a `TPM2B` that a session hides.
const HIDES_COMMAND: u8 = 0x20;
/// The first parameter of its response is one.
const HIDES_RESPONSE: u8 = 0x10;
/// The number of authorizations.
const AUTHS: u8 = 0x03;

impl Op {
    /// Before the first command.
    pub(super) const NONE: Self = Self::new(0, DurationClass::Medium);

    /// `TPM_ST_NO_SESSIONS`.
    pub(super) const NO_SESSIONS: u16 = 0x8001;

    /// The tag of frames with or without authorizations.
    pub(super) const fn tag(with_sessions: bool) -> u16 {
        /// `TPM_ST_SESSIONS`.
        const SESSIONS: u16 = 0x8002;
        const _: () = assert!(SESSIONS == Op::NO_SESSIONS + 1);
        Self::NO_SESSIONS + with_sessions as u16
    }

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
        self.with(auths)
    }

    /// With a handle in its response.
    pub(super) const fn returning_a_handle(self) -> Self {
        self.with(RETURNS_HANDLE)
    }

    /// Guarded by the session, where there is one, although it needs no authorization.
    pub(super) const fn audited(self) -> Self {
        self.with(AUDITED)
    }

    /// With a first parameter that a session hides from the bus.
    pub(super) const fn hiding_its_command(self) -> Self {
        self.with(HIDES_COMMAND)
    }

    /// With a response whose first parameter a session hides from the bus.
    pub(super) const fn hiding_its_response(self) -> Self {
        self.with(HIDES_RESPONSE)
    }

    const fn with(self, bits: u8) -> Self {
        Self {
            shape: self.shape | bits,
            ..self
        }
    }

    /// Whether a session guards it.
    #[cfg(feature = "secure-bus")]
    pub(super) const fn is_guarded(self) -> bool {
        self.shape & (AUDITED | AUTHS) != 0
    }

    /// `TPMA_SESSION` of the session that guards it (`[TPM2.0 1.85 Part 2]` 8.4): it goes on afterwards, and hides what is
    /// to be hidden. One that authorizes nothing must say what it is for, so it audits.
    pub(super) const fn session_attributes(self) -> u8 {
        const CONTINUE: u8 = 0x01;
        const DECRYPT: u8 = 0x20;
        const ENCRYPT: u8 = 0x40;
        const AUDIT: u8 = 0x80;
        let mut attributes = CONTINUE;
        if self.auths() == 0 {
            attributes |= AUDIT;
        }
        if self.hides_its_command() {
            attributes |= DECRYPT;
        }
        if self.hides_its_response() {
            attributes |= ENCRYPT;
        }
        attributes
    }

    pub(super) const fn hides_its_command(self) -> bool {
        self.shape & HIDES_COMMAND != 0
    }

    pub(super) const fn hides_its_response(self) -> bool {
        self.shape & HIDES_RESPONSE != 0
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
        (self.shape & AUTHS) as usize
    }

    pub(super) const fn returns_a_handle(self) -> bool {
        self.shape & RETURNS_HANDLE != 0
    }
}
