//! The one way in which every command goes out and comes back.
//!
//! [`Tpm::call`] is not generic over the command: parameters are written by a `&dyn Fn`, so there is
//! one copy of it, and it can write them again when the command must be built a second time.

use assay_common::tpm::codec::{Reader, Writer};
use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;

use super::error::is_memory;
use super::{DurationClass, Malformed, Tpm, TpmError, TpmTransport};
use crate::fmt::{debug, warning};

/// `TPM_ST_NO_SESSIONS`.
const NO_SESSIONS: u16 = 0x8001;
/// `TPM_ST_SESSIONS`.
const SESSIONS: u16 = 0x8002;
/// `TPM_ST_RSP_COMMAND`: the tag with which a TPM 1.2 answers, and a TPM 2.0 that saw a bad tag.
const RSP_COMMAND: u16 = 0x00C4;

/// Bytes of a header.
pub(super) const HEADER: usize = 10;
/// Bytes of a handle.
pub(super) const HANDLE: usize = 4;
/// Bytes of the authorization area's length.
pub(super) const AUTH_AREA: usize = 4;
/// Bytes of one authorization with empty nonce and empty HMAC or password.
pub(super) const AUTH: usize = 9;

/// First pause after `TPM_RC_RETRY`, `YIELDED` and `TESTING`, as Linux has it.
const RETRY_MS: u32 = 20;
/// First pause after `TPM_RC_NV_RATE` and `NV_UNAVAILABLE`: flash wants rest, not another try.
const NV_RATE_MS: u32 = 100;
/// Pauses double up to this; then the TPM counts as busy. 20 ms gives 7 repetitions in 2.5 s.
const LAST_PAUSE_MS: u32 = 2_000;

/// What is fixed about a command.
#[derive(Clone, Copy)]
pub(super) struct Op {
    code: u32,
    class: DurationClass,
    handle_out: bool,
}

impl Op {
    /// A command by its `TPM_CC`.
    pub(super) const fn new(code: u32, class: DurationClass) -> Self {
        Self {
            code,
            class,
            handle_out: false,
        }
    }

    /// A command whose response has a handle.
    pub(super) const fn with_handle(code: u32, class: DurationClass) -> Self {
        Self {
            handle_out: true,
            ..Self::new(code, class)
        }
    }
}

/// One authorization of a command.
#[derive(Clone, Copy)]
pub(super) enum Auth {
    /// The password session with an empty password.
    Empty,
    /// A policy session, which ends with this command if it succeeds.
    PolicyOnce(Handle),
}

impl Auth {
    fn encode(self, w: &mut Writer<'_>) {
        /// `continueSession`, which the password session always has.
        const CONTINUE: u8 = 0x01;
        let (handle, attributes) = match self {
            Self::Empty => (Handle::PW, CONTINUE),
            Self::PolicyOnce(session) => (session, 0),
        };
        w.u32(handle.0);
        w.u16(0);
        w.u8(attributes);
        w.u16(0);
    }
}

/// A successful response: the handle, if the command has one, and the parameters.
pub(super) struct Reply<'a> {
    pub(super) handle: Handle,
    pub(super) params: Reader<'a>,
}

impl Reply<'_> {
    /// Ends a response without parameters or whose parameters were all read.
    pub(super) fn finish(self) -> Result<(), TpmError> {
        Ok(self.params.finish()?)
    }
}

