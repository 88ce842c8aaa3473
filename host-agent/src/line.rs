//! A link to a verifier over a socket: `embedded_io` on the outside, a non-blocking stream inside.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, ReadReady, Write};

/// How long a write may wait for the other end to read.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long connecting over TCP may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Bytes taken from the socket at a time.
const CHUNK: usize = 4096;

/// Why a line failed.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The other end has closed it.
    #[error("the verifier closed the line")]
    Closed,
    /// The other end does not read.
    #[error("the verifier did not read for {WRITE_LIMIT:?}")]
    Stalled,
    /// The operating system reports an error.
    #[error("line: {0}")]
    Io(#[from] std::io::Error),
}

impl embedded_io::Error for LineError {
    fn kind(&self) -> embedded_io::ErrorKind {
        match self {
            Self::Closed => embedded_io::ErrorKind::BrokenPipe,
            Self::Stalled => embedded_io::ErrorKind::TimedOut,
            Self::Io(_) => embedded_io::ErrorKind::Other,
        }
    }
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(out),
            Self::Tcp(stream) => stream.read(out),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }
}

/// A line over a socket. Bytes that have arrived wait in a buffer of 4 KiB; more stays with the operating system.
#[derive(Debug)]
pub struct SocketLine {
    stream: Stream,
    buffer: [u8; CHUNK],
    next: usize,
    end: usize,
}

impl SocketLine {
    /// Connects to a Unix socket.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn unix(path: &Path) -> Result<Self, LineError> {
        let stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        Ok(Self::new(Stream::Unix(stream)))
    }

    /// Connects to a TCP port. The link protocol has no secrecy of its own towards bystanders: the port belongs on
    /// the loopback interface or inside a tunnel.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn tcp(address: SocketAddr) -> Result<Self, LineError> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self::new(Stream::Tcp(stream)))
    }

    const fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: [0; CHUNK],
            next: 0,
            end: 0,
        }
    }

    /// Takes what has arrived; whether there is anything.
    fn fill(&mut self) -> Result<bool, LineError> {
        if self.next < self.end {
            return Ok(true);
        }
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(LineError::Closed),
            Ok(read) => {
                (self.next, self.end) = (0, read);
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl ErrorType for SocketLine {
    type Error = LineError;
}

impl ReadReady for SocketLine {
    fn read_ready(&mut self) -> Result<bool, LineError> {
        self.fill()
    }
}

impl Read for SocketLine {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, LineError> {
        while !self.fill()? {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let ready = self.buffer.get(self.next..self.end).unwrap_or_default();
        let mut read = 0;
        for (slot, byte) in out.iter_mut().zip(ready) {
            *slot = *byte;
            read += 1;
        }
        self.next += read;
        Ok(read)
    }
}

impl Write for SocketLine {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LineError> {
        let started = Instant::now();
        loop {
            match self.stream.write(bytes) {
                Ok(0) if !bytes.is_empty() => return Err(LineError::Closed),
                Ok(written) => return Ok(written),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                {
                    if started.elapsed() > WRITE_LIMIT {
                        return Err(LineError::Stalled);
                    }
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> Result<(), LineError> {
        Ok(())
    }
}
