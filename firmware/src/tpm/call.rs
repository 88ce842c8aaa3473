//! The one way in which every command goes out and comes back.
//!
//! A command is written where it is sent from: [`Tpm::begin`] writes what all have, the caller its
//! parameters, and [`Tpm::run`] sends it and reads the response down to its parameters. None of the three
//! is generic over the command or calls back, so there is one copy of each.

use assay_common::tpm::codec::{EncodeError, Writer};
use assay_common::tpm::handle::Handle;
use assay_common::tpm::rc::TpmRc;

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
#[derive(Debug)]
pub(super) struct Op {
    code: u32,
    class: DurationClass,
    auths: u8,
    handle_out: bool,
}

impl Op {
    /// A command by its `TPM_CC`, without authorization.
    pub(super) const fn new(code: u32, class: DurationClass) -> Self {
        Self {
            code,
            class,
            auths: 0,
            handle_out: false,
        }
    }

    /// With so many authorizations.
    pub(super) const fn authorized(self, auths: u8) -> Self {
        Self { auths, ..self }
    }

    /// With a handle in its response.
    pub(super) const fn returns_handle(self) -> Self {
        Self {
            handle_out: true,
            ..self
        }
    }

    pub(super) const fn code(&self) -> u32 {
        self.code
    }

    const fn tag(&self) -> u16 {
        if self.auths == 0 {
            NO_SESSIONS
        } else {
            SESSIONS
        }
    }
}

/// Before the first command.
pub(super) static NO_OP: Op = Op::new(0, DurationClass::Medium);

/// Ends writing the parameters; the length of the command.
pub(super) fn end(w: Writer<'_>) -> Result<usize, EncodeError> {
    w.finish().map(|command| command.len())
}

impl<T: TpmTransport> Tpm<T> {
    /// Begins a command: header, `handles`, and the authorizations, whose sessions are the last of
    /// `handles`: [`Handle::PW`] for an empty password, or a policy session, which ends with this command
    /// if it succeeds.
    #[inline(never)]
    pub(super) fn begin(&mut self, op: &'static Op, handles: &[Handle]) -> Writer<'_> {
        self.op = op;
        let free = self.command.get_mut(self.waiting..).unwrap_or_default();
        let mut w = Writer::new(free);
        w.u16(op.tag());
        // The length is known at the end.
        w.u32(0);
        w.u32(op.code);
        let auths = usize::from(op.auths);
        for (left, handle) in (1..=handles.len()).rev().zip(handles) {
            if left == auths {
                w.u32((auths * AUTH) as u32);
            }
            w.u32(handle.0);
            if left <= auths {
                // Empty nonce, continueSession for the password session only, empty HMAC or password.
                w.put(&[0, 0, u8::from(*handle == Handle::PW), 0, 0]);
            }
        }
        w
    }

    /// Executes the command of `len` bytes that was begun and ended.
    #[inline(never)]
    pub(super) fn run(&mut self, len: Result<usize, EncodeError>) -> Fields<'_> {
        match self.run_with_room(len) {
            Ok(()) => self.last_reply(),
            Err(error) => Fields::failed(self.failed(error)),
        }
    }

    /// Executes a command whose only parameter is this number.
    pub(super) fn run_with_u16(&mut self, op: &'static Op, parameter: u16) -> Fields<'_> {
        let mut w = self.begin(op, &[]);
        w.u16(parameter);
        let command = end(w);
        self.run(command)
    }

    fn run_with_room(&mut self, len: Result<usize, EncodeError>) -> Result<(), TpmError> {
        let len = len?;
        let result = self.submit(len);
        // Making room takes commands of its own. They are written behind the one that waits for it, and
        // if they find no memory either, that is the end.
        if let Err(TpmError::Memory(rc)) = result
            && self.waiting == 0
        {
            warning!(
                "TPM is out of memory ({=u32:x}), flushing what is stale",
                rc.0
            );
            let op = self.op;
            self.waiting = len;
            let flushed = self.flush_stale();
            self.waiting = 0;
            flushed?;
            self.op = op;
            return self.submit(len);
        }
        result
    }

    /// Sends the command, and the same bytes again while the TPM asks for it; judges the response code.
    fn submit(&mut self, len: usize) -> Result<(), TpmError> {
        let op = self.op;
        let free = self.command.get_mut(self.waiting..).unwrap_or_default();
        let command = free.get_mut(..len).unwrap_or_default();
        if let Some(size) = command.get_mut(2..6) {
            size.copy_from_slice(&(len as u32).to_be_bytes());
        }
        let mut pause_ms = 0;
        loop {
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
                TpmRc::SUCCESS => return Ok(()),
                _ => {
                    debug!("command {=u32:x} failed: {=u32:x}", op.code, rc.0);
                    return Err(TpmError::of(rc));
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

    /// Takes the last response, which was a success, apart down to its parameters. Also for a caller
    /// that had to let go of what it borrowed from [`run`](Self::run).
    #[inline(never)]
    pub(super) fn last_reply(&self) -> Fields<'_> {
        let op = self.op;
        let mut r = Fields::new(self.response.get(..self.response_len).unwrap_or_default());
        if r.u16() != op.tag() {
            r.fail(Malformed::Tag);
        }
        // Size and response code, judged before.
        r.bytes(8);
        if op.handle_out {
            r.handle = Handle(r.u32());
        }
        if op.auths == 0 {
            return r;
        }
        let size = usize::try_from(r.u32()).unwrap_or(usize::MAX);
        let mut params = Fields::new(r.bytes(size));
        params.handle = r.handle;
        for _ in 0..op.auths {
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
