//! A FIFO at register level, and the same FIFO behind an SPI slave. Small on purpose: what it does
//! is what the state table of the PC Client profile says, and every deviation is a field.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use assay_firmware::bus::{BusError, Reg, SPI_MAX_TRANSFER, TisBus, Traffic};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{self, OutputPin};
use embedded_hal::spi::{self, SpiBus};

/// Virtual time. Only delays move it.
#[derive(Clone, Default)]
pub struct Delay(pub Rc<Cell<u64>>);

impl Delay {
    pub fn us(&self) -> u64 {
        self.0.get() / 1000
    }
}

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.0.set(self.0.get() + u64::from(ns));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle,
    Ready,
    Reception,
    Execution,
    Completion,
}

type Handler = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

/// The TPM side. Fields are knobs.
pub struct Fifo {
    pub state: State,
    pub handler: Handler,
    pub executed: Vec<Vec<u8>>,
    pub did_vid: u32,
    pub active: bool,
    /// Burst counts, used in turn and then again from the first.
    pub bursts: Vec<u16>,
    burst_turn: usize,
    pub idle_after_command: bool,
    /// Polls of STS during execution before the response is there.
    pub busy_polls: u32,
    /// The next n writes of commandReady do nothing.
    pub deaf_to_ready: u32,
    /// Go does nothing.
    pub deaf_to_go: bool,
    /// Execution never ends, and an abort by commandReady does nothing...
    pub hangs: bool,
    /// ... nor does a cancel.
    pub deaf_to_cancel: bool,
    /// Requests for the locality are dropped this many times.
    pub deaf_to_request: u32,
    /// Reads of anything return 0xFF this many times (chip in reset).
    pub floating: u32,
    /// The next n FIFO bytes received are lost.
    pub lose_command_bytes: u32,
    /// The next n response bytes are not given.
    pub lose_response_bytes: u32,
    /// Extra bytes after each of the next n responses.
    pub extra_response: u32,
    pub polls: u32,
    pub ready_writes: u32,
    pub retries: u32,
    pub cancels: u32,
    command: Vec<u8>,
    response: Vec<u8>,
    at: usize,
    left_busy: u32,
    bad_moves: Vec<&'static str>,
}

pub type Shared = Rc<RefCell<Fifo>>;

/// A TPM that answers every command with `response`.
pub fn answering(response: &[u8]) -> Shared {
    let response = response.to_vec();
    fifo(move |_| response.clone())
}

pub fn fifo(handler: impl FnMut(&[u8]) -> Vec<u8> + 'static) -> Shared {
    Rc::new(RefCell::new(Fifo {
        state: State::Idle,
        handler: Box::new(handler),
        executed: Vec::new(),
        did_vid: 0x001B_15D1,
        active: false,
        bursts: vec![64],
        burst_turn: 0,
        idle_after_command: false,
        busy_polls: 0,
        deaf_to_ready: 0,
        deaf_to_go: false,
        hangs: false,
        deaf_to_cancel: false,
        deaf_to_request: 0,
        floating: 0,
        lose_command_bytes: 0,
        lose_response_bytes: 0,
        extra_response: 0,
        polls: 0,
        ready_writes: 0,
        retries: 0,
        cancels: 0,
        command: Vec::new(),
        response: Vec::new(),
        at: 0,
        left_busy: 0,
        bad_moves: Vec::new(),
    }))
}

impl Fifo {
    /// What a driver did that the profile forbids.
    pub fn bad_moves(&self) -> &[&'static str] {
        &self.bad_moves
    }

    /// `_TPM_Init`: everything but the handler's memory is as at power-on.
    pub fn reset(&mut self) {
        self.state = State::Idle;
        self.active = false;
        self.command.clear();
        self.response.clear();
    }

    fn expect(&self) -> bool {
        match self.command.get(2..6) {
            Some(size) => {
                (self.command.len() as u32) < u32::from_be_bytes(size.try_into().unwrap())
            }
            None => true,
        }
    }

    fn burst(&mut self) -> u16 {
        self.burst_turn += 1;
        let announced = self.bursts[(self.burst_turn - 1) % self.bursts.len()];
        match self.state {
            State::Completion => announced.min((self.response.len() - self.at) as u16),
            State::Ready | State::Reception => announced,
            _ => 0,
        }
    }

    fn status(&mut self) -> [u8; 4] {
        self.polls += 1;
        if !self.active {
            return [0xFF; 4];
        }
        if self.state == State::Execution && !self.hangs {
            match self.left_busy.checked_sub(1) {
                Some(left) => self.left_busy = left,
                None => self.state = State::Completion,
            }
        }
        let flags = match self.state {
            State::Idle => 0x00,
            State::Ready => 0xC0,
            State::Reception if self.expect() => 0x88,
            State::Reception | State::Execution => 0x80,
            State::Completion if self.at < self.response.len() => 0x90,
            State::Completion => 0x80,
        };
        let [low, high] = self.burst().to_le_bytes();
        [flags, low, high, 0x04]
    }