impl<T: TpmTransport> Tpm<T> {
    /// Executes one command; `params` writes its parameters and may be called twice.
    pub(super) fn call(
        &mut self,
        op: Op,
        handles: &[Handle],
        auths: &[Auth],
        params: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Reply<'_>, TpmError> {
        let result = match self.once(op, handles, auths, params) {
            Err(TpmError::Memory(rc)) => {
                warning!(
                    "TPM is out of memory ({=u32:x}), flushing what is stale",
                    rc.0
                );
                self.flush_stale()
                    .and_then(|_| self.once(op, handles, auths, params))
            }
            other => other,
        };
        match result {
            Ok(len) => self.reply(len, op, auths.len()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The last response again, for a caller that had to let go of what it borrowed. Meaningful
    /// only directly after a [`call`](Self::call) that succeeded with the same arguments.
    pub(super) fn last_reply(&self, op: Op, auths: usize) -> Result<Reply<'_>, TpmError> {
        self.reply(self.response_len, op, auths)
    }

    /// Builds the command, submits it and judges the response code; the length of the response.
    pub(super) fn once(
        &mut self,
        op: Op,
        handles: &[Handle],
        auths: &[Auth],
        params: &dyn Fn(&mut Writer<'_>),
    ) -> Result<usize, TpmError> {
        self.last_code = op.code;
        let len = self.encode(op, handles, auths, params)?;
        let (rc, len) = self.submit(op, len)?;
        if rc.is_success() {
            Ok(len)
        } else {
            debug!("command {=u32:x} failed: {=u32:x}", op.code, rc.0);
            Err(TpmError::of(rc))
        }
    }

    fn encode(
        &mut self,
        op: Op,
        handles: &[Handle],
        auths: &[Auth],
        params: &dyn Fn(&mut Writer<'_>),
    ) -> Result<usize, TpmError> {
        let mut w = Writer::new(&mut self.command);
        w.u16(tag(auths.len()));
        let size = w.begin_u32();
        w.u32(op.code);
        for handle in handles {
            w.u32(handle.0);
        }
        if !auths.is_empty() {
            let area = w.begin_u32();
            for auth in auths {
                auth.encode(&mut w);
            }
            w.end_u32(area);
        }
        params(&mut w);
        let len = w.len();
        w.set_u32(size, len as u32);
        w.finish()?;
        Ok(len)
    }

    /// Sends the bytes in the command buffer, and the same bytes again while the TPM asks for it.
    fn submit(&mut self, op: Op, len: usize) -> Result<(TpmRc, usize), TpmError> {
        let mut pause_ms = 0;
        loop {
            let command = self.command.get(..len).ok_or(TpmError::Buffer)?;
            let response = self
                .transport
                .transact(command, &mut self.response, op.class)
                .map_err(|error| TpmError::Transport(error.into()))?;
            let rc = response_code(response)?;
            let len = response.len();
            let first_ms = match rc {
                TpmRc::RETRY | TpmRc::YIELDED | TpmRc::TESTING => RETRY_MS,
                TpmRc::NV_RATE | TpmRc::NV_UNAVAILABLE => NV_RATE_MS,
                _ => {
                    self.response_len = len;
                    return Ok((rc, len));
                }
            };
            pause_ms = first_ms.max(pause_ms * 2);
            if pause_ms > LAST_PAUSE_MS {
                return Err(TpmError::Busy(rc));
            }
            self.repeats = self.repeats.saturating_add(1);
            self.transport.pause_ms(pause_ms);
        }
    }

    /// Takes a successful response apart down to its parameters.
    fn reply(&self, len: usize, op: Op, auths: usize) -> Result<Reply<'_>, TpmError> {
        let mut r = Reader::new(self.response.get(..len).ok_or(Malformed::Size)?);
        if r.u16()? != tag(auths) {
            return Err(Malformed::Tag.into());
        }
        // Size and response code, judged before.
        r.bytes(8)?;
        let handle = Handle(if op.handle_out { r.u32()? } else { 0 });
        if auths == 0 {
            return Ok(Reply { handle, params: r });
        }
        let size = usize::try_from(r.u32()?).map_err(|_| Malformed::TooLong)?;
        let params = Reader::new(r.bytes(size)?);
        for _ in 0..auths {
            // nonceTPM, attributes, HMAC: nothing here is keyed, so there is nothing to verify.
            r.tpm2b_max(MAX_NONCE)?;
            r.u8()?;
            r.tpm2b_max(MAX_NONCE)?;
        }
        r.finish()?;
        Ok(Reply { handle, params })
    }

    /// Counts an error, and forgets what a reset of the TPM took away.
    pub(super) fn failed(&mut self, error: TpmError) -> TpmError {
        self.errors.count(error.code());
        if error == TpmError::Reset {
            self.live.clear();
        }
        error
    }
}

/// Longest nonce or HMAC: SHA-512.
const MAX_NONCE: usize = 64;

const fn tag(auths: usize) -> u16 {
    if auths == 0 { NO_SESSIONS } else { SESSIONS }
}

/// Checks the frame of a response and returns its code.
fn response_code(response: &[u8]) -> Result<TpmRc, TpmError> {
    let mut r = Reader::new(response);
    let tag = r.u16()?;
    let size = r.u32()?;
    let rc = TpmRc(r.u32()?);
    if usize::try_from(size) != Ok(response.len()) {
        return Err(Malformed::Size.into());
    }
    match tag {
        SESSIONS if rc.is_success() => Ok(rc),
        NO_SESSIONS if rc.is_success() || response.len() == HEADER => Ok(rc),
        // A TPM 2.0 answers so only to a command whose tag was damaged on the way, a TPM 1.2 always.
        RSP_COMMAND if rc == TpmRc::BAD_TAG && response.len() == HEADER => Err(TpmError::Family),
        _ => Err(Malformed::Tag.into()),
    }
}

const _: () = assert!(is_memory(TpmRc::OBJECT_MEMORY) && !is_memory(TpmRc::LOCALITY));
