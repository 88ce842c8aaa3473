//! Where the processor time of a login goes.
//!
//! * store, audit: the threads that write them, by the kernel's count.
//! * crypto: what the same operations cost bare, in a loop of this process, times how many a login has.
//! * TLS: what the service's side of a connection costs in memory, for as many bytes as a login sends and receives.
//! * HTTP: what a request costs the service that asks for nothing (there is no such path), less its TLS: sockets, threads,
//!   HTTP, the layers around every handler.
//! * rest: what is left. Judging, policy, documents, the log, memory, hand-overs between threads.

use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey as Peer};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use serde::{Deserialize, Serialize};

use super::load::Outcome;
use super::rounded;

/// Requests of a login: hello, first proofs, second proofs.
pub const REQUESTS: u32 = 3;
/// Signatures that the service verifies: certificate request, certification of the SVID's key, quote. Those of the EK's
/// certificate and its issuer were verified at the node's first login.
const VERIFIES: f64 = 3.0;
/// Signatures that it makes: two challenges, the SVID.
const SIGNS: f64 = 3.0;
/// About what a request has, and its answer.
const BODY: usize = 2_048;
/// Operations of one batch; the quickest of [`BATCHES`] counts, for the machine has others to serve.
const BATCH: u32 = 200;
const BATCHES: usize = 15;

/// Microseconds of the service's processor time per P-256 login.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Signatures made and verified, the credential's key agreement.
    pub crypto: f64,
    /// Records sealed and opened.
    pub tls: f64,
    /// Sockets, HTTP, what stands around every handler.
    pub http: f64,
    /// The store's threads.
    pub store: f64,
    /// The audit trail's thread.
    pub audit: f64,
    /// Everything else.
    pub rest: f64,
    /// The sum.
    pub all: f64,
}

impl Shares {
    /// Takes the time of `logins` apart; `nothing` is a load of requests that ask for nothing.
    ///
    /// # Errors
    ///
    /// When the library fails.
    pub fn of(logins: &Outcome, nothing: &Outcome, tls: &Path) -> Result<Self> {
        let all = 1e6 / logins.per_cpu_second();
        let per_login = |of: fn(&super::assayd::Usage) -> f64| {
            (of(&logins.after) - of(&logins.before)) * 1e6 / count(logins.done)
        };
        let (store, audit) = (per_login(|used| used.store), per_login(|used| used.audit));
        let crypto = crypto()?;
        let tls = record_layer(tls)? * f64::from(REQUESTS);
        let http = (1e6 / nothing.per_cpu_second()).mul_add(f64::from(REQUESTS), -tls);
        let shares = [crypto, tls, http, store, audit].map(rounded);
        let [crypto, tls, http, store, audit] = shares;
        Ok(Self {
            crypto,
            tls,
            http,
            store,
            audit,
            rest: rounded(all - shares.iter().sum::<f64>()),
            all: rounded(all),
        })
    }

    /// Names and values, in the order of the table.
    #[must_use]
    pub const fn rows(&self) -> [(&'static str, f64); 7] {
        [
            ("crypto", self.crypto),
            ("TLS", self.tls),
            ("HTTP", self.http),
            ("store", self.store),
            ("audit trail", self.audit),
            ("rest", self.rest),
            ("all", self.all),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(done: u64) -> f64 {
    done as f64
}

/// Microseconds of one, as of the quickest batch.
fn quickest(mut one: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..BATCH {
            one()?;
        }
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(best * 1e6 / f64::from(BATCH))
}

fn crypto() -> Result<f64> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let message = [7; 256];
    let signature = pair.sign(&random, &message)?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref());
    let sign = quickest(|| {
        black_box(pair.sign(&random, black_box(&message))?);
        Ok(())
    })?;
    let verify =
        quickest(|| Ok(public.verify(black_box(&message), black_box(signature.as_ref()))?))?;
    let agree = quickest(|| {
        let own = EphemeralPrivateKey::generate(&agreement::ECDH_P256, &random)?;
        black_box(own.compute_public_key()?);
        let peer = Peer::new(&agreement::ECDH_P256, pair.public_key().as_ref());
        let secret = |secret: &[u8]| Ok::<_, aws_lc_rs::error::Unspecified>(secret.len());
        black_box(agreement::agree_ephemeral(
            own,
            peer,
            aws_lc_rs::error::Unspecified,
            secret,
        )?);
        Ok(())
    })?;
    Ok(VERIFIES.mul_add(verify, SIGNS.mul_add(sign, agree)))
}

/// Microseconds that the service's side of a connection takes for one request and its answer. `folder` has its certificate.
fn record_layer(folder: &Path) -> Result<f64> {
    let (mut client, mut server) = connected(folder)?;
    let body = [7; BODY];
    let mut wire = Vec::with_capacity(2 * BODY);
    let mut plain = [0; BODY];
    let mut spent = f64::INFINITY;
    for _ in 0..BATCHES {
        let mut batch = 0.0;
        for _ in 0..BATCH {
            wire.clear();
            client.writer().write_all(&body)?;
            client.write_tls(&mut wire)?;
            let began = Instant::now();
            server.read_tls(&mut wire.as_slice())?;
            server.process_new_packets()?;
            server.reader().read_exact(&mut plain)?;
            wire.clear();
            server.writer().write_all(&body)?;
            server.write_tls(&mut wire)?;
            batch += began.elapsed().as_secs_f64();
            client.read_tls(&mut wire.as_slice())?;
            client.process_new_packets()?;
            client.reader().read_exact(&mut plain)?;
        }
        spent = spent.min(batch);
    }
    Ok(spent * 1e6 / f64::from(BATCH))
}

/// Two ends after their handshake.
fn connected(folder: &Path) -> Result<(ClientConnection, ServerConnection)> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain =
        CertificateDer::pem_file_iter(folder.join("server.crt"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key"))?;
    let versions = [&rustls::version::TLS13];
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.crt"))?)?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost")?;
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire)?;
        server.read_tls(&mut wire.as_slice())?;
        server.process_new_packets().context("the client's side")?;
        wire.clear();
        server.write_tls(&mut wire)?;
        client.read_tls(&mut wire.as_slice())?;
        client.process_new_packets().context("the service's side")?;
    }
    Ok((client, server))
}
