//! The TPM behind the FIFO: runs a complete command on the back end, within the chip's limits, and
//! applies the faults of the TPM layer.

use std::collections::HashMap;
use std::time::Instant;

use crate::backend::{BackendError, TpmBackend};
use crate::chip::{ChipLimits, LimitedTpm};
use crate::fault::{Context, FaultKind, Injector};
use crate::message::{self, error_response, set_u32};

const RC_CANCELED: u32 = 0x909;
const RC_COMMAND_SIZE: u32 = 0x142;

/// Faults that answer with a response code in the TPM's place.
const CODES: &[FaultKind] = &[
    FaultKind::RcRetry,
    FaultKind::RcYielded,
    FaultKind::RcTesting,
    FaultKind::RcLockout,
    FaultKind::RcNvRate,
    FaultKind::RcCanceled,
    FaultKind::RcFailure,
    FaultKind::RcObjectMemory,
    FaultKind::RcSessionMemory,
    FaultKind::Rc,
];

/// The TPM, and what has become of it.
pub(crate) struct Engine {
    tpm: LimitedTpm<Box<dyn TpmBackend>>,
    limits: Option<ChipLimits>,
    spare: Option<Box<dyn TpmBackend>>,
    /// Last answer to each command code, for replays.
    past: HashMap<u32, Vec<u8>>,
    dead: bool,
    error: Option<String>,
    /// Real time of the last command, µs.
    pub(crate) last_us: u64,
}

impl Engine {
    pub(crate) fn new(tpm: Box<dyn TpmBackend>, limits: Option<ChipLimits>) -> Self {
        Self {
            tpm: LimitedTpm::new(tpm, limits),
            limits,
            spare: None,
            past: HashMap::new(),
            dead: false,
            error: None,
            last_us: 0,
        }
    }

    /// The TPM that [`FaultKind::SwapTpm`] puts in the socket.
    pub(crate) fn set_spare(&mut self, spare: Box<dyn TpmBackend>) {
        self.spare = Some(spare);
    }

    /// Whether nothing answers any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// What the back end last failed with.
    pub(crate) fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    /// A pulse on nRST. A TPM that comes back is alive again.
    pub(crate) fn reset(&mut self) {
        let result = self.tpm.reset();
        self.settle(result);
    }

    /// A loss of power.
    pub(crate) fn power_cycle(&mut self) {
        let result = self.tpm.power_cycle();
        self.settle(result);
    }

    fn settle(&mut self, result: Result<(), BackendError>) {
        self.dead = result.is_err();
        if let Err(error) = result {
            self.error = Some(error.to_string());
        }
    }

    /// Runs `command`; `None` when no TPM answers.
    pub(crate) fn run(
        &mut self,
        command: &[u8],
        locality: u8,
        cancelled: bool,
        injector: &mut Injector,
        context: &Context,
    ) -> Option<Vec<u8>> {
        self.last_us = 0;
        if cancelled || injector.fire(FaultKind::Cancelled, context).is_some() {
            return Some(error_response(RC_CANCELED));
        }
        if let Some(rc) = CODES.iter().find_map(|kind| injector.fire(*kind, context)) {
            return Some(error_response(rc));
        }
        self.interfere(injector, context);
        if self.dead {
            return None;
        }
        let code = message::code(command).unwrap_or(0);
        if let Some(old) = self.past.get(&code)
            && injector.fire(FaultKind::Replay, context).is_some()
        {
            return Some(old.clone());
        }
        let mut response = match altered(command, injector, context) {
            Some(altered) => self.execute(&altered, locality)?,
            None => self.execute(command, locality)?,
        };
        self.past.insert(code, response.clone());
        falsify(&mut response, injector, context);
        Some(response)
    }

    /// Faults that change which TPM answers, or its state.
    fn interfere(&mut self, injector: &mut Injector, context: &Context) {
        if injector.fire(FaultKind::Dead, context).is_some() {
            self.tpm.disconnect();
            self.dead = true;
            self.error = Some("disconnected by a fault".to_owned());
        }
        if self.spare.is_some()
            && injector.fire(FaultKind::SwapTpm, context).is_some()
            && let Some(spare) = self.spare.take()
        {
            self.tpm = LimitedTpm::new(spare, self.limits);
        }
        if injector.fire(FaultKind::SilentReset, context).is_some() {
            const STARTUP_CLEAR: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];
            self.reset();
            if let Err(error) = self.tpm.execute(&STARTUP_CLEAR, 0) {
                self.settle(Err(error));
            }
        }
    }

    fn execute(&mut self, command: &[u8], locality: u8) -> Option<Vec<u8>> {
        let announced = message::announced_size(command).and_then(|n| usize::try_from(n).ok());
        if announced != Some(command.len()) {
            // The FIFO overran or the length field is nonsense: no TPM would run this.
            return Some(error_response(RC_COMMAND_SIZE));
        }
        let started = Instant::now();
        let result = self.tpm.execute(command, locality);
        self.last_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        match result {
            Ok(response) => Some(response),
            Err(error) => {
                self.dead = true;
                self.error = Some(error.to_string());
                None
            }
        }
    }
}

/// The command as an interposer passes it on.
fn altered(command: &[u8], injector: &mut Injector, context: &Context) -> Option<Vec<u8>> {
    let from_end = injector.fire(FaultKind::AlterCommand, context)?;
    let mut altered = command.to_vec();
    flip_from_end(&mut altered, from_end);
    Some(altered)
}

/// Faults in the response's bytes and length field.
fn falsify(response: &mut Vec<u8>, injector: &mut Injector, context: &Context) {
    if let Some(from_end) = injector.fire(FaultKind::AlterResponse, context) {
        flip_from_end(response, from_end);
    }
    let len = u32::try_from(response.len()).unwrap_or(u32::MAX);
    if let Some(more) = injector.fire(FaultKind::LengthLong, context) {
        set_u32(response, 2, len.saturating_add(more));
    }
    if let Some(fewer) = injector.fire(FaultKind::LengthShort, context) {
        set_u32(response, 2, len.saturating_sub(fewer));
    }
    if let Some(size) = injector.fire(FaultKind::LengthTiny, context) {
        set_u32(response, 2, size);
    }
    if injector.fire(FaultKind::LengthMax, context).is_some() {
        set_u32(response, 2, u32::MAX);
    }
    if let Some(extra) = injector.fire(FaultKind::ExtraBytes, context) {
        let extra = usize::try_from(extra).unwrap_or(0).min(4096);
        response.resize(response.len().saturating_add(extra), 0xEE);
    }
}

fn flip_from_end(bytes: &mut [u8], from_end: u32) {
    let from_end = usize::try_from(from_end).unwrap_or(usize::MAX);
    if let Some(byte) = bytes.iter_mut().rev().nth(from_end) {
        *byte ^= 1;
    }
}
