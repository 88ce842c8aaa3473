//! An interposer on a unix socket: in front of the software TPM of an emulated board, which takes it for that TPM.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use super::Interposer;
use crate::backend::{HEADER_LEN, MAX_MESSAGE, TpmBackend};
use crate::message;

/// A socket that raw TPM commands arrive on. One client at a time, as with swtpm; the thread behind it ends with the
/// process.
#[derive(Debug)]
pub struct InterposedSocket {
    path: PathBuf,
}

impl InterposedSocket {
    /// Listens at `path` and lets `interposer` answer.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made.
    pub fn listen(path: &Path, mut interposer: Interposer) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        thread::spawn(move || {
            for client in listener.incoming() {
                // A client that goes away is followed by the next.
                let _ = client.and_then(|client| serve(client, &mut interposer));
            }
        });
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn serve(mut client: UnixStream, interposer: &mut Interposer) -> io::Result<()> {
    loop {
        let mut command = vec![0; HEADER_LEN];
        client.read_exact(&mut command)?;
        let size = message::announced_size(&command).and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| (HEADER_LEN..=MAX_MESSAGE).contains(size));
        command.resize(size.ok_or(io::ErrorKind::InvalidData)?, 0);
        client.read_exact(command.get_mut(HEADER_LEN..).unwrap_or_default())?;
        let answer = interposer.execute(&command, 0).map_err(io::Error::other)?;
        client.write_all(&answer)?;
    }
}
