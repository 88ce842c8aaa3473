//! `assayd.yaml`: what is accepted is within its limits.
#![no_main]

use std::path::Path;
use std::time::Duration;

use assay_common::identity::{ClusterName, TrustDomain};
use assay_host_verifier::config::{Config, Listener};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    // Certificates may be files, and a fuzzer shall not choose which files are opened.
    if text.contains("CAs") {
        return;
    }
    let Ok(config) = Config::parse("assayd", text, Path::new("/nonexistent")) else {
        return;
    };
    assert!(TrustDomain::parse(&config.trust_domain).is_ok());
    assert!(
        config
            .clusters
            .keys()
            .all(|name| ClusterName::parse(name).is_ok())
    );
    assert!((1..=4096).contains(&config.logins_in_flight));
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    assert!((second..=10 * minute).contains(&config.login_timeout));
    assert!((minute..=30 * 24 * 60 * minute).contains(&config.session_ttl));
    for (at, listener) in config.listeners.iter().enumerate() {
        match listener {
            Listener::Tcp { address, .. } => assert!(address.ip().is_loopback()),
            Listener::Serial(serial) => assert!((1200..=4_000_000).contains(&serial.baud)),
            Listener::Unix { path, .. } => assert!(path.as_os_str().len() < 108),
        }
        assert!(
            !config.listeners[..at].contains(listener),
            "one listener twice"
        );
    }
});
