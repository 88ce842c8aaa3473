//! The socket: connections, how many there may be, and which call is which.

use core::convert::Infallible;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::admission::admit;
use super::calls::Stream;
use super::grpc::{self, Answers};
use super::peer::Peer;
use super::status::{Code, Status};
use super::tokens::Tokens;
use crate::client::Verifiers;
use crate::config::{Mode, WorkloadApi, WorkloadEntry};
use crate::names;
use crate::session::Shared;
use crate::svid::bundle::Bundle;

/// Most connections at once, and most of one user: nobody can close the socket to the others.
const CONNECTIONS: usize = 512;
const PER_USER: usize = 64;
/// Most calls at once over one connection.
const CALLS: u32 = 32;
const MAX_HEADERS: u32 = 8 * 1024;
/// Whether a workload is there still is asked so often.
const ALIVE: Duration = Duration::from_secs(60);

const SERVICE: &str = "/SpiffeWorkloadAPI/";

/// What calls are answered from.
pub(crate) struct Api {
    pub(super) entries: Vec<WorkloadEntry>,
    pub(super) trust_domain: String,
    pub(super) sessions: watch::Receiver<Shared>,
    pub(super) bundles: watch::Receiver<Option<Arc<Bundle>>>,
    pub(super) tokens: Tokens,
    users: Mutex<HashMap<u32, usize>>,
}

impl Api {
    pub(crate) fn new(
        config: &WorkloadApi,
        trust_domain: &str,
        sessions: watch::Receiver<Shared>,
        bundles: watch::Receiver<Option<Arc<Bundle>>>,
        verifiers: Verifiers,
        lost: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            entries: config.workloads.clone(),
            trust_domain: trust_domain.to_owned(),
            sessions,
            bundles,
            tokens: Tokens::new(verifiers, lost),
            users: Mutex::default(),
        }
    }
}

/// Opens the socket. It is bound beside its place and moved there with its mode, so that nobody connects to one with
/// another; a socket that nobody listens on any more is replaced.
pub(crate) fn open(path: &Path, mode: Mode) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent().filter(|directory| !directory.is_dir()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(directory)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        _ => {}
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    let made = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode.0))
        .and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = made {
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
    Ok(listener)
}

/// Answers for ever.
pub(crate) async fn serve(listener: UnixListener, api: Arc<Api>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connected(stream, api.clone()));
            }
            // Out of descriptors, most likely.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A place of a user's, given back when it is dropped.
struct Place {
    api: Arc<Api>,
    uid: u32,
}

