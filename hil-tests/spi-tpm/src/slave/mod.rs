//! The TPM as an SPI slave, byte by byte: [`SpiTpm::cs`] moves chip select, [`SpiTpm::xfer`]
//! clocks one byte both ways. `[PTP 1.05] 6.4.6`
//!
//! ```text
//!  host: cs, xfer ──► wires (faults of the bus) ──► frame: header, waits, data
//!                                                      │
//!                      tis: ACCESS, STS, FIFO, ids ◄────┘
//!                      │
//!                      engine: chip limits, faults of the TPM ──► TpmBackend (swtpm, script)
//! ```
//!
//! The model runs a command at the poll of STS in which it becomes due, after a number of busy
//! polls: the same input gives the same output, whatever the machine's load.
//!
//! A frame may move as many FIFO bytes as the largest burstCount that the host has read since its
//! last FIFO access; what is beyond is lost, so a driver that ignores burstCount fails here.

pub mod burst;
mod engine;
mod fifo;
mod header;
pub mod locality;
mod meter;
pub mod status;
mod tis;
pub mod wait;
mod wires;

pub use header::Header;
pub use meter::Observer;

use crate::backend::TpmBackend;
use crate::chip::{ChipLimits, Personality};
use crate::clock::VirtualClock;
use crate::fault::{FaultKind, FaultPlan, FiredFault};
use crate::stats::StatsHandle;
use burst::Burst;
use engine::Engine;
use tis::Tis;
use wait::Wait;
use wires::Wires;

/// How a model behaves.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The chip.
    pub personality: Personality,
    /// Wait states; the chip's own when `None`.
    pub wait: Option<Wait>,
    /// Burst count; the chip's own when `None`.
    pub burst: Option<Burst>,
    /// Busy polls of each command; the chip's own when `None`.
    pub busy_polls: Option<u32>,
    /// Limits of memory; none when `None`.
    pub limits: Option<ChipLimits>,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// The clock that time-limited faults read.
    pub clock: VirtualClock,
}

impl Config {
    /// A chip with its own habits and the limits of silicon, without faults.
    #[must_use]
    pub fn chip(personality: Personality) -> Self {
        Self {
            personality,
            limits: Some(ChipLimits::SILICON),
            ..Self::default()
        }
    }
}

/// Part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// Collecting the four bytes of the header.
    Header { bytes: [u8; 4], got: usize },
    /// Inserting wait bytes; `None` for no end.
    Waiting { left: Option<u32>, header: Header },
    /// Moving data; `end` bytes in all.
    Data {
        header: Header,
        at: usize,
        end: usize,
    },
    /// Past the announced length, or not addressed.
    Over,
}

const NEW_FRAME: Frame = Frame::Header {
    bytes: [0; 4],
    got: 0,
};

/// What MISO shows when nothing drives it (pulled up).
const FLOATING: u8 = 0xFF;
/// What the TPM drives to announce that data follow.
const READY: u8 = 0x01;
/// What it drives while the host has to wait, and during a header.
const BUSY: u8 = 0x00;

/// The TPM on the bus. Built from a [`TpmBackend`] and a [`Config`].
pub struct SpiTpm {
    tis: Tis,
    wires: Wires,
    frame: Frame,
    snapshot: [u8; 64],
    selected: bool,
    held_in_reset: bool,
    told_faults: usize,
}

impl SpiTpm {
    /// A TPM that has just been powered; TPM2_Startup is the host's affair.
    #[must_use]
    pub fn new(tpm: impl TpmBackend + 'static, config: Config) -> Self {
        Self {
            tis: Tis::new(Box::new(tpm), config),
            wires: Wires::default(),
            frame: Frame::Over,
            snapshot: [FLOATING; 64],
            selected: false,
            held_in_reset: false,
            told_faults: 0,
        }
    }

    /// The TPM that the fault `swap-tpm` puts in the socket. Without one that fault never shows.
    #[must_use]
    pub fn with_spare(mut self, spare: impl TpmBackend + 'static) -> Self {
        self.tis.engine.set_spare(Box::new(spare));
        self
    }

    /// Has `observer` called with every command that ends.
    pub fn observe(&mut self, observer: Observer) {
        self.tis.meter.observe(observer);
    }

    /// Replaces the plan of faults; counts start anew.
    pub fn set_faults(&mut self, plan: FaultPlan) {
        self.tis.injector = crate::fault::Injector::new(plan);
        self.told_faults = 0;
    }

    /// Counters that can be read from elsewhere.
    #[must_use]
    pub fn stats(&self) -> StatsHandle {
        self.tis.meter.handle()
    }

    /// Faults that showed so far, the first 256.
    #[must_use]
    pub fn fired(&self) -> &[FiredFault] {
        self.tis.injector.log()
    }

    /// The clock that this model reads.
    #[must_use]
    pub fn clock(&self) -> VirtualClock {
        self.tis.clock.clone()
    }

