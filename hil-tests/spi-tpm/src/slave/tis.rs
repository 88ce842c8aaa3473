//! The registers of the FIFO interface: ACCESS, STS, FIFO, identification. `[PTP 1.05] 6.5.2`
//!
//! Sits between the frames ([`super`]) and the TPM ([`super::engine`]). STS and its faults are in
//! [`super::status`].

use super::Config;
use super::burst::{Burst, BurstSource};
use super::engine::Engine;
use super::fifo::Fifo;
use super::header::Header;
use super::locality::{ACTIVE, Localities, REG_VALID};
use super::meter::Meter;
use super::wait::WaitSource;
use crate::backend::TpmBackend;
use crate::chip::Personality;
use crate::clock::VirtualClock;
use crate::fault::{Context, FaultKind, Injector, Phase};
use crate::message;

/// Locality that foreign software uses in faults.
const FOREIGN: u8 = 4;
const NS_PER_MS: u64 = 1_000_000;

/// Everything behind the wires.
pub(crate) struct Tis {
    pub(crate) chip: Personality,
    pub(crate) busy_polls: u32,
    pub(crate) localities: Localities,
    pub(crate) fifo: Fifo,
    pub(crate) engine: Engine,
    pub(crate) injector: Injector,
    pub(crate) meter: Meter,
    pub(crate) waits: WaitSource,
    pub(crate) bursts: BurstSource,
    pub(crate) burst_fault: Option<Burst>,
    pub(crate) burst_excess: u16,
    pub(crate) burst_zero: u32,
    pub(crate) status_invalid: u32,
    pub(crate) clock: VirtualClock,
    access_invalid_until: Option<u64>,
    foreign_until: Option<u64>,
    interrupts: [u8; 12],
    fifo_budget: u16,
    fifo_byte: u32,
}

impl Tis {
    pub(crate) fn new(tpm: Box<dyn TpmBackend>, config: Config) -> Self {
        let chip = config.personality;
        Self {
            chip,
            busy_polls: config.busy_polls.unwrap_or(chip.busy_polls),
            localities: Localities::default(),
            fifo: Fifo::new(chip.fifo_len),
            engine: Engine::new(tpm, config.limits),
            injector: Injector::new(config.faults),
            meter: Meter::default(),
            waits: WaitSource::new(config.wait.unwrap_or(chip.wait)),
            bursts: BurstSource::new(config.burst.unwrap_or(chip.burst)),
            burst_fault: None,
            burst_excess: 0,
            burst_zero: 0,
            status_invalid: 0,
            clock: config.clock,
            access_invalid_until: None,
            foreign_until: None,
            interrupts: [0; 12],
            fifo_budget: 0,
            fifo_byte: 0,
        }
    }

    /// Where the model stands, for the injector.
    pub(crate) fn context(&self) -> Context {
        Context {
            phase: self.fifo.phase(),
            number: self.meter.next_number(),
            code: self.fifo.code(),
        }
    }

    pub(crate) fn fire(&mut self, kind: FaultKind) -> Option<u32> {
        if self.injector.is_idle() {
            return None;
        }
        let context = self.context();
        self.injector.fire(kind, &context)
    }

    /// Start of a frame: what strikes between two accesses.
    pub(crate) fn begin_frame(&mut self) {
        if self.fire(FaultKind::TpmReset).is_some() {
            self.reset(Engine::reset);
        }
        if self.fire(FaultKind::PowerLoss).is_some() {
            self.reset(Engine::power_cycle);
        }
        if self.localities.active().is_some() && self.fire(FaultKind::LocalityLost).is_some() {
            self.localities.release();
            self.abandon(Phase::Idle);
        }
        if let Some(ms) = self.fire(FaultKind::LocalitySeized) {
            self.occupy(ms);
            self.abandon(Phase::Idle);
        }
        if self
            .foreign_until
            .is_some_and(|until| self.clock.now_ns() >= until)
        {
            self.foreign_until = None;
            self.localities.release();
        }
    }

    /// nRST or power: `how` tells the TPM; the interface starts afresh.
    pub(crate) fn reset(&mut self, how: impl FnOnce(&mut Engine)) {
        self.abandon(Phase::Idle);
        self.localities = Localities::default();
        self.foreign_until = None;
        self.interrupts = [0; 12];
        self.meter.totals.resets = self.meter.totals.resets.saturating_add(1);
        how(&mut self.engine);
    }

    fn occupy(&mut self, ms: u32) {
        let span = u64::from(ms).saturating_mul(NS_PER_MS);
        self.foreign_until = Some(self.clock.now_ns().saturating_add(span));
        self.localities.seize(FOREIGN);
    }

    /// Ends whatever the FIFO was doing. A command that had been started is counted as ended.
    pub(crate) fn abandon(&mut self, next: Phase) {
        match self.fifo.phase() {
            Phase::Idle | Phase::Ready => {}
            Phase::Reception => self.meter.aborted(),
            Phase::Execution | Phase::Completion => self.meter.close(
                self.fifo.command(),
                self.fifo.response_len(),
                self.engine.last_us,
                self.clock.now_ns(),
            ),
        }
        self.burst_fault = None;
        self.burst_excess = 0;
        self.fifo.abandon(next);
    }

    fn owns(&self, header: &Header) -> bool {
        self.localities.active() == Some(header.locality)
    }

    /// Wait bytes before the data of this access; `None` for no end.
    pub(crate) fn wait(&mut self) -> Option<u32> {
        if self.fire(FaultKind::WaitEndless).is_some() {
            return None;
        }
        if let Some(n) = self.fire(FaultKind::WaitStates) {
            return Some(n);
        }
        if let Some(max) = self.fire(FaultKind::WaitRandom) {
            return Some(self.waits.draw(max));
        }
        self.waits.next()
    }

