//! The FIFO: bytes of one command in, bytes of its response out, and the state between.
//! `[PTP 1.05] 6.5.2.5` (state table), 6.5.2.6

use crate::fault::Phase;
use crate::message;

/// What the faults of one attempt at a command have set. Forgotten when the attempt ends.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Attempt {
    /// Expect stays 1.
    pub(crate) expect_stuck: bool,
    /// Expect fell early.
    pub(crate) expect_early: bool,
    /// dataAvail never comes.
    pub(crate) data_never: bool,
    /// dataAvail is late by this many polls.
    pub(crate) data_late: u32,
    /// dataAvail falls in the middle of the response.
    pub(crate) data_dropped: bool,
    /// One byte in the middle of the response is lost in this reading.
    pub(crate) response_gap: bool,
    /// This many readings lack their last byte.
    pub(crate) short_readings: u32,
    /// The host or a fault cancelled the command.
    pub(crate) cancelled: bool,
}

/// The FIFO of one TPM.
#[derive(Debug)]
pub(crate) struct Fifo {
    phase: Phase,
    capacity: usize,
    command: Vec<u8>,
    response: Vec<u8>,
    read: usize,
    /// Polls until the command is done.
    pub(crate) busy: u32,
    /// Polls until commandReady shows, while idle.
    pub(crate) becoming_ready: Option<u32>,
    pub(crate) attempt: Attempt,
}

impl Fifo {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            phase: Phase::Idle,
            capacity,
            command: Vec::with_capacity(capacity),
            response: Vec::new(),
            read: 0,
            busy: 0,
            becoming_ready: None,
            attempt: Attempt::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn command(&self) -> &[u8] {
        &self.command
    }

    /// The code of the command, once its header is complete.
    pub(crate) fn code(&self) -> Option<u32> {
        match self.phase {
            Phase::Idle | Phase::Ready => None,
            _ => message::code(&self.command),
        }
    }

    /// Back to the start; what was in the FIFO is gone.
    pub(crate) fn abandon(&mut self, next: Phase) {
        self.phase = next;
        self.command.clear();
        self.response.clear();
        self.read = 0;
        self.busy = 0;
        self.becoming_ready = None;
        self.attempt = Attempt::default();
    }

    /// One command byte. Ignored where no command is taken, and when the FIFO is full.
    pub(crate) fn push(&mut self, byte: u8) {
        if self.phase == Phase::Ready {
            self.phase = Phase::Reception;
        }
        if self.phase == Phase::Reception && !self.is_complete() && !self.attempt.expect_early {
            self.command.push(byte);
        }
    }

    /// Whether the last announced byte has arrived (or no more fits).
    pub(crate) fn is_complete(&self) -> bool {
        let announced = message::announced_size(&self.command)
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(usize::MAX)
            .max(10);
        self.command.len() >= announced.min(self.capacity)
    }

    /// STS.Expect.
    pub(crate) fn expects(&self) -> bool {
        self.phase == Phase::Reception
            && !self.attempt.expect_early
            && (self.attempt.expect_stuck || !self.is_complete())
    }

    /// Whether tpmGo would start the command.
    pub(crate) fn can_go(&self) -> bool {
        self.phase == Phase::Reception && (self.is_complete() || self.attempt.expect_early)
    }

    pub(crate) fn start(&mut self, busy: u32) {
        self.phase = Phase::Execution;
        self.busy = busy;
    }

    pub(crate) fn finish(&mut self, response: Vec<u8>) {
        self.phase = Phase::Completion;
        self.response = response;
        self.read = 0;
    }

    pub(crate) fn response_len(&self) -> usize {
        self.response.len()
    }

    /// Bytes of the response that this reading will still give.
    pub(crate) fn available(&self) -> usize {
        if self.phase != Phase::Completion || self.attempt.data_late > 0 {
            return 0;
        }
        let mut end = self.response.len();
        if self.attempt.short_readings > 0 {
            end = end.saturating_sub(1);
        }
        if self.attempt.data_dropped {
            end = end.checked_div(2).unwrap_or(0);
        }
        end.saturating_sub(self.read)
    }

    /// One response byte, `None` when there is none.
    pub(crate) fn pop(&mut self) -> Option<u8> {
        if self.available() == 0 {
            return None;
        }
        if self.attempt.response_gap && self.read >= self.gap() {
            self.attempt.response_gap = false;
            self.read = self.read.saturating_add(1);
            if self.available() == 0 {
                return None;
            }
        }
        let byte = self.response.get(self.read).copied();
        self.read = self.read.saturating_add(1);
        byte
    }

    /// The byte that a gap swallows: the last but one, so that the header stays whole.
    fn gap(&self) -> usize {
        self.response.len().saturating_sub(2)
    }

    /// responseRetry: the response from its first byte again.
    pub(crate) fn rewind(&mut self) {
        if self.phase == Phase::Completion {
            self.read = 0;
            self.attempt.response_gap = false;
            self.attempt.short_readings = self.attempt.short_readings.saturating_sub(1);
        }
    }
}
