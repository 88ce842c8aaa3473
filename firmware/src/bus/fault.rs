//! Middleware that breaks chosen register accesses: the fault matrix is driven with it.
//!
//! A plan is a slice of [`Rule`]s. Each access that a rule matches is counted; when the count
//! reaches `skip`, the rule's action happens, `times` times in a row. Rules are looked at in
//! order and the first that fires is applied.

use super::{BusError, Reg, TisBus, Traffic};

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Direction {
    /// TPM to host.
    Read,
    /// Host to TPM.
    Write,
}

/// What happens to an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action {
    /// XORs `mask` into byte `at` (bytes beyond the access are left alone).
    Flip {
        /// Index of the byte in this access.
        at: u8,
        /// Bits to invert.
        mask: u8,
    },
    /// The access never reaches the TPM: a write is lost, a read returns 0xFF as a floating bus does.
    Drop,
    /// The TPM sees one byte less: the last byte of a write is lost; the last byte of a read is 0xFF
    /// although the TPM was asked for one byte less.
    LoseByte,
    /// The first byte of a write arrives twice, the clock slip of a noisy line. Reads are unchanged.
    RepeatByte,
    /// Every byte, read or written, becomes this value.
    Fill(u8),
    /// A read returns these bytes (the rest zero); a write carries them instead of its own.
    Substitute([u8; 4]),
    /// The access reaches the TPM, and the bus then reports an error.
    FailAfter(BusError),
    /// The access doesn't reach the TPM and the bus reports an error.
    FailBefore(BusError),
}

/// When an action happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rule {
    /// Only this register, or any.
    pub reg: Option<Reg>,
    /// Only this direction, or both.
    pub direction: Option<Direction>,
    /// How many matching accesses pass first.
    pub skip: u16,
    /// How many are then broken; `u16::MAX` breaks all that follow.
    pub times: u16,
    /// How.
    pub action: Action,
}

impl Rule {
    /// Breaks the `n`-th (from 0) access in `direction` to `reg`, once.
    pub const fn nth(reg: Reg, direction: Direction, n: u16, action: Action) -> Self {
        Self {
            reg: Some(reg),
            direction: Some(direction),
            skip: n,
            times: 1,
            action,
        }
    }

    /// Breaks every access in `direction` to `reg`.
    pub const fn always(reg: Reg, direction: Direction, action: Action) -> Self {
        Self {
            reg: Some(reg),
            direction: Some(direction),
            skip: 0,
            times: u16::MAX,
            action,
        }
    }

    fn matches(&self, reg: Reg, direction: Direction) -> bool {
        self.reg.is_none_or(|r| r == reg) && self.direction.is_none_or(|d| d == direction)
    }

    /// True when this matching access is one to break.
    const fn fires(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.times == 0 {
            return false;
        }
        if self.times != u16::MAX {
            self.times -= 1;
        }
        true
    }
}

/// A bus that misbehaves by plan.
#[derive(Debug)]
pub struct Fault<'p, B> {
    bus: B,
    plan: &'p mut [Rule],
    fired: u16,
}

impl<'p, B: TisBus> Fault<'p, B> {
    /// Puts `plan` in front of `bus`. The rules count down in place.
    pub const fn new(bus: B, plan: &'p mut [Rule]) -> Self {
        Self {
            bus,
            plan,
            fired: 0,
        }
    }

    /// How many accesses were broken, so that a test can tell that its fault happened at all.
    pub const fn fired(&self) -> u16 {
        self.fired
    }

    /// The bus behind.
    pub const fn inner(&mut self) -> &mut B {
        &mut self.bus
    }

    fn action(&mut self, reg: Reg, direction: Direction) -> Option<Action> {
        for rule in self.plan.iter_mut() {
            if rule.matches(reg, direction) && rule.fires() {
                self.fired = self.fired.saturating_add(1);
                return Some(rule.action);
            }
        }
        None
    }
}

/// The error of a faulty bus is an injected one or the bus's own; both are told as [`BusError`].
impl<B: TisBus> TisBus for Fault<'_, B> {
    type Error = BusError;
    const MAX_TRANSFER: usize = B::MAX_TRANSFER;

    fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), BusError> {
        let action = self.action(reg, Direction::Read);
        match action {
            Some(Action::FailBefore(error)) => return Err(error),
            Some(Action::Drop) => {
                buf.fill(0xFF);
                return Ok(());
            }
            Some(Action::LoseByte) => {
                if let [head @ .., last] = buf {
                    *last = 0xFF;
                    if !head.is_empty() {
                        self.bus.read(reg, head).map_err(Into::into)?;
                    }
                }
                return Ok(());
            }
            _ => self.bus.read(reg, buf).map_err(Into::into)?,
        }
        match action {
            Some(Action::Flip { at, mask }) => {
                if let Some(byte) = buf.get_mut(usize::from(at)) {
                    *byte ^= mask;
                }
            }
            Some(Action::Fill(value)) => buf.fill(value),
            Some(Action::Substitute(bytes)) => {
                buf.fill(0);
                for (to, from) in buf.iter_mut().zip(bytes) {
                    *to = from;
                }
            }
            Some(Action::FailAfter(error)) => return Err(error),
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), BusError> {
        let action = self.action(reg, Direction::Write);
        // One byte more than a frame, for the repeated one.
        let mut copy = [0; super::SPI_MAX_TRANSFER + 1];
        let len = data.len().min(super::SPI_MAX_TRANSFER);
        for (to, from) in copy.iter_mut().zip(data) {
            *to = *from;
        }
        let altered: &[u8] = match action {
            None | Some(Action::FailAfter(_)) => data,
            Some(Action::FailBefore(error)) => return Err(error),
            Some(Action::Drop) => return Ok(()),
            Some(Action::LoseByte) => copy.get(..len.saturating_sub(1)).unwrap_or_default(),
            Some(Action::RepeatByte) => {
                if let [first, ..] = *data {
                    self.bus.write(reg, &[first]).map_err(Into::into)?;
                }
                data
            }
            Some(Action::Flip { at, mask }) => {
                if let Some(byte) = copy.get_mut(usize::from(at)) {
                    *byte ^= mask;
                }
                copy.get(..len).unwrap_or_default()
            }
            Some(Action::Fill(value)) => {
                copy.fill(value);
                copy.get(..len).unwrap_or_default()
            }
            Some(Action::Substitute(bytes)) => {
                for (to, from) in copy.iter_mut().zip(bytes) {
                    *to = from;
                }
                copy.get(..len).unwrap_or_default()
            }
        };
        if !altered.is_empty() {
            self.bus.write(reg, altered).map_err(Into::into)?;
        }
        match action {
            Some(Action::FailAfter(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn traffic(&self) -> Traffic {
        self.bus.traffic()
    }
}
