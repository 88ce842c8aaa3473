//! A client that costs little: HTTP/1.1 with keep-alive over TLS 1.3, one request after the other.
//!
//! The load generator shares its processors with the service, so what it spends is missing there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A peer that is silent for so long has died.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest answer that is read; a grant with its SVID has 2 KiB, a page of sessions some 100.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Where connections go, and whom they trust.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Target {
    /// The service at `address`, whose certificate `roots` (PEM) vouch for.
    ///
    /// # Errors
    ///
    /// When the file holds no certificate.
    pub fn new(address: SocketAddr, roots: &Path) -> Result<Self> {
        let mut store = RootCertStore::empty();
        store.add(CertificateDer::from_pem_file(roots).context("the service's CA")?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            address,
            tls: Arc::new(tls),
        })
    }

    /// Connects. The handshake goes with the first request.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).context("the service")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let name = ServerName::try_from("localhost")?;
        let tls = ClientConnection::new(self.tls.clone(), name)?;
        Ok(Connection {
            stream: BufReader::with_capacity(16 * 1024, StreamOwned::new(tls, stream)),
        })
    }
}

/// One connection.
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Connection {
    /// Sends a request and returns status and body.
    ///
    /// # Errors
    ///
    /// When the connection ends or the answer cannot be read.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>)> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend(body);
        let stream = self.stream.get_mut();
        stream.write_all(&request)?;
        stream.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("no answer but {line:?}"))?;
        let mut len = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                len = value.trim().parse().context("content-length")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("an answer in chunks");
            }
        }
        if len > MAX_BODY {
            bail!("an answer of {len} bytes");
        }
        let mut body = vec![0; len];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}