    /// Whether no TPM answers any more (back end gone, or the fault `dead`).
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.tis.engine.is_dead()
    }

    /// The nRST line. While low the TPM drives nothing; its rise is a TPM reset.
    pub fn reset_line(&mut self, low: bool) {
        if self.held_in_reset && !low {
            self.tis.reset(Engine::reset);
            self.publish();
        }
        self.held_in_reset = low;
        if low {
            self.frame = Frame::Over;
        }
    }

    /// Cuts and restores the supply.
    pub fn power_cycle(&mut self) {
        self.frame = Frame::Over;
        self.tis.reset(Engine::power_cycle);
        self.publish();
    }

    /// Moves chip select; `low` selects. A level that is already there changes nothing.
    pub fn cs(&mut self, low: bool) {
        if low == self.selected {
            return;
        }
        self.selected = low;
        if low {
            let totals = &mut self.tis.meter.totals;
            totals.chip_selects = totals.chip_selects.saturating_add(1);
            self.tis.begin_frame();
            let missed_rise = self.wires.begin_frame(&mut self.tis);
            if !missed_rise {
                self.frame = NEW_FRAME;
            }
        } else {
            if self.tis.fire(FaultKind::CsStuckLow).is_some() {
                self.wires.miss_rise();
            } else {
                self.frame = Frame::Over;
            }
            self.publish();
        }
    }

    /// Clocks one byte: `mosi` from the host, the result from the TPM (0xFF when nothing drives).
    pub fn xfer(&mut self, mosi: u8) -> u8 {
        let totals = &mut self.tis.meter.totals;
        if !self.selected {
            totals.stray_bytes = totals.stray_bytes.saturating_add(1);
            return FLOATING;
        }
        totals.bytes = totals.bytes.saturating_add(1);
        if self.held_in_reset || self.tis.engine.is_dead() {
            return FLOATING;
        }
        if self.tis.injector.is_idle() {
            self.clock_byte(mosi)
        } else {
            self.faulty_xfer(mosi)
        }
    }

    /// One byte over wires that may misbehave.
    fn faulty_xfer(&mut self, mosi: u8) -> u8 {
        let strike = self.wires.strike(&mut self.tis);
        if strike.glitch {
            self.frame = NEW_FRAME;
        }
        let header_byte = match self.frame {
            Frame::Header { got, .. } => Some(got),
            _ => None,
        };
        if strike.insert {
            self.clock_byte(0x00);
        }
        let miso = if strike.drop {
            FLOATING
        } else {
            let seen = self.wires.mosi(mosi, header_byte);
            self.clock_byte(seen)
        };
        self.wires.miso(miso, header_byte)
    }

    /// One byte as the TPM sees it.
    fn clock_byte(&mut self, mosi: u8) -> u8 {
        match self.frame {
            Frame::Header { mut bytes, got } => {
                if let Some(slot) = bytes.get_mut(got) {
                    *slot = mosi;
                }
                if got < 3 {
                    self.frame = Frame::Header {
                        bytes,
                        got: got.saturating_add(1),
                    };
                    return BUSY;
                }
                match Header::decode(bytes) {
                    Some(header) => self.addressed(header),
                    None => {
                        self.frame = Frame::Over;
                        READY
                    }
                }
            }
            Frame::Waiting { left, header } => {
                let totals = &mut self.tis.meter.totals;
                totals.wait_bytes = totals.wait_bytes.saturating_add(1);
                match left {
                    Some(0 | 1) => self.start_data(header),
                    Some(n) => {
                        let left = Some(n.saturating_sub(1));
                        self.frame = Frame::Waiting { left, header };
                        BUSY
                    }
                    None => BUSY,
                }
            }
            Frame::Data { header, at, end } => self.data_byte(header, at, end, mosi),
            Frame::Over => FLOATING,
        }
    }

    fn addressed(&mut self, header: Header) -> u8 {
        match self.tis.wait() {
            Some(0) => self.start_data(header),
            left => {
                self.frame = Frame::Waiting { left, header };
                BUSY
            }
        }
    }

    fn start_data(&mut self, header: Header) -> u8 {
        let mut end = header.len;
        if let Some(missing) = self.tis.fire(FaultKind::ShortClocking) {
            end = end.saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX));
        }
        self.tis.begin_access(&header);
        if header.read && !header.is_fifo() {
            self.snapshot = self.tis.snapshot(&header);
        }
        self.frame = Frame::Data { header, at: 0, end };
        READY
    }

    fn data_byte(&mut self, header: Header, at: usize, end: usize, mosi: u8) -> u8 {
        if at >= end {
            self.frame = Frame::Over;
            return FLOATING;
        }
        let next = at.saturating_add(1);
        self.frame = Frame::Data {
            header,
            at: next,
            end,
        };
        if header.read {
            return if header.is_fifo() {
                self.tis.fifo_read(&header)
            } else {
                self.snapshot.get(at).copied().unwrap_or(FLOATING)
            };
        }
        let step = if header.is_fifo() { 0 } else { at };
        let offset = u16::try_from(step)
            .ok()
            .and_then(|step| header.register.checked_add(step));
        if let Some(offset) = offset {
            self.tis.write(&header, offset, mosi);
        }
        // A TPM drives nothing of meaning while it is written to.
        FLOATING
    }

    fn publish(&mut self) {
        let total = self.tis.injector.total();
        self.tis.meter.totals.faults = total;
        self.tis.meter.publish();
        let error = self.tis.engine.take_error();
        let log = self.tis.injector.log();
        if log.len() > self.told_faults || error.is_some() {
            let fresh = log.get(self.told_faults..).unwrap_or_default();
            self.tis.meter.handle().update(|stats| {
                stats.fired.extend_from_slice(fresh);
                if error.is_some() {
                    stats.backend_error = error;
                }
            });
            self.told_faults = log.len();
        }
    }
}
