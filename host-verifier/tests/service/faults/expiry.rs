//! Certificates that end: the authority that signs SVIDs while nobody rotates, the one above it, and the server's own.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_common::identity::SpiffeId;
use assay_common::protocol::DenyCode;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::svid::{IssueError, Issuer, Settings};
use assay_host_verifier::telemetry::health::{Component, State};
use assay_host_verifier::telemetry::metrics::names;
use assay_host_verifier::x509::Certificate;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::house::House;
use crate::agent::Answer;
use crate::desk::{Desk, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;
use crate::metrics::page::Page;
use crate::svid::upstream::CA;
use crate::svid::{DAY, Folder, HOUR, memory_keys};
use crate::svid_keys::{SvidKey, login, payload};

const MINUTE: Duration = Duration::from_secs(60);

/// A login that asks for an SVID.
async fn with_key(desk: &Desk, tpm: &mut FakeTpm) -> Answer {
    tpm.clock += 1;
    let key = SvidKey::new();
    let answer = login(desk, tpm, |asked| Some(payload(tpm, &key, asked))).await;
    answer.1
}

/// When the SVID of a grant ends.
fn end(answer: Answer) -> Timestamp {
    let (_, _, svid) = granted(answer).renewal.unwrap();
    let leaf = Certificate::from_der(first(&svid)).unwrap();
    Timestamp::from_second(leaf.not_after().0).unwrap()
}

/// The first certificate of several, DER with a length of two bytes.
fn first(chain: &[u8]) -> &[u8] {
    assert_eq!(chain[..2], [0x30, 0x82]);
    &chain[..4 + usize::from(u16::from_be_bytes([chain[2], chain[3]]))]
}

/// What the page says of an authority: when another takes over, and when it ends.
fn told_of(desk: &Desk, authority: &str) -> (Timestamp, Timestamp) {
    let page = Page::read(&desk.server.metrics.render());
    let value = |name| page.value(name, &[("authority", authority)]).unwrap();
    let at = |name| Timestamp::from_second(value(name) as i64).unwrap();
    (at(names::AUTHORITY_ROTATION), at(names::AUTHORITY_EXPIRY))
}

fn told(desk: &Desk) -> (Timestamp, Timestamp) {
    told_of(desk, "x509")
}

async fn refused_for_want_of_an_authority(desk: &mut Desk, tpm: &mut FakeTpm) {
    let answer = with_key(desk, tpm).await;
    assert!(
        matches!(answer, Answer::Denied(DenyCode::UNAVAILABLE, _)),
        "{answer:?}"
    );
    assert_eq!(
        desk.last_denial(),
        "no SVID can be issued: no authority is valid now"
    );
    // Who asks for none is let in as always.
    tpm.clock += 1;
    granted(desk.login(tpm).await);
}

#[tokio::test]
async fn where_nobody_rotates_no_svid_outlives_its_authority_and_then_none_is_issued() {
    let mut tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    let begin = desk.clock_now();
    desk.server.rotate_authorities().await;
    let (hands_over, ends) = told(&desk);
    assert_eq!(ends, begin + DAY);
    // Five sixths of its life, which began a minute earlier.
    assert_eq!(
        ends.duration_since(hands_over),
        SignedDuration::from_secs(14_410)
    );

    // Without a rotation from here on. A whole hour fits in, then less does.
    for (until_end, lasts) in [(2 * HOUR, HOUR), (HOUR, HOUR), (30 * MINUTE, 30 * MINUTE)] {
        desk.clock.set_wall(ends - until_end);
        let svid = end(with_key(&desk, &mut tpm).await);
        assert_eq!(svid, ends - until_end + lasts, "{until_end:?} before");
    }
    desk.clock.set_wall(ends);
    refused_for_want_of_an_authority(&mut desk, &mut tpm).await;
    desk.clock.set_wall(ends + 3 * DAY);
    refused_for_want_of_an_authority(&mut desk, &mut tpm).await;
    let id = SpiffeId::parse("spiffe://example.org/node/a").unwrap();
    let issuer = &desk.server.issuer;
    let token = issuer.issue_jwt(&id, &["x"], desk.clock_now(), None).await;
    assert!(matches!(token, Err(IssueError::NoAuthority)), "{token:?}");

    // One rotation mends it.
    desk.server.rotate_authorities().await;
    let svid = end(with_key(&desk, &mut tpm).await);
    assert_eq!(svid, desk.clock_now() + HOUR);
    assert_eq!(told(&desk).1, desk.clock_now() + DAY);
}

#[tokio::test]
async fn an_upstream_authority_that_ends_is_told_long_before_and_a_new_one_is_taken_up() {
    let folder = Folder::new();
    folder.root("root", "p256", CA, 2);
    let mut tpm = FakeTpm::new();
    let mut desk = Desk::new(&ek_and_quote(&[&tpm]));
    desk.clock.set_wall(Timestamp::now());
    desk.server.issuer = Arc::new(Issuer::new(
        Settings::new("example.org"),
        memory_keys(),
        Some(folder.upstream("root.pem", "root.key", None)),
        desk.server.store.clone(),
        Arc::new(SystemRandom),
    ));
    let state = |desk: &Desk| desk.server.health.state(Component::Authorities);
    desk.server.rotate_authorities().await;
    assert_eq!(state(&desk), State::Ok);
    let pem = folder.openssl("x509 -in root.pem -noout -enddate -dateopt iso_8601");
    let root_ends = pem.trim().strip_prefix("notAfter=").unwrap();
    let root_ends: Timestamp = root_ends.replace(' ', "T").parse().unwrap();

    assert_eq!(told_of(&desk, "upstream"), (root_ends - DAY, root_ends));
    // Hour by hour to its end.
    let mut degraded = 0;
    loop {
        desk.clock.advance(HOUR);
        let now = desk.clock_now();
        if now >= root_ends {
            break;
        }
        desk.server.rotate_authorities().await;
        let left = root_ends.duration_since(now).as_hours();
        match state(&desk) {
            State::Ok => assert!(left >= 24, "{left} hours left"),
            State::Degraded(why) => {
                assert!(
                    left <= 24 && why.contains("the upstream authority ends at"),
                    "{left}: {why}"
                );
                degraded += 1;
            }
            other => panic!("{other:?} at {now}"),
        }
        let svid = end(with_key(&desk, &mut tpm).await);
        assert!(
            svid <= root_ends && svid <= told(&desk).1,
            "{svid} at {now}"
        );
    }
    assert!(degraded >= 23, "{degraded} hours of warning");
    // The last five minutes are too few for another authority below it.
    desk.clock.set_wall(root_ends - 2 * MINUTE);
    desk.server.rotate_authorities().await;
    let why = state(&desk);
    assert!(
        matches!(&why, State::Degraded(why) if why.contains("too soon for another")),
        "{why:?}"
    );
    desk.clock.set_wall(root_ends + HOUR);
    desk.server.rotate_authorities().await;
    let State::Failing(why) = state(&desk) else {
        panic!("{:?}", state(&desk))
    };
    assert!(
        why.starts_with("no authority is valid: upstream authority: "),
        "{why}"
    );
    let ready = desk.server.health.ready();
    assert!(!ready.is_ok());
    let said = ready.not_ready.join("\n");
    assert!(said.contains(&format!("authorities: {why}")), "{said}");
    assert!(told(&desk).1 <= desk.clock_now(), "an alert sees the end");
    refused_for_want_of_an_authority(&mut desk, &mut tpm).await;

    // A new one in its files, without a restart.
    folder.root("root", "p256", CA, 300);
    desk.server.rotate_authorities().await;
    assert_eq!(state(&desk), State::Ok);
    let svid = end(with_key(&desk, &mut tpm).await);
    assert_eq!(svid, desk.clock_now() + HOUR);
    assert!(told(&desk).1 > desk.clock_now());
}

#[test]
fn a_server_certificate_that_has_ended_is_logged_told_and_replaced_without_a_restart() {
    let mut tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let path = |name: &str| house.site.path(name);
    let good: Vec<_> = ["server.crt", "server.key"]
        .map(|name| (name, std::fs::read(path(name)).unwrap()))
        .into();
    // One that ended yesterday.
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let ended = Timestamp::now() - DAY;
    let moment = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let (year, month, day) = (date.year(), date.month(), date.day());
        rcgen::date_time_ymd(i32::from(year), month.cast_unsigned(), day.cast_unsigned())
    };
    parameters.not_before = moment(ended - 10 * DAY);
    parameters.not_after = moment(ended);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    std::fs::write(path("server.crt"), certificate.pem()).unwrap();
    std::fs::write(path("server.key"), key.serialize_pem()).unwrap();

    let replica = house.serve(&[
        "listeners.health.address=127.0.0.1:0",
        "listeners.metrics.address=127.0.0.1:0",
    ]);
    let line = replica.logged("Certificate has expired");
    assert_eq!(line["level"], "error", "{line}");
    assert!(line["hint"].as_str().unwrap().contains("replace"), "{line}");
    assert!(
        line["certificate"]
            .as_str()
            .unwrap()
            .ends_with("server.crt")
    );
    let not_after = certificate_end(&path("server.crt"));
    assert_eq!(line["not_after"], not_after.to_string(), "{line}");

    let (health, metrics) = (replica.listens("health"), replica.listens("metrics"));
    let ready = ready_when(&health, |status| status == 503);
    let why = format!("listeners: api: the certificate ended at {not_after}");
    assert!(ready["notReady"].to_string().contains(&why), "{ready}");
    let page = curl(&[&format!("http://{metrics}/metrics")]).0;
    let told = Page::read(&page).value(names::TLS_EXPIRY, &[]);
    assert_eq!(told, Some(not_after.as_second() as f64));
    // Those who check it do not talk to it.
    let api = format!("https://localhost:{}/v1/bundle", replica.address.port());
    let authority = path("server.crt").display().to_string();
    let (said, status) = curl(&["--cacert", &authority, &api]);
    assert!(said.contains("certificate has expired"), "{status} {said}");

    for (name, contents) in &good {
        std::fs::write(path(name), contents).unwrap();
    }
    replica.logged("Certificate reloaded");
    ready_when(&health, |status| status == 200);
    tpm.clock += 1;
    granted(house.login(&replica, &tpm));
    assert_eq!(replica.count("Certificate has expired"), 1, "said once");
}

/// As openssl reads it.
fn certificate_end(path: &std::path::Path) -> Timestamp {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(path)
        .output()
        .expect("no openssl: install the package `openssl`");
    let text = String::from_utf8(output.stdout).unwrap();
    let at = text.trim().strip_prefix("notAfter=").unwrap();
    at.replace(' ', "T").parse().unwrap()
}

/// What `/ready` says once its status is as it should be.
fn ready_when(health: &str, wanted: impl Fn(u16) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let (text, status) = curl(&[&format!("http://{health}/ready")]);
        if wanted(status) && text.contains("\"status\"") {
            return serde_json::from_str(&text).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{status} {text}");
    }
}

/// What curl prints, errors too, and the status.
fn curl(arguments: &[&str]) -> (String, u16) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30"])
        .args(["--write-out", "\n%{http_code}"])
        .args(arguments)
        .output()
        .expect("no curl: install the package `curl`");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    (format!("{body}{errors}"), status.parse().unwrap())
}
