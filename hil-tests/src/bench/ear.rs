//! Listens on a real port while no verifier has it open.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use serialport::TTYPort;

use super::Serial;
use crate::scenario::live::Tap;

/// How soon a listener notices that it is to end.
const TICK: Duration = Duration::from_millis(100);

/// Feeds what a board says to a tap. Dropping it gives the port back.
pub(super) struct Ear {
    stop: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Ear {
    /// Opens the port.
    pub(super) fn open(serial: &Serial, tap: Tap) -> Result<Self> {
        let port = serialport::new(&serial.port, serial.baud).timeout(TICK);
        let port = port.open_native().with_context(|| serial.port.clone())?;
        Ok(Self::on(port, tap))
    }

    fn on(mut port: TTYPort, tap: Tap) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let listening = thread::spawn(move || {
            let mut buffer = [0; 1024];
            while !stopped.load(Ordering::Relaxed) {
                match port.read(&mut buffer) {
                    Ok(read) => tap.hear(true, buffer.get(..read).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    // The port is gone; whoever waits for the tap runs into its limit and says what was heard.
                    Err(_) => return,
                }
            }
        });
        Self {
            stop,
            listening: Some(listening),
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use std::io::Write;
    use std::time::Instant;

    use serialport::SerialPort;

    use super::*;

    #[test]
    fn what_a_board_says_to_nobody_is_heard_and_too_few_hellos_are_an_error() {
        let (mut board, mut host) = TTYPort::pair().unwrap();
        host.set_timeout(TICK).unwrap();
        let tap = Tap::new(Instant::now());
        let ear = Ear::on(host, tap.clone());
        board.write_all(b"\x00no frame at all\x00").unwrap();
        let end = tap.wait_for_hellos(1, Duration::from_millis(300));
        let said = end.unwrap_err().to_string();
        assert!(said.starts_with("fewer than 1 hellos"), "{said}");
        assert!(said.ends_with("(1 damaged)"), "{said}");
        drop(ear);
    }
}
