//! Both directions of the link as a person sees them: text with line ends, and Ctrl-C at any time.

use core::fmt;

use embedded_io::{Read, ReadReady, Write};
use heapless::Deque;

use crate::link::write_all;

/// Bytes that may be typed while a command runs; what is beyond is lost, Ctrl-C is not.
const AHEAD: usize = 128;
/// Looks at the port in one search for Ctrl-C: somebody may never stop sending.
const LOOKS: usize = 4_096;
const CTRL_C: u8 = 0x03;

/// The link with a person at its other end.
pub(super) struct Terminal<S> {
    serial: S,
    ahead: Deque<u8, AHEAD>,
}

impl<S: Read + ReadReady + Write> Terminal<S> {
    pub(super) const fn new(serial: S) -> Self {
        Self {
            serial,
            ahead: Deque::new(),
        }
    }

    /// The next byte, if there is one. Never waits.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.ahead.pop_front().or_else(|| self.arrived())
    }

    /// Whether Ctrl-C was typed; all that was typed before it is forgotten then.
    pub(super) fn stopped(&mut self) -> bool {
        for _ in 0..LOOKS {
            match self.arrived() {
                None => break,
                Some(CTRL_C) => {
                    self.ahead.clear();
                    self.write_raw(b"^C\r\n");
                    return true;
                }
                Some(byte) => {
                    let _ = self.ahead.push_back(byte);
                }
            }
        }
        false
    }

    /// Sends bytes as they are.
    pub(super) fn write_raw(&mut self, bytes: &[u8]) {
        // A line that fails has nobody at its end, and the commands are as good without.
        let _ = write_all(&mut self.serial, bytes);
        let _ = self.serial.flush();
    }

    fn arrived(&mut self) -> Option<u8> {
        if !self.serial.read_ready().unwrap_or(false) {
            return None;
        }
        let mut byte = [0];
        let read = self.serial.read(&mut byte).unwrap_or(0);
        let [byte] = byte;
        (read == 1).then_some(byte)
    }
}

impl<S: Read + ReadReady + Write> fmt::Write for Terminal<S> {
    /// A terminal wants both bytes of a line's end.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (nth, part) in text.as_bytes().split(|byte| *byte == b'\n').enumerate() {
            if nth > 0 {
                self.write_raw(b"\r\n");
            }
            if !part.is_empty() {
                self.write_raw(part);
            }
        }
        Ok(())
    }
}
