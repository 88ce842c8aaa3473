//! A PostgreSQL server for these tests: a cluster of its own in a temporary directory, with a database per test. The one
//! that Debian starts by itself is left alone.
//!
//! A shell stands between this process and the server and holds a pipe from it. However this process ends then, by itself,
//! by a panic or killed, the pipe closes; the shell then stops the server and removes the directory.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use assay_host_verifier::config::{PostgresServer, PostgresSettings, TlsMode};
use assay_host_verifier::store::PostgresStore;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection, PgPool};

/// `$1` the server's program, `$2` the directory, then the server's arguments.
const WATCH: &str = "trap '' INT TERM HUP; \
    program=$1; dir=$2; shift 2; \
    \"$program\" -D \"$dir/data\" \"$@\" </dev/null >>\"$dir/log\" 2>&1 & \
    server=$!; cat >/dev/null; kill -INT $server; wait $server; \
    [ -e \"$dir/keep\" ] || rm -rf \"$dir\"";

const SUPERUSER: &str = "postgres";
/// A part of the socket's name; nothing listens on a port unless a test says so.
const PORT: u16 = 5432;

pub(crate) struct Server {
    programs: PathBuf,
    pub(crate) dir: PathBuf,
    /// Whose the files are and who runs the server, which refuses to be root.
    owner: Option<(u32, u32)>,
    arguments: Vec<String>,
    running: Option<(Child, ChildStdin)>,
    port: u16,
}

/// The server that all tests of this binary share.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut server = Server::make();
        server.start();
        server
    })
}

/// A new database on the shared server.
pub(crate) fn database() -> Database<'static> {
    shared().database()
}