    fn write_status(&mut self, value: u8) {
        match value {
            0x40 => {
                self.ready_writes += 1;
                if let Some(left) = self.deaf_to_ready.checked_sub(1) {
                    self.deaf_to_ready = left;
                    return;
                }
                self.state = match self.state {
                    State::Execution if self.hangs => State::Execution,
                    State::Completion | State::Execution if self.idle_after_command => State::Idle,
                    _ => State::Ready,
                };
                self.command.clear();
            }
            0x20 => {
                if self.state != State::Reception || self.expect() {
                    self.bad_moves.push("go without a whole command");
                } else if !self.deaf_to_go {
                    self.executed.push(self.command.clone());
                    self.response = (self.handler)(&self.command);
                    let extra = std::mem::take(&mut self.extra_response);
                    self.response.extend((0..extra).map(|_| 0xEE));
                    self.at = 0;
                    self.left_busy = self.busy_polls;
                    self.state = State::Execution;
                }
            }
            0x02 => {
                self.retries += 1;
                if self.state == State::Completion {
                    self.at = 0;
                } else {
                    self.bad_moves.push("responseRetry without a response");
                }
            }
            _ => self.bad_moves.push("unknown status write"),
        }
    }

    pub fn read_register(&mut self, offset: u16, buf: &mut [u8]) {
        buf.fill(0xFF);
        if let Some(left) = self.floating.checked_sub(1) {
            self.floating = left;
            return;
        }
        match offset {
            0x000 => buf[0] = if self.active { 0xA1 } else { 0x81 },
            0x018 => {
                let status = self.status();
                let n = buf.len().min(4);
                buf[..n].copy_from_slice(&status[..n]);
            }
            0x024 => {
                if self.state != State::Completion {
                    self.bad_moves.push("FIFO read without a response");
                }
                for byte in buf {
                    if let Some(left) = self.lose_response_bytes.checked_sub(1) {
                        self.lose_response_bytes = left;
                        self.at = (self.at + 1).min(self.response.len());
                    }
                    if let Some(next) = self.response.get(self.at) {
                        *byte = *next;
                        self.at += 1;
                    }
                }
            }
            0xF00 => buf.copy_from_slice(&self.did_vid.to_le_bytes()[..buf.len()]),
            0xF04 => buf[0] = 0x10,
            _ => {}
        }
    }

    pub fn write_register(&mut self, offset: u16, data: &[u8]) {
        match (offset, data) {
            (0x000, [0x02]) => match self.deaf_to_request.checked_sub(1) {
                Some(left) => self.deaf_to_request = left,
                None => self.active = true,
            },
            (0x000, [0x20]) => self.active = false,
            _ if !self.active => {}
            (0x018, [value]) => self.write_status(*value),
            (0x01B, [0x01]) => {
                self.cancels += 1;
                if !self.deaf_to_cancel && self.state == State::Execution {
                    self.hangs = false;
                }
            }
            (0x024, bytes) => {
                for byte in bytes {
                    match self.state {
                        State::Ready => {
                            self.command.clear();
                            self.state = State::Reception;
                        }
                        State::Reception if self.expect() => {}
                        _ => {
                            self.bad_moves.push("FIFO write when no byte is expected");
                            continue;
                        }
                    }
                    match self.lose_command_bytes.checked_sub(1) {
                        Some(left) => self.lose_command_bytes = left,
                        None => self.command.push(*byte),
                    }
                }
            }
            _ => self.bad_moves.push("write to an unexpected register"),
        }
    }
}

/// Register access to the model, counted as SPI would.
#[derive(Clone)]
pub struct RegisterBus(pub Shared, pub Rc<Cell<Traffic>>);

impl RegisterBus {
    pub fn new(fifo: &Shared) -> Self {
        Self(Rc::clone(fifo), Rc::default())
    }

    fn count(&self, len: usize) {
        let mut traffic = self.1.get();
        traffic.bytes += 4 + len as u32;
        traffic.frames += 1;
        self.1.set(traffic);
    }
}

impl TisBus for RegisterBus {
    type Error = BusError;
    const MAX_TRANSFER: usize = SPI_MAX_TRANSFER;

    fn read(&mut self, reg: Reg, buf: &mut [u8]) -> Result<(), BusError> {
        self.count(buf.len());
        self.0.borrow_mut().read_register(reg.offset(), buf);
        Ok(())
    }

    fn write(&mut self, reg: Reg, data: &[u8]) -> Result<(), BusError> {
        self.count(data.len());
        self.0.borrow_mut().write_register(reg.offset(), data);
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.1.get()
    }
}

/// The wires of an SPI slave around the model. Writes are buffered until a flush or a read, and what
/// is still buffered when chip select rises is lost, as with a DMA controller.
pub struct Slave {
    pub fifo: Shared,
    /// Wait bytes of each frame, used in turn.
    pub waits: Vec<u16>,
    pub frames: Vec<(Vec<u8>, usize)>,
    pub selected: bool,
    pub fail_transfer_at: Option<usize>,
    pub cs_low_fails: bool,
    turn: usize,
    buffered: Vec<u8>,
    mosi: Vec<u8>,
    reply: Vec<u8>,
    replied: usize,
    waiting: Option<u16>,
    header: usize,
    transfers: usize,
}

