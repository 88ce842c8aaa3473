//! SVIDs: requests, certificates, tokens, authorities over their lives, keys and files. What is issued is judged by openssl,
//! jsonwebtoken and the `spiffe` crate.

mod authorities;
mod commands;
mod csr;
mod documents;
mod jwt;
mod keys;
mod lives;
mod replicas;
mod rotation;
pub(crate) mod upstream;
mod withdrawals;
mod x509;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_common::identity::SpiffeId;
use assay_host_verifier::clock::{Clock, ManualClock};
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::store::{AuthorityStore, MemoryStore};
use assay_host_verifier::svid::keys::{DiskKeys, KeyError, KeyManager, MemoryKeys};
use assay_host_verifier::svid::upstream::UpstreamDisk;
use assay_host_verifier::svid::{Issuer, RotateError, Settings, VerifiedKey, X509Svid, verify_csr};
use jiff::Timestamp;
use tempfile::TempDir;

pub(super) const ID: &str = "spiffe://example.org/node/a";
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn id() -> SpiffeId<'static> {
    SpiffeId::parse(ID).unwrap()
}

/// A folder that openssl works in.
pub(super) struct Folder(pub(super) TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// openssl with these words, whatever it answers.
    pub(super) fn ask(&self, command: &str) -> Output {
        Command::new("openssl")
            .args(command.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("no openssl: install the package `openssl`")
    }

    /// openssl, which must succeed; what it prints.
    pub(super) fn openssl(&self, command: &str) -> String {
        let output = self.ask(command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes `name.key`: `p256`, `p384`, `p521`, `ed25519` or `rsa:<bits>`, with more options.
    pub(super) fn key(&self, name: &str, kind: &str, options: &str) {
        let algorithm = match kind {
            "p256" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-256".to_owned(),
            "p384" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-384".to_owned(),
            "p521" => "-algorithm EC -pkeyopt ec_paramgen_curve:P-521".to_owned(),
            "ed25519" => "-algorithm ED25519".to_owned(),
            rsa => format!(
                "-algorithm RSA -pkeyopt rsa_keygen_bits:{}",
                rsa.strip_prefix("rsa:").unwrap()
            ),
        };
        self.openssl(&format!("genpkey {algorithm} {options} -out {name}.key"));
    }

    /// A request for a new key, DER; the key stays as `name.key`.
    pub(super) fn request(&self, name: &str, kind: &str) -> Vec<u8> {
        self.key(name, kind, "");
        self.request_of(name, "-subj /CN=somebody")
    }

    /// A request for `name.key`, DER.
    pub(super) fn request_of(&self, name: &str, options: &str) -> Vec<u8> {
        self.openssl(&format!(
            "req -new -key {name}.key {options} -outform DER -out {name}.csr"
        ));
        self.read(&format!("{name}.csr"))
    }

    /// A key as SVIDs are issued to, whose private half is `node.key`.
    pub(super) fn node(&self, kind: &str) -> VerifiedKey {
        verify_csr(&self.request("node", kind)).unwrap()
    }

    /// Writes an SVID as `svid.pem` and `chain.pem`, and the bundle as `bundle.pem`.
    pub(super) fn write_svid(&self, svid: &X509Svid, bundle_pem: &str) {
        self.write("svid.der", &svid.chain[0]);
        self.openssl("x509 -inform DER -in svid.der -out svid.pem");
        let mut chain = String::new();
        for der in &svid.chain[1..] {
            self.write("link.der", der);
            chain += &self.openssl("x509 -inform DER -in link.der");
        }
        self.write("chain.pem", chain);
        self.write("bundle.pem", bundle_pem);
    }

    /// `openssl verify` of what [`Folder::write_svid`] wrote, at a time, as a server's and as a client's.
    pub(super) fn verify(&self, at: Timestamp) -> Result<(), String> {
        for purpose in ["sslserver", "sslclient"] {
            let chain = match self.read("chain.pem").is_empty() {
                true => "",
                false => "-untrusted chain.pem",
            };
            let output = self.ask(&format!(
                "verify -x509_strict -purpose {purpose} -attime {} -no-CApath -no-CAstore \
                 -CAfile bundle.pem {chain} svid.pem",
                at.as_second()
            ));
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(())
    }
}

/// An issuer on a settable clock.
pub(super) struct Office {
    pub(super) clock: Arc<ManualClock>,
    pub(super) issuer: Issuer,
}

impl Office {
    /// Keys and store in memory, the defaults for everything.
    pub(super) async fn new() -> Self {
        Self::with(Settings::new("example.org"), None).await
    }

    pub(super) async fn with(settings: Settings, upstream: Option<UpstreamDisk>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::at(Timestamp::now()));
        let office = Self::over(settings, memory_keys(), upstream, store, clock);
        office.rotate().await.unwrap();
        office
    }

    pub(super) fn over(
        settings: Settings,
        keys: Arc<dyn KeyManager>,
        upstream: Option<UpstreamDisk>,
        store: Arc<dyn AuthorityStore>,
        clock: Arc<ManualClock>,
    ) -> Self {
        let random = Arc::new(SystemRandom);
        let issuer = Issuer::new(settings, keys, upstream, store, random);
        Self { clock, issuer }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    pub(super) async fn rotate(&self) -> Result<(), RotateError> {
        self.issuer.rotate(self.clock.now()).await
    }

    pub(super) async fn issue(&self, key: &VerifiedKey) -> X509Svid {
        let now = self.now();
        self.issuer.issue_x509(&id(), key, now, None).await.unwrap()
    }
}

pub(super) fn memory_keys() -> Arc<MemoryKeys> {
    Arc::new(MemoryKeys::new(&SystemRandom).unwrap())
}

/// Opens a directory of keys. Other tests start processes: between fork and exec, a child holds a lock that was let go here.
pub(super) fn open_keys(dir: &Path) -> Result<DiskKeys, KeyError> {
    let began = Instant::now();
    loop {
        match DiskKeys::open(dir, &SystemRandom) {
            Err(KeyError::Locked(_)) if began.elapsed() < Duration::from_secs(20) => {
                std::thread::yield_now();
            }
            result => return result,
        }
    }
}