impl Server {
    /// A cluster that does not run yet.
    pub(crate) fn make() -> Self {
        let programs = programs();
        let dir = tempfile::Builder::new()
            .prefix("assay-postgres-")
            .tempdir()
            .unwrap()
            .keep();
        let owner = rustix::process::geteuid().is_root().then(unprivileged);
        let server = Self {
            programs,
            dir,
            owner,
            arguments: Vec::new(),
            running: None,
            port: PORT,
        };
        server.give(&server.dir.clone(), 0o755);
        let mut initdb = server.command("initdb");
        initdb
            .arg("-D")
            .arg(server.dir.join("data"))
            .args(["--username", SUPERUSER, "--auth-local=trust"])
            .args(["--auth-host=scram-sha-256", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync"]);
        succeeds(initdb.output().unwrap());
        let mut server = server;
        // A test's server need not survive a power cut.
        for setting in ["listen_addresses=", "fsync=off", "max_connections=300"] {
            server.set(setting);
        }
        server
    }

    /// More of the server's arguments, `-c` being understood.
    pub(crate) fn set(&mut self, setting: &str) {
        self.arguments.extend(["-c".to_owned(), setting.to_owned()]);
    }

    /// Listens on a loopback port; sockets keep their name.
    pub(crate) fn listen(&mut self, port: u16) {
        self.set("listen_addresses=127.0.0.1");
        self.set(&format!("port={port}"));
        self.port = port;
    }

    /// Writes a file that the server may read and nobody else.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.dir.join(name);
        std::fs::write(&path, content).unwrap();
        self.give(&path, 0o600);
    }

    pub(crate) fn start(&mut self) {
        let _ = std::fs::remove_file(self.dir.join("keep"));
        let mut watch = Command::new("sh");
        watch.args(["-c", WATCH, "watch"]);
        watch.arg(self.programs.join("postgres")).arg(&self.dir);
        watch.arg("-c");
        watch.arg(format!(
            "unix_socket_directories={}",
            self.dir.to_str().unwrap()
        ));
        watch.args(&self.arguments).stdin(Stdio::piped());
        watch.stdout(Stdio::null()).stderr(Stdio::null());
        watch.current_dir("/");
        if let Some((user, group)) = self.owner {
            watch.uid(user).gid(group);
        }
        let mut child = watch.spawn().unwrap();
        let pipe = child.stdin.take().unwrap();
        self.running = Some((child, pipe));
        let began = Instant::now();
        while !self.psql("postgres", "SELECT 1").status.success() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "PostgreSQL does not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server with its connections, keeps the data.
    pub(crate) fn stop(&mut self) {
        let Some((mut child, pipe)) = self.running.take() else {
            return;
        };
        self.write("keep", b"");
        drop(pipe);
        child.wait().unwrap();
    }

    pub(crate) fn log(&self) -> String {
        let mut log = Vec::new();
        if let Ok(mut file) = std::fs::File::open(self.dir.join("log")) {
            file.read_to_end(&mut log).unwrap();
        }
        String::from_utf8_lossy(&log).into_owned()
    }

    pub(crate) fn database(&self) -> Database<'_> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let output = self
            .command("createdb")
            .args(["--username", SUPERUSER, "--host"])
            .arg(&self.dir)
            .args(["--port", &self.port.to_string()])
            .arg(&name)
            .output();
        succeeds(output.unwrap());
        Database { server: self, name }
    }

    fn psql(&self, database: &str, sql: &str) -> Output {
        self.command("psql")
            .args(["--username", SUPERUSER, "--dbname", database])
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .args(["--set", "ON_ERROR_STOP=1", "--command", sql])
            .args(["--port", &self.port.to_string(), "--host"])
            .arg(&self.dir)
            .output()
            .unwrap()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn give(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        if let Some((user, group)) = self.owner {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// One database of a server.
#[derive(Clone)]
pub(crate) struct Database<'a> {
    server: &'a Server,
    pub(crate) name: String,
}

impl Database<'_> {
    /// As it stands in a configuration.
    pub(crate) fn url(&self) -> String {
        let directory = self.server.dir.to_str().unwrap();
        format!("postgres://{SUPERUSER}@/{}?host={directory}", self.name)
    }

    pub(crate) fn settings(&self) -> PostgresSettings {
        PostgresSettings {
            server: PostgresServer::Socket {
                directory: self.server.dir.clone(),
                port: self.server.port,
            },
            user: SUPERUSER.to_owned(),
            database: self.name.clone(),
            password: None,
            tls: TlsMode::Disable,
            root_certificate: None,
            max_connections: 10,
        }
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.settings()).await.unwrap()
    }

    /// Somebody else's connection.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.options()).await.unwrap()
    }

    /// Somebody else's connections.
    pub(crate) async fn pool(&self) -> PgPool {
        PgPool::connect_with(self.options()).await.unwrap()
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.server.dir)
            .port(self.server.port)
            .username(SUPERUSER)
            .database(&self.name)
            .ssl_mode(PgSslMode::Disable)
    }

    /// Runs statements, returns what they select.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let output = succeeds(self.server.psql(&self.name, sql));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Waits until a replica waits for a lock.
    pub(crate) fn wait_for_a_waiter(&self) {
        let began = Instant::now();
        while self.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        ) == "0"
        {
            assert!(began.elapsed() < Duration::from_secs(20), "nobody waits");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn succeeds(output: Output) -> Output {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    output
}

/// The newest release that is installed.
fn programs() -> PathBuf {
    let releases = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let releases = releases.flatten().flatten().map(|entry| entry.path());
    releases
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.parse::<u32>().ok())
        })
        .map(|path| path.join("bin"))
        .expect("no PostgreSQL server in /usr/lib/postgresql: install the package `postgresql`")
}

/// The user that Debian's package makes: (user, group).
fn unprivileged() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("no user `postgres`: install the package `postgresql`");
    let ids: Vec<u32> = line
        .split(':')
        .skip(2)
        .take(2)
        .map(|id| id.parse().unwrap())
        .collect();
    (ids[0], ids[1])
}
