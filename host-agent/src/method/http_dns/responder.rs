//! A web server for one path and one text.
//!
//! Anybody can reach it while a login lasts, so it is as small as can be: one thread that takes connections, one for each of
//! at most [`CONNECTIONS`], a request of at most [`HEAD`] bytes within [`TIME`], one answer, and the connection is closed. It
//! needs no runtime.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Most connections at once; those above are closed.
const CONNECTIONS: usize = 16;
/// Longest head of a request, bytes.
const HEAD: usize = 8 * 1024;
/// How long a connection may last.
const TIME: Duration = Duration::from_secs(5);

/// Listens as long as it lives.
#[derive(Debug)]
pub(super) struct Responder {
    listener: Arc<TcpListener>,
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: String,
    body: Mutex<Option<String>>,
    connections: AtomicUsize,
}

impl Shared {
    fn body(&self) -> MutexGuard<'_, Option<String>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Responder {
    /// Listens on all addresses of both families. Nothing is served yet.
    pub(super) fn start(port: u16, path: String) -> io::Result<Self> {
        let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
            // A host without IPv6.
            Err(error) if error.raw_os_error() == Some(NO_FAMILY) => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?
            }
            listener => listener?,
        };
        let port = listener.local_addr()?.port();
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            path,
            body: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let (taking, served) = (listener.clone(), shared.clone());
        let thread = thread::Builder::new()
            .name("http_dns".to_owned())
            .spawn(move || take(&taking, &served))?;
        Ok(Self {
            listener,
            port,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// From now on this is served, and nothing else.
    pub(super) fn serve(&self, body: String) {
        *self.shared.body() = Some(body);
    }
}

/// EAFNOSUPPORT.
const NO_FAMILY: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();

impl Drop for Responder {
    fn drop(&mut self) {
        *self.shared.body() = None;
        // Wakes up whoever waits in `accept`, which then fails.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn take(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if shared.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
                    shared.connections.fetch_sub(1, Ordering::AcqRel);
                    continue;
                }
                let served = shared.clone();
                let spawned = thread::Builder::new().spawn(move || {
                    // Whoever breaks off has no answer.
                    let _ = answer(&stream, &served);
                    let _ = stream.shutdown(Shutdown::Both);
                    served.connections.fetch_sub(1, Ordering::AcqRel);
                });
                if spawned.is_err() {
                    shared.connections.fetch_sub(1, Ordering::AcqRel);
                }
            }
            // It was shut down.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                return;
            }
            // Of one connection, which is gone; or there are no descriptors, which takes a moment to pass.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn answer(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let Some(line) = request_line(stream)? else {
        return Ok(());
    };
    let body = shared.body().clone();
    let (status, body) = match (line.as_slice(), body) {
        ([method, path, version], Some(body))
            if method == "GET" && *path == shared.path && version.starts_with("HTTP/1.") =>
        {
            ("200 OK", body)
        }
        _ => ("404 Not Found", "not here\n".to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.set_write_timeout(Some(TIME))?;
    stream.write_all(answer.as_bytes())
}

/// The words of a request's first line, once its head is there; `None` when it is no head.
fn request_line(mut stream: &TcpStream) -> io::Result<Option<Vec<String>>> {
    let begun = Instant::now();
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let left = TIME.saturating_sub(begun.elapsed());
        if left.is_zero() || head.len() > HEAD {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut piece)?;
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else {
            return Ok(None);
        };
        head.extend_from_slice(read);
        if head.windows(4).any(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&head);
            let line = text.split("\r\n").next().unwrap_or_default();
            return Ok(Some(line.split(' ').map(str::to_owned).collect()));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::{CONNECTIONS, HEAD, Responder};

    fn whole(mut stream: &TcpStream) -> String {
        let mut answer = String::new();
        // One that is closed with bytes unread is reset, which is an end too.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn nothing_is_served_before_there_is_something_and_by_another_request() {
        let responder = Responder::start(0, "/x".to_owned()).unwrap();
        let ask = |request: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", responder.port())).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            whole(&stream)
        };
        assert!(ask("GET /x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        responder.serve("nonce\n".to_owned());
        assert!(ask("GET /x HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nnonce\n"));
        for other in [
            "POST /x HTTP/1.1",
            "GET /x",
            "GET  /x HTTP/1.1",
            "get /x HTTP/1.1",
            "GET /x HTTP/2",
            "",
            "\u{fffd}",
        ] {
            let answer = ask(&format!("{other}\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 404 "), "{other}: {answer}");
        }
        let mut stream = TcpStream::connect(("127.0.0.1", responder.port())).unwrap();
        let _ = stream.write_all(&vec![b'a'; HEAD + 2048]);
        assert_eq!(whole(&stream), "", "too long");
    }

    #[test]
    fn who_holds_connections_open_is_bounded_and_does_not_hold_up_the_end() {
        let responder = Responder::start(0, "/x".to_owned()).unwrap();
        let port = responder.port();
        responder.serve("nonce\n".to_owned());
        let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
        let idle: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect();
        let one_more = connect();
        assert_eq!(whole(&one_more), "", "closed at once");
        drop(idle);
        drop(responder);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
