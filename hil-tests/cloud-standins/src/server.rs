//! A web server with one answer per connection, that can be told to misbehave.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The longest request, bytes.
const MAX_REQUEST: usize = 64 * 1024;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request, whole.
#[derive(Debug, Clone)]
pub struct Request {
    /// The verb.
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value, when it is there once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(one, _)| one == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value.as_str())
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query's fields, decoded.
    #[must_use]
    pub fn query(&self) -> Vec<(String, String)> {
        form(self.target.split_once('?').map_or("", |(_, query)| query))
    }
}

/// The fields of a form, decoded.
#[must_use]
pub fn form(text: &str) -> Vec<(String, String)> {
    let fields = text.split('&').filter(|field| !field.is_empty());
    let fields = fields.map(|field| field.split_once('=').unwrap_or((field, "")));
    fields
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let mut value = [0];
                match hex::decode_to_slice(&digits, &mut value) {
                    Ok(()) => value[0],
                    Err(_) => b'?',
                }
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What a request gets.
#[derive(Debug, Clone)]
pub enum Reply {
    /// An answer.
    Answer {
        /// The status.
        status: u16,
        /// Headers, beside the length.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Nothing, and the connection stays open.
    Silence,
    /// These bytes, and the connection is closed.
    Raw(Vec<u8>),
}

impl Reply {
    /// An answer.
    #[must_use]
    pub fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// An answer in JSON.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::of(status, body.to_string()).with("content-type", "application/json")
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    tls: Option<Arc<ServerConfig>>,
    /// Replies that come before the handler's.
    next: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Request>>,
    /// Connections that are kept open without an answer.
    silent: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A certificate for this machine, by an authority of its own; all in PEM.
#[derive(Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The authority's certificate.
    pub authority: String,
}

impl Certified {
    /// A new one, for `127.0.0.1` and `localhost`.
    ///
    /// # Errors
    ///
    /// The library makes none.
    pub fn new() -> Result<Self> {
        let names = || vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = rcgen::CertificateParams::new(Vec::new())?;
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(names())?.signed_by(&key, &authority)?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: authority.pem(),
        })
    }
}

/// A server on a port of this machine; ends with its owner.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl core::fmt::Debug for Server {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

impl Server {
    /// A server over plain HTTP.
    ///
    /// # Errors
    ///
    /// No port is to be had.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::run(Box::new(handler), None)
    }

    /// A server over TLS.
    ///
    /// # Errors
    ///
    /// No port is to be had, or the certificate is none.
    pub fn start_tls(
        certified: &Certified,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(certified.certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(certified.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Self::run(Box::new(handler), Some(Arc::new(config)))
    }

    fn run(handler: Box<Handler>, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port to listen on")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            handler,
            tls,
            next: Mutex::default(),
            seen: Mutex::default(),
            silent: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.over.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), shared) = (stream, serving.clone()) else {
                    continue;
                };
                // Whoever breaks off has no answer.
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:…`, or with `https`.
    #[must_use]
    pub fn url(&self) -> String {
        match self.shared.tls {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://{}", self.address),
        }
    }

    /// The next requests get these, one each; then all is as before.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        locked(&self.shared.next).extend(replies);
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        locked(&self.shared.seen).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        locked(&self.shared.silent).clear();
        // Wakes up whoever waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        let kept = stream.try_clone().ok()?;
        match &self.tls {
            None => self.answer(stream, kept),
            Some(tls) => {
                let connection = ServerConnection::new(tls.clone()).ok()?;
                self.answer(StreamOwned::new(connection, stream), kept)
            }
        }
        .ok()
    }

    fn answer(&self, mut stream: impl Read + Write, kept: TcpStream) -> io::Result<()> {
        let Some(request) = read(&mut stream)? else {
            return Ok(());
        };
        locked(&self.seen).push(request.clone());
        let first = locked(&self.next).pop_front();
        match first.unwrap_or_else(|| (self.handler)(&request)) {
            Reply::Silence => {
                locked(&self.silent).push(kept);
                Ok(())
            }
            Reply::Raw(bytes) => {
                stream.write_all(&bytes)?;
                stream.flush()
            }
            Reply::Answer {
                status,
                headers,
                body,
            } => {
                let mut head = format!(
                    "HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n",
                    body.len()
                );
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                stream.write_all(format!("{head}\r\n").as_bytes())?;
                stream.write_all(&body)?;
                stream.flush()
            }
        }
    }
}

fn read(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(request) = parse(&bytes) {
            return Ok(Some(request));
        }
        let count = stream.read(&mut piece)?;
        let Some(piece) = piece.get(..count).filter(|piece| !piece.is_empty()) else {
            return Ok(None);
        };
        bytes.extend_from_slice(piece);
        if bytes.len() > MAX_REQUEST {
            return Ok(None);
        }
    }
}

/// A request, once all of it is there.
fn parse(bytes: &[u8]) -> Option<Request> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = bytes.split_at_checked(end)?;
    let body = rest.get(4..)?;
    let head = core::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
    Some(Request {
        method: method.to_owned(),
        target: target.to_owned(),
        body: body.get(..length)?.to_vec(),
        headers,
    })
}
