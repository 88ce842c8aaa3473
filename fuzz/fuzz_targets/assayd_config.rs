//! `assayd.yaml`: what is accepted is within its limits.
#![no_main]

use std::path::Path;
use std::time::Duration;

use assay_common::identity::{ClusterName, TrustDomain};
use assay_host_verifier::config::{Config, Listener};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else { return };
    // Certificates may be files, and a fuzzer shall not choose which files are opened.
    if text.contains("CAs") {
        return;
    }
    let Ok(config) = Config::parse("assayd", text, Path::new("/nonexistent")) else { return };
    assert!(TrustDomain::parse(&config.trust_domain).is_ok());
    assert!(!config.clusters.is_empty());
    assert!(config.clusters.keys().all(|name| ClusterName::parse(name).is_ok()));
    assert!((1..=4096).contains(&config.logins_in_flight));
    assert!(config.login_timeout >= Duration::from_secs(1) && config.session_ttl >= Duration::from_secs(60));
    for listener in &config.listeners {
        if let Listener::Tcp { address, .. } = listener {
            assert!(address.ip().is_loopback());
        }
    }
});
