//! A server on loopback that says what it is told to say, byte for byte, over TLS or in the clear.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What is written after a request was read, one piece after the other.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// These bytes.
    Say(Vec<u8>),
    /// These bytes again and again, until nobody reads them.
    Flood(Vec<u8>),
    /// Nothing, and the connection stays open.
    Hang,
}

pub(crate) fn say(text: &str) -> Vec<Piece> {
    vec![Piece::Say(text.as_bytes().to_vec())]
}

/// An answer as it should be.
pub(crate) fn answer(content_type: &str, body: &str) -> Vec<Piece> {
    say(&format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// Chooses the answer by the request's head and body.
pub(crate) type Script = Arc<dyn Fn(&str) -> Vec<Piece> + Send + Sync>;

pub(crate) struct Upstream {
    pub(crate) port: u16,
    /// The authority of its certificate, PEM.
    pub(crate) authority: Arc<str>,
    /// All requests that it has read whole.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    /// All connections that it has taken.
    pub(crate) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An authority, and the settings of a server with a certificate of it for these names.
pub(crate) fn certificate(names: &[&str], ended: bool) -> (Arc<str>, Arc<rustls::ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    if ended {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    (authority.pem().into(), Arc::new(config))
}

impl Upstream {
    /// Over TLS, as `up.assay.test`.
    pub(crate) async fn tls(script: Script) -> Self {
        Self::with(&["up.assay.test"], false, script).await
    }

    /// Over TLS, with a certificate for these names.
    pub(crate) async fn with(names: &[&str], ended: bool, script: Script) -> Self {
        let (authority, config) = certificate(names, ended);
        let acceptor = TlsAcceptor::from(config);
        let wrap: Wrap = Box::new(move |stream| {
            let acceptor = acceptor.clone();
            Box::pin(async move {
                let stream = acceptor.accept(stream).await.ok()?;
                Some(Box::new(stream) as Box<dyn Stream>)
            })
        });
        Self::serve(authority, wrap, script).await
    }

    /// In the clear.
    pub(crate) async fn plain(script: Script) -> Self {
        let wrap: Wrap =
            Box::new(|stream| Box::pin(async move { Some(Box::new(stream) as Box<dyn Stream>) }));
        Self::serve("".into(), wrap, script).await
    }

    async fn serve(authority: Arc<str>, wrap: Wrap, script: Script) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, taken) = (requests.clone(), connections.clone());
        let task = tokio::spawn(async move {
            let wrap = Arc::new(wrap);
            while let Ok((stream, _)) = listener.accept().await {
                taken.fetch_add(1, Ordering::SeqCst);
                let (wrap, seen, script) = (wrap.clone(), seen.clone(), script.clone());
                tokio::spawn(async move {
                    let Some(mut stream) = wrap(stream).await else {
                        return;
                    };
                    let Some(request) = read(&mut stream).await else {
                        return;
                    };
                    seen.lock().unwrap().push(request.clone());
                    write(&mut stream, script(&request)).await;
                });
            }
        });
        Self {
            port,
            authority,
            requests,
            connections,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://up.assay.test:{}{path}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type Wrapped = Pin<Box<dyn Future<Output = Option<Box<dyn Stream>>> + Send>>;
type Wrap = Box<dyn Fn(tokio::net::TcpStream) -> Wrapped + Send + Sync>;

/// A request, whole: its head, and as much body as it says.
async fn read(stream: &mut Box<dyn Stream>) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |n| n.parse::<usize>().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
    }
}

async fn write(stream: &mut Box<dyn Stream>, pieces: Vec<Piece>) {
    for piece in pieces {
        match piece {
            Piece::Say(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
                let _ = stream.flush().await;
            }
            Piece::Flood(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Piece::Hang => std::future::pending().await,
        }
    }
    let _ = stream.shutdown().await;
}
