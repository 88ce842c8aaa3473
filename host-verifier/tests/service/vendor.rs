//! A TPM vendor: a CA, and certificates for EKs.

use std::path::Path;
use std::process::Command;

use assay_common::method::tpm_ek::EkPayload;
use assay_common::protocol::{BlobRef, Chunk, MAX_CHUNK};
use assay_host_verifier::blobs::Blobs;
use tempfile::TempDir;

use crate::agent::encode;
use crate::fake_tpm::{FakeTpm, sha256};

/// SubjectPublicKeyInfo of P-256 up to the point.
const SPKI_P256: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";

pub(crate) struct Vendor {
    folder: TempDir,
}

impl Vendor {
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(
            folder.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN={name} \
                 -keyout ca.key -out ca.crt"
            ),
        );
        Self { folder }
    }

    /// The CA's certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("ca.crt")).unwrap()
    }

    /// The same as one line of YAML.
    pub(crate) fn yaml(&self) -> String {
        let pem = self.pem();
        format!("\"{}\"", pem.replace('\n', "\\n"))
    }

    /// A certificate for a TPM's EK, DER.
    pub(crate) fn certify(&self, tpm: &FakeTpm) -> Vec<u8> {
        let folder = self.folder.path();
        // The public area ends with 2B x, 2B y.
        let public = tpm.ek_public();
        let (x, y) = public[public.len() - 66..].split_at(32);
        let spki = [&hex::decode(SPKI_P256).unwrap(), x, &y[2..]].concat();
        std::fs::write(folder.join("ek.der"), spki).unwrap();
        let extensions = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyAgreement\n\
                          extendedKeyUsage=2.23.133.8.1\n";
        std::fs::write(folder.join("ek.ext"), extensions).unwrap();
        for command in [
            "pkey -pubin -inform DER -in ek.der -out ek.pub",
            "req -new -key ca.key -subj /CN=ek -out ek.csr",
            "x509 -req -in ek.csr -CA ca.crt -CAkey ca.key -days 36500 -force_pubkey ek.pub \
             -extfile ek.ext -outform DER -out ek.crt",
        ] {
            openssl(folder, command);
        }
        std::fs::read(folder.join("ek.crt")).unwrap()
    }
}

fn openssl(folder: &Path, command: &str) {
    let ran = Command::new("openssl")
        .args(command.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl (package openssl)");
    assert!(ran.status.success(), "{command}: {ran:?}");
}

/// The payload of a TPM with a certificate, and the blob sent ahead of it.
pub(crate) fn certified_payload(tpm: &FakeTpm, certificate: &[u8]) -> (Vec<u8>, Blobs) {
    let mut blobs = Blobs::default();
    for (n, bytes) in certificate.chunks(MAX_CHUNK).enumerate() {
        let offset = (n * MAX_CHUNK) as u32;
        let blob = 0;
        blobs
            .add(&Chunk {
                blob,
                offset,
                bytes,
            })
            .unwrap();
    }
    let payload = encode(&EkPayload {
        ek_public: &tpm.ek_public(),
        ak_public: &tpm.ak_public(),
        ek_certificate: Some(BlobRef {
            blob: 0,
            len: certificate.len() as u32,
            sha256: sha256(&[certificate]).try_into().unwrap(),
        }),
        ek_chain: Default::default(),
    });
    (payload, blobs)
}
