//! What issuing costs beside the bare signature, and beside rcgen, which writes the same certificates.
//!
//! * `issue_x509`: a whole X.509-SVID for a P-256 key: authority chosen, serial drawn, certificate written, signed.
//! * `issue_jwt`: a whole JWT-SVID.
//! * `verify_csr`: a certificate request read and verified, against the signature verification alone.
//!
//! Time is the thread's own processor time. Prints one JSON object on stdout: microseconds per operation by the authority's key
//! (or the request's), and what the bare signature takes. `--quick` measures for a tenth of the time, `--bench` is ignored.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark over material of its own making: a panic is how it fails"
)]

use std::{hint::black_box, sync::Arc, time::Duration};

use assay_common::identity::SpiffeId;
use assay_host_verifier::clock::{Clock as _, SystemClock};
use assay_host_verifier::crypto::{Legacy, verify};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::store::MemoryStore;
use assay_host_verifier::svid::keys::{KeyType, LocalKey, MemoryKeys, Signer as _};
use assay_host_verifier::svid::{Issuer, Settings, verify_csr};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    SanType,
};

const ID: &str =
    "spiffe://example.org/node/3f1b2c0f0d6e4c5a9b8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b";

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let slices = if quick { 10 } else { 100 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut report = serde_json::Map::new();
    let mut record = |operation: &str, key: &str, value: f64| {
        let entry = report
            .entry(format!("{operation}_us"))
            .or_insert_with(|| serde_json::Map::new().into());
        entry[key] = ((value * 100.0).round() / 100.0).into();
    };
    let request = rcgen_request(&KeyPair::generate().unwrap());
    let node = verify_csr(&request).unwrap();
    let id = SpiffeId::parse(ID).unwrap();
    for kind in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
        let issuer = issuer(kind);
        let now = SystemClock::new().now();
        runtime.block_on(issuer.rotate(now)).unwrap();
        record(
            "issue_x509",
            kind.name(),
            micros(slices, || {
                let svid = issuer.issue_x509(&id, &node, now.wall, None);
                black_box(runtime.block_on(svid).unwrap());
            }),
        );
        record(
            "issue_jwt",
            kind.name(),
            micros(slices, || {
                let svid = issuer.issue_jwt(&id, &["reports"], now.wall, None);
                black_box(runtime.block_on(svid).unwrap());
            }),
        );
        let key = LocalKey::generate(kind).unwrap();
        let message = [7; 500];
        record(
            "bare_sign",
            kind.name(),
            micros(slices, || {
                black_box(runtime.block_on(key.sign(&message)).unwrap());
            }),
        );
        let signature = runtime.block_on(key.sign(&message)).unwrap();
        record(
            "bare_verify",
            kind.name(),
            micros(slices, || {
                let (public, legacy) = (key.public_key(), Legacy::default());
                verify(public, kind.scheme(), &message, &signature, legacy).unwrap();
            }),
        );
    }
    for (kind, pair) in [
        ("ec-p256", KeyPair::generate().unwrap()),
        ("rsa-2048", KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()),
    ] {
        let request = rcgen_request(&pair);
        record(
            "verify_csr",
            kind,
            micros(slices, || {
                black_box(verify_csr(&request).unwrap());
            }),
        );
    }
    record("rcgen_x509", "ec-p256", rcgen_x509(slices));
    println!("{:#}", serde_json::Value::Object(report));
}

fn issuer(kind: KeyType) -> Issuer {
    let settings = Settings {
        x509_key: kind,
        jwt_key: kind,
        ..Settings::new("example.org")
    };
    let keys = Arc::new(MemoryKeys::new(&SystemRandom).unwrap());
    let store = Arc::new(MemoryStore::new());
    Issuer::new(settings, keys, None, store, Arc::new(SystemRandom))
}

fn rcgen_request(pair: &KeyPair) -> Vec<u8> {
    let request = CertificateParams::default()
        .serialize_request(pair)
        .unwrap();
    request.der().to_vec()
}

/// A leaf of the same shape, by rcgen.
fn rcgen_x509(slices: usize) -> f64 {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let issuer = rcgen::Issuer::new(authority, KeyPair::generate().unwrap());
    let node = KeyPair::generate().unwrap();
    micros(slices, || {
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name = rcgen::DistinguishedName::new();
        leaf.subject_alt_names = vec![SanType::URI(ID.try_into().unwrap())];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.use_authority_key_identifier_extension = true;
        black_box(leaf.signed_by(&node, &issuer).unwrap());
    })
}

/// Microseconds of processor time per operation: the median over slices of four milliseconds.
fn micros(slices: usize, mut operation: impl FnMut()) -> f64 {
    let mut all: Vec<f64> = (0..slices + 2)
        .map(|_| {
            let began = processor_time();
            let mut count = 0u32;
            loop {
                for _ in 0..8 {
                    operation();
                }
                count += 8;
                let spent = processor_time() - began;
                if spent >= Duration::from_millis(4) {
                    return spent.as_secs_f64() * 1e6 / f64::from(count);
                }
            }
        })
        .skip(2)
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// What this thread has run so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
