//! Sockets, for emulated boards: QEMU's character devices speak both kinds, as client or as server.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::{Link, LinkSource};

/// A Unix socket that agents connect to.
#[derive(Debug)]
pub struct UnixAccept {
    listener: UnixListener,
    path: PathBuf,
}

impl UnixAccept {
    /// Binds. A socket file that nobody listens on is left from a crash, and replaced.
    ///
    /// # Errors
    ///
    /// The system's; `AddrInUse` when somebody does listen.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        if is_socket(path) && UnixStream::connect(path).await.is_err() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

impl Drop for UnixAccept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[async_trait::async_trait]
impl LinkSource for UnixAccept {
    fn name(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    fn exclusive(&self) -> bool {
        false
    }

    async fn open(&self) -> io::Result<Box<dyn Link>> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Box::new(stream))
    }
}

/// A Unix socket that an emulator listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixDial {
    /// The socket.
    pub path: PathBuf,
}

#[async_trait::async_trait]
impl LinkSource for UnixDial {
    fn name(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    fn exclusive(&self) -> bool {
        true
    }

    async fn open(&self) -> io::Result<Box<dyn Link>> {
        Ok(Box::new(UnixStream::connect(&self.path).await?))
    }
}

/// A TCP port that agents connect to. Loopback only: the stream is not encrypted.
#[derive(Debug)]
pub struct TcpAccept {
    listener: TcpListener,
    address: SocketAddr,
}

impl TcpAccept {
    /// Binds; port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// The system's; `InvalidInput` for an address beyond this machine.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        require_loopback(address)?;
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

#[async_trait::async_trait]
impl LinkSource for TcpAccept {
    fn name(&self) -> String {
        format!("tcp:{}", self.address)
    }

    fn exclusive(&self) -> bool {
        false
    }

    async fn open(&self) -> io::Result<Box<dyn Link>> {
        let (stream, _) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// A TCP port that an emulator listens on. Loopback only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpDial {
    /// The port.
    pub address: SocketAddr,
}

#[async_trait::async_trait]
impl LinkSource for TcpDial {
    fn name(&self) -> String {
        format!("tcp:{}", self.address)
    }

    fn exclusive(&self) -> bool {
        true
    }

    async fn open(&self) -> io::Result<Box<dyn Link>> {
        require_loopback(self.address)?;
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

fn require_loopback(address: SocketAddr) -> io::Result<()> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let message = format!("{address} is not a loopback address");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