pub type SharedSlave = Rc<RefCell<Slave>>;

pub fn slave(fifo: &Shared) -> SharedSlave {
    Rc::new(RefCell::new(Slave {
        fifo: Rc::clone(fifo),
        waits: vec![0],
        frames: Vec::new(),
        selected: false,
        fail_transfer_at: None,
        cs_low_fails: false,
        turn: 0,
        buffered: Vec::new(),
        mosi: Vec::new(),
        reply: Vec::new(),
        replied: 0,
        waiting: None,
        header: 0,
        transfers: 0,
    }))
}

impl Slave {
    fn clock(&mut self, out: u8) -> u8 {
        assert!(self.selected, "clocked without chip select");
        if self.header < 4 {
            self.mosi.push(out);
            self.header += 1;
            if self.header < 4 {
                return 0;
            }
            let waits = self.waits[self.turn % self.waits.len()];
            self.turn += 1;
            self.waiting = Some(waits);
            if self.mosi[0] & 0x80 != 0 {
                let len = usize::from(self.mosi[0] & 0x3F) + 1;
                let mut reply = vec![0; len];
                let offset = u16::from_be_bytes([self.mosi[2] & 0x0F, self.mosi[3]]);
                self.fifo.borrow_mut().read_register(offset, &mut reply);
                self.reply = reply;
            }
            return u8::from(waits == 0);
        }
        match self.waiting {
            Some(left @ 1..) => {
                // A stuck bus is one whose waits never end.
                let left = if left == u16::MAX { left } else { left - 1 };
                self.waiting = Some(left);
                u8::from(left == 0)
            }
            _ if self.mosi[0] & 0x80 != 0 => {
                self.replied += 1;
                self.reply.get(self.replied - 1).copied().unwrap_or(0xFF)
            }
            _ => {
                self.mosi.push(out);
                0
            }
        }
    }

    fn drain(&mut self) {
        for byte in std::mem::take(&mut self.buffered) {
            self.clock(byte);
        }
    }

    fn deselect(&mut self) {
        self.buffered.clear();
        if !std::mem::take(&mut self.selected) {
            return;
        }
        let mosi = std::mem::take(&mut self.mosi);
        if mosi.len() > 4 && mosi[0] & 0x80 == 0 {
            assert_eq!(
                usize::from(mosi[0] & 0x3F) + 5,
                mosi.len(),
                "announced and sent"
            );
            let offset = u16::from_be_bytes([mosi[2] & 0x0F, mosi[3]]);
            self.fifo.borrow_mut().write_register(offset, &mosi[4..]);
        }
        self.frames.push((mosi, self.replied));
        (self.header, self.replied) = (0, 0);
        self.reply.clear();
        self.waiting = None;
    }

    fn transfer(&mut self) -> Result<(), spi::ErrorKind> {
        self.transfers += 1;
        if self.fail_transfer_at == Some(self.transfers - 1) {
            return Err(spi::ErrorKind::Overrun);
        }
        Ok(())
    }
}

#[derive(Clone)]
pub struct Bus(pub SharedSlave);

impl spi::ErrorType for Bus {
    type Error = spi::ErrorKind;
}

impl SpiBus for Bus {
    fn read(&mut self, words: &mut [u8]) -> Result<(), spi::ErrorKind> {
        words.fill(0);
        self.transfer_in_place(words)
    }
    fn write(&mut self, words: &[u8]) -> Result<(), spi::ErrorKind> {
        let mut slave = self.0.borrow_mut();
        slave.transfer()?;
        slave.buffered.extend_from_slice(words);
        Ok(())
    }
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), spi::ErrorKind> {
        read.fill(0);
        read[..write.len()].copy_from_slice(write);
        self.transfer_in_place(read)
    }
    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), spi::ErrorKind> {
        let mut slave = self.0.borrow_mut();
        slave.transfer()?;
        slave.drain();
        for word in words {
            *word = slave.clock(*word);
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<(), spi::ErrorKind> {
        self.0.borrow_mut().drain();
        Ok(())
    }
}

#[derive(Clone)]
pub struct ChipSelect(pub SharedSlave);

impl digital::ErrorType for ChipSelect {
    type Error = PinError;
}

#[derive(Debug)]
pub struct PinError;

impl digital::Error for PinError {
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

impl From<Infallible> for PinError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl OutputPin for ChipSelect {
    fn set_low(&mut self) -> Result<(), PinError> {
        let mut slave = self.0.borrow_mut();
        if slave.cs_low_fails {
            return Err(PinError);
        }
        assert!(!slave.selected, "selected twice");
        slave.selected = true;
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), PinError> {
        self.0.borrow_mut().deselect();
        Ok(())
    }
}
