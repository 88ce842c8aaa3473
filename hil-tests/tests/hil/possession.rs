//! The agent's proofs of possession, judged by the verifier's attestors: keys by `openssl` and `ssh-keygen`, in every form that
//! a host has them in.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use assay_common::login::Transcript;
use assay_common::policy::AttestorKind;
use assay_host_agent::method::{ProofRequest, Surroundings, registry};
use assay_host_verifier::{
    attestor::{ssh_pop, x509pop},
    document::{self, Files},
    x509::UnixTime,
};

const NONCE: [u8; 32] = [7; 32];

fn run(folder: &Path, command: &str) {
    let mut words = command.split(' ');
    let mut process = Command::new(words.next().unwrap());
    // An empty word is an empty argument: no passphrase.
    let output = process.args(words).current_dir(folder).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
}

/// What the agent sends with these settings.
fn prove(folder: &Path, kind: AttestorKind, config: serde_json::Value) -> Vec<u8> {
    let config = registry::deserialize_config(kind, config).unwrap();
    let around = Surroundings {
        kind,
        base: folder,
        cluster: "edge",
        trust_domain: "example.org",
    };
    let mut method = config.build(&around).unwrap();
    method.begin().unwrap();
    assert!(method.show().is_ok() && !method.doctor().is_empty());
    let request = ProofRequest {
        round: 0,
        payload: &[],
        transcript: &Transcript::new(),
        nonce: &NONCE,
    };
    let proof = method.prove(&request).unwrap();
    method.end();
    proof.payload
}

fn now() -> UnixTime {
    UnixTime(jiff::Timestamp::now().as_second() + 60)
}

#[test]
fn x509pop_of_the_agent_is_what_the_verifier_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(
        folder.join("leaf.ext"),
        "keyUsage=critical,digitalSignature\n",
    )
    .unwrap();
    run(
        folder,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 30",
    );
    let config: x509pop::Config = document::parse("config", "caBundle: [ca.crt]").unwrap();
    let attestor = config.attestor(Files::beside(folder)).unwrap();
    for options in [
        "EC -pkeyopt ec_paramgen_curve:P-256",
        "EC -pkeyopt ec_paramgen_curve:P-384",
        "EC -pkeyopt ec_paramgen_curve:P-521",
        "RSA -pkeyopt rsa_keygen_bits:2048",
        "ED25519",
    ] {
        run(
            folder,
            &format!("openssl genpkey -algorithm {options} -out key"),
        );
        run(folder, "openssl req -new -key key -subj /CN=host -out csr");
        run(
            folder,
            "openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -set_serial 7 -days 30 -extfile leaf.ext -out crt",
        );
        std::fs::set_permissions(folder.join("key"), std::fs::Permissions::from_mode(0o600))
            .unwrap();
        let config = serde_json::json!({"privateKeyPath": "key", "certificatePath": "crt"});
        let payload = prove(folder, AttestorKind::X509POP, config);
        let claims = attestor.prove(&payload, &NONCE, now());
        assert!(claims.is_ok(), "{options}: {claims:?}");
        assert!(attestor.prove(&payload, &[8; 32], now()).is_err());
    }
}

#[test]
fn ssh_pop_of_the_agent_is_what_the_verifier_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, "ssh-keygen -q -N  -t ed25519 -f ca");
    let config: ssh_pop::Config = document::parse("config", "certAuthoritiesFile: ca.pub").unwrap();
    let attestor = config.attestor(Files::beside(folder)).unwrap();
    for (name, options) in [
        ("ed25519", "ed25519"),
        ("p256", "ecdsa -b 256"),
        ("p384", "ecdsa -b 384"),
        ("p521", "ecdsa -b 521"),
        ("rsa", "rsa -b 3072"),
        ("pem", "rsa -b 2048 -m PEM"),
    ] {
        run(folder, &format!("ssh-keygen -q -N  -t {options} -f {name}"));
        run(
            folder,
            &format!("ssh-keygen -q -s ca -h -I {name} -n host.example.org {name}.pub"),
        );
        let config = serde_json::json!({"hostKeyPath": name});
        let payload = prove(folder, AttestorKind::SSH_POP, config);
        let claims = attestor.prove(&payload, &NONCE, now());
        assert!(claims.is_ok(), "{options}: {claims:?}");
        assert!(attestor.prove(&payload, &[8; 32], now()).is_err());
    }
}
