//! Listeners: who is let in, how many of them, and how they leave.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection;
use super::peer::{ClientCertificate, Peer, PeerKey};
use super::rate::Rate;
use super::tls::Tls;
use crate::config::ApiLimits;
use crate::telemetry::metrics::Limit;
use crate::telemetry::{Metrics, names};

/// How long nothing is accepted when the system has no more file descriptors or memory for it.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound port.
#[derive(Debug)]
pub struct HttpListener {
    name: &'static str,
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    limits: ApiLimits,
}

impl HttpListener {
    /// Binds a port; `name` is what the log calls it. Without `tls` it speaks HTTP/1.1 in the clear.
    ///
    /// # Errors
    ///
    /// The system's.
    pub async fn bind(
        name: &'static str,
        address: SocketAddr,
        tls: Option<Arc<Tls>>,
        limits: &ApiLimits,
    ) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        Ok(Self {
            name,
            address: tcp.local_addr()?,
            tcp,
            tls,
            limits: limits.clone(),
        })
    }

    /// Where it listens: with the port that the system chose, if it was to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its TLS.
    #[must_use]
    pub const fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Serves connections until `stop` becomes true: then the port is closed, every connection is told to end (HTTP/2:
    /// GOAWAY), and requests in flight have the drain timeout to be answered.
    pub async fn serve(self, router: Router, metrics: Metrics, mut stop: watch::Receiver<bool>) {
        let Self {
            name,
            tcp,
            tls,
            limits,
            address,
        } = self;
        tracing::info!(listener = name, %address, "{}", names::LISTENING);
        let limits = Arc::new(limits);
        let all = Arc::new(Semaphore::new(limits.connections));
        let peers = Peers::default();
        let rate = Rate::per_second(limits.requests_per_second);
        let refused = Refused::new(name, metrics);
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = tcp.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            while tasks.try_join_next().is_some() {}
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    refused.count(&error);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let key = PeerKey::from(address.ip());
            // Beyond a limit a connection is closed at once: nothing is spent on it.
            let Ok(permit) = all.clone().try_acquire_owned() else {
                refused.count(&"connections in all");
                continue;
            };
            let Some(place) = peers.enter(key, limits.connections_per_peer) else {
                refused.count(&"connections of one peer");
                continue;
            };
            if rate.take(key).is_err() {
                refused.count(&"connections of one peer per second");
                continue;
            }
            let connection = Accepted {
                address,
                tls: tls.clone(),
                router: router.clone(),
                limits: limits.clone(),
                stop: stop.clone(),
                _permit: permit,
                _place: place,
            };
            tasks.spawn(connection.serve(stream));
        }
        drop(tcp);
        // Each connection ends by itself within the drain timeout.
        while tasks.join_next().await.is_some() {}
    }
}

/// A connection that was let in, with the places that it takes.
struct Accepted {
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Arc<ApiLimits>,
    stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

impl Accepted {
    async fn serve(mut self, stream: TcpStream) {
        // Answers are small and written whole: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        let mut peer = Peer {
            address: self.address,
            certificate: None,
        };
        let Some(tls) = self.tls.take() else {
            let Self { router, stop, .. } = self;
            return connection::serve(stream, false, peer, router, &self.limits, stop).await;
        };
        let (config, authorities) = tls.connection();
        let handshake = timeout(
            self.limits.handshake_timeout,
            TlsAcceptor::from(config).accept(stream),
        );
        let stream = tokio::select! {
            done = handshake => match done {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    let peer = self.address;
                    tracing::debug!(%peer, %error, "{}", names::TLS_REFUSED);
                    return;
                }
                Err(_) => return,
            },
            _ = self.stop.wait_for(|stop| *stop) => return,
        };
        let session = stream.get_ref().1;
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        peer.certificate = leaf
            .zip(authorities)
            .and_then(|(leaf, authorities)| ClientCertificate::new(leaf, authorities))
            .map(Arc::new);
        let http2 = session.alpn_protocol() == Some(b"h2");
        let Self { router, stop, .. } = self;
        connection::serve(stream, http2, peer, router, &self.limits, stop).await;
    }
}

/// How many connections, or requests, each peer has. As many entries as there are of these, at most.
#[derive(Debug, Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<PeerKey, usize>>>);

impl Peers {
    /// One more of this peer, unless it has `most`.
    pub(super) fn enter(&self, key: PeerKey, most: usize) -> Option<Place> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(key).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            peers: self.clone(),
            key,
        })
    }
}

/// A connection, or a request, of a peer.
#[derive(Debug)]
pub(super) struct Place {
    peers: Peers,
    key: PeerKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut peers = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.key);
            }
        }
    }
}

/// Connections that were not let in. Their number is told when it doubles, so that a flood does not fill the log.
struct Refused {
    listener: &'static str,
    metrics: Metrics,
    count: AtomicU64,
}

impl Refused {
    const fn new(listener: &'static str, metrics: Metrics) -> Self {
        Self {
            listener,
            metrics,
            count: AtomicU64::new(0),
        }
    }

    fn count(&self, why: &dyn core::fmt::Display) {
        self.metrics.rate_limited(Limit::Connections);
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            let listener = self.listener;
            tracing::warn!(listener, count, %why, "{}", names::CONNECTIONS_REFUSED);
        }
    }
}
