//! `/ready` where logins would fail, at the end of the service, and when a part of it is gone.

use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use assay_host_verifier::clock::{Clock, Moment};
use assay_host_verifier::server::{Broken, Server};
use assay_host_verifier::store::{SQLITE_FILE, SqliteStore, Store};
use assay_host_verifier::telemetry::health::{Component, State};
use assay_host_verifier::transport::{Link, LinkSource};
use sqlx::{Connection, Executor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, watch};

use crate::api::Api;
use crate::desk::{Desk, ek_only};
use crate::fake_tpm::FakeTpm;

/// More than a look takes and the time until the next.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn desk() -> Desk {
    Desk::new(&ek_only("rack", &[&FakeTpm::new()]))
}

/// Serves with this store until `told` has ended, and gives it the server.
async fn serving(store: Arc<dyn Store>, told: impl AsyncFnOnce(Server)) {
    let mut desk = desk();
    desk.server.store = store;
    let (stop, stopped) = watch::channel(false);
    let server = desk.server.clone();
    let serving = tokio::spawn(async move { server.serve(Vec::new(), stopped).await });
    let health = desk.server.health.clone();
    until("ready", || health.ready().is_ok()).await;
    told(desk.server).await;
    stop.send(true).unwrap();
    assert_eq!(serving.await.unwrap(), Ok(()));
}

fn store_fails(server: &Server) -> bool {
    let ready = server.health.ready();
    !ready.is_ok() && ready.not_ready.iter().any(|why| why.starts_with("store: "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_another_holds_the_write_lock_it_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(SQLITE_FILE);
    let store = SqliteStore::open(&path).await.unwrap();
    serving(Arc::new(store.clone()), async |server| {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut other = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        // Reading goes on all the time.
        assert_eq!(store.node("").await.unwrap(), None);
        until("not ready", || store_fails(&server)).await;
        assert!(server.health.live().is_ok(), "a restart would not help");
        assert_eq!(store.node("").await.unwrap(), None);
        other.execute("ROLLBACK").await.unwrap();
        until("ready again", || server.health.ready().is_ok()).await;
    })
    .await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_database_that_only_reads_it_is_not_ready() {
    let database = crate::postgres::database();
    let store = database.store().await;
    serving(Arc::new(store.clone()), async |server| {
        let mut other = database.connect().await;
        let turn = async |other: &mut sqlx::PgConnection, change: &str| {
            let text = format!(
                "ALTER DATABASE \"{}\" {change}; SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid();",
                database.name
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(other).await.unwrap();
        };
        turn(&mut other, "SET default_transaction_read_only = on").await;
        let said = || server.health.ready().not_ready.join("\n");
        until("not ready", || said().contains("read-only transaction")).await;
        assert_eq!(store.node("").await.unwrap(), None, "it can be read");
        turn(&mut other, "RESET default_transaction_read_only").await;
        until("ready again", || server.health.ready().is_ok()).await;
    })
    .await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_writer_is_gone_is_a_reason_for_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join(SQLITE_FILE))
        .await
        .unwrap();
    serving(Arc::new(store.clone()), async |server| {
        store.close().await;
        until("dead", || !server.health.live().is_ok()).await;
        assert!(store_fails(&server));
    })
    .await;
}

/// What `/ready` says: status line and body.
async fn ready(address: std::net::SocketAddr) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_stop_on_it_is_draining_and_what_was_begun_is_answered() {
    let served = Api::new().serve().await;
    let health = &served.api.desk.server.health;
    for component in Component::ALL {
        health.report(component, State::Ok);
    }
    assert!(ready(served.health).await.starts_with("HTTP/1.1 200"));
    // A request whose body is half there.
    let mut begun = served.connect("http/1.1").await.unwrap();
    let head = "POST /v1/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 2\r\nexpect: 100-continue\r\n\r\n";
    begun.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    begun.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");

    served.stop.send(true).unwrap();
    until("draining", || !health.ready().is_ok()).await;
    let said = ready(served.health).await;
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    assert!(said.contains("\"status\":\"draining\""), "{said}");
    assert!(health.live().is_ok());

    begun.write_all(b"{}").await.unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "it is answered: {answer}");
    served.task.await.unwrap();
}

/// A clock with a fault.
#[derive(Debug)]
struct Faulty;

impl Clock for Faulty {
    fn now(&self) -> Moment {
        std::panic::resume_unwind(Box::new("a fault"))
    }
}

/// A link with a fault.
struct FaultyLink;

impl AsyncRead for FaultyLink {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        std::panic::resume_unwind(Box::new("a fault"))
    }
}

impl AsyncWrite for FaultyLink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
        std::panic::resume_unwind(Box::new("a fault"))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        std::panic::resume_unwind(Box::new("a fault"))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        std::panic::resume_unwind(Box::new("a fault"))
    }
}

/// A serial port that has a fault itself, or whose first link has.
struct Port {
    itself: bool,
    opened: AtomicUsize,
    again: Arc<Notify>,
}

#[async_trait::async_trait]
impl LinkSource for Port {
    fn name(&self) -> String {
        "a port".to_owned()
    }

    fn exclusive(&self) -> bool {
        true
    }

    async fn open(&self) -> Result<Box<dyn Link>> {
        if self.itself {
            std::panic::resume_unwind(Box::new("a fault"));
        }
        if self.opened.fetch_add(1, Ordering::Relaxed) == 0 {
            return Ok(Box::new(FaultyLink));
        }
        self.again.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_part_that_ends_by_a_fault_is_dead_and_ends_the_service() {
    for clock in [true, false] {
        let mut desk = desk();
        let again = Arc::new(Notify::new());
        let mut sources: Vec<Box<dyn LinkSource>> = Vec::new();
        match clock {
            true => desk.server.clock = Arc::new(Faulty),
            false => sources.push(Box::new(Port {
                itself: true,
                opened: AtomicUsize::new(0),
                again,
            })),
        }
        let (_stop, stopped) = watch::channel(false);
        let served = tokio::time::timeout(PATIENCE, desk.server.serve(sources, stopped));
        let Broken { task } = served.await.expect("it is noticed").unwrap_err();
        let expected: &[&str] = match clock {
            true => &["upkeep", "purge", "rotation"],
            false => &["a port"],
        };
        assert!(expected.contains(&task.as_str()), "{task}");
        let live = desk.server.health.live();
        assert!(!live.is_ok());
        assert!(
            live.not_ready.iter().any(|why| why.contains(&task)),
            "{live:?}"
        );
    }
}

#[tokio::test]
async fn a_fault_over_a_serial_port_costs_that_link_alone() {
    let desk = desk();
    let again = Arc::new(Notify::new());
    let port = Port {
        itself: false,
        opened: AtomicUsize::new(0),
        again: again.clone(),
    };
    let (stop, stopped) = watch::channel(false);
    let server = desk.server.clone();
    let serving = tokio::spawn(async move { server.serve(vec![Box::new(port)], stopped).await });
    let opened = tokio::time::timeout(PATIENCE, again.notified());
    opened.await.expect("the port is opened again");
    stop.send(true).unwrap();
    assert_eq!(serving.await.unwrap(), Ok(()));
}
