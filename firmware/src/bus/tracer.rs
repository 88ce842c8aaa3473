//! Middleware that shows every register access to a sink.
//!
//! A tracer never changes what passes. It sees register accesses, so wait bytes of the SPI
//! protocol are not among what it counts; [`SpiTis`](super::SpiTis) counts those itself.

use super::{Direction, Reg, TisBus, Traffic};

/// One register access as it passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Access<'a> {
    /// Which way the data went.
    pub direction: Direction,
    /// The register.
    pub reg: Reg,
    /// The data written, or the data read (unspecified when `ok` is false).
    pub data: &'a [u8],
    /// False when the bus reported an error.
    pub ok: bool,
}

/// Receives each access; any `FnMut(&Access)` is one.
pub trait TraceSink {
    /// Called once per access, after it.
    fn access(&mut self, access: &Access<'_>);
}

impl<F: FnMut(&Access<'_>)> TraceSink for F {
    fn access(&mut self, access: &Access<'_>) {
        self(access);
    }
}

/// A bus with a sink beside it.
#[derive(Debug)]
pub struct Tracer<B, S> {
    bus: B,
    sink: S,
    traffic: Traffic,
}

impl<B: TisBus, S: TraceSink> Tracer<B, S> {
    /// Header bytes of an SPI frame.
    const HEADER: usize = 4;

    /// Puts `sink` beside `bus`.
    pub const fn new(bus: B, sink: S) -> Self {
        Self {
            bus,
            sink,
            traffic: Traffic {
                bytes: 0,
                frames: 0,
            },
        }
    }

    /// What passed, as SPI would count it without wait states: 4 header bytes and the data each.
    pub const fn counted(&self) -> Traffic {
        self.traffic
    }

    /// The sink.
    pub const fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// The bus.
    pub const fn bus(&mut self) -> &mut B {
        &mut self.bus
    }

    /// Gives the bus and the sink back.
    pub fn into_inner(self) -> (B, S) {
        (self.bus, self.sink)
    }
}

impl<B: TisBus, S: TraceSink> TisBus for Tracer<B, S> {
    type Error = B::Error;
    const MAX_TRANSFER: usize = B::MAX_TRANSFER;

    fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), B::Error> {
        let result = self.bus.read(reg, buf);
        self.traffic.add(Self::HEADER + buf.len());
        self.sink.access(&Access {
            direction: Direction::Read,
            reg,
            data: buf,
            ok: result.is_ok(),
        });
        result
    }

    fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), B::Error> {
        let result = self.bus.write(reg, data);
        self.traffic.add(Self::HEADER + data.len());
        self.sink.access(&Access {
            direction: Direction::Write,
            reg,
            data,
            ok: result.is_ok(),
        });
        result
    }

    fn traffic(&self) -> Traffic {
        self.bus.traffic()
    }
}
