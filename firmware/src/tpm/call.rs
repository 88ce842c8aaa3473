//! The one way in which every command goes out and comes back.
//!
//! [`Tpm::call`] is not generic over the command: parameters are written by a `&dyn Fn`, so there is
//! one copy of it, and it can write them again when the command must be built a second time.

use assay_common::tpm::codec::Writer;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;

use super::capability::GET_CAPABILITY;
use super::error::is_memory;
use super::fields::Fields;
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

/// One empty password, the authorization of most commands.
pub(super) const PASSWORD: &[Handle] = &[Handle::PW];

/// Writes one authorization, by its session: the password session with an empty password, or a policy
/// session, which ends with this command if it succeeds.
fn put_authorization(session: Handle, w: &mut Writer<'_>) {
    w.u32(session.0);
    // Empty nonce, continueSession for the password session only, empty HMAC or password.
    w.u16(0);
    w.u8(u8::from(session == Handle::PW));
    w.u16(0);
}

impl<T: TpmTransport> Tpm<T> {
    /// Executes one command; `params` writes its parameters and may be called twice.
    #[inline(never)]
    pub(super) fn call(
        &mut self,
        op: &'static Op,
        handles: &[Handle],
        auths: &[Handle],
        params: &dyn Fn(&mut Writer<'_>),
    ) -> Fields<'_> {
        let mut result = self.once(op, handles, auths, params);
        // Flushing asks for lists itself, so a list that finds no memory must not lead to flushing again.
        if let Err(TpmError::Memory(rc)) = result
            && op.code != GET_CAPABILITY.code
        {
            warning!(
                "TPM is out of memory ({=u32:x}), flushing what is stale",
                rc.0
            );
            result = match self.flush_stale() {
                Ok(_) => self.once(op, handles, auths, params),
                Err(error) => Err(error),
            };
        }
        match result {
            Ok(()) => self.last_reply(op, auths.len()),
            Err(error) => Fields::failed(self.failed(error)),
        }
    }

    /// Builds the command, submits it and judges the response code.
    pub(super) fn once(
        &mut self,
        op: &'static Op,
        handles: &[Handle],
        auths: &[Handle],
        params: &dyn Fn(&mut Writer<'_>),
    ) -> Result<(), TpmError> {
        self.last_code = op.code;
        let mut w = Writer::new(&mut self.command);
        w.u16(tag(auths.len()));
        let size = w.begin_u32();
        w.u32(op.code);
        for handle in handles {
            w.u32(handle.0);
        }
        if !auths.is_empty() {
            let area = w.begin_u32();
            for session in auths {
                put_authorization(*session, &mut w);
            }
            w.end_u32(area);
        }
        params(&mut w);
        let len = w.len();
        w.set_u32(size, len as u32);
        w.finish()?;
        let rc = self.submit(op, len)?;
        if rc.is_success() {
            Ok(())
        } else {
            debug!("command {=u32:x} failed: {=u32:x}", op.code, rc.0);
            Err(TpmError::of(rc))
        }
    }

    /// Sends the bytes in the command buffer, and the same bytes again while the TPM asks for it.
    fn submit(&mut self, op: &'static Op, len: usize) -> Result<TpmRc, TpmError> {
        let mut pause_ms = 0;
        loop {
            let command = self.command.get(..len).unwrap_or_default();
            let response = match self
                .transport
                .transact(command, &mut self.response, op.class)
            {
                Ok(response) => response,
                Err(error) => return Err(TpmError::Transport(error.into())),
            };
            let rc = response_code(response)?;
            self.response_len = response.len();
            let first_ms = match rc {
                TpmRc::RETRY | TpmRc::YIELDED | TpmRc::TESTING => RETRY_MS,
                TpmRc::NV_RATE | TpmRc::NV_UNAVAILABLE => NV_RATE_MS,
                _ => return Ok(rc),
            };
            pause_ms = first_ms.max(pause_ms * 2);
            if pause_ms > LAST_PAUSE_MS {
                return Err(TpmError::Busy(rc));
            }
            self.repeats = self.repeats.saturating_add(1);
            self.transport.pause_ms(pause_ms);
        }
    }

    /// Takes the last response, which was a success, apart down to its parameters. Also for a caller
    /// that had to let go of what it borrowed from [`call`](Self::call).
    #[inline(never)]
    pub(super) fn last_reply(&self, op: &'static Op, auths: usize) -> Fields<'_> {
        let mut r = Fields::new(self.response.get(..self.response_len).unwrap_or_default());
        if r.u16() != tag(auths) {
            r.fail(Malformed::Tag);
        }
        // Size and response code, judged before.
        r.bytes(8);
        if op.handle_out {
            r.handle = Handle(r.u32());
        }
        if auths == 0 {
            return r;
        }
        let size = usize::try_from(r.u32()).unwrap_or(usize::MAX);
        let mut params = Fields::new(r.bytes(size));
        params.handle = r.handle;
        for _ in 0..auths {
            // nonceTPM, attributes, HMAC: nothing here is keyed, so there is nothing to verify.
            r.tpm2b(MAX_NONCE);
            r.u8();
            r.tpm2b(MAX_NONCE);
        }
        match r.finish() {
            Ok(()) => params,
            Err(error) => Fields::failed(error),
        }
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
    let Some(&[t0, t1, s0, s1, s2, s3, c0, c1, c2, c3]) = response.first_chunk::<HEADER>() else {
        return Err(Malformed::Size.into());
    };
    let tag = u16::from_be_bytes([t0, t1]);
    let rc = TpmRc(u32::from_be_bytes([c0, c1, c2, c3]));
    if usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])) != Ok(response.len()) {
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
