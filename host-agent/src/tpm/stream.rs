//! A TPM behind a file descriptor: raw commands in, raw responses out.
//!
//! Linux' resource manager (`/dev/tpmrm0`) and swtpm's data socket speak the same way. The kernel keeps the time
//! limits of a device itself and hands a response over in one piece; a socket's are kept here.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use assay_firmware::tpm::{DurationClass, TpmTransport, TransportError};

use super::SLACK;

/// Length of a response header; its last six bytes are the response's size and code.
const HEADER: usize = 10;

/// Why no response was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The descriptor was closed, or fails.
    #[error("the connection to the TPM is closed")]
    Closed,
    /// No answer within the command's limit.
    #[error("the TPM did not answer in time")]
    Timeout,
}

impl From<StreamError> for TransportError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed => Self::Closed,
            StreamError::Timeout => Self::Timeout,
        }
    }
}

#[derive(Debug)]
enum Stream {
    Device(File),
    Socket(UnixStream),
}

/// A TPM behind a descriptor. After an error it is closed for good: what is left of an answer would be taken for
/// the next one.
#[derive(Debug)]
pub struct StreamTpm(Option<Stream>);

impl StreamTpm {
    /// Opens a TPM device, e.g. `/dev/tpmrm0`. The user needs read and write access (group `tss` on most systems).
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn device(path: &Path) -> std::io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Self(Some(Stream::Device(file))))
    }

    /// Connects to the data socket of a software TPM.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn socket(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Some(Stream::Socket(UnixStream::connect(path)?))))
    }
}

impl Stream {
    fn exchange(
        &mut self,
        command: &[u8],
        response: &mut [u8],
        class: DurationClass,
    ) -> std::io::Result<usize> {
        match self {
            Self::Device(file) => {
                file.write_all(command)?;
                read_response(file, response)
            }
            Self::Socket(socket) => {
                let limit = Duration::from_micros(class.limit_us().into()) + SLACK;
                socket.set_read_timeout(Some(limit))?;
                socket.set_write_timeout(Some(limit))?;
                socket.write_all(command)?;
                read_response(socket, response)
            }
        }
    }
}

/// Reads until the announced size is there. A device gives all in one read, a socket in pieces.
fn read_response(from: &mut impl Read, response: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    loop {
        let read = from.read(response.get_mut(got..).unwrap_or_default())?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        got += read;
        let size = response
            .get(2..6)
            .and_then(|size| size.try_into().ok())
            .map_or(0, u32::from_be_bytes);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if got >= HEADER && size > response.len() {
            return Err(ErrorKind::InvalidData.into());
        }
        // More than announced is the command layer's to refuse: nothing here is dropped in silence.
        if got >= HEADER && got >= size {
            return Ok(got);
        }
    }
}

impl TpmTransport for StreamTpm {
    type Error = StreamError;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        class: DurationClass,
    ) -> Result<&'r [u8], StreamError> {
        let mut stream = self.0.take().ok_or(StreamError::Closed)?;
        match stream.exchange(command, response, class) {
            Ok(len) => {
                self.0 = Some(stream);
                Ok(response.get(..len).unwrap_or_default())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(StreamError::Timeout)
            }
            Err(_) => Err(StreamError::Closed),
        }
    }

    fn pause_ms(&mut self, ms: u32) {
        std::thread::sleep(Duration::from_millis(ms.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::read_response;

    fn read(pieces: &[&[u8]], room: usize) -> std::io::Result<usize> {
        struct Pieces<'a>(std::slice::Iter<'a, &'a [u8]>);
        impl std::io::Read for Pieces<'_> {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                let piece = self.0.next().copied().unwrap_or_default();
                out.iter_mut()
                    .zip(piece)
                    .for_each(|(slot, byte)| *slot = *byte);
                Ok(piece.len().min(out.len()))
            }
        }
        read_response(&mut Pieces(pieces.iter()), &mut vec![0; room])
    }

    const OK: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0, 0, 7, 7];

    #[test]
    fn a_response_is_read_whole_in_whatever_pieces_it_comes() {
        assert_eq!(read(&[&OK], 64).ok(), Some(12));
        let single: Vec<&[u8]> = OK.chunks(1).collect();
        assert_eq!(read(&single, 64).ok(), Some(12));
    }

    #[test]
    fn a_response_that_ends_early_or_does_not_fit_is_an_error() {
        let (short, _) = OK.split_at(11);
        assert!(read(&[short], 64).is_err());
        assert!(read(&[&OK], 11).is_err());
        assert!(read(&[&[0x80, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]], 64).is_err());
    }
}