impl Place {
    fn take(api: &Arc<Api>, uid: u32) -> Option<Self> {
        let mut users = api.users.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = users.values().sum();
        let own = users.entry(uid).or_default();
        if all >= CONNECTIONS || *own >= PER_USER {
            return None;
        }
        *own = own.saturating_add(1);
        Some(Self {
            api: api.clone(),
            uid,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self
            .api
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = users.get_mut(&self.uid) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

async fn connected(stream: UnixStream, api: Arc<Api>) {
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    let (uid, gid) = (credentials.uid(), credentials.gid());
    let Some(_place) = Place::take(&api, uid) else {
        tracing::warn!(
            uid,
            reason = "too many connections",
            "{}",
            names::WORKLOAD_REFUSED
        );
        return;
    };
    let peer = match Peer::of(&stream, uid, gid, credentials.pid()) {
        Ok(peer) => Arc::new(peer),
        Err(error) => {
            tracing::warn!(uid, reason = %error, "{}", names::WORKLOAD_REFUSED);
            return;
        }
    };
    let service = service_fn(move |request| {
        let (api, peer) = (api.clone(), peer.clone());
        async move { Ok::<_, Infallible>(call(api, peer, request).await) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS)
        .max_header_list_size(MAX_HEADERS)
        .keep_alive_interval(ALIVE)
        .serve_connection(TokioIo::new(stream), service);
    // How it ends is the workload's affair.
    let _ = served.await;
}

async fn call(api: Arc<Api>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Answers> {
    let (head, mut body) = request.into_parts();
    let answered = match grpc::check(&head) {
        Ok(()) => {
            let name = head.uri.path().strip_prefix(SERVICE).unwrap_or_default();
            let answered = answer(api, peer, name, &mut body).await;
            answered.map_err(|status| grpc::refusal(&status))
        }
        Err(refusal) => Err(*refusal),
    };
    match answered {
        Ok(answers) => grpc::response(answers),
        Err(refusal) => {
            grpc::read_away(body).await;
            refusal
        }
    }
}

async fn answer(
    api: Arc<Api>,
    peer: Arc<Peer>,
    name: &str,
    body: &mut Incoming,
) -> Result<Answers, Status> {
    let stream = match name {
        "FetchX509SVID" => Some(Stream::X509Svid),
        "FetchX509Bundles" => Some(Stream::X509Bundles),
        "FetchJWTBundles" => Some(Stream::JwtBundles),
        "FetchJWTSVID" | "ValidateJWTSVID" => None,
        _ => {
            return Err(Status::new(
                Code::Unimplemented,
                "no call of the Workload API",
            ));
        }
    };
    let request = grpc::message(body).await?;
    let entry = admitted(&api, &peer, name).await?;
    let (way, answers) = Answers::new();
    if let Some(stream) = stream {
        // Whatever changes from here on is told; what has changed before is in the first answer. That one says whether there
        // is anything: a refusal is a status, and not a stream that ends.
        let mut changes = (api.sessions.clone(), api.bundles.clone());
        changes.0.mark_unchanged();
        changes.1.mark_unchanged();
        let first = api.now(stream, &entry)?;
        let name = name.to_owned();
        tokio::spawn(async move { told(&api, &peer, &name, (stream, first), changes, &way).await });
        return Ok(answers);
    }
    let message = match name {
        "FetchJWTSVID" => api.jwt_svid(&request, &entry).await?,
        _ => api.validate(&request)?,
    };
    // The channel has room for one.
    let _ = way.try_send(Ok(message));
    Ok(answers)
}

/// What a stream is made from, as it changes.
type Changes = (
    watch::Receiver<Shared>,
    watch::Receiver<Option<Arc<Bundle>>>,
);

/// Tells a workload what there is, and again whenever it has changed, until it goes away.
async fn told(
    api: &Arc<Api>,
    peer: &Arc<Peer>,
    name: &str,
    (stream, mut last): (Stream, Vec<u8>),
    (mut sessions, mut bundles): Changes,
    way: &grpc::Way,
) {
    if way.send(Ok(last.clone())).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            () = way.closed() => return,
            changed = sessions.changed() => if changed.is_err() { return },
            changed = bundles.changed() => if changed.is_err() { return },
        }
        // It may be another program by now.
        let next = match admitted(api, peer, name).await {
            Ok(entry) => api.now(stream, &entry),
            Err(status) => Err(status),
        };
        match next {
            Ok(next) if next == last => {}
            Ok(next) => {
                last = next;
                if way.send(Ok(last.clone())).await.is_err() {
                    return;
                }
            }
            Err(status) => {
                let _ = way.send(Err(status)).await;
                return;
            }
        }
    }
}

/// The entry that a process gets the identity by. Its executable may be large, so it is read where nobody waits.
async fn admitted(api: &Arc<Api>, peer: &Arc<Peer>, call: &str) -> Result<WorkloadEntry, Status> {
    let (looked_api, looked) = (api.clone(), peer.clone());
    let admitted = tokio::task::spawn_blocking(move || {
        looked.lives()?;
        admit(&looked_api.entries, looked.as_ref()).cloned()
    });
    let (uid, gid, pid) = (peer.uid, peer.gid, peer.pid);
    let refused = || Status::new(Code::PermissionDenied, "no identity issued");
    match admitted.await {
        Ok(Ok(entry)) => {
            tracing::debug!(
                uid,
                gid,
                pid,
                call,
                workload = entry.name,
                "{}",
                names::WORKLOAD_SERVED
            );
            Ok(entry)
        }
        Ok(Err(error)) => {
            tracing::warn!(uid, gid, pid, call, reason = %error, "{}", names::WORKLOAD_REFUSED);
            Err(refused())
        }
        Err(_) => Err(refused()),
    }
}
