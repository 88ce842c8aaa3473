//! `assayd init` and `assayd serve` as an operator meets them.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use assay_host_verifier::telemetry::metrics::names;
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::metrics::page::Page;
use crate::processes::{assayd, text};

fn init(dir: &Path) -> Output {
    assayd(
        &["init", "--dir", "site", "--trust-domain", "example.org"],
        dir,
    )
}

/// A service, and where it listens.
pub(crate) struct Service {
    process: Child,
    log: std::io::Lines<BufReader<std::process::ChildStderr>>,
    lines: Vec<Value>,
}

impl Service {
    fn start(dir: &TempDir, environment: &[(&str, &str)]) -> Self {
        Self::of(dir.path(), "site/assayd.yaml", environment)
    }

    /// Of a configuration in a directory.
    pub(crate) fn of(dir: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assayd"));
        command.args(["serve", "--config", config]);
        for listener in ["api", "health", "metrics"] {
            command.args([
                "--set",
                &format!("listeners.{listener}.address=127.0.0.1:0"),
            ]);
        }
        let mut process = command
            .envs(environment.iter().copied())
            .env("ASSAY_LOG", "info")
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        Self {
            process,
            log,
            lines: Vec::new(),
        }
    }

    /// The address of a listener, as the log tells it.
    pub(crate) fn address(&mut self, listener: &str) -> String {
        loop {
            let known = self.lines.iter().find(|line| line["listener"] == listener);
            if let Some(line) = known {
                return line["address"].as_str().unwrap().to_owned();
            }
            let line = self.log.next().expect("listens").unwrap();
            self.lines
                .push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}")));
        }
    }

    /// SIGTERM; the whole log.
    pub(crate) fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let rest: Vec<_> = self.log.by_ref().map(Result::unwrap).collect();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
        format!("{:?}{}", self.lines, rest.join("\n"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn curl(dir: &TempDir, arguments: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--write-out",
            "\n%{http_code}",
        ])
        .args(["--cacert", "site/tls/ca.crt"])
        .args(arguments)
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = text(&output.stdout);
    let (body, status) = text.rsplit_once('\n').unwrap();
    (body.to_owned(), status.to_owned())
}

