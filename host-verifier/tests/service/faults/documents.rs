//! Documents that are too long or too deep, where they come in: as bodies of logins and as configuration.

use super::house::{House, Wire};
use super::idle::resident;
use crate::desk::granted;
use crate::fake_tpm::FakeTpm;
use crate::processes::text;

/// What a body may make the service keep, bytes: far less than it would take to read one of these in full.
const GROWTH: usize = 64 * 1024 * 1024;
/// Just below the longest body.
const LENGTH: usize = 1024 * 1024 - 16;

#[test]
fn bodies_of_logins_that_are_long_and_deep_are_refused_in_bounded_memory() {
    let tpm = FakeTpm::new();
    let house = House::new(&[&tpm], "");
    let replica = house.serve(&["limits.api.requestsPerSecond=100000"]);
    granted(house.login(&replica, &tpm));
    let before = resident(&replica);
    let deep = |begin: &str, each: &str| {
        let mut body = begin.to_owned();
        while body.len() + each.len() <= LENGTH {
            body.push_str(each);
        }
        body
    };
    let bodies = [
        deep("", "["),
        deep("", "{\"message\":"),
        deep("{\"message\":{\"hello\":{\"methods\":[", "\"tpm_ek\","),
        deep("{\"message\":{\"hello\":{\"versions\":", "[[[["),
        deep("{\"state\":\"", "A"),
        deep("{\"x\":\"", "\\u0000"),
        deep("{\"x\":", "9"),
    ];
    for body in &bodies {
        for media_type in ["application/json", "application/postcard"] {
            let mut wire = Wire::connect(replica.address).unwrap();
            wire.post(media_type, body.as_bytes()).unwrap();
            let (status, answer) = wire.answer().unwrap();
            assert_eq!(status, 400, "{}", text(&answer));
            assert!(text(&answer).contains("login-envelope"));
            assert!(answer.len() < 4096, "{} bytes", answer.len());
        }
    }
    let after = resident(&replica);
    assert!(after < before + GROWTH, "{before} {after}");
    let mut later = tpm;
    later.clock += 1;
    granted(house.login(&replica, &later));
}

#[test]
fn configuration_that_is_long_or_deep_is_refused_and_changes_nothing() {
    let house = House::new(&[&FakeTpm::new()], "");
    let _replica = house.serve(&[]);
    let aliases: String = (1..30)
        .map(|n| format!("a{n}: &a{n} [{0}, {0}, {0}, {0}]\n", format!("*a{}", n - 1)))
        .collect();
    for (name, document) in [
        ("long", format!("section: {}", "x".repeat(1 << 22))),
        ("deep", "[".repeat(200_000)),
        ("maps", "a: {".repeat(60_000)),
        ("aliases", format!("a0: &a0 [x, x]\n{aliases}")),
        ("keys", (0..30_000).map(|n| format!("k{n}: 1\n")).collect()),
    ] {
        std::fs::write(house.site.path("bad.yaml"), document).unwrap();
        let output = house
            .site
            .assay(&["config", "set", "cluster", "--id", "lab", "bad.yaml"]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {error}");
        assert!(error.contains("bad.yaml"), "{name}: {error}");
        assert!(error.len() < 4096, "{name}: {} bytes", error.len());
    }
}
