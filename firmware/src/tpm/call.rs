//! The one way in which every command goes out and comes back.
//!
//! A command is [begun](Tpm::begin), its parameters are put, it is [run](Tpm::run), its response is read, and
//! its [end](Tpm::finish) says how it went. Nothing here is generic over the command or calls back, so
//! there is one copy of each.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::handle::{Handle, HandleKind};
use assay_common::tpm::rc::TpmRc;

use super::error::is_memory;
use super::exchange::{Exchange, Guard, Part};
use super::op::Op;
use super::{Tpm, TpmError, TpmTransport};
use crate::fmt::{debug, warning};

/// First pause after `TPM_RC_RETRY`, `YIELDED` and `TESTING`, as Linux has it.
const RETRY_MS: u32 = 20;
/// First pause after `TPM_RC_NV_RATE` and `NV_UNAVAILABLE`: flash wants rest, not another try.
const NV_RATE_MS: u32 = 100;
/// Pauses double up to this; then the TPM counts as busy. 20 ms gives 7 repetitions in 2.5 s.
const LAST_PAUSE_MS: u32 = 2_000;

impl<T: TpmTransport> Tpm<T> {
    /// Begins a command, with its handles and after them the sessions that authorize it.
    pub(super) fn begin(&mut self, op: Op, handles: &[Handle]) -> &mut Exchange {
        let guard = self.guard(op);
        self.exchange.begin(op, handles, guard.unwrap_or(None));
        if let Err(error) = guard {
            self.exchange.fail(error);
        }
        &mut self.exchange
    }

    /// What guards a command, where there is a session and the command needs it.
    #[inline(always)]
    fn guard(&self, op: Op) -> Result<Option<Guard>, TpmError> {
        #[cfg(feature = "secure-bus")]
        return self.secure.guard(op);
        #[cfg(not(feature = "secure-bus"))]
        {
            let _ = op;
            Ok(None)
        }
    }

    /// Begins a command that loads something of this `kind`; it fails when there is no room for more of ours.
    pub(super) fn begin_loading(
        &mut self,
        op: Op,
        handles: &[Handle],
        kind: HandleKind,
    ) -> &mut Exchange {
        self.begin(op, handles);
        if !self.live.has_room(kind) {
            self.exchange.fail(TpmError::Slots);
        }
        &mut self.exchange
    }

    /// Executes the command and reads its response down to the parameters; the handle that it returned,
    /// or 0.
    #[inline(never)]
    pub(super) fn run(&mut self) -> Handle {
        if !self.exchange.is_whole() {
            return Handle(0);
        }
        #[cfg(feature = "secure-bus")]
        if self.exchange.frame.is_guarded && !self.seal() {
            return Handle(0);
        }
        let mut result = self.submit();
        if let Err(TpmError::Memory(rc)) = result
            // Making room takes commands of its own, and if these find no memory either, that is the end.
            && let Some(kept) = self.exchange.suspend()
        {
            warning!(
                "TPM is out of memory ({=u32:x}), flushing what is stale",
                rc.0
            );
            let flushed = self.flush_stale();
            let last = self.exchange.frame;
            self.exchange.resume(kept);
            result = match flushed {
                Ok(_) => self.submit(),
                Err(error) => {
                    self.exchange.frame = last;
                    Err(error)
                }
            };
        }
        #[cfg(feature = "secure-bus")]
        let result = self.judge(result);
        match result {
            Ok(()) => self.exchange.open(),
            Err(error) => {
                self.exchange.fail(error);
                Handle(0)
            }
        }
    }

    /// Executes a command whose only parameter is this number.
    pub(super) fn run_with_u16(&mut self, op: Op, parameter: u16) {
        self.begin(op, &[]).put_u16(parameter);
        self.run();
    }

    /// Ends a command: whether all went well, and nothing of the response is left unread.
    #[inline(never)]
    pub(super) fn finish(&mut self) -> Result<(), TpmError> {
        let result = self.exchange.finish();
        #[cfg(feature = "host")]
        self.exchange.wipe_command();
        if let Err(error) = result {
            self.failed(error);
        }
        result
    }

    /// Ends a command that loaded something of this `kind`. It is noted as ours even if the rest of the
    /// answer is malformed, and then flushed.
    pub(super) fn finish_loading(
        &mut self,
        handle: Handle,
        kind: HandleKind,
    ) -> Result<(), TpmError> {
        let is_loaded = handle.is(kind);
        self.exchange.demand(is_loaded);
        let result = self.finish();
        if is_loaded {
            self.live.add(handle);
            if result.is_err() {
                let _ = self.flush(handle);
            }
        }
        result
    }

    /// Sends the command, and the same bytes again while the TPM asks for it; judges the
    /// response code.
    fn submit(&mut self) -> Result<(), TpmError> {
        let class = self.exchange.frame.op.class();
        let mut pause_ms = 0;
        loop {
            let (command, response) = self.exchange.buffers();
            let len = match self.transport.transact(command, response, class) {
                Ok(response) => response.len(),
                Err(error) => return Err(TpmError::Transport(error.into())),
            };
            let rc = self.exchange.response_code(len)?;
            let first_ms = match rc {
                TpmRc::RETRY | TpmRc::YIELDED | TpmRc::TESTING => RETRY_MS,
                TpmRc::NV_RATE | TpmRc::NV_UNAVAILABLE => NV_RATE_MS,
                TpmRc::SUCCESS => return Ok(()),
                _ => {
                    debug!(
                        "command {=u32:x} failed: {=u32:x}",
                        self.exchange.frame.op.code(),
                        rc.0
                    );
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

    /// Notes the Name of an entity out of the response at hand, for the HMACs of commands on it.
    #[inline(always)]
    pub(super) fn learn(&mut self, handle: Handle, name: Part) {
        #[cfg(feature = "secure-bus")]
        self.secure.learn(handle, self.exchange.part(name));
        #[cfg(not(feature = "secure-bus"))]
        let _ = (handle, name);
    }

    /// Notes the Name of an entity with this public area in the response at hand.
    #[inline(always)]
    pub(super) fn learn_name_of(&mut self, handle: Handle, alg: AlgId, area: Part) {
        #[cfg(feature = "secure-bus")]
        self.secure
            .learn_name_of(handle, alg, self.exchange.part(area));
        #[cfg(not(feature = "secure-bus"))]
        let _ = (handle, alg, area);
    }

    /// Nothing of ours is in the TPM any more.
    pub(super) fn forget_all(&mut self) {
        self.live.clear();
        #[cfg(feature = "secure-bus")]
        self.secure.clear();
    }

    /// Counts an error, and forgets what a reset of the TPM took away. Anybody on the bus can say that there was one, so a
    /// session is lost by it and not gone: nothing crosses unguarded because of what was said.
    pub(super) fn failed(&mut self, error: TpmError) -> TpmError {
        self.errors.count(error.code());
        if error == TpmError::Reset {
            self.live.clear();
            #[cfg(feature = "secure-bus")]
            self.secure.lose(error);
        }
        error
    }
}

const _: () = assert!(is_memory(TpmRc::OBJECT_MEMORY) && !is_memory(TpmRc::LOCALITY));
