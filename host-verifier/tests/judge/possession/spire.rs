//! SPIRE's own fixtures, when `ASSAY_SPIRE` names its source tree. They are no part of this project.

use std::path::PathBuf;

use assay_host_verifier::{
    attestor::{ssh_pop, x509pop},
    document::{self, Files},
    ssh::Certificate,
    x509::{UnixTime, decode},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::json;

use super::{agent, server, text};
use crate::swtpm::run;

fn fixtures(method: &str) -> PathBuf {
    let tree = std::env::var_os("ASSAY_SPIRE").map(PathBuf::from);
    let tree = tree.expect("ASSAY_SPIRE names SPIRE's source tree");
    tree.join("test/fixture/nodeattestor").join(method)
}

/// 2026-11-21.
const AT: UnixTime = UnixTime(1_795_219_200);

/// Made with Go's `x/crypto/ssh` and SPIRE's key: Ed25519 makes one signature for one message.
const SSH_SIGNATURE: &str =
    "06+1+6Va+RWKb7wTkfxFkjk4OcfEbCXH2ys+/UXxCBZGfa4xu/T8Oxki7l8aW8ybKrxogMyQ7ZoOrqFBNgpJBw==";

#[test]
#[cfg_attr(
    not(assay_spire),
    ignore = "ASSAY_SPIRE is not set: no fixtures of SPIRE"
)]
fn the_ssh_certificate_and_signature_of_another_implementation_verify() {
    let folder = fixtures("sshpop");
    let line = std::fs::read_to_string(folder.join("agent_ssh_key-cert.pub")).unwrap();
    let blob = STANDARD
        .decode(line.split_ascii_whitespace().nth(1).unwrap())
        .unwrap();
    // SPIRE's own name of this certificate.
    let hash = assay_host_verifier::crypto::sha256(&[&blob]);
    let name = URL_SAFE_NO_PAD.encode(hash);
    assert_eq!(name, "21Aic_muK032oJMhLfU1_CMNcGmfAnvESeuH5zyFw_g");
    assert_eq!(
        Certificate::from_blob(&blob).unwrap().principals(),
        ["foo-host"]
    );
    let payload = json!({
        "certificate": text(&blob),
        "Response": {
            "Nonce": text(&agent()),
            "Signature": {"Format": "ssh-ed25519", "Blob": SSH_SIGNATURE, "Rest": null}
        }
    });
    let config: ssh_pop::Config =
        document::parse("config", "certAuthoritiesFile: ssh_cert_authority.pub").unwrap();
    let attestor = config.attestor(Files::beside(&folder)).unwrap();
    let claims = attestor.prove(payload.to_string().as_bytes(), &server(), AT);
    assert!(claims.is_ok(), "{claims:?}");
}

#[test]
#[cfg_attr(
    not(assay_spire),
    ignore = "ASSAY_SPIRE is not set: no fixtures of SPIRE"
)]
fn the_x509_chain_of_another_implementation_verifies() {
    let folder = fixtures("x509pop");
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("digest"), super::digest()).unwrap();
    let key = folder.join("leaf-key.pem");
    let args = "pkeyutl -sign -in digest -pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:max -inkey";
    let mut args: Vec<&str> = args.split(' ').collect();
    args.push(key.to_str().unwrap());
    let signature = run("openssl", &args, scratch.path(), &[]);
    let bundle = std::fs::read(folder.join("leaf-crt-bundle.pem")).unwrap();
    let chain = decode::certificates(&bundle).unwrap();
    let chain: Vec<String> = chain.iter().map(|c| text(c.der())).collect();
    let prove = |chain: &[String], config: &str| {
        let payload = json!({
            "certificates": chain,
            "response": {"rsa_signature": {"nonce": text(&agent()), "signature": text(&signature)}}
        });
        let config: x509pop::Config = document::parse("config", config).unwrap();
        let attestor = config.attestor(Files::beside(&folder)).unwrap();
        attestor
            .prove(payload.to_string().as_bytes(), &server(), AT)
            .map_err(|error| format!("{}: {error}", error.check()))
    };
    let claims = prove(&chain, "caBundle: [root-crt.pem]\ntrustDomain: example.org").unwrap();
    let shown: Vec<String> = claims.attributes.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "x509_pop:x509_pop.subject.common_name=\"COMMONNAME\"",
            "x509_pop:x509_pop.serial_number=\"0a1b2c3d4e5f\"",
            "x509_pop:x509_pop.ca.4d5e6f=\"1c4b053dce230c0a318d9ab20100006ec5f01da8\"",
            "x509_pop:x509_pop.ca.1a2b3c=\"3108cf1fe7db6b8857678738c87e0da75d1a0689\"",
            "x509_pop:x509_pop.san.datacenter=\"us-east-1\"",
            "x509_pop:x509_pop.san.environment=\"production\"",
            "x509_pop:x509_pop.san.key=\"path/to/value\"",
        ]
    );
    let spiffe = "mode: spiffe\ntrustDomain: example.org\ncaBundle: [root-crt.pem]";
    for (file, check) in [
        ("svidexchange.pem", None),
        ("svidreg.pem", Some("x509pop-prefix")),
    ] {
        let leaf = std::fs::read(folder.join(file)).unwrap();
        let mut with: Vec<String> = decode::certificates(&leaf)
            .unwrap()
            .iter()
            .map(|c| text(c.der()))
            .collect();
        with.extend(
            chain
                .iter()
                .skip(1)
                .take(usize::from(with.len() == 1))
                .cloned(),
        );
        let judged = prove(&with, spiffe).map(drop);
        let found = judged
            .as_ref()
            .err()
            .and_then(|text| text.split(':').next());
        assert_eq!(found, check, "{file}: {judged:?}");
    }
}