    /// Start of the data of an access.
    pub(crate) fn begin_access(&mut self, header: &Header) {
        if header.is_fifo() {
            self.fifo_budget = self.bursts.begin_access();
            self.fifo_byte = 0;
        }
    }

    /// One byte of the FIFO on its way to the host.
    pub(crate) fn fifo_read(&mut self, header: &Header) -> u8 {
        if !self.owns(header) || self.fifo_budget == 0 {
            return 0xFF;
        }
        self.fifo_budget = self.fifo_budget.saturating_sub(1);
        let byte = self.fifo.pop().unwrap_or(0xFF);
        byte ^ self.fifo_flip(FaultKind::MisoFlipFifo)
    }

    fn fifo_write(&mut self, byte: u8) {
        if self.fifo_budget == 0 {
            return;
        }
        self.fifo_budget = self.fifo_budget.saturating_sub(1);
        let byte = byte ^ self.fifo_flip(FaultKind::MosiFlipFifo);
        if self.fire(FaultKind::CommandByteLost).is_some() {
            return;
        }
        let was_complete = self.fifo.is_complete();
        self.fifo.push(byte);
        if self.injector.is_idle() || self.fifo.phase() != Phase::Reception || was_complete {
            return;
        }
        if self.fifo.is_complete() {
            self.fifo.attempt.expect_stuck = self.fire(FaultKind::ExpectStuck).is_some();
        } else if message::code(self.fifo.command()).is_some() {
            // A plan may name the command by its code, which is known from the tenth byte on.
            let early = self.fire(FaultKind::ExpectEarly).is_some();
            self.fifo.attempt.expect_early |= early;
        }
    }

    fn fifo_flip(&mut self, kind: FaultKind) -> u8 {
        let index = self.fifo_byte;
        self.fifo_byte = index.saturating_add(1);
        if self.injector.is_idle() {
            return 0;
        }
        let context = self.context();
        let here = |arg: u32| arg.checked_div(8) == Some(index);
        self.injector
            .fire_if(kind, &context, here)
            .and_then(|arg| 1u8.checked_shl(arg & 7))
            .unwrap_or(0)
    }

    /// The registers that a read covers, as they are at its start.
    pub(crate) fn snapshot(&mut self, header: &Header) -> [u8; 64] {
        let mut out = [0xFF; 64];
        let status = (0x18..0x1C)
            .any(|offset| header.covers(offset))
            .then(|| self.status(self.owns(header)));
        let did_vid = if header.covers(0xF00) {
            self.fire(FaultKind::WrongDidVid)
        } else {
            None
        };
        for (i, byte) in out.iter_mut().enumerate().take(header.len) {
            let Some(offset) = u16::try_from(i)
                .ok()
                .and_then(|i| header.register.checked_add(i))
            else {
                continue;
            };
            *byte = match offset {
                0x000 => self.access(header.locality),
                0x008..=0x013 => self.interrupt(offset),
                0x014..=0x017 => part(self.chip.capability, offset, 0x014),
                0x018..=0x01B => status.map_or(0xFF, |s| part(s, offset, 0x018)),
                // Type 0 (FIFO), capLocality, transfer size 64, capFIFO.
                0x030..=0x033 => part(0x0000_3900, offset, 0x030),
                0xF00..=0xF03 => part(did_vid.unwrap_or(self.chip.did_vid()), offset, 0xF00),
                0xF04 => self.chip.revision,
                _ => 0xFF,
            };
        }
        out
    }

    /// One byte written to a register.
    pub(crate) fn write(&mut self, header: &Header, offset: u16, byte: u8) {
        if offset == 0x000 {
            self.strike_access();
            if !self.access_is_invalid() && self.localities.write(header.locality, byte) {
                self.abandon(Phase::Idle);
            }
        } else if self.owns(header) {
            match offset {
                0x008..=0x00B => {
                    if let Some(slot) = self.interrupts.get_mut(usize::from(offset - 0x008)) {
                        *slot = byte;
                    }
                }
                0x018 => self.write_status(byte),
                0x01B => self.write_status_high(byte),
                _ if header.is_fifo() => self.fifo_write(byte),
                _ => {}
            }
        }
    }

    fn interrupt(&self, offset: u16) -> u8 {
        let at = usize::from(offset.saturating_sub(0x008));
        self.interrupts.get(at).copied().unwrap_or(0)
    }

    fn access_is_invalid(&self) -> bool {
        self.access_invalid_until
            .is_some_and(|until| self.clock.now_ns() < until)
    }

    fn access(&mut self, locality: u8) -> u8 {
        self.strike_access();
        let value = match locality {
            0..=FOREIGN => self.localities.access(locality),
            _ => return 0xFF,
        };
        if self.access_is_invalid() {
            value & !(REG_VALID | ACTIVE)
        } else {
            value
        }
    }

    /// Faults of the ACCESS register, before it is read or written.
    fn strike_access(&mut self) {
        if !self.access_is_invalid()
            && let Some(ms) = self.fire(FaultKind::AccessInvalid)
        {
            let span = u64::from(ms).saturating_mul(NS_PER_MS);
            self.access_invalid_until = Some(self.clock.now_ns().saturating_add(span));
        }
        if self.localities.active().is_none()
            && let Some(ms) = self.fire(FaultKind::LocalityBusy)
        {
            self.occupy(ms);
        }
    }
}

/// Byte of a little-endian register at `base` that lies at `offset`.
fn part(register: u32, offset: u16, base: u16) -> u8 {
    let at = usize::from(offset.saturating_sub(base));
    register.to_le_bytes().get(at).copied().unwrap_or(0xFF)
}
