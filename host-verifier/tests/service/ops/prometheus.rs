//! A real Prometheus that scrapes a real page and raises the alert.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assay_host_verifier::telemetry::Metrics;
use serde_json::Value;
use tempfile::TempDir;

use super::text;
use crate::agent::Answer;
use crate::desk::{Desk, ek_only, granted};
use crate::fake_tpm::FakeTpm;

/// Serves a page on loopback until the test ends.
fn listen(metrics: Metrics) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let page = metrics.render();
            let head = format!(
                "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                page.len()
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(page.as_bytes()));
        }
    });
    address
}

/// A Prometheus of the test's own.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Prometheus {
    /// With our rules and our example of a configuration; only the intervals are short.
    fn start(target: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let alerts = text("prometheus/alerts.yaml");
        let shortened = alerts.lines().map(|line| match line.split_once("for: ") {
            Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 0s\n"),
            _ => format!("{line}\n"),
        });
        let shortened: String = shortened.collect();
        std::fs::write(folder.path().join("alerts.yaml"), shortened).unwrap();
        let config = text("prometheus/prometheus.example.yaml");
        let config = config
            .replace("127.0.0.1:9988", &target.to_string())
            .replace("_interval: 30s", "_interval: 200ms");
        std::fs::write(folder.path().join("prometheus.yaml"), config).unwrap();
        // A port that was free a moment ago. Should somebody take it, Prometheus ends, and another is tried.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap();
            let log = std::fs::File::create(folder.path().join("log")).unwrap();
            let mut process = Command::new("prometheus")
                .arg(format!(
                    "--config.file={}",
                    folder.path().join("prometheus.yaml").display()
                ))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    folder.path().join("data").display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap_or_else(|error| panic!("prometheus: {error} (Debian package prometheus)"));
            let began = Instant::now();
            while process.try_wait().unwrap().is_none() {
                if get(address, "/-/ready").is_some_and(|answer| answer.starts_with("HTTP/1.0 200"))
                {
                    return Self {
                        process,
                        address,
                        folder,
                    };
                }
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "prometheus does not come up"
                );
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        panic!(
            "{}",
            std::fs::read_to_string(folder.path().join("log")).unwrap()
        )
    }

    /// What its interface answers.
    fn ask(&self, path: &str) -> Value {
        let answer = get(self.address, path).unwrap_or_default();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }

    /// Waits for an answer that is as it should be.
    fn until(&self, what: &str, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.ask(path);
            if holds(&answer) {
                return answer;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{what}: {answer:#}\n{}",
                std::fs::read_to_string(self.folder.path().join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn firing(answer: &Value) -> Vec<&str> {
    let alerts = answer["data"]["alerts"].as_array().into_iter().flatten();
    alerts
        .filter(|alert| alert["state"] == "firing")
        .filter_map(|alert| alert["labels"]["alertname"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_refused_raises_the_alert_in_a_real_prometheus() {
    let (tpm, stranger) = (FakeTpm::new(), FakeTpm::new());
    let desk = Desk::new(&ek_only("rack", &[&tpm]));
    granted(desk.login(&tpm).await);
    let target = listen(desk.server.metrics.clone());
    let prometheus = Prometheus::start(target);

    // All of the page is read, twice, before anything fails; and a node that is let in raises nothing.
    let scraped = "/api/v1/query?query=count_over_time(assay_logins_in_flight%5B5m%5D)";
    prometheus.until("two scrapes", scraped, |answer| {
        let value = answer["data"]["result"][0]["value"][1].as_str();
        value.is_some_and(|count| count.parse::<u32>().unwrap() >= 2)
    });
    let targets = prometheus.ask("/api/v1/targets");
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "");
    let evaluated = |answer: &Value| {
        let rules = answer["data"]["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|g| g["rules"].as_array().into_iter().flatten());
        let health: Vec<_> = rules
            .map(|rule| rule["health"].as_str().unwrap_or_default().to_owned())
            .collect();
        health.len() == 19 && health.iter().all(|health| health == "ok")
    };
    prometheus.until("rules that can be evaluated", "/api/v1/rules", evaluated);
    // Parts are as a verifier on a desk leaves them: nobody looks after it.
    let before = prometheus.ask("/api/v1/alerts");
    assert!(firing(&before).is_empty(), "{before:#}");

    assert!(matches!(desk.login(&stranger).await, Answer::Denied(..)));
    let raised = prometheus.until("the alert", "/api/v1/alerts", |answer| {
        firing(answer).contains(&"SPIRETPMAttestationFailure")
    });
    assert!(
        firing(&raised).contains(&"SPIRENodeAttestationFailure"),
        "{raised:#}"
    );
    let other = firing(&raised)
        .into_iter()
        .find(|name| !name.ends_with("AttestationFailure"));
    assert_eq!(other, None, "{raised:#}");
    let alerts = raised["data"]["alerts"].as_array().unwrap();
    let tpm = alerts
        .iter()
        .find(|a| a["labels"]["alertname"] == "SPIRETPMAttestationFailure")
        .unwrap();
    assert_eq!(tpm["labels"]["severity"], "critical");
    assert_eq!(tpm["labels"]["instance"], target.to_string());
}