#[test]
fn a_fresh_directory_serves_https_health_and_metrics_with_no_other_set_up() {
    let dir = tempfile::tempdir().unwrap();
    let output = init(dir.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let token = std::fs::read_to_string(dir.path().join("site/admin.token")).unwrap();
    let token = token.trim();
    assert!(!text(&output.stdout).contains(token));
    assert!(text(&output.stdout).contains("assayd serve --config site/assayd.yaml"));

    let mut service = Service::start(&dir, &[]);
    let port = service
        .address("api")
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    let api = format!("https://localhost:{port}");
    let (health, metrics) = (service.address("health"), service.address("metrics"));
    let (document, status) = curl(&dir, &[&format!("{api}/openapi.json")]);
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (document["openapi"].as_str(), status.as_str()),
        (Some("3.1.0"), "200")
    );
    let (page, status) = curl(&dir, &[&format!("http://{metrics}/metrics")]);
    assert!(status == "200" && page.contains("# TYPE "), "{page}");
    // The store is looked at once the service runs.
    let began = std::time::Instant::now();
    loop {
        let (ready, status) = curl(&dir, &[&format!("http://{health}/ready")]);
        let ready: Value = serde_json::from_str(&ready).unwrap();
        assert_eq!(ready["status"] == "ok", status == "200", "{ready}");
        if status == "200" {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{ready}");
    }
    assert_eq!(curl(&dir, &[&format!("http://{health}/live")]).1, "200");

    let nodes = format!("{api}/v1/nodes");
    assert_eq!(curl(&dir, &[&nodes]).1, "401");
    let authorization = format!("authorization: Bearer {token}");
    let (list, status) = curl(&dir, &["--header", &authorization, &nodes]);
    assert_eq!((list.as_str(), status.as_str()), ("{\"items\":[]}", "200"));
    // The command line makes tokens beside the running service, which knows them at once.
    let made = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args([
            "token", "create", "--role", "viewer", "--name", "ci", "--ttl", "90d",
        ])
        .args(["--config", "site/assayd.yaml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let viewer = text(&made.stdout).trim().to_owned();
    let as_viewer = format!("authorization: Bearer {viewer}");
    assert_eq!(curl(&dir, &["--header", &as_viewer, &nodes]).1, "200");
    let tokens = format!("{api}/v1/tokens");
    assert_eq!(curl(&dir, &["--header", &as_viewer, &tokens]).1, "403");
    let wanted = ["--json", "{\"name\":\"new\",\"role\":\"viewer\"}", &tokens];
    let (made, status) = curl(
        &dir,
        &[&["--header", authorization.as_str()], &wanted[..]].concat(),
    );
    assert_eq!(status, "201", "{made}");
    let made: Value = serde_json::from_str(&made).unwrap();

    // What the service did so far, it has counted: the authorities that it made, and each call of its store.
    let (page, _) = curl(&dir, &[&format!("http://{metrics}/metrics")]);
    let page = Page::read(&page);
    for authority in ["x509", "jwt"] {
        let of = |name| page.value(name, &[("authority", authority)]).unwrap();
        let (ends, hands_over) = (of(names::AUTHORITY_EXPIRY), of(names::AUTHORITY_ROTATION));
        let life = 24.0 * 3600.0 + 60.0;
        assert_eq!(ends - hands_over, life / 6.0, "{authority}");
        assert!(of(names::AUTHORITY_EXPIRY) > Timestamp::now().as_second() as f64);
    }
    for operation in ["list", "token", "config", "authority", "probe"] {
        let labels = [("operation", operation), ("outcome", "success")];
        let calls = page.value(names::STORE_CALLS, &labels);
        assert!(calls >= Some(1.0), "{operation}: {calls:?}");
    }
    let asked = |status| [("route", "/v1/nodes"), ("status", status)];
    let requests = |status| page.value(names::HTTP_REQUESTS, &asked(status));
    assert_eq!((requests("2xx"), requests("4xx")), (Some(2.0), Some(1.0)));

    let log = service.stop();
    for secret in [token, &viewer, made["token"].as_str().unwrap()] {
        let secret = secret.strip_prefix("assay_").unwrap();
        assert!(!log.contains(secret), "{log}");
    }
    assert!(
        log.contains("Operator request") && log.contains("first admin"),
        "{log}"
    );
}

#[test]
fn the_first_token_ends_and_another_can_be_made_before_the_first_start() {
    let assay = |dir: &Path, arguments: &[&str]| -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_assay"))
            .args(["token"])
            .args(arguments)
            .args(["--output", "json"])
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let made = init(dir.path());
    assert!(made.status.success(), "{made:?}");
    assert!(text(&made.stdout).contains("for 90 days"), "{made:?}");
    assert!(text(&made.stdout).contains("assay token create --config"));
    let known = assay(dir.path(), &["list", "--config", "site/assayd.yaml"]);
    let token = &known[0];
    let time = |name: &str| -> Timestamp { token[name].as_str().unwrap().parse().unwrap() };
    let lasts = time("expires_at").duration_since(time("created_at"));
    assert_eq!(lasts.as_hours(), 90 * 24, "{known:#}");

    // A configuration that was never started, as the package's.
    let config = "trustDomain: example.org\ndataDir: data\nlisteners:\n  unix: [{path: a.sock}]\n";
    std::fs::write(dir.path().join("assayd.yaml"), config).unwrap();
    let arguments = [
        "create",
        "--config",
        "assayd.yaml",
        "--role",
        "admin",
        "--name",
        "first",
    ];
    assert_eq!(assay(dir.path(), &arguments)["name"], "first");
    let known = assay(dir.path(), &["list", "--config", "assayd.yaml"]);
    assert_eq!(known.as_array().unwrap().len(), 1, "{known:#}");
}

#[test]
fn init_makes_everything_for_its_owner_alone_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // The umask does not decide.
    let made = Command::new("sh")
        .args([
            "-c",
            "umask 0; exec \"$0\" init --dir site --trust-domain example.org",
        ])
        .arg(env!("CARGO_BIN_EXE_assayd"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut folders = vec![dir.path().join("site")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = folder.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{entry:?}");
            }
        }
    }
    assert!(files >= 7, "{files}");
    let token = std::fs::read(dir.path().join("site/admin.token")).unwrap();
    let again = init(dir.path());
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("site is not empty"),
        "{again:?}"
    );
    assert!(text(&again.stderr).contains("hint: nothing is overwritten"));
    assert_eq!(
        std::fs::read(dir.path().join("site/admin.token")).unwrap(),
        token
    );

    // Empty is as good as not there; one file of somebody's is not.
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    let output = assayd(
        &["init", "--dir", "empty", "--trust-domain", "example.org"],
        dir.path(),
    );
    assert!(output.status.success(), "{output:?}");
    let output = assayd(
        &["init", "--dir", "new", "--trust-domain", "not a domain"],
        dir.path(),
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!dir.path().join("new").exists());
    let checked = Command::new("openssl")
        .args([
            "verify",
            "-CAfile",
            "site/tls/ca.crt",
            "-purpose",
            "sslserver",
        ])
        .args([
            "-verify_hostname",
            "localhost",
            "-x509_strict",
            "site/tls/server.crt",
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_supervisor_hears_that_the_service_is_ready_alive_and_stopping() {
    let dir = tempfile::tempdir().unwrap();
    assert!(init(dir.path()).status.success());
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let heard = || {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("a word");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "20000"),
    ];
    let service = Service::start(&dir, &environment);
    let mut words = Vec::new();
    while !(words.contains(&"READY=1".to_owned()) && words.contains(&"WATCHDOG=1".to_owned())) {
        words.push(heard());
    }
    let log = service.stop();
    assert!(log.contains("Stopped"), "{log}");
    while heard() != "STOPPING=1" {}
    // The drain's 20 s and 30 s for the database, whatever the unit says.
    while heard() != "EXTEND_TIMEOUT_USEC=50000000" {}
}

#[test]
fn what_serve_cannot_use_is_said_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    assert!(init(dir.path()).status.success());
    let serve = |arguments: &[&str]| {
        assayd(
            &[&["serve", "--config", "site/assayd.yaml"], arguments].concat(),
            dir.path(),
        )
    };
    let checked = serve(&["--check"]);
    assert_eq!(
        (checked.status.code(), text(&checked.stdout)),
        (Some(0), "site/assayd.yaml: ok\n")
    );
    for (set, status, error, hint) in [
        (
            "listeners.api.adress=127.0.0.1:0",
            2,
            "unknown field `adress`",
            "did you mean `address`?",
        ),
        (
            "listeners.api.address=here",
            2,
            "--set listeners.api.address: invalid",
            "correct the value",
        ),
        (
            "listeners",
            2,
            "--set listeners: no `=`",
            "for instance --set listeners.api.address",
        ),
        (
            "trustDomain.x=1",
            2,
            "leads through a value",
            "set the whole value",
        ),
        (
            "listeners.api.tls.key=none.key",
            1,
            "site/none.key: No such file",
            "check the path",
        ),
        (
            "listeners.api.tls.key=tls/ca.crt",
            1,
            "site/tls/ca.crt: ",
            "a private key",
        ),
        (
            "limits.api.idleTimeout=0s",
            2,
            "0s is out of range",
            "from 1s to 3600s",
        ),
        (
            "listeners.health.address=0.0.0.0:8443",
            2,
            "listed twice",
            "a port of its own",
        ),
    ] {
        let output = serve(&["--set", set, "--check"]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{set}: {stderr}");
        assert!(
            stderr.contains(error) && stderr.contains(hint),
            "{set}: {stderr}"
        );
    }
    let output = assayd(&["serve"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("hint: give one with --config FILE"));
    // A port that somebody has.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let set = format!("listeners.api.address={}", held.local_addr().unwrap());
    let output = serve(&["--set", &set]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("listeners.api: 127.0.0.1:"),
        "{output:?}"
    );
}
