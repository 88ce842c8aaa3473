//! A FIFO at register level. Small on purpose: what it does is what the state table of the PC Client
//! profile says, and every deviation is a field.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use assay_firmware::bus::{BusError, Reg, SPI_MAX_TRANSFER, TisBus, Traffic};
use embedded_hal::delay::DelayNs;

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
    /// Those of responses, where they are others.
    pub response_bursts: Vec<u16>,
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
        response_bursts: Vec::new(),
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
        let bursts = match self.state {
            State::Completion if !self.response_bursts.is_empty() => &self.response_bursts,
            _ => &self.bursts,
        };
        let announced = bursts[(self.burst_turn - 1) % bursts.len()];
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
