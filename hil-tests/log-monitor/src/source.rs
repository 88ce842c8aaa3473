//! Where the bytes come from.

use std::fmt;
use std::io::{self, Read};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// Between two attempts to open a source.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a read of a serial port waits; it is then read again.
const READ: Duration = Duration::from_millis(200);

/// One of the ways in which a board's second channel arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input; ends with it.
    Stdin,
    /// A serial port.
    Port {
        /// Its device.
        path: String,
        /// Bits per second.
        baud: u32,
    },
    /// A TCP server.
    Tcp(String),
}

impl Source {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// When it is not there, or not ours to open.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin()),
            Self::Port { path, baud } => {
                let port = serialport::new(path, *baud).timeout(READ).open()?;
                Box::new(port)
            }
            Self::Tcp(address) => Box::new(TcpStream::connect(address)?),
        })
    }

    /// Whether it may be there again after its end.
    pub(crate) const fn comes_back(&self) -> bool {
        !matches!(self, Self::Stdin)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Port { path, baud } => write!(f, "{path} at {baud} baud"),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// Waits before the next attempt.
pub(crate) fn pause() {
    thread::sleep(PAUSE);
}
